"""Engines whose results may not be used commercially are not run until the user has said yes to their licence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from shared.core.errors import CounterdubError, UsageError
from shared.engines.protocols import Licence, engine_class
from shared.settings.models import Settings


class Terms(NamedTuple):
    """An engine that is to be run, and its licence."""

    kind: str
    engine: str
    licence: Licence


def engines(settings: Settings) -> list[tuple[str, str]]:
    """Kind and name of every engine that the settings may make run, each once."""
    chosen = settings
    named: list[tuple[str, str | None]] = [
        ("shot_detector", chosen.ingest.detector),
        ("voice_detector", chosen.ingest.vad),
        ("separator", chosen.separation.engine),
        ("recognizer", chosen.transcription.engine),
        ("voice_detector", chosen.transcription.vad),
        ("embedder", chosen.transcription.embedder),
        ("translator", chosen.translation.engine),
        *(("translator", name) for name in chosen.translation.by_language.values()),
        ("synthesizer", chosen.dubbing.engine),
        ("synthesizer", chosen.dubbing.guard.fallback),
        ("recognizer", chosen.dubbing.guard.recognizer),
        ("voice_converter", chosen.dubbing.converter),
        ("embedder", chosen.dubbing.embedder),
        ("recognizer", chosen.quality.engine),
        ("embedder", chosen.quality.embedder),
        ("voice_detector", chosen.quality.vad),
    ]
    return list(dict.fromkeys((kind, name) for kind, name in named if name))


def terms(uses: Iterable[tuple[str, str]]) -> list[Terms]:
    """Licences of engines. One that is unknown or not installed here is left out: loading it says so better."""
    licences = []
    for kind, name in uses:
        try:
            licence = engine_class(kind, name).licence
        except CounterdubError:
            continue
        licences.append(Terms(kind, name, licence))
    return licences


def not_accepted(settings: Settings, accepted: Sequence[str] = ()) -> list[Terms]:
    """What must be accepted before these settings may be run.

    Args:
        accepted: Names of licences or engines, beside those in ``licences.accepted``; upper and lower case are one.
    """
    agreed = {name.strip().casefold() for name in (*settings.licences.accepted, *accepted)}
    return [
        one
        for one in terms(engines(settings))
        if not one.licence.commercial_use and not {one.licence.name.casefold(), one.engine.casefold()} & agreed
    ]


def require(settings: Settings, accepted: Sequence[str] = ()) -> None:
    """Call it before anything is made.

    Raises:
        UsageError: ``licence_not_accepted``, naming the engines, their licences and how to accept them.
    """
    missing = not_accepted(settings, accepted)
    if not missing:
        return
    names = sorted({one.licence.name for one in missing})
    named = "; ".join(f"{one.engine} ({one.licence.name}{note(one.licence)})" for one in missing)
    flags = " ".join(f"--accept-licence {name}" for name in names)
    raise UsageError(
        f"These engines do not allow commercial use of what they make: {named}. If you agree, say {flags}, or set "
        f"licences.accepted = {list(names)!r}.",
        code="licence_not_accepted",
        licences=names,
        engines=[one.engine for one in missing],
    )


def note(licence: Licence) -> str:
    return f": {licence.note.rstrip('.')}" if licence.note else ""

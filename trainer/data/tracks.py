"""Which tracks a shot is heard by: the primary, and the secondary by policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from shared.core.errors import InputError
from trainer.recipe import DataSettings
from trainer.shards.records import BACKGROUND

NO_DUBS = ("orig", "control", BACKGROUND)
"""Tracks that are not dubs: as secondary they must be named."""


class TrackPolicy(NamedTuple):
    """Numbers are indices into the data's tracks."""

    kind: str
    primary: int
    languages: tuple[int, ...]
    """Tracks that the secondary may be, in the recipe's order."""


def policy_of(settings: DataSettings, tracks: Sequence[str], bits: np.ndarray) -> TrackPolicy:
    """The policy on this data.

    Args:
        tracks: Names of the data's tracks.
        bits: uint64 ``[N]``, tracks of each shot.

    Raises:
        InputError: ``no_such_track`` when no shot has the primary or one of the languages, ``one_language`` when there
            is no other track that could be the secondary.
    """
    present = int(np.bitwise_or.reduce(bits)) if len(bits) else 0
    has = [name for number, name in enumerate(tracks) if present >> number & 1]
    missing = [name for name in (settings.primary, *settings.languages) if name not in has]
    if settings.secondary in {"none", "same"}:
        missing = [name for name in missing if name == settings.primary]
    if missing:
        raise InputError(
            f"No shot of the data has the track “{missing[0]}” (there are {', '.join(has)}). Change data.primary or "
            "data.languages, or dub into it.",
            code="no_such_track",
        )
    primary = tracks.index(settings.primary)
    if settings.secondary in {"none", "same"}:
        return TrackPolicy(settings.secondary, primary, ())
    names = settings.languages or tuple(name for name in has if name not in NO_DUBS)
    if settings.secondary == "fixed":
        names = names[:1]
    languages = tuple(tracks.index(name) for name in names if name != settings.primary)
    if not languages:
        raise InputError(
            f"All sound of the data is {' or '.join(has)}: there is no second language. Use data.secondary=same, or "
            "dub the titles into one.",
            code="one_language",
        )
    return TrackPolicy(settings.secondary, primary, languages)


def secondary(policy: TrackPolicy, bits: int, turn: int, draw: int) -> tuple[int, bool]:
    """A shot's secondary track, and whether it is the one that the policy asks for.

    A shot that lacks the language whose turn it is takes the next of the languages that it has; one that has none of
    them is heard by its primary track again.

    Args:
        bits: Tracks of the shot.
        turn: Number of the step, the same in all processes.
        draw: Random number from 0, at least as many as there are languages.
    """
    if policy.kind in {"none", "same"}:
        return policy.primary, True
    there = [language for language in policy.languages if bits >> language & 1]
    if not there:
        return policy.primary, False
    if policy.kind == "uniform":
        return there[draw % len(there)], True
    order = [policy.languages[(turn + later) % len(policy.languages)] for later in range(len(policy.languages))]
    language = next(language for language in order if bits >> language & 1)
    return language, language == order[0]

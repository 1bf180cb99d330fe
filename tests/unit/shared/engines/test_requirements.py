"""What engines lack is known before anything is loaded."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from shared.engines import requirements
from shared.engines.protocols import EngineOptions, engine_class
from shared.engines.requirements import Lack, card_memory, lacks
from shared.pipeline.stage import Scope, queue_of, stage, stage_names
from shared.pipeline.task_work import slot_key
from shared.settings.models import load_settings
from tests.conftest import ROOT


def lacking(kind: str, name: str, *languages: str, **options: object) -> list[Lack]:
    return list(lacks(engine_class(kind, name), EngineOptions(**options), languages or ("es",)))  # type: ignore[arg-type]


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Modules that are installed."""
    there: set[str] = set()
    monkeypatch.setattr(requirements, "find_spec", lambda name: object() if name in there else None)
    return there


def test_packages_of_a_language_are_asked_for_it_alone(only: set[str]) -> None:
    only |= {"TTS", "torch", "torchaudio"}
    options = {"extra": {"allow_download": True}}
    assert lacking("synthesizer", "xtts", "es", "de", **options) == []
    [lack] = lacking("synthesizer", "xtts", "es", "ja", **options)
    assert lack.code == "engine_missing" and "cutlet and fugashi and unidic-lite" in lack.message
    [lack] = lacking("synthesizer", "xtts", "zh", **options)
    assert "pypinyin, which is not installed" in lack.message


def test_packages_of_a_model_are_asked_for_it_alone(only: set[str]) -> None:
    only |= {"demucs", "torch"}
    options = {"extra": {"allow_download": True}}
    assert lacking("separator", "demucs", model="mdx_extra", **options) == []
    [lack] = lacking("separator", "demucs", model="mdx_extra_q", **options)
    assert "diffq" in lack.message


@pytest.mark.parametrize("language", ["it", "ja", "zh"])
def test_mms_has_no_model_of_some_languages(only: set[str], language: str) -> None:
    only |= {"torch", "transformers", "uroman"}
    [lack] = lacking("synthesizer", "mms", language, extra={"allow_download": True})
    assert lack.code == "unsupported_language" and f"“{language}”" in lack.message
    assert lacking("synthesizer", "mms", "sw", "ko", extra={"allow_download": True}) == []


def test_folders_of_models_say_what_they_speak(only: set[str], tmp_path: Path) -> None:
    only |= {"torch", "transformers", "uroman", "TTS", "torchaudio"}
    for name in ("spa", "it"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text('{"languages": ["pl", "zh-cn"]}')
    assert lacking("synthesizer", "mms", "es", model=str(tmp_path)) == []
    assert [lack.code for lack in lacking("synthesizer", "mms", "fr", model=str(tmp_path))] == ["unsupported_language"]
    assert lacking("synthesizer", "coqui-vits", "it", model=str(tmp_path)) == []
    assert [lack.code for lack in lacking("synthesizer", "coqui-vits", "es", model=str(tmp_path))] == [
        "unsupported_language"
    ]
    assert [lack.code for lack in lacking("synthesizer", "xtts", "es", model=str(tmp_path / "it"))] == [
        "unsupported_language"
    ]


@pytest.mark.parametrize(
    ("kind", "name", "model", "said"),
    [
        ("translator", "nllb", "", "facebook/nllb-200-distilled-600M"),
        ("translator", "m2m100", "/nowhere/m2m100", "m2m100"),
        ("synthesizer", "xtts", "", "coqui/XTTS-v2"),
        ("synthesizer", "mms", "", "facebook/mms-tts-spa"),
        ("synthesizer", "seamless", "", "facebook/seamless-m4t-v2-large"),
        ("separator", "demucs", "mdx_extra", "e51eebcc-c1b80bdd.th"),
        ("recognizer", "openai-whisper", "large", "large-v3.pt"),
        ("recognizer", "faster-whisper", "large-v3", "Whisper large-v3"),
        ("voice_converter", "knn-vc", "", "knn-vc"),
        ("voice_converter", "openvoice", "/nowhere/converter", "converter"),
    ],
)
def test_models_that_are_not_here_are_named(
    kind: str, name: str, model: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COUNTERDUB_MODELS", str(tmp_path))
    monkeypatch.setattr(requirements, "find_spec", lambda module: object())
    [lack] = lacking(kind, name, model=model)
    assert lack.code == "weights_missing" and said in lack.message
    assert "/nowhere" not in lack.message, "a message names no place of the machine"


LISTENING = frozenset({"ingest", "separation", "language", "transcription"})
"""Stages that are all done before a title's first line is translated."""


def reckoned(profile: str) -> tuple[int, int, int]:
    """GB of a card, rounded up: all engines of a profile at once, of one film at a time, of the services."""
    settings = load_settings(profile)
    taken: dict[str, dict[Any, int]] = {}
    for name in stage_names():
        for use in stage(name).engines(settings, Scope(language="es", chunk=0)).values():
            taken.setdefault(name, {})[slot_key(use)] = card_memory(engine_class(use.kind, use.name), use.options)

    def together(names: Iterable[str]) -> int:
        slots = {slot: megabytes for name in names for slot, megabytes in taken.get(name, {}).items()}
        return math.ceil(sum(slots.values()) / 1000)

    queues: dict[str, list[str]] = {}
    for name in taken:
        queues.setdefault(queue_of(name), []).append(name)
    film = max(together(LISTENING), together(set(taken) - LISTENING))
    return together(taken), film, sum(together(names) for names in queues.values())


@pytest.mark.parametrize("profile", ["best", "commercial", "gpu", "paper"])
def test_a_profile_says_what_memory_its_engines_take(profile: str) -> None:
    text = (ROOT / "shared" / "profiles" / f"{profile}.toml").read_text(encoding="utf-8")
    stated = re.search(
        r"^# Of a card, reckoned: (\d+) GB .*?; (\d+) GB .*?; (\d+) GB as services\.$", text, re.MULTILINE
    )
    assert stated and tuple(map(int, stated.groups())) == reckoned(profile)


def test_memory_follows_the_model_and_where_it_is() -> None:
    nllb = engine_class("translator", "nllb")
    assert card_memory(nllb, EngineOptions(device="cuda")) < card_memory(
        nllb, EngineOptions("facebook/nllb-200-3.3B", "cuda")
    )
    assert card_memory(nllb, EngineOptions()) == 0
    assert card_memory(engine_class("synthesizer", "kokoro"), EngineOptions(device="cuda")) == 0

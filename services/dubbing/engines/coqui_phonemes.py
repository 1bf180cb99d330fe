"""coqui-tts' phonemes by the eSpeak NG of our wheel: the library itself runs a program, which no image has."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from services.dubbing.engines.espeak import CHARS_UTF8, Espeak
from shared.core.errors import EngineError

IPA_SEPARATED = 0x02 | ord("_") << 8
"""Phoneme mode of ``espeak_TextToPhonemes``: IPA, phonemes held apart by “_”, as the program's ``--ipa=1`` has it."""
PROGRAM, VERSION = "espeak-ng", "1.52"
"""What the library is told that it runs: only whether it is eSpeak or eSpeak NG makes a difference to it."""


class VoiceRecord(ctypes.Structure):
    """``espeak_VOICE`` of ``speak_lib.h``."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("unused", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


def use_our_espeak() -> None:
    """Have the library's phonemiser call :class:`Espeak`, where there is no program for it to run.

    Call it inside :func:`services.dubbing.engines.coqui.library`.
    """
    from TTS.tts.utils.text.phonemizers import espeak_wrapper as theirs

    if theirs._DEF_ESPEAK_LIB is not None:
        return
    theirs._DEF_ESPEAK_LIB, theirs._DEF_ESPEAK_VER = PROGRAM, VERSION
    theirs._is_tool = lambda name: name == PROGRAM
    theirs.get_espeakng_version = lambda: VERSION
    theirs._espeak_exe = lambda program, arguments: answer(arguments)


def answer(arguments: list[str]) -> list[str]:
    """The lines that the program prints: its voices, or the phonemes of a file's text, a line a clause.

    Raises:
        EngineError: ``engine_missing`` without the wheel, ``unspeakable_language``.
    """
    if "--voices" in arguments:
        return ["Pty Language Age/Gender VoiceName", *(f"5 {code} --/M {code}" for code in sorted(voices()))]
    given = dict(zip(arguments[::2], arguments[1::2], strict=False))
    text = Path(arguments[arguments.index("-f") + 1]).read_text(encoding="utf-8")
    return phonemes(text, given["-v"])


def voices() -> dict[str, str]:
    """ESpeak's languages: their codes, such as ``fr-fr``, and the names of their voices."""
    Espeak()
    with Espeak._lock:
        library = Espeak._library
        library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(VoiceRecord))
        listed = library.espeak_ListVoices(None)
        out: dict[str, str] = {}
        place = 0
        while listed[place]:
            voice = listed[place].contents
            # A byte of priority, then the language; more of them may follow behind a zero.
            code = ctypes.string_at(voice.languages + 1).decode("ascii", "ignore")
            out.setdefault(code, voice.identifier.decode())
            place += 1
    return out


def phonemes(text: str, language: str) -> list[str]:
    """IPA of each clause, phonemes held apart by “_”."""
    name = voices().get(language)
    with Espeak._lock:
        library: Any = Espeak._library
        if name is None or library.espeak_SetVoiceByName(name.encode()) != 0:
            raise EngineError(f"eSpeak NG has no voice for “{language}”.", code="unspeakable_language")
        rest = ctypes.pointer(ctypes.c_char_p(text.encode()))
        clauses = []
        while rest.contents.value is not None:
            part = library.espeak_TextToPhonemes(rest, CHARS_UTF8, IPA_SEPARATED)
            clauses.append((part or b"").decode().strip())
    return [clause for clause in clauses if clause]

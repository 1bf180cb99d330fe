"""Cheap speech: eSpeak NG speaking, far faster than a neural synthesiser and as robotic as it is known for.

The optional wheel ``espeakng-loader`` (GPL-3.0-or-later) brings the library; nothing of it comes with this package.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np

from shared.core.errors import EngineError
from shared.engines.espeak import load_espeak

NAMES = {"en": "gmw/en-US", "es": "roa/es", "fr": "roa/fr", "ja": "jpx/ja"}
SAMPLE_RATE = 22_050
"""Of eSpeak's own voices, Hz."""
PITCH = 3
CHARS_UTF8, POSITION_CHARACTER = 1, 1


class Variant(NamedTuple):
    """One speaker: an eSpeak variant and a pitch, the same in every language, so that a voice never tells it."""

    name: str
    pitch: int
    female: bool
    tested: bool
    """Heard in tests only."""


VARIANTS = tuple(
    Variant(name, pitch, name.startswith("f"), name in {"m7", "m8", "f5"})
    for name in ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5")
    for pitch in (38, 58)
)
"""26 speakers, six of them in tests only."""


class EspeakVoice:
    """Speaks sentences. The library's state is global to the process: one thread at a time."""

    def __init__(self) -> None:
        self._library, self._heard = load(), list[np.ndarray]()

        def hear(samples: Any, count: int, events: Any) -> int:
            if samples and count > 0:
                self._heard.append(np.ctypeslib.as_array(samples, (count,)).copy())
            return 0

        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self._callback = kind(hear)  # kept, or the library calls into freed memory
        self._library.espeak_SetSynthCallback(self._callback)

    def __call__(self, text: str, language: str, variant: Variant) -> np.ndarray:
        """float32 ``[samples]`` at :data:`SAMPLE_RATE`.

        Raises:
            EngineError: ``engine_failed``.
        """
        self._heard.clear()
        name, data = f"{NAMES[language]}+{variant.name}".encode(), text.encode()
        failed = self._library.espeak_SetVoiceByName(name)
        failed |= self._library.espeak_SetParameter(PITCH, variant.pitch, 0)
        failed |= self._library.espeak_Synth(data, len(data) + 1, 0, POSITION_CHARACTER, 0, CHARS_UTF8, None, None)
        if failed or not self._heard:
            raise EngineError(f"eSpeak NG cannot speak “{language}” with voice {variant.name}.", code="engine_failed")
        return np.concatenate(self._heard).astype(np.float32) / 32768


def load() -> Any:
    """The wheel's library, ready to give samples to a callback.

    Raises:
        EngineError: ``engine_missing`` without the wheel, ``engine_failed`` if it does not work.
    """
    library, rate = load_espeak("The miniature's cheap speech")
    if rate != SAMPLE_RATE:
        raise EngineError(f"eSpeak NG speaks at {rate} Hz, not at {SAMPLE_RATE}.", code="engine_failed")
    library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    library.espeak_Synth.argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        *[ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint],
        *[ctypes.c_void_p, ctypes.c_void_p],
    ]
    return library

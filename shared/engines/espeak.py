"""The shared library of eSpeak NG, called through ctypes.

The library and its data come with the wheel ``espeakng-loader``. eSpeak NG is GPL-3.0-or-later, so the wheel is an
extra of its own (``espeak``) that nothing else depends on.
"""

from __future__ import annotations

import ctypes
from typing import Any

from shared.core.errors import EngineError

OUTPUT_SYNCHRONOUS = 2
"""``espeak_AUDIO_OUTPUT``: samples, if any, go to a callback before a call returns."""


def load_espeak(wanted_for: str) -> tuple[Any, int]:
    """The library, initialised, and its sample rate, Hz.

    Args:
        wanted_for: Who needs it, as the message begins when it is not there.

    Raises:
        EngineError: ``engine_missing`` when the wheel is not installed, ``engine_failed`` when it does not work.
    """
    try:
        import espeakng_loader
    except ImportError as error:
        raise EngineError(
            f"{wanted_for} needs eSpeak NG, which is not installed: pip install 'counterdub[espeak]'.",
            code="engine_missing",
            package="espeakng-loader",
        ) from error
    try:
        library = ctypes.CDLL(str(espeakng_loader.get_library_path()))
    except OSError as error:
        raise EngineError(f"eSpeak NG cannot be loaded: {error}.", code="engine_failed") from error
    rate = library.espeak_Initialize(OUTPUT_SYNCHRONOUS, 0, str(espeakng_loader.get_data_path()).encode(), 0)
    if rate <= 0:
        raise EngineError("eSpeak NG cannot be initialised.", code="engine_failed")
    return library, int(rate)

"""Kokoro's 54 style vectors, and new voices made by mixing them.

A style has two halves: the first 128 numbers colour the sound (who speaks), the last 128 drive rhythm and melody
(which language's habits are heard). A voice id is therefore ``<colour>`` or ``<colour>/<prosody>``, where a colour
is one style or a weighted sum: ``em_alex``, ``am_onyx/em_alex``, ``em_alex*0.6+am_onyx*0.4/em_alex``. A factor on the
pitch may follow: ``em_alex@0.9``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.core.errors import UsageError
from shared.engines.protocols import Voice

LANGUAGE_OF_PREFIX = {
    "a": "en",
    "b": "en",
    "e": "es",
    "f": "fr",
    "h": "hi",
    "i": "it",
    "j": "ja",
    "p": "pt",
    "z": "zh",
}
"""First letter of a style's name → the language it was trained on."""

COLOUR = 128
"""Numbers of a style that colour the sound; the rest drive prosody."""

PITCH_FACTORS = (0.5, 2.0)

# fmt: off
STYLES = (
    "af_alloy", "af_aoede", "af_bella", "af_heart", "af_jessica", "af_kore", "af_nicole", "af_nova", "af_river",
    "af_sarah", "af_sky", "am_adam", "am_echo", "am_eric", "am_fenrir", "am_liam", "am_michael", "am_onyx",
    "am_puck", "am_santa", "bf_alice", "bf_emma", "bf_isabella", "bf_lily", "bm_daniel", "bm_fable", "bm_george",
    "bm_lewis", "ef_dora", "em_alex", "em_santa", "ff_siwis", "hf_alpha", "hf_beta", "hm_omega", "hm_psi",
    "if_sara", "im_nicola", "jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo", "pf_dora",
    "pm_alex", "pm_santa", "zf_xiaobei", "zf_xiaoni", "zf_xiaoxiao", "zf_xiaoyi", "zm_yunjian", "zm_yunxi",
    "zm_yunxia", "zm_yunyang",
)
# fmt: on


def style_voice(style: str) -> Voice:
    """Language and gender as the style's name tells them."""
    return Voice(style, LANGUAGE_OF_PREFIX[style[0]], "female" if style[1] == "f" else "male")


@dataclass(frozen=True)
class Mix:
    """A parsed voice id: shares of styles for the colour, the style whose prosody is used, and the pitch."""

    colour: tuple[tuple[str, float], ...]
    prosody: str
    pitch: float = 1.0
    """Factor on the pitch that the prosody asks for."""

    @classmethod
    def parse(cls, voice: str) -> Mix:
        """The mix that a voice's name describes.

        Raises:
            UsageError: ``unknown_voice``, naming it.
        """
        styles, _, factor = voice.partition("@")
        colour, _, prosody = styles.partition("/")
        shares = []
        try:
            pitch = float(factor) if factor else 1.0
        except ValueError as error:
            raise unknown_voice(voice) from error
        for part in colour.split("+"):
            style, _, share = part.partition("*")
            try:
                shares.append((style.strip(), float(share) if share else 1.0))
            except ValueError as error:
                raise unknown_voice(voice) from error
        prosody = prosody.strip() or max(shares, key=lambda item: item[1])[0]
        if {prosody, *(style for style, _ in shares)} - set(STYLES) or not 0 < sum(s for _, s in shares) < np.inf:
            raise unknown_voice(voice)
        if any(share < 0 for _, share in shares) or not PITCH_FACTORS[0] <= pitch <= PITCH_FACTORS[1]:
            raise unknown_voice(voice)
        return cls(tuple(shares), prosody, pitch)

    def style(self, folder: Path) -> np.ndarray:
        """Style vectors by number of phonemes, ``[510, 256]``."""
        total = sum(share for _, share in self.colour)
        colour = sum(read_style(folder, style)[:, :COLOUR] * (share / total) for style, share in self.colour)
        return np.concatenate([colour, read_style(folder, self.prosody)[:, COLOUR:]], axis=1, dtype=np.float32)


def read_style(folder: Path, style: str) -> np.ndarray:
    """One file of style vectors, ``[510, 256]``: row n is for a text of n + 1 phonemes."""
    return np.fromfile(folder / f"{style}.bin", dtype="<f4").reshape(-1, 2 * COLOUR)


def unknown_voice(voice: str) -> UsageError:
    return UsageError(
        f"There is no voice “{voice}”. Kokoro knows {', '.join(STYLES)}; mixes are written em_alex*0.6+em_santa*0.4, "
        "a pitch factor @0.9.",
        code="unknown_voice",
        voice=voice,
    )

"""Whole sounds in the formats that people play: MP3, Ogg Opus, WAV, encoded by PyAV."""

from __future__ import annotations

import io
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from shared.core.records import SAMPLE_RATE

SoundFormat = Literal["mp3", "ogg", "wav"]
SOUND_FORMATS: tuple[SoundFormat, ...] = get_args(SoundFormat)
BITRATE = 96_000


class Encoding(NamedTuple):
    """How a format is written."""

    container: str
    codec: str
    samples: str
    media_type: str


ENCODINGS: Mapping[SoundFormat, Encoding] = {
    "mp3": Encoding("mp3", "libmp3lame", "fltp", "audio/mpeg"),
    "ogg": Encoding("ogg", "libopus", "flt", "audio/ogg"),
    "wav": Encoding("wav", "pcm_s16le", "s16", "audio/wav"),
}


def encode(
    audio: np.ndarray, kind: SoundFormat, tags: Mapping[str, str] | None = None, *, bitrate: int = BITRATE
) -> bytes:
    """48 kHz float32 ``[samples]`` or ``[channels, samples]`` of one or two channels as a file of its own.

    Where the format can say so, players skip the encoder's delay: the sound starts at 0.

    Args:
        tags: What the file says of itself: ``title``, ``comment`` …
        bitrate: Of MP3 and Ogg Opus, bits a second.
    """
    import av  # Who only asks which formats there are needs none of it.

    encoding, samples = ENCODINGS[kind], np.clip(np.atleast_2d(audio), -1, 1)
    layout = "mono" if samples.shape[0] == 1 else "stereo"
    out = io.BytesIO()
    with av.open(out, "w", format=encoding.container) as container:
        stream: Any = container.add_stream(encoding.codec, rate=SAMPLE_RATE, layout=layout)
        stream.codec_context.format = encoding.samples
        if kind != "wav":
            stream.codec_context.bit_rate = bitrate
        if kind == "mp3":
            # 2.5 times as fast as the default, no farther off.
            stream.codec_context.options = {"compression_level": "7"}
        container.metadata.update(tags or {})
        if samples.size:
            frame = av.AudioFrame.from_ndarray(interleaved(samples, encoding.samples), encoding.samples, layout)
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def interleaved(samples: np.ndarray, kind: str) -> np.ndarray:
    """``[channels, samples]`` float32 laid out as FFmpeg's sample format wants it."""
    if kind == "fltp":
        return np.ascontiguousarray(samples, np.float32)
    whole = np.rint(samples * 32_767).astype(np.int16) if kind == "s16" else samples.astype(np.float32)
    return np.ascontiguousarray(whole.T.reshape(1, -1))

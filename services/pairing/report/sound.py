"""Short previews of sound: MP3, the one lossy format that every browser plays without the system's help."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np

from shared.core.records import SAMPLE_RATE

PEAKS = 200
"""Points of the small waveform."""


def mp3(audio: np.ndarray, bitrate: int) -> bytes:
    """Mono 48 kHz float32 ``[samples]`` as MP3. Its header tells players the encoder's delay, so it starts at 0."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE, layout="mono")
        stream.codec_context.format, stream.codec_context.bit_rate = "fltp", bitrate
        stream.codec_context.options = {"compression_level": "7"}  # 2.5 times as fast as the default, no farther off
        samples = np.ascontiguousarray(np.clip(audio, -1, 1)[None], np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def peaks(audio: np.ndarray, points: int = PEAKS) -> list[int]:
    """Largest size of the samples in each of ``points`` equal parts, 0–100 of full scale."""
    parts = np.array_split(np.abs(audio), points)
    return [round(100 * min(1.0, float(part.max(initial=0.0)))) for part in parts]

"""MP3, Ogg Opus and WAV: what went in comes out, at its time, with what the file says of itself."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from shared.core.records import SAMPLE_RATE
from shared.media.opened_file import as_float
from shared.media.sound_formats import SOUND_FORMATS, SoundFormat, encode


def decoded(data: bytes) -> tuple[np.ndarray, dict[str, str], str]:
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.audio[0]
        tags = {**container.metadata, **stream.metadata}
        parts = [as_float(frame).T for frame in container.decode(stream)]
        return np.concatenate(parts, axis=1), tags, stream.codec_context.name


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", SOUND_FORMATS)
def test_what_went_in_comes_out_at_its_time(kind: SoundFormat, channels: int) -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    swell = (0.4 * np.sin(2 * np.pi * 300 * time) * np.sin(np.pi * time) ** 2).astype(np.float32)
    audio = np.stack([swell, -0.5 * swell][:channels])
    out, tags, codec = decoded(encode(audio, kind, {"title": "A line", "comment": "Contains AI-generated speech."}))
    assert codec.startswith({"mp3": "mp3", "ogg": "opus", "wav": "pcm"}[kind])
    assert tags["title"] == "A line"
    assert tags["comment"] == "Contains AI-generated speech."
    assert out.shape[0] == channels
    assert SAMPLE_RATE <= out.shape[1] < 1.05 * SAMPLE_RATE
    for before, after in zip(audio, out[:, :SAMPLE_RATE], strict=True):
        assert np.corrcoef(before, after)[0, 1] > 0.999


def test_lossy_formats_are_small() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(2 * SAMPLE_RATE)
    sizes = {kind: len(encode(noise, kind)) for kind in SOUND_FORMATS}
    assert sizes["mp3"] < sizes["wav"] / 5 > sizes["ogg"]
    assert sizes["wav"] == pytest.approx(4 * SAMPLE_RATE, abs=200)


@pytest.mark.parametrize("kind", SOUND_FORMATS)
def test_no_sound_is_a_file_too(kind: SoundFormat) -> None:
    assert isinstance(encode(np.zeros((1, 0), np.float32), kind), bytes)

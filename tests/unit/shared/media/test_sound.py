"""The master: exact length, on the title's clock, whatever the file does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.audio import files
from shared.media.probing import origin, probe
from shared.media.sound import Sound, decode_audio, downmix
from tests.unit.shared.media import odd


def master(path: Path) -> tuple[np.ndarray, Sound]:
    out = path.with_suffix(".flac")
    sound = decode_audio(path, probe(path), out)
    audio = files.read_audio(out)
    assert audio.shape == (sound.channels, sound.samples)
    return audio, sound


def onsets(audio: np.ndarray) -> np.ndarray:
    """Times at which beeps begin, seconds."""
    loud = np.abs(audio).max(axis=0) > 0.08
    starts = np.flatnonzero(np.diff(np.concatenate(([False], loud)).astype(int)) == 1)
    keep = np.concatenate(([True], np.diff(starts) > 4800)) if len(starts) else np.zeros(0, bool)
    return starts[keep] / 48000


@pytest.mark.parametrize(
    ("suffix", "arguments"),
    [
        ("mp4", {}),
        ("mp4", {"rate": 44100}),
        ("mp4", {"rate": 8000, "layout": "mono"}),
        ("mp4", {"layout": "5.1"}),
        ("mkv", {"rate": 22050, "layout": "mono", "sound_codec": "flac"}),
        ("mkv", {"layout": "stereo", "sound_codec": "libopus"}),
        ("avi", {"rate": 44100, "sound_codec": "pcm_s16le", "picture_codec": "mpeg4"}),
        ("ts", {"sound_codec": "mp2"}),
    ],
)
def test_beeps_are_where_they_were(tmp_path: Path, suffix: str, arguments: dict[str, Any]) -> None:
    audio, sound = master(odd.clip(tmp_path / f"a.{suffix}", seconds=3, **arguments))
    found = onsets(audio)
    wanted = np.arange(0, 3, 0.5)
    if suffix == "ts":
        # No edit list: the first frame of the encoder's delay is part of the sound.
        found = found - found[0]
    assert found == pytest.approx(wanted, abs=1e-3)
    assert sound.channels == (1 if arguments.get("layout") == "mono" else 2)
    assert (sound.corrupt, sound.filled, sound.trimmed) == (0, 0, 0)


def test_no_audio_stream_gives_a_silent_mono_master(tmp_path: Path) -> None:
    audio, sound = master(odd.clip(tmp_path / "a.mp4", sound=None))
    assert sound.samples == 96000 and sound.channels == 1 and not audio.any()


def test_silent_track(tmp_path: Path) -> None:
    audio, sound = master(odd.clip(tmp_path / "a.mp4", sound="silence"))
    assert sound.samples >= 96000 and np.abs(audio).max() < 1e-4


def test_video_longer_than_sound(tmp_path: Path) -> None:
    audio, sound = master(odd.clip(tmp_path / "a.mp4", seconds=3, sound_seconds=1.2))
    assert sound.samples == 144000
    assert onsets(audio) == pytest.approx([0, 0.5, 1.0], abs=1e-3)
    assert not audio[:, 64000:].any()


def test_sound_longer_than_video(tmp_path: Path) -> None:
    audio, sound = master(odd.clip(tmp_path / "a.mp4", seconds=1, sound_seconds=3.2))
    assert sound.samples == pytest.approx(3.2 * 48000, abs=1024)
    assert len(onsets(audio)) == 7


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_sound_that_starts_later_is_preceded_by_silence(tmp_path: Path, suffix: str) -> None:
    audio, sound = master(odd.clip(tmp_path / f"a.{suffix}", seconds=3, sound_start=0.7, sound_seconds=2))
    assert onsets(audio) == pytest.approx([1.0, 1.5, 2.0, 2.5], abs=1e-3)
    assert sound.samples == 144000 and not audio[:, :32000].any()


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_picture_that_starts_later(tmp_path: Path, suffix: str) -> None:
    audio, sound = master(odd.clip(tmp_path / f"a.{suffix}", seconds=3, picture_start=5.4, sound_start=5.0))
    # MP4 keeps the encoder's delay here, so the title begins a little before the first sample that was meant.
    zero = origin(probe(tmp_path / f"a.{suffix}"))
    assert zero == pytest.approx(5.0, abs=0.025)
    assert zero + onsets(audio) == pytest.approx(5 + np.arange(0, 3, 0.5), abs=2e-3)
    assert sound.samples == pytest.approx((8.4 - zero) * 48000, abs=100)


def test_gaps_in_time_are_filled_so_that_nothing_drifts(tmp_path: Path) -> None:
    path = odd.clip(tmp_path / "a.mkv", seconds=4, gap=(1.1, 2.3), sound_codec="pcm_s16le")
    audio, sound = master(path)
    assert onsets(audio) == pytest.approx([0, 0.5, 1.0, 2.5, 3.0, 3.5], abs=2e-3)
    assert sound.filled == pytest.approx(1.2, abs=0.03)


def test_corrupt_packets_in_the_middle_become_silence(tmp_path: Path) -> None:
    audio, sound = master(odd.corrupted(tmp_path / "a.mp4"))
    assert sound.corrupt > 0
    assert sound.samples == pytest.approx(4 * 48000, abs=1024)
    assert onsets(audio)[-1] == pytest.approx(3.5, abs=2e-3)


def test_fifty_milliseconds(tmp_path: Path) -> None:
    _, sound = master(odd.clip(tmp_path / "a.mp4", seconds=0.05, fps=20))
    assert 2400 <= sound.samples <= 2400 + 1024


def test_master_is_the_same_every_time(tmp_path: Path) -> None:
    path = odd.clip(tmp_path / "a.mp4", rate=44100)
    found = probe(path)
    for name in ("1.flac", "2.flac"):
        decode_audio(path, found, tmp_path / name)
    assert (tmp_path / "1.flac").read_bytes() == (tmp_path / "2.flac").read_bytes()


def test_downmix_keeps_sides_apart() -> None:
    matrix = downmix(("FL", "FR", "FC", "LFE", "SL", "SR"))
    assert matrix[0, 1] == 0 and matrix[1, 0] == 0 and matrix[3].sum() == 0
    assert matrix[2, 0] == matrix[2, 1]

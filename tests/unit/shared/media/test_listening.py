"""Sound to listen to: reels of equal pieces with silence between, lines with soft edges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shared.audio.files import write
from shared.audio.signal import decibels, rms
from shared.core.records import SAMPLE_RATE, AuditionPiece
from shared.media.listening import GAP_MS, LEVEL_DBFS, audition_reel, join, line_sound, samples_of, segment, trimmed


def tone(seconds: float, size: float, hertz: float = 220.0) -> np.ndarray:
    return (size * np.sin(2 * np.pi * hertz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


@pytest.mark.parametrize("channels", [1, 2])
def test_sound_goes_in_and_comes_out_to_a_16_bit_step(channels: int) -> None:
    audio = np.stack([tone(0.2, 0.5 / (number + 1)) for number in range(channels)])
    back = samples_of(segment(audio))
    assert back.shape == audio.shape
    assert np.abs(back - audio).max() < 1 / 32_767


def test_silence_at_the_ends_goes_and_inside_it_stays() -> None:
    sound = trimmed(segment(np.concatenate([silence(0.5), tone(0.3, 0.4), silence(0.4), tone(0.3, 0.4), silence(0.7)])))
    assert len(sound) == pytest.approx(1000, abs=25)
    assert len(trimmed(segment(silence(0.5)))) == 0


def test_pieces_come_at_one_level_with_silence_between(tmp_path: Path) -> None:
    sounds = [tone(0.6, 0.02), tone(0.5, 0.8), silence(0.5), tone(0.4, 0.2)]
    reel = samples_of(join([segment(sound) for sound in sounds]))[0]
    gap = GAP_MS * SAMPLE_RATE // 1000
    assert reel.size == pytest.approx(1.5 * SAMPLE_RATE + 2 * gap, abs=0.08 * SAMPLE_RATE)
    quiet = np.abs(reel) < 1e-4
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], quiet, [0]]).astype(int))))[::2]
    assert sorted(runs)[-2] >= gap, "two gaps, nothing for what was silent"
    loud = reel[: round(0.5 * SAMPLE_RATE)], reel[-round(0.3 * SAMPLE_RATE) :]
    for part in loud:
        assert decibels(rms(part)) == pytest.approx(LEVEL_DBFS, abs=0.7)
    assert np.abs(np.diff(reel)).max() < 0.02, "edges are soft"


def test_nothing_but_silence_is_an_empty_reel() -> None:
    assert len(join([segment(silence(0.2))])) == 0


def test_a_reel_is_one_speakers_pieces(tmp_path: Path) -> None:
    parts = {"S1": tone(0.5, 0.3, 200.0), "S2": tone(0.5, 0.3, 500.0)}
    pieces, length = [], 0
    for speaker, sound in parts.items():
        place = {"start": length, "end": length + sound.size}
        pieces.append(AuditionPiece(speaker=speaker, kind="original", utterance="u1", text="Hi", **place))
        length += sound.size
    path = write(tmp_path / "audition.flac", np.concatenate(list(parts.values())))
    reel = audition_reel(path, pieces, "S2")[0]
    spectrum = np.abs(np.fft.rfft(reel))
    assert np.argmax(spectrum) * SAMPLE_RATE / reel.size == pytest.approx(500, abs=3)
    assert audition_reel(path, pieces, "S3").size == 0


def test_a_line_has_a_little_around_it_and_begins_softly(tmp_path: Path) -> None:
    path = write(tmp_path / "track.flac", np.stack([np.full(5 * SAMPLE_RATE, 0.5, np.float32)] * 2))
    sound = line_sound(path, 2.0, 3.0)
    assert sound.shape == (2, round(1.5 * SAMPLE_RATE))
    assert np.abs(sound[:, :10]).max() < 0.01
    assert sound[0, SAMPLE_RATE] == pytest.approx(0.5, abs=1e-4)
    assert line_sound(path, 0.1, 0.4).shape[1] == round(0.65 * SAMPLE_RATE), "nothing before the title begins"

"""Sound and frames that come back from the child."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from shared.core.errors import InputError
from shared.settings.models import LimitSettings
from tests.unit.shared.media import odd
from trainer.embedding import decoding

LIMITS = LimitSettings()


def look(path: Path, folder: Path, rate: int = 48_000) -> decoding.Facts:
    return decoding.look(path, folder, rate, LIMITS, lambda share: None)


def frames(path: Path, folder: Path, facts: decoding.Facts, wanted: list[int]) -> np.ndarray:
    return np.array(decoding.frames(path, folder, facts, wanted, LIMITS, lambda share: None))


def ticks(folder: Path) -> np.ndarray:
    return np.fromfile(folder / "ticks.i64", "<i8")


def straight(path: Path) -> tuple[list[int], np.ndarray]:
    """All frames decoded from the beginning."""
    with av.open(str(path)) as container:
        every = [(frame.pts, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    return [pts for pts, _ in every], np.stack([pixels for _, pixels in every])


def test_a_late_span_is_not_decoded_from_the_beginning(tmp_path: Path) -> None:
    path = odd.clip(tmp_path / "clip.mp4", 6.0, size=(64, 48), picture_options={"g": "20"})
    facts = look(path, tmp_path)
    shown = ticks(tmp_path).tolist()
    with av.open(str(path)) as container:
        first, _ = next(decoding.frames_from(container, facts, shown[130], LIMITS.max_pixels))
    assert first == shown[120]
    assert decoding.write_frames(
        path, tmp_path / "out", facts, shown[130:132], True, LIMITS.max_pixels, lambda share: None
    )


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_any_span_is_what_decoding_the_whole_gives(tmp_path: Path, suffix: str) -> None:
    path = odd.clip(tmp_path / f"clip{suffix}", 6.0, size=(64, 48), picture_options={"g": "20", "bf": "2"})
    facts = look(path, tmp_path)
    pts, pixels = straight(path)
    assert ticks(tmp_path).tolist() == pts
    assert (facts.fps, tuple(facts.size)) == (25.0, (48, 64))
    for chosen in ([0, 1, 1, 5], [70, 77, 90], [33], [148, 149], list(range(150))):
        assert np.array_equal(frames(path, tmp_path, facts, [pts[index] for index in chosen]), pixels[chosen])


def test_avi_whose_frames_have_no_times_of_their_own(tmp_path: Path) -> None:
    path = odd.clip(
        tmp_path / "clip.avi",
        6.0,
        size=(64, 48),
        picture_codec="mpeg4",
        sound_codec="mp3",
        picture_options={"g": "20", "bf": "2"},
    )
    facts = look(path, tmp_path)
    _, pixels = straight(path)
    shown = ticks(tmp_path)
    assert len(shown) == len(pixels) == 150
    for chosen in ([0, 1, 5], [70, 77, 90], [149]):
        assert np.array_equal(frames(path, tmp_path, facts, shown[chosen].tolist()), pixels[chosen])


def test_a_turned_picture_comes_upright(tmp_path: Path) -> None:
    path = odd.clip(tmp_path / "clip.mp4", 1.0, size=(64, 48), rotation=90)
    facts = look(path, tmp_path)
    assert tuple(facts.size) == (64, 48)
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
    turned = np.rot90(first.to_ndarray(format="rgb24"), round(first.rotation / 90))
    assert np.array_equal(frames(path, tmp_path, facts, ticks(tmp_path)[:1].tolist())[0], turned)


def test_sound_stands_at_its_time_beside_a_picture_that_starts_later(tmp_path: Path) -> None:
    path = odd.clip(tmp_path / "clip.mkv", 2.0, picture_start=0.2, sound_codec="flac", layout="mono")
    facts = look(path, tmp_path, 16_000)
    wave = np.fromfile(tmp_path / "sound.f32", "<f4")
    assert len(wave) == facts.samples and abs(facts.samples - 32_000) < 200
    assert facts.start == pytest.approx(0.2, abs=0.002)
    expected = odd.beeps(2.0, 0.0, 16_000)[: len(wave)]
    assert np.corrcoef(wave[: len(expected)], expected)[0, 1] > 0.97

    later = odd.clip(tmp_path / "later.mkv", 2.0, sound_start=0.5, sound_codec="flac", layout="mono")
    facts = look(later, tmp_path, 16_000)
    wave = np.fromfile(tmp_path / "sound.f32", "<f4")
    assert facts.start == 0
    assert abs(wave[:7_900]).max() < 1e-4 < 0.1 < abs(wave[7_990:8_300]).max()


def test_stereo_becomes_its_mean(tmp_path: Path) -> None:
    import soundfile as sf

    both = np.random.default_rng(0).normal(0, 0.1, (48_000, 2)).astype(np.float32)
    sf.write(tmp_path / "sound.wav", both, 48_000, subtype="FLOAT")
    facts = look(tmp_path / "sound.wav", tmp_path)
    assert (facts.samples, facts.fps) == (48_000, 0)
    np.testing.assert_allclose(np.fromfile(tmp_path / "sound.f32", "<f4"), both.mean(1), atol=1e-6)


def test_frames_that_cannot_be_decoded_are_stood_for_by_others(tmp_path: Path) -> None:
    path = odd.clip(tmp_path / "clip.mkv", 3.0, size=(64, 48), sound=None, picture_options={"g": "5"})
    facts = look(path, tmp_path)
    pts, pixels = straight(path)
    missing = [pts[10] + 3, pts[-1] + 10_000]  # nothing is shown just then
    assert np.array_equal(frames(path, tmp_path, facts, missing), pixels[[10, -1]])


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (odd.plain_text, "not_media"),
        (odd.not_a_video, "not_media"),
        (odd.empty, "empty_file"),
        (odd.truncated, "truncated"),
    ],
)
def test_broken_files_say_why(tmp_path: Path, make: Callable[[Path], Path], code: str) -> None:
    path = make(tmp_path / "broken.mp4")
    with pytest.raises(InputError) as caught:
        look(path, tmp_path)
    assert caught.value.code == code


def test_limits(tmp_path: Path) -> None:
    path = odd.clip(tmp_path / "clip.mp4", 2.0)
    for limits, code in (
        (LimitSettings(max_pixels=160 * 119), "too_many_pixels"),
        (LimitSettings(max_seconds=1), "too_long"),
        (LimitSettings(max_bytes=100), "too_large"),
        (LimitSettings(max_audio_channels=1), "too_many_channels"),
    ):
        with pytest.raises(InputError) as caught:
            decoding.look(path, tmp_path, 48_000, limits, lambda share: None)
        assert caught.value.code == code

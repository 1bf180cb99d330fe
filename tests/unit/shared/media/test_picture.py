"""Pictures of shots: the right frames at the right times, upright and even."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from shared.core.records import Shot
from shared.media.picture import encode_picture
from shared.media.probing import origin, probe
from tests.unit.shared.media import odd


def shot(index: int, start: float, end: float) -> Shot:
    return Shot(index=index, start=start, end=end)


def shown(path: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def made(source: Path, *shots: Shot) -> dict[int, Path]:
    folder = source.parent / "pictures"
    folder.mkdir()
    return encode_picture(source, probe(source), list(shots), folder)


def test_frames_of_each_shot_exactly(tmp_path: Path) -> None:
    source = odd.clip(tmp_path / "a.mp4", seconds=3, cuts=[1.0, 2.0])
    pictures = made(source, shot(0, 0, 1), shot(2, 2, 3))
    assert sorted(pictures) == [0, 2]
    for index, path in pictures.items():
        frames = shown(path)
        assert [time for time, _ in frames] == pytest.approx([n / 25 for n in range(25)], abs=2e-5)
        colours = [image.mean(axis=(0, 1)) for _, image in frames]
        wanted = np.array(odd.COLOURS[index]) * 0.75
        assert np.abs(np.array(colours) - wanted).max() < 25
        with av.open(str(path)) as container:
            assert container.streams.video[0].duration * container.streams.video[0].time_base == 1


def test_variable_frame_rate_keeps_every_time(tmp_path: Path) -> None:
    pictures = made(odd.varying_rate(tmp_path / "a.mp4"), shot(0, 0.5, 2.0))
    wanted = [n / 30 for n in range(15)] + [0.5 + n / 10 for n in range(10)]
    assert [time for time, _ in shown(pictures[0])] == pytest.approx(wanted, abs=2e-5)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotated_pictures_come_out_upright(tmp_path: Path, degrees: int) -> None:
    source = odd.clip(tmp_path / "a.mp4", rotation=-degrees, seconds=0.4)
    pictures = made(source, shot(0, 0, 0.4))
    stored = shown(source)[3][1].astype(int)
    upright = shown(pictures[0])[3][1].astype(int)
    assert np.abs(upright - np.rot90(stored, -degrees // 90)).mean() < 6
    assert probe(pictures[0]).video.rotation == 0


def test_odd_sizes_become_even(tmp_path: Path) -> None:
    pictures = made(odd.clip(tmp_path / "a.mkv", size=(161, 97), seconds=0.4), shot(0, 0, 0.4))
    assert shown(pictures[0])[0][1].shape == (96, 160, 3)


def test_start_times_that_are_not_zero(tmp_path: Path) -> None:
    source = odd.clip(tmp_path / "a.mkv", seconds=2, cuts=[1.0], picture_start=7.0, sound_start=6.5)
    zero = origin(probe(source))
    pictures = made(source, shot(0, 0, 8 - zero), shot(1, 8 - zero, 9 - zero))
    first, second = (shown(pictures[index]) for index in (0, 1))
    assert first[0][0] == pytest.approx(7 - zero, abs=1e-3)
    assert (len(first), len(second)) == (25, 25)
    assert second[0][0] == pytest.approx(0, abs=1e-3)


def test_a_shot_without_frames_has_no_file(tmp_path: Path) -> None:
    assert made(odd.clip(tmp_path / "a.mp4", seconds=1), shot(0, 0, 1), shot(1, 5, 6)).keys() == {0}


def test_avi_with_b_frames_loses_none(data_dir: Path, tmp_path: Path) -> None:
    source = next((data_dir / "silent-video").glob("Alex*.avi"))
    (tmp_path / "out").mkdir()
    found = probe(source)
    pictures = encode_picture(source, found, [shot(0, 0, found.video.duration)], tmp_path / "out")
    with av.open(str(source)) as container:
        there = sum(1 for _ in container.decode(video=0))
    assert len(shown(pictures[0])) == there


def test_same_bits_every_time(tmp_path: Path) -> None:
    source = odd.clip(tmp_path / "a.mp4", seconds=1)
    found = probe(source)
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        encode_picture(source, found, [shot(0, 0, 1)], tmp_path / name)
    assert (tmp_path / "1/0000.mp4").read_bytes() == (tmp_path / "2/0000.mp4").read_bytes()

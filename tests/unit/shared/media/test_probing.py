"""What is told of good, odd and hostile files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.core.errors import InputError
from shared.media import child
from shared.media.probing import origin, probe
from shared.settings.models import LimitSettings
from tests.unit.shared.media import odd


def refused(path: Path, limits: LimitSettings | None = None) -> str:
    with pytest.raises(InputError) as caught:
        probe(path, limits)
    assert str(path.parent) not in caught.value.message
    return caught.value.code


def test_plain_clip(tmp_path: Path) -> None:
    found = probe(odd.clip(tmp_path / "a.mp4"))
    assert (found.video.width, found.video.height, found.video.fps) == (160, 120, pytest.approx(25))
    assert not found.video.variable_frame_rate
    assert found.audio is not None and found.audio.channels == 2
    assert found.duration == pytest.approx(2.0, abs=0.03)
    assert len(found.sha256) == 64


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (odd.not_a_video, "not_a_video"),
        (odd.plain_text, "not_a_video"),
        (odd.empty, "empty_file"),
        (odd.truncated, "truncated"),
        (odd.sound_only, "no_video_stream"),
    ],
)
def test_refused(tmp_path: Path, make: Callable[..., Path], code: str) -> None:
    assert refused(make(tmp_path / "a.mp4")) == code


@pytest.mark.parametrize("make", [odd.playlist, odd.concat_script, odd.dash])
def test_playlist_disguised_as_mp4(tmp_path: Path, make: Callable[..., Path]) -> None:
    secret = odd.clip(tmp_path / "secret.mp4")
    assert refused(make(tmp_path / "a.mp4", secret)) == "disguised_playlist"


@pytest.mark.parametrize("make", [odd.playlist, odd.concat_script, odd.dash])
def test_demuxers_that_open_other_files_are_off_even_where_the_head_is_not_recognised(
    tmp_path: Path, make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.media import opened_file

    monkeypatch.setattr(opened_file, "refuse_scripts", lambda head: None)
    with pytest.raises(InputError) as caught:
        opened_file.open_media(make(tmp_path / "a.mp4", odd.clip(tmp_path / "secret.mp4")))
    assert caught.value.code == "not_a_video"


def test_picture_is_not_a_video(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.png"), "w", format="image2") as out:
        stream = out.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "rgb24"
        out.mux(stream.encode(av.VideoFrame(32, 32, "rgb24")))
    (tmp_path / "a.png").rename(tmp_path / "a.mp4")
    assert refused(tmp_path / "a.mp4") == "not_a_video"


def test_limits(tmp_path: Path) -> None:
    path = odd.clip(tmp_path / "a.mp4")
    assert refused(path, LimitSettings(max_bytes=1000)) == "too_large"
    assert refused(path, LimitSettings(max_seconds=1)) == "too_long"
    assert refused(path, LimitSettings(max_pixels=100)) == "too_many_pixels"
    assert refused(path, LimitSettings(max_audio_channels=1)) == "too_many_channels"


def test_unreadable(tmp_path: Path) -> None:
    assert refused(tmp_path / "missing.mp4") == "unreadable"
    assert refused(tmp_path) == "unreadable"
    os.mkfifo(tmp_path / "pipe.mp4")
    assert refused(tmp_path / "pipe.mp4") == "unreadable"


def test_no_audio_stream_is_told_not_refused(tmp_path: Path) -> None:
    assert probe(odd.clip(tmp_path / "a.mp4", sound=None)).audio is None


def test_cut_off_after_the_index_gives_what_is_there(tmp_path: Path) -> None:
    found = probe(odd.truncated_after_index(tmp_path / "a.mp4", 0.6))
    assert 0.2 < found.video.duration < 1.99


def test_cut_off_right_after_the_index(tmp_path: Path) -> None:
    whole = odd.truncated_after_index(tmp_path / "a.mp4", 1.0)
    data = whole.read_bytes()
    whole.write_bytes(data[: data.index(b"mdat") + 8])
    assert refused(whole) == "truncated"


def test_variable_frame_rate(tmp_path: Path) -> None:
    found = probe(odd.varying_rate(tmp_path / "a.mp4"))
    assert found.video.variable_frame_rate
    assert found.video.fps == pytest.approx(20, rel=0.03)


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_rotated(tmp_path: Path, turned: int) -> None:
    # PyAV takes counter-clockwise degrees, the record says clockwise.
    assert probe(odd.clip(tmp_path / "a.mp4", rotation=-turned)).video.rotation == turned


def test_odd_sizes(tmp_path: Path) -> None:
    found = probe(odd.clip(tmp_path / "a.mkv", size=(161, 97)))
    assert (found.video.width, found.video.height) == (161, 97)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "mov"])
def test_start_times_that_are_not_zero(tmp_path: Path, suffix: str) -> None:
    found = probe(odd.clip(tmp_path / f"a.{suffix}", picture_start=10.5, sound_start=10.0))
    assert found.audio is not None
    assert found.video.start - found.audio.start == pytest.approx(0.5, abs=0.03)
    assert origin(found) == found.audio.start
    assert found.duration == pytest.approx(2.5, abs=0.05)


def test_fifty_milliseconds(tmp_path: Path) -> None:
    found = probe(odd.clip(tmp_path / "a.mp4", seconds=0.05, fps=20))
    assert found.video.duration == pytest.approx(0.05, abs=0.001)


@pytest.mark.parametrize("name", odd.shell_names())
def test_names(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    odd.clip(tmp_path / "plain.mp4", seconds=0.2).rename(tmp_path / name)
    assert probe(Path(name)).video.width == 160
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_real_avi_files(data_dir: Path) -> None:
    files = sorted((data_dir / "silent-video").glob("*.avi"))
    assert files
    for path in files[:4] + files[-2:]:
        found = probe(path)
        assert found.video.start == 0 and found.video.width == 320


def crash(progress: Any) -> None:
    import ctypes

    ctypes.string_at(0)


def hang(progress: Any) -> None:
    import time

    time.sleep(60)


def swallow(progress: Any) -> int:
    return len(bytearray(child.MEMORY_BYTES))


def chatter(progress: Any) -> str:
    print("a library says something")
    os.write(1, b"and another\n")
    return "done"


@pytest.mark.parametrize(("work", "code"), [("crash", "decode_crashed"), ("hang", "decode_timeout")])
def test_a_decoder_that_crashes_or_hangs_is_an_input_error(work: str, code: str) -> None:
    with pytest.raises(InputError) as caught:
        child.call(f"tests.unit.shared.media.test_probing:{work}", {}, timeout=4)
    assert caught.value.code == code


def test_a_decoder_that_wants_all_memory_is_an_input_error() -> None:
    with pytest.raises(InputError) as caught:
        child.call("tests.unit.shared.media.test_probing:swallow", {}, timeout=30)
    assert caught.value.code == "decode_memory"


def test_what_libraries_print_does_not_disturb() -> None:
    assert child.call("tests.unit.shared.media.test_probing:chatter", {}, timeout=30) == "done"


def test_the_caller_can_stop_a_child() -> None:
    class Stop(Exception):
        pass

    def stop(share: float) -> None:
        raise Stop

    with pytest.raises(Stop):
        child.call("tests.unit.shared.media.test_probing:hang", {}, timeout=30, progress=stop)

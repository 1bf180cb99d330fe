"""Muxing: picture untouched, sound in place to the millisecond, tracks and subtitles labelled."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from shared.audio import files
from shared.core.errors import UsageError
from shared.core.records import Shot
from shared.media.muxing import TitleContents, Track, mux, mux_title
from shared.media.picture import encode_picture
from shared.media.probing import origin, probe
from shared.media.sound import decode_audio
from shared.settings.models import LimitSettings
from tests.unit.shared.media import odd

SRT = "1\n00:00:00,500 --> 00:00:01,000\nHola, ñandú\n\n2\n00:00:01,200 --> 00:00:01,800\nAdiós\n"


def sound(path: Path, track: int = 0) -> tuple[float, np.ndarray]:
    """Start in seconds and ``[channels, samples]`` as a player decodes them."""
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.audio[track]))
    return frames[0].time, np.concatenate([frame.to_ndarray() for frame in frames], axis=1)


def offset(path: Path, wanted: np.ndarray, track: int = 0) -> float:
    """Seconds by which a track's sound comes late, by correlation with what went in."""
    start, heard = sound(path, track)
    count = min(heard.shape[1], wanted.shape[-1])
    spectrum = np.fft.rfft(heard[0, :count], 2 * count) * np.conj(
        np.fft.rfft(np.atleast_2d(wanted)[0, :count], 2 * count)
    )
    lag = int(np.fft.irfft(spectrum).argmax())
    return start + (lag - 2 * count if lag > count else lag) / 48000


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def noise(samples: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.05, (channels, samples)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("samples", [48000, 48001, 70001])
def test_a_shot_with_a_track(tmp_path: Path, channels: int, samples: int) -> None:
    source = odd.clip(tmp_path / "a.mp4")
    picture = encode_picture(source, probe(source), [Shot(index=0, start=0, end=samples / 48000)], tmp_path)[0]
    audio = noise(samples, channels)
    mux(picture, audio, tmp_path / "es.mp4", "es", 160_000)
    mux(picture, audio[:, ::-1], tmp_path / "fr.mp4", "fr", 160_000)
    assert packets(tmp_path / "es.mp4") == packets(tmp_path / "fr.mp4") == packets(picture)
    assert abs(offset(tmp_path / "es.mp4", audio)) < 1e-3
    with av.open(str(tmp_path / "es.mp4")) as container:
        stream = container.streams.audio[0]
        assert stream.duration * stream.time_base * 48000 == samples
        assert (stream.language, stream.codec_context.channels) == ("spa", channels)


def title(
    tmp_path: Path, source: Path, suffix: str, limits: LimitSettings | None = None
) -> tuple[Path, bool, np.ndarray]:
    found = probe(source)
    decoded = decode_audio(source, found, tmp_path / "orig.flac")
    dub = noise(decoded.samples, 2)
    files.write(tmp_path / "es.flac", dub)
    (tmp_path / "es.srt").write_text(SRT)
    (tmp_path / "none.srt").write_text("")
    tracks = [
        Track("orig", "en", tmp_path / "orig.flac", "Original"),
        Track("es", "es", tmp_path / "es.flac", "Spanish (dub)"),
        Track("background", None, tmp_path / "es.flac", "Background"),
    ]
    out = tmp_path / f"title{suffix}"
    texts = [("es", tmp_path / "es.srt"), ("en", tmp_path / "none.srt")]
    return out, mux_title(source, found, TitleContents(tracks, texts), out, 160_000), dub


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_title_with_every_track(tmp_path: Path, suffix: str) -> None:
    source = odd.clip(tmp_path / "a.mp4", seconds=3)
    out, copied, dub = title(tmp_path, source, suffix)
    assert copied and packets(out) == packets(source)
    assert abs(offset(out, files.read_audio(tmp_path / "orig.flac"))) < 1e-3
    assert abs(offset(out, dub, 1)) < 1e-3
    with av.open(str(out)) as container:
        heard = container.streams.audio
        assert [stream.language for stream in heard][:2] == ["eng", "spa"]
        assert heard[2].language in ("und", None)
        default = av.stream.Disposition.default
        assert [bool(stream.disposition & default) for stream in heard] == [True, False, False]
        names = [stream.metadata.get("title") or stream.metadata.get("handler_name") for stream in heard]
        assert names == ["Original", "Spanish (dub)", "Background"]
        assert [stream.language for stream in container.streams.subtitles] == ["spa", "eng"]
        words = [
            (float(packet.pts * packet.time_base), bytes(packet))
            for packet in container.demux(container.streams.subtitles[0])
            if packet.size > 2
        ]
    assert [time for time, _ in words] == pytest.approx([0.5, 1.2])
    assert "ñandú".encode() in words[0][1]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("kind", ["ts", "mkv"])
def test_start_times_that_are_not_zero(tmp_path: Path, suffix: str, kind: str) -> None:
    source = odd.clip(tmp_path / f"a.{kind}", seconds=3, picture_start=4.2, sound_start=4.0)
    out, copied, dub = title(tmp_path, source, suffix)
    assert copied
    with av.open(str(source)) as container:
        first = min(frame.time for frame in container.decode(video=0)) - origin(probe(source))
    with av.open(str(out)) as container:
        shown = min(frame.time for frame in container.decode(video=0))
    late = offset(out, dub, 1)
    assert abs((shown - first) - late) < 2e-3  # Matroska rounds to a millisecond.
    assert abs(late) < 0.1


def test_a_picture_that_mp4_cannot_hold_is_encoded_anew(tmp_path: Path) -> None:
    source = odd.clip(tmp_path / "a.avi", picture_codec="mpeg4", sound_codec="mp3")
    out, copied, dub = title(tmp_path, source, ".mp4")
    assert not copied and abs(offset(out, dub, 1)) < 1e-3
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert sum(1 for _ in container.decode(video=0)) == 50


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_rotation_survives_the_copy(tmp_path: Path, suffix: str) -> None:
    out, copied, _ = title(tmp_path, odd.clip(tmp_path / "a.mp4", rotation=-90), suffix)
    assert copied and probe(out).video.rotation == 90


def test_unknown_container(tmp_path: Path) -> None:
    source = odd.clip(tmp_path / "a.mp4", seconds=0.2)
    with pytest.raises(UsageError):
        mux_title(source, probe(source), TitleContents([]), tmp_path / "a.exe", 160_000)

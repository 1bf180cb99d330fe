"""What pictures and sound keep on their way: colours, fields, chapters, attachments, levels."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from shared.audio import files
from shared.core.records import Shot
from shared.media.grading import HLG, PQ, tone_mapped
from shared.media.muxing import TitleContents, Track, mux_title
from shared.media.picture import encode_picture
from shared.media.probing import probe
from shared.media.sound import decode_audio, downmix
from tests.unit.shared.media import odd


def picture(path: Path, codec: str = "libx265", level: int = 128, **marks: Any) -> Path:
    """Two seconds of one level; marks are attributes of the encoder's context."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=25)
        deep = codec == "libx265"
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le" if deep else "yuv420p"
        stream.options = {"x265-params": "log-level=none"} if deep else marks.pop("options", {})
        for name, value in marks.items():
            setattr(stream.codec_context, name, value)
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), format="rgb24")
            frame = frame.reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def shot(path: Path, tmp_path: Path) -> list[Any]:
    (folder := tmp_path / "shots").mkdir(exist_ok=True)
    made = encode_picture(path, probe(path), [Shot(index=0, start=0, end=2)], folder)[0]
    with av.open(str(made)) as container:
        return list(container.decode(video=0))


def title(path: Path, suffix: str, tmp_path: Path) -> Path:
    found = probe(path)
    decode_audio(path, found, tmp_path / "orig.flac")
    out = tmp_path / f"out.{suffix}"
    mux_title(path, found, TitleContents([Track("orig", "en", tmp_path / "orig.flac", "o")]), out, 96_000)
    return out


def test_hevc_in_mp4_is_tagged_for_every_player(tmp_path: Path) -> None:
    out = title(picture(tmp_path / "a.mkv"), "mp4", tmp_path)
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


@pytest.mark.parametrize("marks", [(1, 1, 1), (6, 6, 6)], ids=["BT.709", "BT.601"])
def test_colour_tags_are_carried(marks: tuple[int, int, int], tmp_path: Path) -> None:
    primaries, transfer, space = marks
    path = picture(
        tmp_path / "a.mkv", "libx264", color_primaries=primaries, color_trc=transfer, colorspace=space, color_range=1
    )
    with av.open(str(title(path, "mkv", tmp_path))) as container:
        copied = next(container.decode(video=0))
    for frame in (copied, shot(path, tmp_path)[0]):
        assert (frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range) == (*marks, 1)


@pytest.mark.parametrize(("transfer", "name"), [(PQ, "PQ"), (HLG, "HLG")])
def test_hdr_is_tone_mapped_in_8_bit_and_copied_as_it_is(transfer: int, name: str, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.mkv", color_primaries=9, color_trc=transfer, colorspace=9, level=128)
    assert probe(path).video.hdr == name and "HDR" in probe(path).notes[-1]
    frames = shot(path, tmp_path)
    assert len(frames) == 50 and {frame.color_trc for frame in frames} == {1}
    wanted = 255 * float(tone_mapped(np.full(3, 128 / 255), transfer)[0])
    assert abs(float(frames[25].to_ndarray(format="rgb24").mean()) - wanted) < 6
    with av.open(str(title(path, "mkv", tmp_path))) as container:
        assert next(container.decode(video=0)).color_trc == transfer


def test_tone_mapping_keeps_order_greys_and_range() -> None:
    for transfer, white in ((PQ, 0.58), (HLG, 0.75)):
        greys = tone_mapped(np.repeat(np.linspace(0, 1, 101)[:, None], 3, axis=1), transfer)
        assert np.all(np.diff(greys, axis=0) >= -1e-9) and np.ptp(greys, axis=1).max() < 0.01
        assert greys[0].max() < 1e-6 and greys.max() <= 1.0 + 1e-9
        assert 0.75 < float(tone_mapped(np.full(3, white), transfer)[0]) < 1.0, "diffuse white is bright, and not all"
        red = tone_mapped(np.array([0.6, 0.1, 0.1]), transfer)
        assert red[0] > red[1] and red[0] > red[2]


def test_fields_are_put_together(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"x264-params": "tff=1", "crf": "1"}
        for number in range(50):
            image = np.zeros((48, 64, 3), np.uint8)
            for field in (0, 1):  # A bar that moves from field to field: a comb.
                at = (16 * number + 8 * field) % 56
                image[field::2, at : at + 8] = 235
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    found = probe(path)
    assert found.video.interlaced and "interlaced" in found.notes[-1]
    frames = shot(path, tmp_path)
    luma = frames[25].to_ndarray(format="gray").astype(float)
    with av.open(str(path)) as container:
        before = next(container.decode(video=0)).to_ndarray(format="gray").astype(float)
    comb = [np.abs(np.diff(image[4:-4], axis=0)).mean() for image in (before, luma)]
    assert comb[1] < comb[0] / 4 and len(frames) == 50


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_chapters_and_attachments_are_kept(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    source = odd.clip(tmp_path / "plain.mp4", 3.0)
    with av.open(str(source)) as whole, av.open(str(path), "w") as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in whole.streams}
        out.add_attachment("../../Font.ttf", "application/x-truetype-font", b"glyphs" * 10)
        base = Fraction(1, 1000)
        parts = [("Début", 0, 1000), ("Second", 1000, 2900), ("Behind", 9000, 9900)]
        out.set_chapters(
            [
                {"id": n, "start": a, "end": b, "time_base": base, "metadata": {"title": name}}
                for n, (name, a, b) in enumerate(parts, 1)
            ]
        )
        for packet in whole.demux():
            if packet.size and packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    with av.open(str(title(path, suffix, tmp_path))) as container:
        chapters = [(one["metadata"]["title"], float(one["start"] * one["time_base"])) for one in container.chapters()]
        attached = [(stream.name, bytes(stream.data)) for stream in container.streams.attachments]
    assert [(name, pytest.approx(start, abs=0.05)) for name, start in chapters] == [("Début", 0.0), ("Second", 1.0)]
    assert attached == ([("Font.ttf", b"glyphs" * 10)] if suffix == "mkv" else [])


def surround(path: Path, parts: list[tuple[str, dict[str, float]]], rate: int = 48000) -> Path:
    """A second of 1 kHz for each part: a layout and the level of its channels, in a container that may change it."""
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound: Any = out.add_stream("pcm_s16le" if path.suffix == ".mkv" else "ac3", rate=rate, layout=parts[0][0])
        for number in range(25 * len(parts)):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        wave = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)
        for number, (layout, levels) in enumerate(parts):
            names = [channel.name for channel in av.AudioLayout(layout).channels]
            block = np.stack([levels.get(name, 0.0) * wave for name in names])
            form = "s16" if path.suffix == ".mkv" else "fltp"
            data: np.ndarray = block.astype(np.float32)
            if form == "s16":
                data = (block.T.reshape(1, -1) * 32767).astype(np.int16)
            heard = av.AudioFrame.from_ndarray(np.ascontiguousarray(data), format=form, layout=layout)
            heard.sample_rate, heard.pts, heard.time_base = rate, number * rate, Fraction(1, rate)
            out.mux(sound.encode(heard))
        out.mux(sound.encode(None))
    return path


def level_db(path: Path, tmp_path: Path, second: float = 0.5) -> float:
    decode_audio(path, probe(path), tmp_path / "m.flac")
    heard = files.read_audio(tmp_path / "m.flac", round((second - 0.2) * 48000), round((second + 0.2) * 48000))
    return 20 * float(np.log10(np.abs(heard[0]).max()))


@pytest.mark.parametrize(("channel", "wanted"), [("FL", 0.0), ("FC", -3.0), ("BL", -3.0), ("SL", -3.0)])
def test_channels_are_mixed_down_by_the_standard(channel: str, wanted: float, tmp_path: Path) -> None:
    layout = "5.1(side)" if channel == "SL" else "5.1"
    path = surround(tmp_path / "a.mkv", [(layout, {channel: 0.5})])
    assert level_db(path, tmp_path) == pytest.approx(20 * np.log10(0.5) + wanted, abs=0.2)


def test_a_mix_that_would_clip_is_lowered_as_a_whole_and_told(tmp_path: Path) -> None:
    path = surround(tmp_path / "a.mkv", [("5.1", {"FL": 0.9, "FC": 0.9, "BL": 0.9})])
    sound = decode_audio(path, probe(path), tmp_path / "m.flac")
    peak = 0.9 * (1 + 2 * 0.5**0.5)
    assert sound.gain_db == pytest.approx(-20 * np.log10(peak), abs=0.1)
    assert float(np.abs(files.read_audio(tmp_path / "m.flac")).max()) == pytest.approx(1.0, abs=0.01)


def test_a_layout_that_changes_in_the_middle_changes_no_level(tmp_path: Path) -> None:
    first = surround(tmp_path / "b.ts", [("stereo", {"FL": 0.3, "FR": 0.3})])
    second = surround(tmp_path / "c.ts", [("5.1", {"FL": 0.3, "FR": 0.3})])
    (path := tmp_path / "a.ts").write_bytes(first.read_bytes() + second.read_bytes())
    levels = [level_db(path, tmp_path, at) for at in (0.5, 1.5)]
    assert levels[0] == pytest.approx(levels[1], abs=0.3)


def test_the_matrix_is_that_of_the_standard() -> None:
    matrix = downmix(("FL", "FR", "FC", "LFE", "SL", "SR"))
    assert matrix[:, 0] == pytest.approx([1, 0, 0.5**0.5, 0, 0.5**0.5, 0], abs=1e-6)

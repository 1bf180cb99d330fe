"""Clips, containers and texts: what people open holds what it should, with a real encoder."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from services.pairing.stage import EXPORT, PICTURES, SHOTS
from shared.audio.files import read_audio
from shared.core.records import SAMPLE_RATE, AudioStream, Probe, VideoStream
from shared.pipeline.stage import Scope
from shared.settings.models import PairingSettings, Settings
from tests.unit.services.pairing.title import SECONDS, TRACKS, Title, dubbed, facts_scope, run_stage
from tests.unit.services.pairing.title import SHOTS as CUTS

FPS = 25


@pytest.fixture(scope="module")
def filmed(finished: Title, tmp_path_factory: pytest.TempPathFactory) -> Title:
    """The made-up title with a picture whose brightness names the shot."""
    folder = tmp_path_factory.mktemp("filmed")
    path = folder / "source.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(int(SECONDS * FPS)):
            shot = next(i for i, (start, end) in enumerate(CUTS) if start <= number / FPS < end)
            picture = np.full((48, 64, 3), 40 + 50 * shot, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    title = Title(folder, dict(finished.files) | {"source": path})
    video = VideoStream(
        codec="h264", width=64, height=48, fps=FPS, variable_frame_rate=False, start=0, duration=SECONDS
    )
    audio = AudioStream(codec="aac", sample_rate=48_000, channels=2, layout="stereo", start=0, duration=SECONDS)
    probe = Probe(container="mp4", size_bytes=1, duration=SECONDS, video=video, audio=audio, sha256="0" * 64)
    title.json("probe.json", probe.model_dump())
    title.files |= {f"pictures/{n}": p for n, p in pictures_of(title).items()}
    return title


def pictures_of(title: Title) -> dict[str, Path]:
    return run_stage(PICTURES, title.folder / "p", title.some("source", "probe.json", "shots.json"))


def clips_of(title: Title, track: str) -> dict[str, Path]:
    inputs = title.some("pictures", "shots.json") | {"track.flac": title.files[f"tracks/{track}"]}
    return run_stage(SHOTS, title.folder / f"s-{track}", inputs, Scope(track=track, extra={"source_language": "en"}))


def sound_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def picture_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def test_only_kept_shots_get_clips(filmed: Title) -> None:
    assert sorted(clips_of(filmed, "es")) == ["0000.mp4", "0001.mp4", "0003.mp4"]


def test_the_picture_is_the_same_in_every_track_and_of_the_right_shot(filmed: Title) -> None:
    clips = {track: clips_of(filmed, track) for track in ("orig", *TRACKS)}
    for name in clips["orig"]:
        assert len({tuple(picture_of(clip[name])) for clip in clips.values()}) == 1
        with av.open(str(clips["orig"][name])) as container:
            frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
        start, end = CUTS[int(name[:4])]
        assert len(frames) == round((end - start) * FPS)
        assert {round((frame.mean() - 40) / 50) for frame in frames} == {int(name[:4])}


def test_the_sound_of_a_clip_is_the_shots_part_of_the_track(filmed: Title) -> None:
    clip, (start, end) = clips_of(filmed, "es")["0003.mp4"], CUTS[3]
    expected = read_audio(filmed.files["tracks/es"], round(start * SAMPLE_RATE), round(end * SAMPLE_RATE))
    with av.open(str(clip)) as container:
        stream = container.streams.audio[0]
        assert stream.language == "spa"
        assert stream.codec_context.name == "aac"
    heard = sound_of(clip)
    assert abs(heard.shape[1] - expected.shape[1]) <= 1024
    count = min(heard.shape[1], expected.shape[1])
    spectra = [np.fft.rfft(sound[0, :count], 2 * count) for sound in (heard, expected)]
    assert int(np.argmax(np.fft.irfft(spectra[0] * spectra[1].conj()))) == 0


def test_clips_say_what_is_synthetic_and_the_originals_say_nothing(filmed: Title) -> None:
    comments = {}
    for track in ("orig", *TRACKS):
        with av.open(str(clips_of(filmed, track)["0000.mp4"])) as container:
            comments[track] = container.metadata.get("comment", "")
    assert comments["orig"] == ""
    assert comments["control"].endswith("/algorithmicallyEnhanced")
    for track, language in (("es", "Spanish"), ("ja", "Japanese")):
        assert f"AI-generated speech ({language})" in comments[track]
        assert comments[track].endswith("/compositeWithTrainedAlgorithmicMedia")


def test_the_exported_video_holds_every_track_and_subtitle_with_its_language(filmed: Title) -> None:
    inputs = filmed.some("source", "probe.json", "shots.json", "tracks", "utterances.jsonl", "dubbed")
    outputs = run_stage(EXPORT, filmed.folder / "export", inputs, facts_scope())
    assert set(outputs) == {
        "title.mkv", "title.mp4", "control.jsonl", "en.srt", "en.vtt",
        *(f"{track}.{kind}" for track in ("es", "ja") for kind in ("srt", "vtt", "jsonl")),
    }  # fmt: skip
    for suffix in ("mkv", "mp4"):
        with av.open(str(outputs[f"title.{suffix}"])) as container:
            comment = container.metadata.get("comment") or container.metadata["COMMENT"]
            assert "AI-generated speech (Spanish, Japanese)" in comment
            assert len(container.streams.video) == 1
            assert [stream.language for stream in container.streams.audio] == ["eng", "eng", "spa", "jpn"]
            assert sorted(stream.language for stream in container.streams.subtitles) == ["eng", "jpn", "spa"]
            assert container.duration is not None and container.duration / 1e6 == pytest.approx(SECONDS, abs=0.1)
    assert "u0002 in es" in outputs["es.srt"].read_text(encoding="utf-8")
    assert outputs["es.vtt"].read_text(encoding="utf-8").startswith("WEBVTT")
    assert "hello there" in outputs["en.srt"].read_text(encoding="utf-8")


def test_containers_are_left_out_when_not_wanted(filmed: Title, tmp_path: Path) -> None:
    inputs = filmed.some("source", "probe.json", "shots.json", "tracks", "utterances.jsonl", "dubbed")
    settings = Settings(pairing=PairingSettings(export_mkv=False, export_mp4=False))
    outputs = run_stage(EXPORT, tmp_path, inputs, facts_scope(), settings)
    assert not {name for name in outputs if name.startswith("title")} and "es.srt" in outputs


def test_a_failed_line_is_shown_at_the_originals_time(filmed: Title, tmp_path: Path) -> None:
    title = Title(tmp_path, dict(filmed.files))
    lines = [
        dubbed("u0001", "es", start=0.5, end=0.5, status="failed"),
        dubbed("u0001", "es", status="dropped", text="no"),
    ]
    title.jsonl("dubbed/es/0000", lines)
    inputs = title.some("source", "probe.json", "tracks", "utterances.jsonl", "dubbed")
    settings = Settings(pairing=PairingSettings(export_mkv=False, export_mp4=False))
    text = run_stage(EXPORT, tmp_path / "w", inputs, facts_scope(), settings)["es.srt"].read_text(encoding="utf-8")
    assert "00:00:00,500 --> 00:00:03,000\nu0001 in es" in text and "\nno" not in text

"""The whole stage on plain and odd files, with the real detectors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.ingest.engines.adaptive import Adaptive, fades
from services.ingest.inspect import inspect
from services.ingest.stage import STAGE
from shared.audio import files
from shared.audio.silero import SileroVad
from shared.audio.vad import spans_of, speech_in_file
from shared.core.errors import InputError
from shared.core.records import SAMPLE_RATE, Chunk, Probe, Shot, Span
from shared.engines.protocols import EngineOptions
from shared.pipeline.stage import Scope
from shared.settings.models import Settings
from tests.conftest import CheckedWeights
from tests.unit.shared.media import odd, several


class Folder:
    """A stand-in for the executor."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shares: list[float] = []
        self.counts: dict[str, float] = {}

    def path(self, name: str) -> Path:
        return self.root / name

    def progress(self, share: float) -> None:
        self.shares.append(share)

    def count(self, name: str, amount: float = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + amount

    def cached(self, key: Mapping[str, Any], suffix: str, make: Callable[[Path], None]) -> Path:
        raise AssertionError("ingest keeps no parts")


class Deaf:
    """A voice detector that hears nobody."""

    def speech(self, audio: np.ndarray) -> list[Span]:
        return []


class Ingested:
    def __init__(self, source: Path, folder: Path, vad: SileroVad = None, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        folder.mkdir()
        self.work = Folder(folder)
        uses = STAGE.engines(settings, Scope())
        engines: dict[str, Any] = {"shots": Adaptive(uses["shots"].options, None), "vad": vad or Deaf()}
        out = STAGE.run(Scope(), {"source": source}, STAGE.settings(settings), engines, self.work)
        read = {name: json.loads(Path(path).read_text()) for name, path in out.items() if name.endswith(".json")}
        self.master = out["master.flac"]
        self.notes = [note["message"] for note in read["notes.json"]]
        self.probe = Probe.model_validate(read["probe.json"])
        self.shots = [Shot.model_validate(row) for row in read["shots.json"]]
        self.chunks = [Chunk.model_validate(row) for row in read["chunks.json"]]
        self.speech = read["speech.json"]
        self.samples, self.channels = files.length(self.master)
        assert self.chunks[0].start == 0 and self.chunks[-1].end == self.samples
        assert self.shots[0].start == 0
        assert self.samples == round(self.probe.duration * SAMPLE_RATE)
        assert self.work.shares == sorted(self.work.shares)

    def cuts(self) -> list[float]:
        return [shot.start for shot in self.shots[1:]]


def test_cuts_are_found_at_their_frames(tmp_path: Path) -> None:
    source = odd.clip(tmp_path / "a.mp4", seconds=6, cuts=[1.0, 2.52, 4.0])
    assert Ingested(source, tmp_path / "out").cuts() == pytest.approx([1.0, 2.52, 4.0], abs=1e-3)


def test_a_flash_is_not_a_shot(tmp_path: Path) -> None:
    source = odd.clip(tmp_path / "a.mp4", seconds=4, cuts=[2.0, 2.08])
    assert Ingested(source, tmp_path / "out").cuts() == pytest.approx([2.0], abs=1e-3)


def test_variable_frame_rate_cut_in_seconds(tmp_path: Path) -> None:
    times = [n / 30 for n in range(60)] + [2 + n / 10 for n in range(20)]
    source = odd.clip(tmp_path / "a.mp4", times=times, cuts=[1.0, 2.5], seconds=4)
    assert Ingested(source, tmp_path / "out").cuts() == pytest.approx([1.0, 2.5], abs=1e-3)


def test_start_times_that_are_not_zero_are_on_the_title_s_clock(tmp_path: Path) -> None:
    source = odd.clip(tmp_path / "a.mkv", seconds=4, cuts=[2.0], picture_start=9.5, sound_start=9.0)
    found = Ingested(source, tmp_path / "out")
    assert found.cuts() == pytest.approx([2.5], abs=2e-3)
    assert found.shots[-1].end == pytest.approx(4.5, abs=2e-3)


@pytest.mark.parametrize(
    ("arguments", "channels", "seconds"),
    [
        ({"sound": None}, 1, 2.0),
        ({"sound": "silence"}, 2, 2.0),
        ({"rate": 8000, "layout": "mono"}, 1, 2.0),
        ({"layout": "5.1"}, 2, 2.0),
        ({"rate": 44100}, 2, 2.0),
        ({"rotation": -90}, 2, 2.0),
        ({"sound_seconds": 0.5}, 2, 2.0),
        ({"sound_seconds": 4.0}, 2, 4.0),
    ],
)
def test_odd_files_pass(tmp_path: Path, arguments: dict[str, Any], channels: int, seconds: float) -> None:
    found = Ingested(odd.clip(tmp_path / "a.mp4", **arguments), tmp_path / "out")
    assert found.channels == channels
    assert found.samples / SAMPLE_RATE == pytest.approx(seconds, abs=0.13)


def test_odd_sizes_and_unicode_names_pass(tmp_path: Path) -> None:
    source = odd.clip(tmp_path / "映画 $(touch x) ñ.mkv", size=(161, 97))
    assert len(Ingested(source, tmp_path / "out").shots) == 1
    assert not (tmp_path / "x").exists()


def test_fifty_milliseconds_pass(tmp_path: Path) -> None:
    found = Ingested(odd.clip(tmp_path / "a.mp4", seconds=0.05, fps=20), tmp_path / "out")
    assert (len(found.shots), len(found.chunks)) == (1, 1)


def test_corrupt_sound_is_counted(tmp_path: Path) -> None:
    assert Ingested(odd.corrupted(tmp_path / "a.mp4"), tmp_path / "out").work.counts["corrupt_audio_packets"] > 0


def test_refused_files_stop_the_stage_with_their_code(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        Ingested(odd.truncated(tmp_path / "a.mp4"), tmp_path / "out")
    assert caught.value.code == "truncated"


def test_two_runs_give_the_same_bits(tmp_path: Path) -> None:
    source = odd.clip(tmp_path / "a.mp4", cuts=[1.0])
    first, second = Ingested(source, tmp_path / "1"), Ingested(source, tmp_path / "2")
    for name in ("probe.json", "shots.json", "chunks.json", "speech.json", "master.flac"):
        assert (first.work.root / name).read_bytes() == (second.work.root / name).read_bytes()


def test_chunks_of_a_long_title_are_cut_at_shots(tmp_path: Path) -> None:
    source = odd.clip(tmp_path / "a.mp4", seconds=12, size=(64, 48), cuts=[2.0, 5.2, 9.0])
    settings = Settings.model_validate({"ingest": {"chunk_seconds": 5}})
    found = Ingested(source, tmp_path / "out", settings=settings)
    assert found.chunks[0].end == pytest.approx(5.2 * SAMPLE_RATE, abs=50)


def test_fades_through_black_are_found_dark_scenes_are_not() -> None:
    bright, down = np.full(50, 90.0), np.linspace(90, 0, 8)
    fade = np.concatenate([bright, down, np.zeros(3), down[::-1], bright])
    assert fades(fade, []) == [59]
    night = np.concatenate([bright, np.full(60, 9.0), bright])
    assert fades(night, []) == []
    black_by_cuts = np.concatenate([bright, np.zeros(30), bright])
    assert fades(black_by_cuts, [50, 80]) == []
    begins_black = np.concatenate([np.zeros(10), down[::-1], bright])
    assert fades(begins_black, []) == []


def test_the_sample_s_cuts(sample: Path, tmp_path: Path, weights: CheckedWeights) -> None:
    if not sample.is_file():
        pytest.skip("the bundled sample is not built")
    from tests.sample import script

    found = Ingested(sample, tmp_path / "out", SileroVad(EngineOptions(), weights))
    frames = [round(cut * found.probe.video.fps) for cut in found.cuts()]
    wanted = script.cuts()
    assert len(frames) == len(wanted)
    assert np.abs(np.array(frames) - np.array(wanted)).max() <= 2
    assert sum(span["end"] - span["start"] for span in found.speech) > 5


def test_inspect(tmp_path: Path) -> None:
    facts = inspect(odd.clip(tmp_path / "a.mp4"))
    assert facts["name"] == "a.mp4" and facts["video"]["width"] == 160
    json.dumps(facts)


def test_spans_bridge_breaths_and_drop_clicks() -> None:
    step = 0.032
    loud = np.zeros(200, np.float32)
    loud[20:60] = loud[63:90] = 0.9  # A pause of 0.1 s.
    loud[120:123] = 0.9  # A click of 0.1 s.
    loud[150:] = 0.9
    spans = spans_of(loud, step, 200 * step)
    edges = [edge for span in spans for edge in (span.start, span.end)]
    assert edges == pytest.approx([20 * step - 0.03, 90 * step + 0.03, 150 * step - 0.03, 200 * step])


@pytest.fixture(scope="session")
def vad(weights: CheckedWeights) -> SileroVad:
    return SileroVad(EngineOptions(), weights)


def test_silero_hears_speech_and_not_noise_or_music(vad: SileroVad, data_dir: Path) -> None:
    import soundfile as sf
    import soxr

    audio, rate = sf.read(data_dir / "speech" / "jfk.flac", dtype="float32", always_2d=True)
    audio = audio.mean(axis=1)
    speech = vad.speech(soxr.resample(audio, rate, 16000))
    assert 6 < sum(span.end - span.start for span in speech) < 11
    assert vad.speech(np.zeros(160000, np.float32)) == []
    assert vad.speech(np.random.default_rng(0).normal(0, 0.1, 160000).astype(np.float32)) == []
    time = np.arange(160000) / 16000
    chord = np.stack([0.1 * np.sin(2 * np.pi * f * time) for f in (220, 277, 330)]).sum(0).astype(np.float32)
    assert vad.speech(chord) == []
    assert vad.speech(np.zeros(0, np.float32)) == []


def test_speech_over_a_block_s_edge_is_one_span_as_in_one_go(
    vad: SileroVad, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import soundfile as sf
    import soxr

    from shared.audio import vad as listening

    audio, rate = sf.read(data_dir / "speech" / "jfk.flac", dtype="float32", always_2d=True)
    audio = audio.mean(axis=1)
    long = np.tile(soxr.resample(audio, rate, SAMPLE_RATE), 3)
    files.write(tmp_path / "a.flac", long)
    whole = speech_in_file(vad, tmp_path / "a.flac")
    monkeypatch.setattr(listening, "BLOCK_SECONDS", 7)
    parts = speech_in_file(vad, tmp_path / "a.flac")
    grid = np.arange(0, len(long) / SAMPLE_RATE, 0.01)

    def active(spans: list[Span]) -> np.ndarray:
        return np.any([(grid >= span.start) & (grid < span.end) for span in spans], axis=0)

    assert (active(whole) == active(parts)).mean() > 0.97


def test_the_sound_of_the_films_language_is_taken_and_told(tmp_path: Path) -> None:
    sounds = [(several.tone(880, 3), "spa", True), (several.tone(220, 3), "eng", False)]
    path = several.film(tmp_path / "a.mkv", sounds)
    plain = Ingested(path, tmp_path / "plain")
    told = Ingested(
        path, tmp_path / "told", settings=Settings.model_validate({"transcription": {"language": "English"}})
    )
    asked = Ingested(path, tmp_path / "asked", settings=Settings.model_validate({"ingest": {"audio_stream": 2}}))
    assert [one.probe.audio.language for one in (plain, told, asked)] == ["es", "en", "en"]
    assert all("sound is stream" in one.notes[0] for one in (plain, told, asked))
    assert inspect(path)["notes"] == plain.notes


def test_what_is_joined_and_what_is_lost_is_told_in_seconds(tmp_path: Path) -> None:
    joined = Ingested(several.joined(tmp_path / "a.ts", 1.4, 1.4), tmp_path / "joined")
    assert joined.probe.duration == pytest.approx(6.0, abs=0.1) and "begins again" in joined.notes[0]
    gap = Ingested(odd.clip(tmp_path / "b.ts", 6.0, gap=(2.0, 4.0)), tmp_path / "gap")
    assert any(note.startswith(("2.0", "1.9")) and "silence" in note for note in gap.notes), gap.notes
    assert Ingested(odd.clip(tmp_path / "c.mp4"), tmp_path / "plain").notes == []

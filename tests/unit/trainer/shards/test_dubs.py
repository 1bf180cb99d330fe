"""Real dubs: clips as LVU-M names them, and films with several sounds."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf

from shared.audio import files
from shared.core.errors import CounterdubError
from shared.media.muxing import TitleContents, Track, mux, mux_title
from shared.media.probing import probe
from tests.unit.trainer.shards.test_shard_building import samples_of
from trainer.shards.dubs import plan_dubs, windows
from trainer.shards.encoding import encode_picture
from trainer.shards.shard_building import make_shards
from trainer.shards.tar import shard_path


def noise(seconds: float, seed: int) -> np.ndarray:
    """Noise that swells every half second, so that AAC cannot hide where it stands."""
    time = np.arange(round(seconds * 48_000)) / 48_000
    swell = (time * 2 % 1 < 0.5) * 0.3
    return (np.random.default_rng(seed).standard_normal(len(time)) * swell)[None].astype(np.float32)


def clip(path: Path, sound: np.ndarray, seconds: float) -> None:
    def frames() -> Iterator[av.VideoFrame]:
        for tick in range(round(seconds * 25)):
            image = np.full((72, 96, 3), 40 + tick % 100, np.uint8)
            yield av.VideoFrame.from_ndarray(image, format="rgb24")

    silent = path.with_suffix(".silent")
    silent.write_bytes(encode_picture(frames()))
    mux(silent, sound, path, None, 96_000)
    silent.unlink()


def lag(found: np.ndarray, wanted: np.ndarray) -> int:
    """Samples by which ``found`` is late."""
    size = 2 * len(wanted)
    product = np.fft.rfft(found, size) * np.conj(np.fft.rfft(wanted, size))
    place = int(np.argmax(np.fft.irfft(product, size)))
    return place - size if place > size // 2 else place


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    (folder / "below").mkdir(parents=True)
    for number, language in enumerate(("en", "spa", "fr", "ja")):
        clip(folder / "below" / f"film_7_{language}.mp4", noise(3.4, number), 3.4)
    clip(folder / "film_8_en.mp4", noise(2.0, 9), 2.0)
    clip(folder / "film_9_es.mp4", noise(3.4, 9), 3.4)
    return folder


def test_clips_become_shots_with_every_language(clips: Path, tmp_path: Path) -> None:
    quiet = clips / "below" / "film_7_fr.mp4"
    quiet.unlink()
    clip(quiet, np.zeros((1, 3 * 48_000), np.float32), 3.4)
    broken = clips / "below" / "film_7_ja.mp4"
    broken.write_bytes(broken.read_bytes()[:2000])
    summary = make_shards(plan_dubs(clips, "en"), tmp_path / "to")
    assert summary.skipped == {"too_short": 1, "no_orig": 1}
    assert set(summary.left_out) == {"fr: silent", "ja: truncated"}
    found = samples_of(shard_path(tmp_path / "to", 0))["film_0007"]
    assert set(found) == {"mp4", "json", "orig.flac", "es.flac"}
    for seed, track in enumerate(("orig", "es")):
        sound, rate = sf.read(io.BytesIO(found[f"{track}.flac"]))
        assert (len(sound), rate) == (round(3.4 * 48_000), 48_000)
        assert abs(lag(sound, noise(3.4, seed)[0])) <= 1


def test_films_with_several_sounds(sample: Path, tmp_path: Path) -> None:
    facts = probe(sample)
    tracks = []
    for seed, language in enumerate(("en", "es", "fr")):
        path = tmp_path / f"{language}.flac"
        files.write(path, noise(facts.duration, seed))
        tracks.append(Track(language, language, path, language))
    folder = tmp_path / "films"
    folder.mkdir()
    mux_title(sample, facts, TitleContents(tracks), folder / "film.mkv", 96_000)
    (folder / "notes.mp4").write_text("no video")
    spans = [(1.0, 4.5), (20.2, 24.0), (30.0, 31.0)]
    planned = plan_dubs(folder, "es", lambda _path, _found: spans)
    summary = make_shards(planned, tmp_path / "to")
    assert summary.skipped == {"not_a_video": 1, "too_short": 1} and not summary.left_out
    assert summary.tracks == {"orig": 2, "en": 2, "fr": 2}
    for shot, (start, end) in enumerate(spans[:2]):
        found = samples_of(shard_path(tmp_path / "to", 0))[f"film_{shot:04d}"]
        for seed, track in enumerate(("en", "orig", "fr")):
            sound, _ = sf.read(io.BytesIO(found[f"{track}.flac"]))
            wanted = noise(facts.duration, seed)[0, round(start * 48_000) : round(end * 48_000)]
            assert len(sound) == len(wanted) and abs(lag(sound, wanted)) <= 1
        with av.open(io.BytesIO(found["mp4"]), "r") as ours, av.open(str(sample)) as source:
            frames = [frame.to_ndarray(format="gray") for frame in ours.decode(video=0)]
            shown = [(frame.time, frame.to_ndarray(format="gray")) for frame in source.decode(video=0)]
        assert len(frames) == int((end - start) * 25 + 1e-4)
        for tick in (0, 40, len(frames) - 1):
            latest = next(image for time, image in shown if time >= start + tick / 25 - 1e-3)
            assert np.abs(frames[tick].astype(int) - latest).mean() < 4, tick


def test_a_film_without_shots_is_cut_into_windows(sample: Path) -> None:
    spans = windows(sample, probe(sample))
    assert all(3 <= end - start <= 12 for start, end in spans)
    assert spans[0][0] == 0 and spans[-1][1] == pytest.approx(53.2, abs=0.1)


def test_published_clips(data_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for path in (data_dir / "dubbed-shots").glob("1445350_26_*.mp4"):
        shutil.copy(path, folder)
    summary = make_shards(plan_dubs(folder, "en"), tmp_path / "to")
    assert summary.tracks == dict.fromkeys(("orig", "de", "es", "fr", "it", "ja"), 1)
    assert not summary.skipped and not summary.left_out


def test_folders_that_hold_nothing(tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(CounterdubError) as nothing:
            plan_dubs(folder, "en")
        assert nothing.value.code == "no_input"

"""Level and track: one gain, exact lengths, exact null, the same background everywhere, bounded memory."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from services.pairing.stage import LEVEL, TRACK
from services.pairing.tracks.full_length import fit, scale
from services.pairing.tracks.truepeak import true_peak
from shared.audio.files import FULL_SCALE, length, quantise, read_audio, write
from shared.core.errors import StorageError
from shared.pipeline.stage import Scope
from shared.quality.null import null_test
from shared.settings.models import PairingSettings, Settings
from tests.unit.services.pairing.title import CHUNKS, TRACKS, Title, finish_tracks, make_title, run_stage


def test_every_track_has_the_masters_samples_and_stays_under_the_ceiling(finished: Title) -> None:
    for track in ("orig", *TRACKS):
        path = finished.files[f"tracks/{track}"]
        assert length(path) == length(finished.files["master.flac"])
        assert true_peak(read_audio(path)) <= -1 + 0.001


def test_the_loudest_track_sets_one_gain_for_all(finished: Title) -> None:
    level = json.loads(finished.files["level.json"].read_text())
    assert set(level["true_peak_dbtp"]) == {"orig", *TRACKS}
    assert level["gain_db"] == pytest.approx(-1 - max(level["true_peak_dbtp"].values()))
    assert level["gain_db"] < 0
    loudest = max(true_peak(read_audio(finished.files[f"tracks/{track}"])) for track in ("orig", *TRACKS))
    assert loudest == pytest.approx(-1, abs=0.001)


def test_quiet_titles_are_left_as_they_are(tmp_path: Path) -> None:
    title = finish_tracks(make_title(tmp_path, loudness=0.1))
    assert json.loads(title.files["level.json"].read_text())["gain_db"] == 0
    assert np.array_equal(read_audio(title.files["tracks/orig"]), read_audio(title.files["master.flac"]))
    background = np.concatenate([read_audio(path) for path in title.some("background").values()], axis=1)
    assert np.array_equal(read_audio(title.files["background.flac"]), background)


def test_silence_gets_no_gain(tmp_path: Path) -> None:
    title = Title(tmp_path)
    for name in ("master.flac", "background/0000", "speech/control/0000"):
        title.sound(name, np.zeros((1, 4800), np.float32))
    level = run_stage(LEVEL, tmp_path / "work", title.files)
    found = json.loads(level["level.json"].read_text())
    assert found["gain_db"] == 0 and set(found["true_peak_dbtp"].values()) == {-200}


def test_the_null_test_is_exact_in_every_synthetic_track(finished: Title) -> None:
    for track in TRACKS:
        files = (finished.files[f"tracks/{track}"], finished.files[f"whole/{track}"], finished.files["background.flac"])
        assert null_test(*files).peak_dbfs == -200


def test_the_background_is_the_same_to_the_last_bit_in_every_synthetic_track(finished: Title) -> None:
    rests = []
    for track in TRACKS:
        whole, speech = (quantise(read_audio(finished.files[f"{kind}/{track}"])) for kind in ("tracks", "whole"))
        rests.append(whole - speech)
    assert all(np.array_equal(rest, rests[0]) for rest in rests)
    assert np.array_equal(rests[0], quantise(read_audio(finished.files["background.flac"])))


def test_what_is_synthetic_says_so_and_the_original_does_not(finished: Title) -> None:
    said = {name: sf.SoundFile(finished.files[name]).copy_metadata().get("comment") for name in (
        "tracks/orig", "tracks/control", "tracks/es", "whole/es", "whole/control", "background.flac", "vocals.flac"
    )}  # fmt: skip
    terms = {name: comment and comment.rpartition("/")[2] for name, comment in said.items()}
    assert terms == {
        "tracks/orig": None,
        "tracks/control": "algorithmicallyEnhanced",
        "tracks/es": "compositeWithTrainedAlgorithmicMedia",
        "whole/es": "trainedAlgorithmicMedia",
        "whole/control": "algorithmicallyEnhanced",
        "background.flac": "algorithmicallyEnhanced",
        "vocals.flac": "algorithmicallyEnhanced",
    }
    assert "AI-generated speech (Spanish)" in str(said["tracks/es"])


def test_the_stems_of_the_original_add_up_to_it_but_for_rounding(finished: Title) -> None:
    whole, vocals, background = (
        quantise(read_audio(finished.files[name])) for name in ("tracks/orig", "vocals.flac", "background.flac")
    )
    unclipped = np.abs(quantise(read_audio(finished.files["master.flac"]))) < FULL_SCALE - 1
    assert np.abs(whole - vocals - background)[unclipped].max() <= 2


@settings(max_examples=50, deadline=None)
@given(
    gain_db=st.floats(-30, 0),
    values=st.lists(st.tuples(st.floats(-0.499, 0.499), st.floats(-0.499, 0.499)), min_size=1, max_size=40),
)
def test_any_gain_keeps_the_null_exact(gain_db: float, values: list[tuple[float, float]]) -> None:
    gain = 10 ** (gain_db / 20)
    background, speech = (scale(quantise(np.array(column)), gain) for column in zip(*values, strict=True))
    assert np.array_equal(fit(background + speech) - speech, background)
    assert np.abs(background / FULL_SCALE - np.array([b for b, _ in values]) * gain).max() <= 1.01 / FULL_SCALE


def test_a_chunk_of_the_wrong_length_is_refused(finished: Title, tmp_path: Path) -> None:
    short = write(tmp_path / "short.flac", np.zeros((2, CHUNKS[0][1] - 1), np.float32))
    inputs = finished.some("gain.json", "chunks.json", "background")
    inputs |= {"background/0000": short, "speech/0000": short, "speech/0001": inputs["background/0001"]}
    with pytest.raises(StorageError) as error:
        run_stage(TRACK, tmp_path / "work", inputs, Scope(track="es"))
    assert error.value.code == "length_mismatch"


def test_another_threshold_of_rows_does_not_touch_tracks() -> None:
    changed = Settings(pairing=PairingSettings(max_round_trip_cer=0.1))
    for stage in (LEVEL, TRACK):
        assert stage.settings(Settings()) == stage.settings(changed)
    louder = Settings(pairing=PairingSettings(true_peak_dbtp=-3))
    assert LEVEL.settings(louder) != LEVEL.settings(Settings())


def test_memory_does_not_grow_with_the_title(tmp_path: Path) -> None:
    peaks = []
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (1, 30 * 48_000)).astype(np.float32)
    piece = write(tmp_path / "piece.flac", noise)
    for parts in (2, 8):
        chunks = [{"index": i, "start": i * noise.size, "end": (i + 1) * noise.size} for i in range(parts)]
        title = Title(tmp_path / str(parts))
        title.folder.mkdir()
        title.json("chunks.json", chunks)
        title.json("gain.json", {"gain_db": -2})
        for i in range(parts):
            title.files |= {f"background/{i:04}": piece, f"speech/{i:04}": piece, f"speech/es/{i:04}": piece}
        tracemalloc.start()
        stems = title.some("gain.json", "chunks.json", "background")
        track = run_stage(
            TRACK, title.folder / "t", stems | {f"speech/{i:04}": piece for i in range(parts)}, Scope(track="es")
        )
        run_stage(
            LEVEL, title.folder / "l", {"master.flac": track["track.flac"], **title.some("background", "speech/es")}
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]

"""Previews: pictures and sound of some shots, small enough for a page."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from services.pairing.report.preview import STAGE
from services.pairing.report.sound import mp3, peaks
from services.pairing.report.spectrogram import levels, webp
from services.pairing.tracks.shots import spread
from shared.audio.files import write
from shared.core.records import SAMPLE_RATE, Shot
from shared.pipeline.stage import Scope
from shared.settings.models import Settings
from tests.unit.services.pairing.title import Workbench


def tone(hertz: float, seconds: float, size: float = 0.5) -> np.ndarray:
    return (size * np.sin(2 * np.pi * hertz * np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE)).astype(np.float32)


def decoded(content: bytes) -> np.ndarray:
    with av.open(io.BytesIO(content), "r") as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


@pytest.mark.parametrize("channels", [1, 2])
def test_stage_shows_kept_shots_of_a_track(tmp_path: Path, channels: int) -> None:
    shots = [Shot(index=0, start=0, end=2), Shot(index=1, start=2, end=6), Shot(index=2, start=6, end=10)]
    (tmp_path / "shots.json").write_text(json.dumps([shot.model_dump() for shot in shots]))
    track = write(tmp_path / "track.flac", np.stack([tone(440, 10)] * channels))
    work = Workbench(tmp_path / "work")
    inputs = {"shots.json": tmp_path / "shots.json", "track.flac": track}
    outputs = STAGE.run(Scope(track="es"), inputs, STAGE.settings(Settings()), {}, work)
    preview = json.loads(outputs["preview.json"].read_text())
    assert list(preview["shots"]) == ["1", "2"]
    kind, _, content = preview["shots"]["1"]["spectrogram"].partition(";base64,")
    assert kind == "data:image/webp"
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == (640, 96)
    assert max(preview["shots"]["1"]["peaks"]) == 50
    assert work.shares == sorted(work.shares)


def test_only_what_the_preview_needs_enters_its_hash() -> None:
    other = Settings.model_validate({"report": {"max_media_bytes": 1}, "pairing": {"max_overflow_ms": 9.0}})
    assert STAGE.settings(other) == STAGE.settings(Settings())


def test_mp3_starts_where_the_sound_starts() -> None:
    """Tracks of a shot are switched while they play, so their clocks must agree."""
    sound = np.zeros(2 * SAMPLE_RATE, np.float32)
    sound[SAMPLE_RATE:] = tone(1000, 1.0)
    heard = decoded(mp3(sound, 64_000))
    first = int(np.argmax(np.abs(heard) > 0.1))
    assert abs(first - SAMPLE_RATE) < 0.005 * SAMPLE_RATE
    assert len(mp3(sound, 64_000)) < 20_000


def test_short_sound_is_no_trouble() -> None:
    assert decoded(mp3(np.zeros(10, np.float32), 64_000)) is not None
    assert Image.open(io.BytesIO(webp(np.zeros(10, np.float32), 64, 16))).size == (64, 16)


def test_spectrogram_has_low_notes_below_high_ones() -> None:
    rows = [int(levels(tone(hertz, 1.0), 100, 96).sum(axis=1).argmax()) for hertz in (200, 1000, 4000, 12000)]
    assert rows == sorted(rows, reverse=True)
    # Where the page writes its 1 and 4 kHz marks.
    assert rows[1] == pytest.approx(96 * (1 - 0.271), abs=2)
    assert rows[2] == pytest.approx(96 * (1 - 0.636), abs=2)


def test_silence_is_dark() -> None:
    assert levels(np.zeros(SAMPLE_RATE, np.float32), 100, 96).max() == 0


def test_peaks_and_spread() -> None:
    assert peaks(np.array([0, -0.5, 0.25, 2.0], np.float32), 2) == [50, 100]
    assert spread(range(10), 4) == [0, 2, 5, 7]
    assert spread([1, 2], 5) == [1, 2]

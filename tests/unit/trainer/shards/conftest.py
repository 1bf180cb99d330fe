"""An output folder as the pipeline leaves it, small: real clips of the sample's picture, tracks with known samples."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from shared.audio import files
from shared.core.records import Shot
from shared.media.muxing import mux
from shared.media.picture import encode_picture, shot_file
from shared.media.probing import probe
from shared.schemas import layout
from shared.schemas.pairs import PairRow, to_table

SHOTS = (Shot(index=0, start=0.0, end=3.2), Shot(index=2, start=3.52, end=7.123456))
TRACKS = ("orig", "control", "es")
SECONDS = 8


def rows_of(title: str, tracks: tuple[str, ...] = TRACKS) -> list[PairRow]:
    return [
        PairRow(
            title=title,
            shot=shot.index,
            start=shot.start,
            end=shot.end,
            source_language="en",
            track=track,
            language=layout.track_language(track, "en"),
            clip_path=layout.clip_path(title, shot.index, track, "en"),
            track_path=layout.track_path(title, track),
            background_path=layout.stem_path(title, "background"),
            speech_ratio=0.5,
            accepted=True,
        )
        for shot in SHOTS
        for track in tracks
    ]


def write_pairs(out: Path, rows: list[PairRow]) -> None:
    pq.write_table(to_table(rows), out / "pairs.parquet")


@pytest.fixture(scope="session")
def made_out(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    """Titles ``one`` and ``two.b``, two shots each; do not change it."""
    out = tmp_path_factory.mktemp("out")
    pictures = tmp_path_factory.mktemp("pictures")
    encode_picture(sample, probe(sample), SHOTS, pictures)
    for seed, title in enumerate(("one", "two.b")):
        for folder in ("tracks", "stems", "shots"):
            (out / title / folder).mkdir(parents=True)
        random = np.random.default_rng(seed)
        for track in (*TRACKS, "background"):
            sound = (0.2 * random.standard_normal((1, SECONDS * 48_000))).astype(np.float32)
            path = layout.stem_path(title, track) if track == "background" else layout.track_path(title, track)
            files.write(out / path, sound)
            for shot in SHOTS if track != "background" else ():
                clip = out / layout.clip_path(title, shot.index, track, "en")
                piece = sound[:, round(shot.start * 48_000) : round(shot.end * 48_000)]
                mux(shot_file(pictures, shot.index), piece, clip, "en", 64_000)
    write_pairs(out, [row for title in ("one", "two.b") for row in rows_of(title)])
    return out


@pytest.fixture
def out(made_out: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return shutil.copytree(made_out, tmp_path / "out")

"""Finished jobs with real pairs, as the queue leaves them, from generated shots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from shared.audio.files import write
from shared.core.store import Store
from shared.ledger.database import Database, append_event
from shared.ledger.tables import Artifact, Job, Title, now
from shared.schemas import layout
from shared.schemas.pairs import PairRow, to_table
from tests.unit.trainer.material import FPS, SAMPLE_RATE, heard, pictures

TRACKS = ("orig", "control", "es", "fr")
SECONDS = 3.4


def finished_job(
    database: Database, store: Store, *titles: str, shots: int = 3, key_id: str | None = None, real: bool = True
) -> str:
    """A job that is done.

    Args:
        real: With sound and pictures; without, its files are empty where only their names count.
    """
    files = {}
    with store.workspace() as folder:
        rows = []
        for number, title in enumerate(titles):
            rows += make_title(folder, title, number, shots, real)
        import pyarrow.parquet as pq

        pq.write_table(to_table(rows), folder / "pairs.parquet")
        for path in sorted(folder.rglob("*.*")):
            files[path.relative_to(folder).as_posix()] = store.add(path.name, path)
    with database.write() as session:
        job = Job(key_id=key_id, state="done", languages=["es", "fr"], settings={}, titles=len(titles))
        by_track = {track: shots * len(titles) for track in TRACKS}
        job.summary = {"accepted": len(rows), "rejected": 0, "tracks": by_track}
        job.finished = now()
        session.add(job)
        session.flush()
        for position, name in enumerate(titles):
            row_of = Title(job_id=job.id, position=position, name=name, source_kind="upload", source_name=name)
            row_of.languages, row_of.state = ["es", "fr"], "done"
            session.add(row_of)
        for place, blob in files.items():
            folder_of = place.partition("/")[0] if "/" in place else ""
            row: dict[str, Any] = {"name": blob.name, "sha256": blob.sha256, "size": blob.size}
            session.add(Artifact(job_id=job.id, path=place, title=folder_of, **row))
        append_event(session, job, "job_done")
    return job.id


def make_title(folder: Path, title: str, number: int, shots: int, real: bool) -> list[PairRow]:
    """A title's files, and its rows."""
    whole = round(SECONDS * SAMPLE_RATE)
    sounds: dict[str, list[np.ndarray]] = {track: [] for track in (*TRACKS, "background")}
    rows = []
    for shot in range(shots):
        share = (number * shots + shot) / 40 % 1
        for track, parts in sounds.items():
            parts.append(heard(track, whole, share, number))
        clip = layout.clip_path(title, shot, "orig", "en")
        (folder / clip).parent.mkdir(parents=True, exist_ok=True)
        (folder / clip).write_bytes(film(share, number) if real else f"{clip}".encode())
        rows += [
            PairRow(
                title=title,
                shot=shot,
                start=shot * SECONDS,
                end=(shot + 1) * SECONDS,
                source_language="en",
                track=track,
                language="en" if track in ("orig", "control") else track,
                clip_path=clip if track == "orig" else None,
                track_path=layout.track_path(title, track),
                background_path=layout.stem_path(title, "background"),
                accepted=True,
            )
            for track in TRACKS
        ]
    for track, parts in sounds.items():
        path = folder / (layout.stem_path(title, track) if track == "background" else layout.track_path(title, track))
        path.parent.mkdir(parents=True, exist_ok=True)
        if real:
            write(path, np.concatenate(parts)[None])
        else:
            path.write_bytes(f"{title} {track}".encode())
    return rows


def film(share: float, number: int) -> bytes:
    from trainer.shards.encoding import encode_picture

    return encode_picture(pictures(round(SECONDS * FPS), share, number, (128, 96)))

"""Shots of an output folder: what ``pairs.parquet`` accepts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from shared.core.errors import InputError, UsageError
from shared.schemas.layout import ORIG
from trainer.shards.member_names import file_digest, key_of, with_digest
from trainer.shards.records import BACKGROUND, ShotPlan, SoundSource

MEASURES = (
    "speech_ratio",
    "fit_ratio",
    "isochrony_iou",
    "round_trip_cer",
    "speaker_similarity",
    "loudness_difference_lu",
)
"""Columns that a shot's ``json`` repeats for each track."""

COLUMNS = (
    "title", "shot", "start", "end", "source_language", "track", "language", "clip_path", "track_path",
    "background_path", *MEASURES,
)  # fmt: skip


class Planned(NamedTuple):
    plans: list[ShotPlan]
    left_out: Counter[str]
    """Shots for which there is no plan, by reason."""


def plan_pairs(out: Path) -> Planned:
    """One plan for each shot of an output folder, in order of title and shot.

    Raises:
        UsageError: ``no_run``.
        InputError: ``bad_pairs``, ``unsafe_path`` when the table names a file outside of the folder.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = out / "pairs.parquet"
    if not table.is_file():
        raise UsageError(f"“{out.name}” holds no pairs.parquet: it is no output of counterdub dub.", code="no_run")
    try:
        rows = pq.read_table(table, columns=list(COLUMNS)).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            "pairs.parquet cannot be read. Make it again with counterdub report.", code="bad_pairs"
        ) from error
    shots: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        shots.setdefault((row["title"], row["shot"]), []).append(row)
    root, digests = out.resolve(), dict[str, str]()
    plans, left_out = [], Counter[str]()
    for (title, shot), tracks in sorted(shots.items()):
        plan = plan_of(root, title, shot, tracks)
        if isinstance(plan, str):
            left_out[plan] += 1
            continue
        for path in {plan.picture, *(sound.path for sound in plan.sounds.values())} - digests.keys():
            try:
                digests[path] = file_digest(Path(path))
            except InputError:
                # Cutting meets it too, and knows whether the shot can do without.
                digests[path] = "unreadable"
        plans.append(with_digest(plan, digests))
    return Planned(plans, left_out)


def plan_of(root: Path, title: str, shot: int, rows: list[dict[str, Any]]) -> ShotPlan | str:
    """A plan, or why there is none."""
    first = rows[0]
    sounds = {
        row["track"]: SoundSource(path=str(inside(root, row["track_path"])), language=row["language"])
        for row in sorted(rows, key=lambda row: (row["track"] != ORIG, row["track"]))
    }
    if ORIG not in sounds:
        return "no_orig"
    background = next((row["background_path"] for row in rows if row["background_path"]), None)
    if background and inside(root, background).is_file():
        sounds[BACKGROUND] = SoundSource(path=str(inside(root, background)))
    picture = picture_of(root, title, rows)
    if picture is None:
        return "no_picture"
    return ShotPlan(
        key=key_of(title, shot),
        title=title,
        shot=shot,
        start=first["start"],
        end=first["end"],
        source_language=first["source_language"],
        picture=str(picture[0]),
        picture_start=picture[1],
        sounds=sounds,
        facts={row["track"]: {name: row[name] for name in MEASURES} for row in rows},
    )


def picture_of(root: Path, title: str, rows: Iterable[dict[str, Any]]) -> tuple[Path, float] | None:
    """The shot's clip, or the title's whole video, and where the shot begins in it."""
    start = 0.0
    for row in rows:
        start = row["start"]
        if row["clip_path"] and inside(root, row["clip_path"]).is_file():
            return inside(root, row["clip_path"]), 0.0
    for suffix in (".mkv", ".mp4"):
        if (whole := inside(root, f"{title}/{title}{suffix}")).is_file():
            return whole, start
    return None


def inside(root: Path, name: str) -> Path:
    """A path of the table, below the folder.

    Raises:
        InputError: ``unsafe_path``.
    """
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise InputError("pairs.parquet names a file outside of its folder. Do not trust it.", code="unsafe_path")
    return path

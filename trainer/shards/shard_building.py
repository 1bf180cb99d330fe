"""Shards made from plans: in parallel, and never twice."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from shared.core.errors import Cancelled, InputError, StorageError
from shared.core.storage_errors import storage_errors
from shared.media import child
from trainer.shards.index_merge import sidecars, write_index
from trainer.shards.pairs import Planned
from trainer.shards.records import ShardRecord, ShotPlan, Skipped
from trainer.shards.tar import Sample, shard_path, sidecar_path, write_shard

CRASHES = {"decode_crashed", "decode_timeout", "decode_memory"}
"""What a single file can do to the process that cuts a whole shard."""

SECONDS_A_SHOT = 60.0
"""That cutting and encoding one shot may take; it takes about one."""

Progress = Callable[[int, int], None]
"""Shots done, shots in all."""


class ShardSummary(NamedTuple):
    """What a run did."""

    digest: str
    """Of the index."""
    made: int
    """Shards written now."""
    kept: int
    """Shards found whole."""
    shots: int
    titles: int
    tracks: dict[str, int]
    """Shots that have the track."""
    seconds: float
    bytes: int
    skipped: dict[str, int]
    """Shots that could not be made, by reason."""
    left_out: dict[str, int]
    """Tracks of shots that could not be made, by ``track: reason``."""


def make_shards(
    planned: Planned,
    folder: Path,
    shots_a_shard: int = 256,
    jobs: int = 2,
    progress: Progress = lambda _done, _all: None,
) -> ShardSummary:
    """Write what is not there yet, remove what no plan asks for, and index the folder.

    The tars' bytes depend on the plans only, not on the number of jobs. Finished shards stay when the run stops, and
    also when titles are added later.

    Raises:
        InputError: ``empty_dataset`` when no shot could be made.
        StorageError: ``locked`` while another run writes there, ``disk_full`` …
        Cancelled: When interrupted.
    """
    with storage_errors("the folder of shards"):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            return locked(planned, folder, shots_a_shard, jobs, progress)
    except Timeout as error:
        raise StorageError("Another run writes into this folder.", code="locked", retryable=True) from error


def locked(planned: Planned, folder: Path, shots_a_shard: int, jobs: int, progress: Progress) -> ShardSummary:
    for half in [*folder.glob("*.half"), *folder.glob("shard-*.tar")]:
        if half.suffix == ".half" or not half.with_suffix(".json").exists():
            half.unlink()
    for place in folder.glob(".shard-*"):
        shutil.rmtree(place, ignore_errors=True)
    kept = keep(folder, {plan.key: plan.digest for plan in planned.plans})
    there = {key for keys in kept.values() for key in keys}
    todo = [plan for plan in planned.plans if plan.key not in there]
    groups = [todo[first : first + shots_a_shard] for first in range(0, len(todo), shots_a_shard)]
    free = (number for number in range(len(kept) + len(groups)) if number not in kept)
    work = list(zip(free, groups, strict=False))
    write_shards(folder, work, jobs, Meter(progress, len(planned.plans), len(planned.plans) - len(todo)))
    digest = write_index(folder)
    summary = summarise(folder, digest, planned.left_out, len(work), len(kept))
    if not summary.shots:
        reasons = ", ".join(f"{count} {reason}" for reason, count in summary.skipped.items()) or "no shots"
        raise InputError(f"There is nothing to make shards of: {reasons}.", code="empty_dataset")
    return summary


def keep(folder: Path, digests: dict[str, str]) -> dict[int, list[str]]:
    """Keys in the finished shards whose every shot is still wanted as it is; other shards are removed."""
    kept: dict[int, list[str]] = {}
    known = set()
    for record in sidecars(folder):
        shots = {shot.key: shot.digest for shot in record.shots} | {shot.key: shot.digest for shot in record.skipped}
        if all(digests.get(key) == digest for key, digest in shots.items()):
            kept[record.shard] = list(shots)
            known |= {shard_path(folder, record.shard), sidecar_path(folder, record.shard)}
    for old in [*folder.glob("shard-*.json"), *folder.glob("shard-*.tar")]:
        if old not in known:
            old.unlink()
    return kept


class Meter:
    """Adds up the progress of several threads."""

    def __init__(self, progress: Progress, shots: int, done: int) -> None:
        self._progress, self._shots, self._done = progress, shots, float(done)
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        progress(done, shots)

    def add(self, shots: float) -> None:
        if self.stopping.is_set():
            raise Cancelled
        with self._lock:
            self._done += shots
            self._progress(round(self._done), self._shots)


def write_shards(folder: Path, work: Sequence[tuple[int, list[ShotPlan]]], jobs: int, meter: Meter) -> None:
    """All shards of the work, ``jobs`` at a time; the first failure stops the others."""
    with ThreadPoolExecutor(jobs) as pool:
        tasks = [pool.submit(one_shard, folder, number, plans, meter) for number, plans in work]
        try:
            done, _ = wait(tasks, return_when=FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            meter.stopping.set()
            for task in tasks:
                task.cancel()


def one_shard(folder: Path, number: int, plans: list[ShotPlan], meter: Meter) -> ShardRecord:
    """Cut, encode and pack one shard's shots."""
    meter.add(0)
    with storage_errors("the shard"), tempfile.TemporaryDirectory(prefix=f".shard-{number:06d}-", dir=folder) as place:
        made = cut(plans, Path(place), meter)
        skipped = [
            Skipped(key=plan.key, digest=plan.digest, reason=facts["reason"])
            for plan, (_, facts) in zip(plans, made, strict=True)
            if "reason" in facts
        ]
        return write_shard(folder, number, packed(plans, made), skipped)


def cut(plans: list[ShotPlan], place: Path, meter: Meter) -> list[tuple[Path, dict[str, Any]]]:
    """Files' common name and facts of each shot. What brings down the child is looked for shot by shot."""
    place.mkdir(exist_ok=True)
    reported = 0.0

    def progress(share: float) -> None:
        nonlocal reported
        meter.add((share - reported) * len(plans))
        reported = share

    try:
        arguments = {"plans": [plan.model_dump() for plan in plans], "folder": str(place)}
        limit = SECONDS_A_SHOT * (2 + len(plans))
        made = child.call("trainer.shards.shot_extraction:cut", arguments, timeout=limit, progress=progress)
    except InputError as error:
        if error.code not in CRASHES:
            raise
        if len(plans) == 1:
            progress(1.0)
            return [(place, {"reason": error.code})]
        progress(0.0)
        return [shot for number, plan in enumerate(plans) for shot in cut([plan], place / f"alone-{number}", meter)]
    progress(1.0)
    return [(place / str(number), facts) for number, facts in enumerate(made)]


def packed(plans: Sequence[ShotPlan], made: Sequence[tuple[Path, dict[str, Any]]]) -> Iterator[Sample]:
    for plan, (stem, facts) in zip(plans, made, strict=True):
        if "reason" not in facts:
            members = {name: stem.with_name(f"{stem.name}.{name}").read_bytes() for name in facts["members"]}
            yield Sample(
                plan.key,
                plan.title,
                plan.shot,
                plan.digest,
                facts["frames"],
                facts["samples"],
                members,
                facts["left_out"],
            )


def summarise(folder: Path, digest: str, left_out: Counter[str], made: int, kept: int) -> ShardSummary:
    """The state of the whole folder."""
    tracks, skipped, missing = Counter[str](), Counter(left_out), Counter[str]()
    titles, shots, samples, size = set(), 0, 0, 0
    for record in sidecars(folder):
        size += record.bytes
        skipped.update(shot.reason for shot in record.skipped)
        for shot in record.shots:
            titles.add(shot.title)
            shots += 1
            samples += shot.samples
            names = (member.name for member in shot.members)
            tracks.update(name.removesuffix(".flac") for name in names if name.endswith(".flac"))
            missing.update(f"{track}: {reason}" for track, reason in shot.left_out.items())
    return ShardSummary(
        digest, made, kept, shots, len(titles), dict(tracks), samples / 48_000, size, dict(skipped), dict(missing)
    )

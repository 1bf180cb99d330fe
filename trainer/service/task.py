"""The task ``train``: gather the pairs, make shards, train, keep what came of it. Any part of it may be cut off."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import Any

from shared.core.errors import Cancelled, CounterdubError, InputError
from shared.core.storage_errors import storage_errors
from shared.core.store import Blob
from shared.ledger.training_tables import Training
from shared.queue import training_notes as notes
from shared.queue.scheduling.claims import Claimed
from shared.queue.worker.task_execution import TaskContext, patiently
from trainer.service import artifacts, child_process, commands, pair_collection
from trainer.service.folders import Folders, sweep
from trainer.service.progress import Follower

log = logging.getLogger(__name__)

SHARDS_GRACE_S, TRAINING_GRACE_S = 10.0, 45.0
"""How long the child may take to stop. A training saves first; the worker is killed 75 s after it was told to stop."""
RUN_FREE_S = 120.0
"""How long another worker's child is waited for that saves in the same folder."""


def train(claimed: Claimed, here: TaskContext) -> Mapping[str, int]:
    """Do one training, or go on with it.

    Raises:
        Cancelled: It was stopped; its checkpoint is in the store.
        CounterdubError: ``package_missing``, ``empty_dataset``, ``training_failed``, and what its children refuse.
    """
    commands.check_installed()
    training = notes.read_training(here.database, claimed.job)
    runs = here.settings.run_folder()
    with storage_errors("the folder of the training"):
        folders = Folders(runs / claimed.job)
        folders.root.mkdir(parents=True, exist_ok=True)
    sweep(runs, notes.unfinished(here.database))
    with child_process.alone(folders.lock, here.cancelled, RUN_FREE_S) as lock:
        attempt = Attempt(claimed, here, training, folders, lock)
        if not folders.sharded.exists():
            attempt.shard()
        attempt.prepare()
        try:
            attempt.run()
        finally:
            patiently(attempt.settle, here.stopping)
        done = patiently(attempt.finish, here.stopping)
    shutil.rmtree(folders.root, ignore_errors=True)
    return done


class Attempt:
    """One training in hand.

    Args:
        lock: File descriptor of the folder's lock, for the children.
    """

    def __init__(self, claimed: Claimed, here: TaskContext, training: Training, folders: Folders, lock: int) -> None:
        self._run, self._worker = claimed.run, here.worker
        self._here = here
        self._training = training
        self._folders = folders
        self._lock = lock
        self._kept = training.checkpoint["step"] if training.checkpoint else -1
        self._kept_at = time.monotonic()
        self._follower = Follower(folders.run, self._note)

    def shard(self) -> None:
        """From the jobs' files to shards. What was made before is kept."""
        here, folders = self._here, self._folders
        self._phase("gathering")
        with storage_errors("the folder of the training"):
            folders.pairs.mkdir(exist_ok=True)
        with here.store.workspace():
            pair_collection.gather(self._data(), here.store, folders.pairs, self._check)
        self._phase("sharding")
        made = self._child(commands.shards(folders), SHARDS_GRACE_S, partly=True)
        facts = {name: made[name] for name in ("shots", "titles", "tracks", "skipped", "left_out") if name in made}
        self._phase("sharded", **facts)
        with storage_errors("the folder of the training"):
            folders.sharded.touch()
            shutil.rmtree(folders.pairs)

    def prepare(self) -> None:
        """Have the newest checkpoint here, and the weights it starts from."""
        store, folders, training = self._here.store, self._folders, self._training
        newest, known = artifacts.newest(folders.run), training.checkpoint
        try:
            if known is not None and (newest is None or newest[0] < known["step"]):
                lines = notes.points_until(self._here.database, training.id, known["step"])
                artifacts.restore(store, known, folders.run, lines)
            if training.initial is not None:
                first = {name: training.initial[name] for name in ("name", "sha256", "size")}
                with storage_errors("the folder of the training"):
                    shutil.copyfile(store.fetch(Blob(**first)), folders.root / commands.INITIAL)
        except FileNotFoundError as error:
            raise InputError("A checkpoint is no longer in the store.", code="artifact_lost") from error

    def run(self) -> None:
        count = commands.processes(self._here.settings)
        self._phase("training", processes=count)
        self._child(commands.training(self._training, self._folders, count), TRAINING_GRACE_S)

    def settle(self) -> None:
        """Write down all that there is, however the training ended."""
        self._follower.look(last=True)
        self.keep(now=True)

    def keep(self, *, now: bool = False) -> None:
        """Have a new checkpoint in the store, and what belongs to it.

        Args:
            now: However soon after the one before, and the rest even without one.
        """
        here, run = self._here, self._folders.run
        newest = artifacts.newest(run)
        if newest is not None and newest[0] <= self._kept:
            newest = None
        soon = time.monotonic() - self._kept_at < here.settings.checkpoint_copy_s
        if not now and (soon or newest is None):
            return
        files = artifacts.store_beside(here.store, run)
        blob = artifacts.store_checkpoint(here.store, newest[1]) if newest else None
        if newest is None or blob is None:
            notes.note_files(here.database, self._run, self._worker, files)
            return
        step = newest[0]
        old = notes.note_files(here.database, self._run, self._worker, {**files, notes.CHECKPOINT: blob}, step)
        self._kept, self._kept_at = step, time.monotonic()
        if old is not None:
            here.store.remove(old)

    def finish(self) -> Mapping[str, int]:
        files = artifacts.store_beside(self._here.store, self._folders.run)
        return notes.finish_training(self._here.database, self._run, self._worker, files)

    def _phase(self, phase: str, **facts: Any) -> None:
        here = self._here
        patiently(lambda: notes.note_phase(here.database, self._run, self._worker, phase, **facts), here.stopping)

    def _data(self) -> dict[str, Any]:
        """The list of files that it reads: the same after every crash."""
        here, training = self._here, self._training
        if training.data is not None:
            stored: dict[str, Any] = json.loads(here.store.fetch(Blob(**training.data)).read_bytes())
            return stored
        try:
            data = pair_collection.listed(notes.sources(here.database, training.jobs), here.store)
        except FileNotFoundError as error:
            raise InputError("The pairs are no longer in the store: do the job again.", code="artifact_lost") from error
        with here.store.workspace() as folder:
            path = folder / "data.json"
            path.write_text(json.dumps(data), encoding="utf-8")
            blob = here.store.add("data.json", path, move=True)
        notes.note_data(here.database, self._run, self._worker, blob)
        return data

    def _child(self, command: list[str], grace_s: float, *, partly: bool = False) -> dict[str, Any]:
        cancelled, root = self._here.cancelled, self._folders.root
        return child_process.run_command(
            command, root, cancelled, self._tick, grace_s=grace_s, lock=self._lock, partly=partly
        )

    def _tick(self) -> None:
        if self._here.stopping.is_set():
            # Somebody else goes on from the checkpoint: nothing is won by waiting.
            self._here.cancelled.set()
        self._follower.look()
        try:
            self.keep()
        except CounterdubError as error:
            if not error.retryable:
                raise
            log.warning("a checkpoint is kept later: %s", error.code)

    def _check(self) -> None:
        if self._here.cancelled.is_set() or self._here.stopping.is_set():
            raise Cancelled(stage="train")

    def _note(self, points: Sequence[notes.MetricPoint], share: float, aloud: bool) -> None:
        notes.note_points(self._here.database, self._run, self._worker, points, share, aloud=aloud)

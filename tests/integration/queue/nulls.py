"""Stages that cost nothing, in real worker processes: for faults and scale.

What they write depends on what they read, so equal artifacts mean equal work. Each call is a line in
``$COUNTERDUB_TEST_CALLS``; a file ``<task with / as +>.<what>`` in ``$COUNTERDUB_TEST_TRAPS`` makes the task do
something: ``kill`` (once: its process dies), ``kill_always``, ``hang`` (until the file is gone), ``stuck`` (likewise,
but it does not hear of being stopped), ``frozen`` (once: no thread of its process runs for a minute), ``fail`` (for
good), ``full`` (the disk is full, while the file is there), ``read_only`` (likewise, it cannot be written to).
``ingest@<name>`` means one title's.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import itertools
import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from shared.core.errors import InputError
from shared.ledger import tables
from shared.pipeline import local_executor, task_runner
from shared.pipeline.stage import Scope, Stage, Work
from tests.unit.shared.pipeline.fakes import FakeStages

FROZEN_S = 60

QUEUE = {
    "ingest": "ingest",
    "fetch": "fetch",
    "separation": "separation",
    "stems": "separation",
    "language": "transcription",
    "transcription": "transcription",
    "speakers": "transcription",
    "quality": "transcription",
    "residual": "transcription",
    "translation": "translation",
    "cast": "dubbing",
    "dubbing": "dubbing",
    "control": "dubbing",
}


class NullStages(FakeStages):
    """A title's video is JSON: ``{"chunks": 3, "shots": 10, "name": …}``."""

    def __call__(self, name: str) -> Stage:
        return replace(super().__call__(name), queue=QUEUE.get(name, "pairing"), run=self.runner(name))

    def runner(self, name: str) -> Any:
        def run(
            scope: Scope, inputs: Mapping[str, Path], settings: BaseModel, engines: Mapping[str, Any], work: Work
        ) -> dict[str, Path]:
            parts = [name, scope.language or scope.track, None if scope.chunk is None else f"{scope.chunk:04}"]
            note(task := "/".join(part for part in parts if part))
            spring(task, work)
            if name == "ingest":
                spring(f"ingest@{json.loads(inputs['source'].read_text())['name']}", work)
            return {output: self.write(work, output, body) for output, body in self.bodies(name, scope, inputs).items()}

        return run

    def bodies(self, name: str, scope: Scope, inputs: Mapping[str, Path]) -> dict[str, Any]:
        if name == "ingest":
            size = json.loads(inputs["source"].read_text())
            shots = [{"index": i, "start": i * 4.0, "end": i * 4.0 + 4.0} for i in range(size["shots"])]
            chunks = [{"index": i, "start": i * 48_000, "end": (i + 1) * 48_000} for i in range(size["chunks"])]
            facts = {"duration": 4.0 * size["shots"]}
            return {"chunks.json": chunks, "shots.json": shots, "master.flac": size} | {
                "probe.json": facts,
                "speech.json": facts,
            }
        if name == "language":
            return {"language.json": {"language": "en", "confidence": 1.0, "votes": {}}}
        if name == "fetch":
            return {"video": {"chunks": 1, "shots": 2, "name": scope.extra["locator"]}}
        if name == "dataset":
            # title.json tells times.
            told = [path.read_text() for key, path in sorted(inputs.items()) if not key.endswith("title.json")]
            seen = hashlib.sha256("".join(told).encode()).hexdigest()
            tracks = {name: {"accepted": name == "es"} for name in ("es", "fr")}
            table = {"accepted": len(inputs), "rejected": 0, "tracks": tracks, "titles": [], "seen": seen}
            return {"report.json": table, "report.html": table, "pairs.parquet": table, "rejects.parquet": table}
        if name == "pictures":
            shots = json.loads(inputs["shots.json"].read_text())
            return {f"{shot['index']:04}.mp4": f"picture {shot['index']}" for shot in shots}
        if name == "speakers":
            return super().bodies(name, scope, inputs) | {"utterances.jsonl": LINE}
        return super().bodies(name, scope, inputs)

    def write(self, work: Work, name: str, body: Any) -> Path:
        if not isinstance(body, bytes):
            return super().write(work, name, body)
        path = work.path(name)
        path.write_bytes(body)
        return path


LINE = (
    json.dumps({"id": "u0001", "start": 0.0, "end": 1.0, "speaker": "S1", "language": "en", "text": "Hello."}).encode()
    + b"\n"
)


def note(task: str) -> None:
    if calls := os.environ.get("COUNTERDUB_TEST_CALLS"):
        with Path(calls).open("a") as file:
            file.write(f"{task}\n")


def spring(task: str, work: Work) -> None:
    """Do what the task's trap says."""
    folder = os.environ.get("COUNTERDUB_TEST_TRAPS")
    if not folder:
        return
    trap = Path(folder) / task.replace("/", "+")
    if (once := trap.with_name(trap.name + ".kill")).exists():
        once.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    if trap.with_name(trap.name + ".kill_always").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    if (once := trap.with_name(trap.name + ".frozen")).exists():
        once.unlink()
        ctypes.PyDLL(None).sleep(FROZEN_S)
    while trap.with_name(trap.name + ".stuck").exists():
        time.sleep(0.02)
    while trap.with_name(trap.name + ".hang").exists():
        work.progress(0.5)
        time.sleep(0.02)
    if trap.with_name(trap.name + ".fail").exists():
        raise InputError("This video was made to fail.", code="made_to_fail")
    if trap.with_name(trap.name + ".full").exists():
        raise OSError(errno.ENOSPC, "No space left on device")
    if trap.with_name(trap.name + ".read_only").exists():
        raise OSError(errno.EROFS, "Read-only file system")


def shake_clocks() -> None:
    """Where ``$COUNTERDUB_TEST_CLOCK`` is set, every look at the wall clock is an hour early or an hour late."""
    if not os.environ.get("COUNTERDUB_TEST_CLOCK"):
        return
    true_time, sign = time.time, itertools.cycle((1, -1))

    class Shaken(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + next(sign) * timedelta(hours=1)

    time.time = lambda: true_time() + next(sign) * 3600
    cast(Any, tables).datetime = Shaken


def install() -> None:
    """Put null stages in the place of the real ones."""
    from shared.pipeline import ledger

    stages = NullStages()
    cast(Any, task_runner).stage = stages
    cast(Any, local_executor).stage = stages
    cast(Any, ledger).queue_of = lambda name: stages(name).queue
    if os.environ.get("COUNTERDUB_TEST_TRAINER"):
        stand_in()


def stand_in() -> None:
    """A training that learns nothing, in no time."""
    from trainer.service import commands

    def shards(folders: Any) -> list[str]:
        return [
            *commands.python("tests.integration.queue.stand_in"),
            "shards",
            folders.pairs.name,
            "--to",
            folders.shards.name,
        ]

    def training(training: Any, folders: Any, count: int) -> list[str]:
        real = commands_training(training, folders, count)
        return [*commands.python("tests.integration.queue.stand_in"), "train", *real[real.index("train") + 1 :]]

    commands_training = commands.training
    commands.shards, commands.training = shards, training
    commands.check_installed = lambda: None


if __name__ == "__main__":
    install()
    from shared.queue.worker.process import main

    main()

"""Runs the real pipeline and kills it with SIGKILL in one stage after another, in one output folder.

``python -m tests.integration.films.killed OUT VIDEO LOG STAGE…``: for each stage a process of its own begins (forked,
so that imports are paid for once), goes on from what the folder holds, and kills itself in the middle of that stage's
work. Every finished task is written to LOG as a JSON line before the process can die.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from shared.pipeline import folder_commands, local_executor
from shared.pipeline.events import RunEvent
from shared.pipeline.run import RunOptions
from shared.pipeline.stage import stage, stage_names
from shared.settings.models import load_settings

LANGUAGES = ["en", "es"]
LAST = "es"
"""A stage that works for languages is killed at this one: it has the most to do."""


class Killer:
    """A listener that ends its own process as the kernel would: without a word."""

    def __init__(self, where: str, log: Path) -> None:
        self._where = where
        self._log = log

    def __call__(self, event: RunEvent) -> None:
        if event.kind == "task_done":
            with self._log.open("a") as file:
                file.write(json.dumps({"run": self._where, "task": event.task, "cached": event.cached}) + "\n")
        here = event.stage == self._where and event.language in (None, LAST)
        # In the midst of the work, or where a stage tells of no progress, when its result has just been kept.
        if here and (
            (event.kind == "task_progress" and event.share) or (event.kind == "task_done" and not event.cached)
        ):
            os.kill(os.getpid(), signal.SIGKILL)


def attempt(out: Path, video: Path, log: Path, where: str) -> NoReturn:
    try:
        folder_commands.dub(
            [str(video)], LANGUAGES, out, load_settings(), options=RunOptions(listener=Killer(where, log))
        )
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def main() -> None:
    out, video, log, *stages = sys.argv[1:]
    local_executor.CORES = 1  # one task at a time, so that every stage is met
    for name in stage_names():
        stage(name)
    for name in stages:
        child = os.fork()
        if child == 0:
            attempt(Path(out), Path(video), Path(log), name)
        _, status = os.waitpid(child, 0)
        print(
            json.dumps({"stage": name, "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None}), flush=True
        )


if __name__ == "__main__":
    main()

"""Running a command beside the worker: watched, stopped in order, and heard when it fails."""

from __future__ import annotations

import ctypes
import fcntl
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from shared.core.errors import Cancelled, CounterdubError, StorageError
from shared.observability.internal_errors import SUMMARY_CHARACTERS, without_folders

log = logging.getLogger(__name__)

TICK_S = 0.25
TAIL_BYTES = 64 * 1024
LINES = 60
"""Of what a failed command said last: they go to the log."""
MESSAGE_CHARACTERS = 500
PR_SET_PDEATHSIG = 1
OWN = ("COUNTERDUB_DATABASE_URL", "COUNTERDUB_BROKER_URL", "AWS_", "OTEL_")
"""Beginnings of variables that are none of the command's business."""

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def run_command(
    command: Sequence[str],
    folder: Path,
    cancelled: threading.Event,
    tick: Callable[[], None],
    *,
    grace_s: float,
    lock: int | None = None,
    partly: bool = False,
) -> dict[str, Any]:
    """Run a command to its end.

    Args:
        folder: Where it runs; what it says goes into ``printed`` and ``log`` there.
        cancelled: When set, the command is told to stop (SIGTERM), and made to after ``grace_s``.
        tick: Called every :data:`TICK_S` meanwhile, and once after its end.
        lock: A file descriptor that the command inherits: a lock on it lasts as long as the command.
        partly: Exit status 1 means that it did what it could, if it says what.

    Returns:
        The JSON that it printed.

    Raises:
        Cancelled: It was told to stop.
        CounterdubError: What the command itself said as JSON, or ``training_failed``; ``training_killed`` (retryable)
            where it was ended from outside.
    """
    answer, output = folder / "printed", folder / "log"
    with answer.open("wb") as out, output.open("wb") as err:
        process = start(command, folder, out, err, lock)
        try:
            while process.poll() is None and not cancelled.wait(TICK_S):
                tick()
        finally:
            end(process, grace_s)
    tick()
    if cancelled.is_set():
        raise Cancelled(stage="train")
    result = printed(tail(answer))
    if process.returncode and not (partly and process.returncode == 1 and result and "error" not in result):
        raise failure(process.returncode, result, tail(output))
    return result


def start(command: Sequence[str], folder: Path, out: IO[bytes], err: IO[bytes], lock: int | None) -> Any:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
    # The folder that it runs in holds data, not modules.
    environment["PYTHONSAFEPATH"] = "1"
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        start_new_session=True,
        pass_fds=() if lock is None else (lock,),
        preexec_fn=end_with_worker,  # noqa: PLW1509 - one system call, which waits for no lock
    )


def end_with_worker() -> None:
    """Have a new child told to stop when the worker is killed. Where the system cannot, the lock keeps a second off."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def end(process: Any, grace_s: float) -> None:
    """Tell a command to stop if it has not ended, then make it and what it left in its group."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def alone(path: Path, cancelled: threading.Event, seconds: float) -> Iterator[int]:
    """Hold a lock, which a command of a worker that was killed may still have while it saves.

    Raises:
        StorageError: ``run_in_use`` (retryable) when it is not free in time.
    """
    deadline = time.monotonic() + seconds
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if cancelled.wait(TICK_S):
                    raise Cancelled(stage="train") from None
                if time.monotonic() > deadline:
                    raise StorageError(
                        "Another process still trains in this folder.", code="run_in_use", retryable=True
                    ) from None
        yield file.fileno()


def tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return file.read().decode("utf-8", "replace")


def failure(status: int, result: dict[str, Any], logged: str) -> CounterdubError:
    """Why a command failed: in its own words, if it found some. What else it said goes to the log."""
    with suppress(KeyError, TypeError):
        own = result["error"]
        return CounterdubError(
            without_folders(own["message"])[:MESSAGE_CHARACTERS],
            code=str(own["code"]),
            retryable=bool(own["retryable"]),
        )
    if status in (-signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM, 130) or "(SIGKILL)" in logged:
        return CounterdubError(
            "The training was ended from outside: the machine stopped it, or its memory did not suffice.",
            code="training_killed",
            retryable=True,
        )
    lines = [
        line for line in logged.splitlines() if line.strip() and not re.search("torch[/.]distributed|torchrun", line)
    ]
    log.error("a training ended with an error\n%s", "\n".join(lines[-LINES:]))
    last = without_folders(lines[-1])[:SUMMARY_CHARACTERS] if lines else f"exit status {status}"
    return CounterdubError(
        f"The training ended with an error: {last}. The log of the worker says more.", code="training_failed"
    )


def printed(text: str) -> dict[str, Any]:
    """The first JSON object that a command printed; of several processes that failed, one speaks for all."""
    decoder = json.JSONDecoder()
    for match in re.finditer(r"^\{", text, re.MULTILINE):
        with suppress(ValueError):
            value, _ = decoder.raw_decode(text, match.start())
            return dict(value)
    return {}

"""Untrusted media is read in a child process with a time and a memory limit.

``call("package.module:function", {...})`` runs the function in a fresh interpreter. Arguments and result are JSON, so
nothing that a taken-over decoder writes is ever unpickled. A plain subprocess is used rather than ``multiprocessing``
because it works from a notebook, from a daemonic worker and without a guard in the caller's main module.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from shared.core.errors import CounterdubError, InputError, StorageError
from shared.observability.internal_errors import internal_error_of

log = logging.getLogger(__name__)

MEMORY_BYTES = 8 * 2**30
"""Address space of a child: room for 8K video with reference frames and decoder threads."""

Progress = Callable[[float], None]


def ignore(_share: float) -> None:
    """A progress callback that does nothing."""


def call(target: str, arguments: Mapping[str, Any], *, timeout: float, progress: Progress = ignore) -> Any:
    """Run ``target`` (``module:function``) with keyword arguments in a child and return its JSON result.

    ``progress`` is called about twice a second, also while the child is silent, and may raise to stop the work. The
    function may take a keyword argument ``progress`` to report its finished share.

    Raises:
        InputError: ``decode_timeout``, ``decode_memory``, ``decode_crashed``, or what the function raised itself.
        StorageError: ``disk_full`` or what the function raised itself.
    """
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "MALLOC_ARENA_MAX": "2"}
    process = subprocess.Popen(
        [sys.executable, "-m", "shared.media.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        env=environment,
        # Ctrl-C is for the parent alone: it stops its children itself.
        process_group=0 if os.name == "posix" else None,
    )
    lines: queue.Queue[str | None] = queue.Queue(maxsize=64)
    reader = threading.Thread(target=_forward, args=(process.stdout, lines), daemon=True)
    reader.start()
    try:
        with contextlib.suppress(BrokenPipeError):
            assert process.stdin is not None
            json.dump({"target": target, "arguments": dict(arguments), "timeout": timeout}, process.stdin)
            process.stdin.close()
        return _follow(process, lines, time.monotonic() + timeout, timeout, progress)
    finally:
        process.kill()
        # The reader may wait for room in the queue: empty it, so that it meets the end of the pipe.
        while reader.is_alive():
            with contextlib.suppress(queue.Empty):
                lines.get(timeout=0.05)
        process.wait()


def _forward(stream: TextIO, lines: queue.Queue[str | None]) -> None:
    with stream:
        for line in stream:
            lines.put(line)
    lines.put(None)


def _follow(
    process: subprocess.Popen[str], lines: queue.Queue[str | None], deadline: float, timeout: float, progress: Progress
) -> Any:
    share = 0.0
    while True:
        if time.monotonic() > deadline:
            raise _timed_out(timeout)
        try:
            line = lines.get(timeout=0.5)
        except queue.Empty:
            progress(share)
            continue
        if line is None:
            return _died(process.wait(), timeout)
        message = json.loads(line)
        if "result" in message:
            return message["result"]
        if "error" in message:
            raise _revive(message["error"])
        share = float(message["progress"])
        progress(share)


def _timed_out(timeout: float) -> InputError:
    return InputError(
        f"The file could not be read within {timeout:.0f} s. It may be damaged; convert it with another program first, "
        "or raise limits.probe_timeout_s or limits.decode_timeout_factor.",
        code="decode_timeout",
        seconds=timeout,
    )


def _died(status: int, timeout: float) -> Any:
    if os.name == "posix" and status == -signal.SIGALRM:
        raise _timed_out(timeout)
    raise InputError(
        "The decoder crashed on this file. It is damaged, or made to do harm; convert it with another program first.",
        code="decode_crashed",
        status=status,
    )


def _revive(error: Mapping[str, Any]) -> Exception:
    if error["type"] == "StorageError":
        kind: type[CounterdubError] = StorageError
    elif error["type"] == "InputError":
        kind = InputError
    else:
        # Its traceback is for the log; people are told that it was our fault, and nothing of the installation.
        log.error("a media function failed in its child process\n%s", error["trace"])
        return internal_error_of(error["kind"], None)
    return kind(error["message"], code=error["code"], retryable=error["retryable"], **error["details"])


def _limit(timeout: float) -> None:
    """Limits that hold even when the parent is gone; silently fewer where the system has none."""
    if os.name != "posix":
        return
    import resource

    for kind, amount in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (amount, amount))
    signal.alarm(int(timeout) + 2)


def _describe(error: BaseException) -> dict[str, Any]:
    if isinstance(error, CounterdubError):
        return {"type": type(error).__name__, **error.to_dict()}
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        known: CounterdubError = InputError(
            "Decoding this file needs more memory than is allowed. It is damaged, or its picture is too large.",
            code="decode_memory",
        )
    elif getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        known = StorageError("The disk is full. Free some space and run again.", code="disk_full", retryable=True)
    else:
        return {"type": "bug", "kind": type(error).__name__, "trace": traceback.format_exc()}
    return {"type": type(known).__name__, **known.to_dict()}


def main() -> None:
    """Read one request on standard input, write messages as JSON lines on standard output."""
    request = json.load(sys.stdin)
    _limit(request["timeout"])
    # Libraries that print must not break the protocol.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def send(**message: Any) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    last = 0.0

    def progress(share: float) -> None:
        nonlocal last
        if time.monotonic() - last > 0.2:
            last = time.monotonic()
            send(progress=share)

    try:
        module, _, name = request["target"].partition(":")
        function = getattr(importlib.import_module(module), name)
        send(result=function(**request["arguments"], progress=progress))
    except BrokenPipeError:
        os._exit(1)  # The parent is gone.
    except BaseException as error:
        send(error=_describe(error))


if __name__ == "__main__":
    main()

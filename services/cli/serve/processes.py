"""What Linux offers so that no process outlives the one that looks after it. Elsewhere these do nothing."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def end_with_parent() -> None:
    """Runs in a new child: have it told to stop when we are killed. Calls nothing that could wait for a lock."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def adopt_orphans() -> None:
    """What our children leave behind becomes ours, so that :func:`kill_orphans` finds it."""
    if _libc is not None:
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1)


def kill_orphans(known: Container[int]) -> None:
    """Kill all children but ``known`` ones, and what they leave behind in turn."""
    while orphans := [pid for pid in children() if pid not in known]:
        for pid in orphans:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def children() -> list[int]:
    """Ids of this process's children."""
    if _libc is None:
        return []
    numbers = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                # The name, in parentheses, may hold anything; the parent is the second field behind it.
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid():
                    numbers.append(int(entry.name))
    return numbers

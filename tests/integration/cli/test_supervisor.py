"""The supervisor of ``counterdub serve`` on real processes: starts again, stops in order, leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

PROGRAM = """
import logging, sys
from pathlib import Path
from services.cli.serve.supervisor import Child, Supervisor
logging.basicConfig(level="INFO", format="%(message)s")
folder = Path(sys.argv[1])
def child(name, code, **more):
    return Child(name, [sys.executable, "-c", PRELUDE + code, str(folder), name], **more)
PRELUDE = '''
import os, signal, subprocess, sys, time
from pathlib import Path
folder, name = Path(sys.argv[1]), sys.argv[2]
with (folder / "pids").open("a") as file:
    file.write(f"{name} {os.getpid()}\\\\n")
def told(*_):
    with (folder / "stops").open("a") as file:
        file.write(f"{name}\\\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, told)
'''
CHILDREN
Supervisor(children, lambda: (folder / "ready").exists(), lambda: print("READY", flush=True), lambda: None).run()
"""

PAIR = """children = [
    child("broker", "time.sleep(600)", last=True),
    child("worker", "subprocess.Popen(['sleep', '600']); time.sleep(600)"),
]"""
ORPHAN = """children = [
    child("worker", "subprocess.Popen(['sleep', '600'], start_new_session=True); time.sleep(600)"),
]"""
DEAF = """children = [child("deaf", "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)", grace_s=GRACE)]"""


def supervisor(folder: Path, children: str) -> subprocess.Popen[str]:
    (folder / "pids").touch()
    (folder / "ready").touch()
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("CHILDREN", children), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def pids(folder: Path, name: str) -> list[int]:
    return [int(line.split()[1]) for line in (folder / "pids").read_text().splitlines() if line.split()[0] == name]


def until(true: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_stops_in_order_and_leaves_nothing(tmp_path: Path) -> None:
    process = supervisor(tmp_path, PAIR)
    until(lambda: pids(tmp_path, "worker") and pids(tmp_path, "broker"))
    until(lambda: len(psutil.Process(process.pid).children(recursive=True)) == 3)
    family = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "READY" in out
    assert (tmp_path / "stops").read_text().split() == ["worker", "broker"]
    until(lambda: all(gone(pid) for pid in family))


@pytest.mark.skipif(sys.platform != "linux", reason="the system has no such thing")
def test_what_a_killed_child_leaves_behind_is_killed(tmp_path: Path) -> None:
    process = supervisor(tmp_path, ORPHAN)
    until(lambda: pids(tmp_path, "worker") and len(psutil.Process(process.pid).children(recursive=True)) == 2)
    (orphan,) = psutil.Process(pids(tmp_path, "worker")[0]).children()
    os.kill(pids(tmp_path, "worker")[0], signal.SIGKILL)
    until(lambda: gone(orphan.pid))
    until(lambda: len(pids(tmp_path, "worker")) == 2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)


def begun(folder: Path, times: int) -> bool:
    return len(pids(folder, "worker")) == times


def test_a_killed_child_is_started_again(tmp_path: Path) -> None:
    process = supervisor(tmp_path, PAIR)
    for times in (1, 2):
        until(partial(begun, tmp_path, times))
        os.kill(pids(tmp_path, "worker")[-1], signal.SIGKILL)
    until(lambda: len(pids(tmp_path, "worker")) == 3)
    assert len(pids(tmp_path, "broker")) == 1
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 0


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    process = supervisor(tmp_path, DEAF.replace("GRACE", "600"))
    until(lambda: pids(tmp_path, "deaf"))
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=5)
    assert gone(pids(tmp_path, "deaf")[0])


def test_a_child_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    process = supervisor(tmp_path, DEAF.replace("GRACE", "0.5"))
    until(lambda: pids(tmp_path, "deaf"))
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=5)
    assert "is killed" in told
    assert gone(pids(tmp_path, "deaf")[0])


def test_children_that_cannot_start_end_it(tmp_path: Path) -> None:
    process = supervisor(tmp_path, 'children = [child("broken", "sys.exit(7)")]')
    (tmp_path / "ready").unlink()
    _, told = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "“broken” ended 5 times" in told
    assert len(pids(tmp_path, "broken")) == 5


@pytest.mark.skipif(sys.platform != "linux", reason="the system has no such thing")
def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    process = supervisor(tmp_path, PAIR.replace("subprocess.Popen(['sleep', '600']); ", ""))
    until(lambda: pids(tmp_path, "worker") and pids(tmp_path, "broker"))
    time.sleep(0.3)
    process.kill()
    process.communicate(timeout=10)
    until(lambda: all(gone(pid) for name in ("worker", "broker") for pid in pids(tmp_path, name)))

"""The command line as a user meets it: in a process of its own, or in this one where only the refusal matters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from typer.testing import CliRunner

from services.cli.main import app
from tests.conftest import ROOT

# Heeds Ctrl-C even where the tests were started in the background, which has it ignored.
CODE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from services.cli.main import main
main()
"""
COMMAND = [sys.executable, "-c", CODE]
LIGHT = ("--set", "ingest.detector=adaptive", "--set", "dubbing.voices_heard=0")
"""For films whose cuts and voices nobody looks at: a third of the time."""
ENGLISH = ("--set", "transcription.language=en")
"""For films in which nobody speaks: no language is looked for."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def data(self) -> dict[str, Any]:
        """What ``--json`` printed: one object and nothing else."""
        return json.loads(self.stdout)

    @property
    def error(self) -> dict[str, Any]:
        return self.data["error"]


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, **more}


def start(*args: str | Path, cwd: Path | None = None, **env: str) -> subprocess.Popen[str]:
    """A running ``counterdub``."""
    return subprocess.Popen(
        [*COMMAND, *map(str, args)],
        cwd=cwd,
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str], timeout: float = 600) -> Ended:
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return Ended(process.returncode, out, err)


def command(*args: str | Path, cwd: Path | None = None, **env: str) -> Ended:
    """``counterdub`` in a process of its own."""
    return ended(start(*args, cwd=cwd, **env))


def here(*args: str | Path) -> Ended:
    """``counterdub`` in this process: no seconds spent on imports."""
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)


def rejects(out: Path, title: str | None = None) -> list[dict[str, Any]]:
    """Rows of ``rejects.parquet``, of one title or all."""
    rows = pq.read_table(out / "rejects.parquet").to_pylist()
    return [row for row in rows if title in (None, row["title"])]

"""Runs that several tests look at: each is paid for once."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shared.core.errors import CounterdubError
from shared.weights import WeightFolder, names
from tests.conftest import ROOT
from tests.integration.films import cli, media

STAGES = (
    *("ingest", "separation", "language", "transcription", "speakers", "stems", "translation", "cast", "dubbing"),
    *("control", "quality", "residual", "level", "track", "pictures", "shots", "export", "preview", "pairs", "dataset"),
)
"""Every stage in the order in which a title of one chunk meets it."""


@pytest.fixture(scope="session")
def all_weights() -> None:
    """The models of the default profile, or a skip."""
    folder = WeightFolder()
    try:
        for name in names("cpu"):
            folder.path(name)
    except CounterdubError as error:
        pytest.skip(f"{error.message}")


@dataclass
class Battered:
    """An output folder that was interrupted in every way, then finished."""

    out: Path
    video: Path
    interrupted: cli.Ended
    """The first run, ended by Ctrl-C after ingest."""
    second: cli.Ended
    """A run into the same folder while the first went on."""
    signals: dict[str, int | None]
    """Stage → the signal that ended the run which was to die there."""
    log: list[dict[str, Any]]
    """Every finished task of every killed run: run, task, cached."""
    final: cli.Ended


@pytest.fixture(scope="session")
def battered(tmp_path_factory: pytest.TempPathFactory, all_weights: None) -> Battered:
    """A dialogue into en and es: ``kill -9`` in each stage, Ctrl-C and a second run beside it, then the end."""
    folder = tmp_path_factory.mktemp("battered")
    out, video, log = folder / "out", media.dialogue(folder / "dialogue.mp4"), folder / "log"
    ask = ("dub", video, "-l", "en", "-l", "es", "-o", out, "--json")
    signals = kill(out, video, log, STAGES[:1])
    first = cli.start(*ask)
    keys = out / ".counterdub" / "store" / "keys"
    wait_for(lambda: jobs(out) == 2)
    first.send_signal(signal.SIGSTOP)  # However long the second takes, the first is still in its first stage.
    second = cli.here(*ask)
    first.send_signal(signal.SIGCONT)
    wait_for(lambda: any(keys.rglob("*.json")))
    first.send_signal(signal.SIGINT)
    interrupted = cli.ended(first)
    signals |= kill(out, video, log, STAGES[1:])
    done = [json.loads(row) for row in log.read_text().splitlines()]
    return Battered(out, video, interrupted, second, signals, done, cli.command(*ask))


def jobs(out: Path) -> int:
    """Runs that have begun in a folder."""
    with closing(sqlite3.connect(out / ".counterdub" / "state.db")) as database:
        return database.execute("SELECT count(*) FROM job").fetchone()[0]


def kill(out: Path, video: Path, log: Path, stages: Sequence[str]) -> dict[str, int | None]:
    """Run :mod:`tests.integration.films.killed`: stage → signal that ended its run."""
    killer = subprocess.run(
        [sys.executable, "-m", "tests.integration.films.killed", out, video, log, *stages],
        cwd=ROOT,
        env=cli.environment(),
        stdout=subprocess.PIPE,
        text=True,
        timeout=600,
        check=True,
    )
    return {row["stage"]: row["signal"] for row in map(json.loads, killer.stdout.splitlines())}


def wait_for(there: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


@pytest.fixture
def finished(battered: Battered, tmp_path: Path) -> Path:
    """A private copy of the finished folder of the dialogue."""
    assert battered.final.code == 0, battered.final.stdout
    return Path(shutil.copytree(battered.out, tmp_path / "out"))

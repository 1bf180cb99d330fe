"""Running the command line as a user would, and reading what it left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

LANGUAGES = ("es", "fr", "ja")


def folder(temporary: pytest.TempPathFactory, name: str) -> Path:
    """Where a benchmark works: below ``COUNTERDUB_BENCH``, kept and gone on from, or a temporary folder."""
    kept = os.environ.get("COUNTERDUB_BENCH")
    if not kept:
        return temporary.mktemp(name)
    path = Path(kept) / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def counterdub(*arguments: str | Path) -> dict[str, Any]:
    """``counterdub … --json``: what it printed. Fails with its messages when it fails."""
    command = [str(Path(sys.executable).with_name("counterdub")), *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


def dub(videos: Sequence[Path], out: Path, *options: str, languages: Sequence[str] = LANGUAGES) -> dict[str, Any]:
    """Dub with one task at a time: the summary of the run."""
    wanted = [word for language in languages for word in ("--lang", language)]
    return counterdub("dub", *videos, *wanted, "--out", out, "--jobs", "1", *options)


def write_result(temporary: pytest.TempPathFactory, name: str, result: Any) -> Path:
    """Keep a benchmark's figures as JSON."""
    path = folder(temporary, "results") / f"{name}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path

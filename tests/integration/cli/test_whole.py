"""From one command to tracks: ``counterdub serve`` with real engines, ``counterdub submit`` and curl's requests."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx2
import pyarrow.parquet as pq
import pytest
import soundfile

from tests.conftest import CheckedWeights
from tests.integration.cli.test_serve import COUNTERDUB, Served, until
from tests.sample.cut import cut

pytestmark = pytest.mark.slow


def submit(served: Served, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COUNTERDUB, "submit", *(str(argument) for argument in arguments), "--url", served.url, "--json"],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )


def test_a_video_becomes_tracks_pairs_and_report(tmp_path: Path, weights: CheckedWeights) -> None:
    for name in ("spleeter-2stems", "whisper-base-ct2", "kokoro-82m-int8", "qwen2.5-coder-1.5b-instruct-q4"):
        weights.path(name)
    film = cut(12, tmp_path / "sample.mp4")
    served = Served(tmp_path / "data")
    try:
        first = submit(served, film, "--lang", "es")
        assert first.returncode == 0, first.stdout + first.stderr
        job = json.loads(first.stdout)["id"]
        until(lambda: [event for event in events(served, job) if event["kind"] == "task_done"], 300)
    finally:
        assert served.stop() == 0
    served = Served(tmp_path / "data")
    try:
        out = tmp_path / "out"
        rest = submit(served, "--job", job, "--wait", "--out", out)
        assert rest.returncode == 0, rest.stdout + rest.stderr + served.told()
        told = json.loads(rest.stdout)
        assert told["state"] == "done"
        assert told["failures"] == []
        assert [event["seq"] for event in events(served, job)] == list(range(1, told["events"] + 1))
        done = [event["data"]["task"] for event in events(served, job) if event["kind"] == "task_done"]
        assert len(done) == len(set(done)) == told["progress"]["tasks"], "something was done twice"
        lengths = {path.name: soundfile.info(path).frames for path in (out / "sample" / "tracks").iterdir()}
        assert set(lengths) == {"orig.flac", "control.flac", "es.flac"}
        assert len(set(lengths.values())) == 1
        assert pq.read_table(out / "pairs.parquet").num_rows == told["summary"]["accepted"] > 0
        assert b"<html" in (out / "report.html").read_bytes()[:1000]
        again(served, film)
        followed(served, job)
    finally:
        assert served.stop() == 0


def events(served: Served, job: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = httpx2.get(f"{served.url}/v1/jobs/{job}/events?format=json&limit=500").json()["items"]
    return items


def again(served: Served, film: Path) -> None:
    """The same once more takes no engine."""
    began = time.monotonic()
    second = submit(served, film, "--lang", "es", "--wait")
    assert second.returncode == 0, second.stdout
    assert time.monotonic() - began < 60
    job = json.loads(second.stdout)["id"]
    done = [event["data"] for event in events(served, job) if event["kind"] == "task_done"]
    redone = [task["task"] for task in done if not task.get("cached")]
    assert not [task for task in redone if task.split("/")[0] not in ("deliver", "dataset")]


def followed(served: Served, job: str) -> None:
    """What the README does with curl."""
    stream = subprocess.run(
        ["curl", "-sN", f"{served.url}/v1/jobs/{job}/events"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "event: job_done" in stream.stdout
    report = subprocess.run(
        ["curl", "-s", f"{served.url}/v1/jobs/{job}/report"], capture_output=True, timeout=60, check=True
    )
    assert b"<html" in report.stdout[:1000]

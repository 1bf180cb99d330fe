"""What the queue costs: stage runs a second, a very long film, and time beside the in-process executor.

Stages are null stages (:mod:`tests.integration.queue.nulls`): everything else is real. The figures stand beside the
machine's load, since two worker processes on two cores share them with whatever else runs.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.ledger.tables import StageRun
from tests.benchmarks.running import write_result
from tests.integration.queue.conftest import (  # noqa: F401
    KINDS,
    database_url,
    null_stages,
    nursery,
    postgres_server,
    valkey_server,
)
from tests.integration.queue.nursery import Nursery
from tests.integration.queue.rig import Rig
from tests.integration.queue.undisturbed import undisturbed

pytestmark = [pytest.mark.bench, pytest.mark.usefixtures("null_stages")]
WORKERS = 2
LANGUAGES = ("es", "fr", "ja")
MIN_RUNS_PER_SECOND = 100.0
CHUNKS = 20
SHOTS = 10_000
MAX_GROWTH = 1.3


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with postgres_server(durable=True) as server:
        yield server.get_uri()


@pytest.fixture(params=KINDS)
def rig(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    nursery: Nursery,  # noqa: F811
) -> Iterator[Rig]:
    url = database_url(request.param, tmp_path, lambda: request.getfixturevalue("postgres"))
    with valkey_server(tmp_path / "valkey") as broker:
        found = Rig(tmp_path, url, f"redis://127.0.0.1:{broker.port}/0", nursery)
        found.environment |= {"COUNTERDUB_HEARTBEAT_S": "10"}
        found.environment.pop("COUNTERDUB_TEST_CALLS")
        found.worker(concurrency=WORKERS)
        found.until(lambda: len(found.alive()) == WORKERS)
        yield found
        found.close()


def processes(rig: Rig) -> dict[int, dict[str, float]]:
    """Worker process → seconds of processor time and resident bytes."""
    found = {}
    for worker in rig.alive():
        fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
        pages = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[1])
        ticks = int(fields[11]) + int(fields[12])
        found[worker.pid] = {"cpu": ticks / os.sysconf("SC_CLK_TCK"), "rss": pages * os.sysconf("SC_PAGE_SIZE")}
    return found


def cpu(found: dict[int, dict[str, float]]) -> float:
    return sum(process["cpu"] for process in found.values())


def test_stage_runs_a_second_and_what_the_queue_costs(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> None:
    rig.wait(rig.submit("warm", languages=LANGUAGES))
    before, began = cpu(processes(rig)), time.perf_counter()
    job = rig.submit("film", languages=LANGUAGES, chunks=100)
    ended = rig.wait(job, seconds=600)
    seconds, spent = time.perf_counter() - began, cpu(processes(rig)) - before
    assert ended.state == "done"
    # A title of usual length for both: the in-process executor plans anew after every task.
    began = time.perf_counter()
    job = rig.submit("short", languages=LANGUAGES, chunks=CHUNKS)
    rig.wait(job)
    queued = time.perf_counter() - began
    began = time.perf_counter()
    files = undisturbed(tmp_path_factory.mktemp("inside"), "short", languages=LANGUAGES, chunks=CHUNKS)
    inside = time.perf_counter() - began
    assert files == rig.artifacts(job)
    result: dict[str, Any] = {
        "database": rig.database.engine.dialect.name,
        "runs": ended.runs,
        "runs_per_second": ended.runs / seconds,
        "cpu_ms_per_run": 1000 * spent / ended.runs,
        "overhead_over_in_process": queued / inside,
        "load": os.getloadavg()[0],
    }
    path = write_result(tmp_path_factory, f"queue_{result['database']}", result)
    print(
        f"\n{result['database']}: {ended.runs} stage runs, {result['runs_per_second']:.0f} a second, "
        f"{result['cpu_ms_per_run']:.1f} ms of processor time each ({WORKERS} processes), "
        f"{result['overhead_over_in_process']:.1f} × in-process, load {result['load']:.1f}, must be ≥ "
        f"{MIN_RUNS_PER_SECOND:.0f} a second\n{path}"
    )
    assert result["runs_per_second"] >= MIN_RUNS_PER_SECOND


def test_ten_thousand_shots_in_three_languages_with_flat_memory(
    rig: Rig, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Eleven hours in chunks of five minutes, 4 s a shot."""
    chunks = SHOTS * 4 // 300
    samples: list[float] = []
    began = time.perf_counter()
    job = rig.submit("epic", languages=LANGUAGES, chunks=chunks, shots=SHOTS)
    while rig.job(job).finished is None and time.perf_counter() - began < 3600:
        samples.append(max(process["rss"] for process in processes(rig).values()))
        time.sleep(0.25)
    seconds = time.perf_counter() - began
    ended = rig.job(job)
    assert ended.state == "done"
    quarter = len(samples) // 4
    growth = (sum(samples[-quarter:]) / quarter) / (sum(samples[:quarter]) / quarter)
    with rig.database.read() as session:
        shots = session.query(StageRun).filter_by(job_id=job, task="pictures").one()
        assert len(shots.outputs or {}) == SHOTS
    result: dict[str, Any] = {
        "database": rig.database.engine.dialect.name,
        "chunks": chunks,
        "runs": ended.runs,
        "events": ended.events,
        "seconds": seconds,
        "peak_bytes": max(samples),
        "growth": growth,
        "load": os.getloadavg()[0],
    }
    path = write_result(tmp_path_factory, f"epic_{result['database']}", result)
    print(
        f"\n{result['database']}: {SHOTS} shots × {len(LANGUAGES)} languages in {chunks} chunks = {ended.runs} stage "
        f"runs in {seconds:.0f} s; worker at most {max(samples) / 2**20:.0f} MB, last/first quarter {growth:.2f}, "
        f"must be ≤ {MAX_GROWTH}, load {result['load']:.1f}\n{path}"
    )
    print(json.dumps([round(sample / 2**20) for sample in samples[:: max(1, len(samples) // 20)]]))
    assert growth <= MAX_GROWTH

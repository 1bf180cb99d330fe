"""Requests one after the other, each with what earlier ones gave, while a real worker does what they ask for."""

from __future__ import annotations

import gc
import os
from typing import Any

import psutil
import pytest
import schemathesis
from sqlalchemy import select

from services.api.app import create_app
from shared.ledger.tables import Worker
from tests.integration.api.sequences import call_in_sequences
from tests.integration.queue.rig import Rig

EXAMPLES, STEPS, ROUNDS = 8, 15, 3
GROWTH = 20 * 2**20
"""Bytes that a round of a hundred requests may leave behind, in the API's process or a worker's, once all is warm."""

pytestmark = pytest.mark.usefixtures("null_stages")


@pytest.mark.slow
def test_no_sequence_costs_a_worker_or_memory(rig: Rig) -> None:
    rig.worker()
    job = rig.submit("clip")
    assert rig.wait(job).state == "done"
    known = {"job_id": job, "title": "clip", "track": "es", "language": "es", "utterance": "u0001"}
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", create_app(rig.settings, keys_required=False))

    @schema.hook
    def map_path_parameters(context: Any, path_parameters: Any) -> Any:
        if path_parameters and len(str(path_parameters)) % 3:
            return {**path_parameters, **{name: known[name] for name in path_parameters.keys() & known.keys()}}
        return path_parameters

    asked: list[int] = []

    def ask() -> None:
        asked.extend(call_in_sequences(schema, EXAMPLES, STEPS))
        gc.collect()

    def memory() -> dict[int, int]:
        return {pid: psutil.Process(pid).memory_info().rss for pid in (os.getpid(), *(one.pid for one in rig.alive()))}

    ask()
    before, first = memory(), len(asked)
    for _ in range(ROUNDS):
        ask()
    after = memory()
    # A round ends early where the service answered otherwise than before, so none has a number of its own.
    assert first >= STEPS and len(asked) >= first + STEPS and min(asked) < 300, (
        "something was asked, and something was answered"
    )
    grown = {pid: after[pid] - before[pid] for pid in before}
    print(f"{len(asked)} requests; grown by {[round(size / 2**20, 1) for size in grown.values()]} MiB")
    assert max(grown.values()) < GROWTH, grown
    assert after.keys() == before.keys(), "the same processes as before"
    with rig.database.read() as session:
        assert set(session.scalars(select(Worker.state))) == {"alive"}
    assert rig.wait(rig.submit("after")).state == "done", "what comes next is done"

"""Do faults to installations and say what became of their jobs; ``python -m tests.integration.faults.matrix`` prints.

With arguments only faults whose names hold one of them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from shared.ledger.tables import Title
from tests.integration.faults.injecting import FAULTS, WORKERS, Fault
from tests.integration.queue.conftest import database_url, postgres_server, valkey_server
from tests.integration.queue.nursery import Nursery
from tests.integration.queue.rig import Rig
from tests.integration.queue.undisturbed import undisturbed


@dataclass(frozen=True)
class Outcome:
    """What a fault did."""

    fault: str
    server: str
    lost: int
    """Jobs that did not come to a good end."""
    codes: tuple[str, ...]
    """Of the tasks that failed in them."""
    twice: int
    """Tasks whose result was computed more than once."""
    differing: int
    """Files of the job that are not those of an undisturbed run."""
    seconds: float
    """From the fault to the job's end."""

    remade: int = 0
    """Of those, the ones that are made of something else the second time."""

    @property
    def harmless(self) -> bool:
        return (self.lost, self.twice, self.differing) == (0, self.remade, 0)


@contextmanager
def installation(folder: Path, server: str, nursery: Nursery) -> Iterator[tuple[Rig, Any]]:
    """A broker, a database of its own and a store; PostgreSQL's server, where it is one."""
    with ExitStack() as stack:
        broker = stack.enter_context(valkey_server(folder / "valkey"))
        postgres = stack.enter_context(postgres_server()) if server == "postgresql" else None
        url = database_url(server, folder, lambda: str(postgres and postgres.get_uri()))
        rig = Rig(folder / "rig", url, f"redis://127.0.0.1:{broker.port}/0", nursery)
        stack.callback(rig.close)
        yield rig, postgres


def outcome(fault: Fault, server: str, folder: Path, nursery: Nursery) -> Outcome:
    """Do one fault to an installation of its own."""
    with installation(folder, server, nursery) as (rig, postgres):
        if fault.task:
            rig.trap(fault.task, "hang")
        job = rig.submit("film")
        environment: dict[str, Any] = {**fault.before(rig, job)}
        for _ in range(WORKERS):
            rig.worker(**environment)
        if fault.task:
            rig.running(job, fault.task)
        began = time.monotonic()
        fault.inject(rig, job, postgres)
        for trap in rig.traps.glob("*.hang"):
            trap.unlink()
        lost, twice, differing, codes = 0, 0, 0, set()
        for name, one in films(rig).items():
            ended = rig.wait(one, 180)
            seconds = time.monotonic() - began
            files, wanted = rig.artifacts(one), undisturbed(folder, name)
            differing += sum(files.get(path) != wanted.get(path) for path in files.keys() | wanted.keys())
            twice += sum(run.computed > 1 for run in rig.runs(one))
            codes |= {run.error["code"] for run in rig.runs(one) if run.state == "failed" and run.error}
            lost += bool(ended.state != "done" or files.keys() != wanted.keys())
            rig.kinds(one)  # Without a gap.
        return Outcome(fault.name, server, lost, tuple(sorted(codes)), twice, differing, seconds, fault.remade)


def films(rig: Rig) -> dict[str, str]:
    """Title → job of all that must come to a good end: ``film``, and what a fault added of like name."""
    with rig.database.read() as session:
        rows = session.execute(select(Title.name, Title.job_id).where(Title.name.startswith("film")).order_by(Title.id))
        return dict(rows.all())


def row(found: Outcome) -> str:
    lost = f"{found.lost} ({', '.join(f'`{code}`' for code in found.codes)})" if found.codes else found.lost
    return f"| {found.fault} | {found.server} | {lost} | {found.twice} | {found.differing} | {found.seconds:.1f} |"


HEAD = (
    "| fault | database | jobs lost | computed twice | files differing | seconds to the job's end |\n"
    "|---|---|---|---|---|---|"
)


def main() -> int:
    from tests.integration.queue import nulls

    nulls.install()
    wanted = sys.argv[1:]
    nursery = Nursery()
    print(HEAD, flush=True)
    bad = 0
    try:
        for fault in FAULTS:
            if wanted and not any(part in fault.name for part in wanted):
                continue
            for server in fault.servers:
                with tempfile.TemporaryDirectory() as folder:
                    found = outcome(fault, server, Path(folder), nursery)
                print(row(found), flush=True)
                bad += not found.harmless
    finally:
        nursery.close()
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())

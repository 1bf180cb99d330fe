"""The short form of the matrix of faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.faults.injecting import FAULTS, SHORT, Fault
from tests.integration.faults.matrix import outcome
from tests.integration.queue.conftest import null_stages, nursery  # noqa: F401 - fixtures
from tests.integration.queue.nursery import Nursery

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("null_stages")]

CASES = [(fault, server) for fault in FAULTS if fault.name in SHORT for server in fault.servers]


@pytest.mark.parametrize(("fault", "server"), CASES, ids=[f"{fault.name}-{server}" for fault, server in CASES])
def test_no_fault_does_harm(
    fault: Fault,
    server: str,
    tmp_path: Path,
    nursery: Nursery,  # noqa: F811
) -> None:
    found = outcome(fault, server, tmp_path, nursery)
    assert found.harmless, found

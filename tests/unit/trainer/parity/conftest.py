"""The parity folder, or a skip that says why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="session")
def parity_dir() -> Path:
    """Cases outside the repository (``COUNTERDUB_PARITY`` or ``../shared/parity``)."""
    path = Path(os.environ.get("COUNTERDUB_PARITY", ROOT.parent / "shared" / "parity"))
    if not path.is_dir():
        pytest.skip("no parity cases: set COUNTERDUB_PARITY to a folder that holds them")
    return path

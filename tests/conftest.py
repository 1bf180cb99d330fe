"""Fixtures shared by all tests: real material and real weights, or a skip that says why."""

from __future__ import annotations

import logging
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from shared.core.errors import CounterdubError
from shared.weights import WeightFolder

ROOT = Path(__file__).resolve().parent.parent

# What is slow here is the machine with its other tests, not the example.
settings.register_profile("counterdub", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("counterdub")


@pytest.hookimpl(tryfirst=True)  # Before the one that sends groups to processes.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A folder's tests share what its fixtures make: they stay in one process of several, the longest begun first."""
    slow = Counter(item.path.parent for item in items if item.get_closest_marker("slow"))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(item.path.parent.relative_to(ROOT).as_posix()))
    items.sort(key=lambda item: -slow[item.path.parent])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to go on where groups are not kept: what a folder's tests share would be made in every process."""
    grouped = getattr(session.config.option, "loadgroup", False)
    if grouped and session.items and not any("@" in item.nodeid for item in session.items):
        raise pytest.UsageError("pytest-xdist does not keep groups together with this pytest.")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked ``gpu`` say that there is no card instead of failing; a log of an earlier test is not written to."""
    root = logging.getLogger()
    closed = [each for each in root.handlers if isinstance(each, logging.StreamHandler) and each.stream.closed]
    for handler in closed:
        root.removeHandler(handler)
    if item.get_closest_marker("gpu") and not pytest.importorskip("torch").cuda.is_available():
        pytest.skip("no graphics card that torch can use")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real clips outside the repository (``COUNTERDUB_CLIPS`` or ``../shared/data``)."""
    path = Path(os.environ.get("COUNTERDUB_CLIPS", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip("no real clips: set COUNTERDUB_CLIPS to a folder that holds them")
    return path


@pytest.fixture(scope="session")
def sample() -> Path:
    """The bundled sample video."""
    return ROOT / "tests" / "sample" / "sample.mp4"


class CheckedWeights:
    """Weights of the local cache; a test that needs one that was not pulled is skipped."""

    def __init__(self) -> None:
        self._folder = WeightFolder()

    def path(self, name: str) -> Path:
        try:
            return self._folder.path(name)
        except CounterdubError as error:
            if error.code != "weights_missing":
                raise
            pytest.skip(f"the weights “{name}” are not here: run counterdub models pull")

    def digest(self, name: str) -> str:
        return self._folder.digest(name)


@pytest.fixture(scope="session")
def weights() -> CheckedWeights:
    """A :class:`shared.engines.protocols.WeightFiles` over the local cache."""
    return CheckedWeights()

"""A browser, and servers for it to look at. Without Node.js, Chromium or the page's packages the tests are skipped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.browser.site import long_title, short_title
from tests.conftest import ROOT
from tests.integration.api.harness import Api, make_api, serving

HERE = Path(__file__).parent
SCREENS = ROOT / "out" / "screens"
"""Kept for whoever looks at a run afterwards."""

Drive = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def drive() -> Drive:
    """Run one of ``tests/browser/drive`` in a real browser; gives what it found."""
    chromium = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
    if chromium is None or shutil.which("node") is None:
        pytest.skip("no Chromium or no Node.js here")
    if not (ROOT / "services" / "web" / "node_modules" / "playwright-core").is_dir():
        pytest.skip("the page's packages are not here: run make page")

    def run(script: str, patience_s: float = 120, **asked: Any) -> dict[str, Any]:
        asked |= {"chromium": chromium, "screens": str(SCREENS)}
        done = subprocess.run(
            ["node", str(HERE / "drive" / f"{script}.mjs")],
            env={**os.environ, "DRIVE_ASKED": json.dumps(asked)},
            capture_output=True,
            text=True,
            timeout=patience_s,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        found: dict[str, Any] = json.loads(done.stdout)
        assert found["complaints"] == []
        return found

    return run


@dataclass
class Site:
    """A running server and what is on it."""

    api: Api
    url: str
    job: str
    long: str


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Iterator[Site]:
    api = make_api(tmp_path_factory.mktemp("api"))
    job = short_title(api, tmp_path_factory.mktemp("short"), sample)
    long = long_title(api, tmp_path_factory.mktemp("long"), sample)
    with serving(api) as url:
        yield Site(api, url, job, long)
    api.database.close()

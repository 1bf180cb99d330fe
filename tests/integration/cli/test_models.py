"""``counterdub models`` against a hub on this machine, as a process of its own: the hub's real library talks to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.weights.hub_models import hub_model, hub_names
from tests.unit.shared.weights.stand_in_hub import StandInHub, serve_hub

Command = Callable[..., subprocess.CompletedProcess[str]]
WEIGHTS = b"weights " * 100


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[StandInHub]:
    with serve_hub(tmp_path / "hub") as served:
        yield served


@pytest.fixture
def counterdub(tmp_path: Path, hub: StandInHub) -> Command:
    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "COUNTERDUB_MODELS": str(tmp_path / "models"), "HF_ENDPOINT": hub.url, **more}
        environment.pop("HF_HUB_OFFLINE", None) if "HF_HUB_OFFLINE" not in more else None
        command = [sys.executable, "-m", "services.cli", *arguments]
        return subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    return run


def publish(hub: StandInHub, repo: str) -> None:
    """A repository as small as can be, under the commit that is pinned."""
    names = {"model.safetensors", "config.json"} if "config.json" in hub_model(repo).files else {"config.json"}
    files = {name.replace("*", "checkpoint.pth") if "/" in name else name: WEIGHTS for name in hub_model(repo).files}
    wanted = {name: data for name, data in files.items() if "*" not in name} or dict.fromkeys(names, WEIGHTS)
    hub.commit(repo, wanted, hub_model(repo).revision or "")


def rows(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in json.loads(done.stdout)["models"]}


def test_models_by_name_are_pinned_or_trusted_and_the_list_says_so(hub: StandInHub, counterdub: Command) -> None:
    wanted = ["coqui/XTTS-v2", "facebook/m2m100_1.2B"]
    for repo in wanted:
        publish(hub, repo)
    done = counterdub("models", "pull", *wanted, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"pulled": wanted}
    today = datetime.now(UTC).date().isoformat()
    listed = rows(counterdub("models", "list", "--json"))
    assert (listed["coqui/XTTS-v2"]["state"], listed["coqui/XTTS-v2"]["here"]) == ("pinned", True)
    assert (listed["facebook/m2m100_1.2B"]["state"], listed["facebook/m2m100_1.2B"]["since"]) == ("trusted", today)
    assert listed["facebook/nllb-200-3.3B"]["state"] == "missing"
    shown = counterdub("models", "list", COLUMNS="200").stdout
    assert f"trusted since {today}" in shown and "pinned" in shown and "not here" in shown
    checked = counterdub("models", "verify", "--json", HF_HUB_OFFLINE="1")
    assert json.loads(checked.stdout)["verified"] == dict.fromkeys(wanted, "ok")


@pytest.mark.parametrize("profile", ["gpu", "best", "commercial", "paper"])
def test_a_profile_has_models_of_the_hub(profile: str) -> None:
    assert hub_names(profile)


def test_an_unknown_profile_is_refused(counterdub: Command) -> None:
    done = counterdub("models", "pull", "--profile", "gpux", "--json")
    assert json.loads(done.stdout)["error"]["code"] == "unknown_profile"

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

from services.cli.terminal.model_consent import listing
from shared.pipeline.folder_commands import used_engines
from shared.settings.models import load_settings
from shared.weights import names
from shared.weights.hub_models import hub_model, hub_names
from shared.weights.known_models import profile_models
from shared.weights.needed_models import missing_models
from tests.conftest import ROOT, CheckedWeights
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
    files = {pattern.replace("*", "part"): WEIGHTS for pattern in hub_model(repo).files}
    hub.commit(repo, {**files, "README.md": b"words"}, hub_model(repo).revision or "")


SMALL = "Systran/faster-whisper-small"


@pytest.fixture
def default_models(tmp_path: Path, weights: CheckedWeights) -> None:
    """What the default profile needs of the registry, as it is on this machine."""
    (tmp_path / "models").mkdir()
    for name in names("cpu"):
        (tmp_path / "models" / name).symlink_to(weights.path(name))


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """No film: what comes before the work is what is looked at."""
    path = tmp_path / "film.mp4"
    path.write_bytes(b"nothing")
    return path


@pytest.fixture
def dub(tmp_path: Path, film: Path, default_models: None, counterdub: Command) -> Command:
    def run(*more: str) -> subprocess.CompletedProcess[str]:
        wanted = ["--lang", "es", "--out", str(tmp_path / "out"), "--set", "transcription.model=small"]
        return counterdub("dub", str(film), *wanted, *more)

    return run


def test_a_script_is_refused_with_what_is_missing_and_the_command(hub: StandInHub, dub: Command) -> None:
    hub.commit(SMALL, {"model.bin": b"w" * 3_200_000, "config.json": b"{}"})
    done = dub("--json")
    assert done.returncode == 3, done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "weights_missing"
    assert f"{SMALL}        3.2 MB  MIT" in error["message"]
    assert f"Say --yes to fetch them, or run `counterdub models pull {SMALL}`." in error["message"]
    assert not [path for path in hub.asked if "/resolve/" in path]


def test_with_yes_they_are_fetched_before_the_work(hub: StandInHub, tmp_path: Path, dub: Command) -> None:
    hub.commit(SMALL, {"model.bin": WEIGHTS, "config.json": b"{}"})
    done = dub("--yes")
    assert f"{SMALL}        0.0 MB  MIT" in done.stderr
    assert (tmp_path / "models/hub" / SMALL / "model.bin").read_bytes() == WEIGHTS
    assert "failed  film" in done.stdout  # the work itself, on what is no film
    hub.asked.clear()
    assert "not on this machine" not in dub("--yes").stderr
    assert not hub.asked


def test_without_the_hub_the_size_is_unknown_and_the_pull_says_why(hub: StandInHub, dub: Command) -> None:
    done = dub("--yes")
    assert "size unknown" in done.stderr and "could not be fetched from the model hub" in done.stderr
    assert done.returncode == 3


def test_nothing_is_fetched_while_a_package_is_missing(hub: StandInHub, dub: Command) -> None:
    """One message says all."""
    hub.commit(SMALL, {"model.bin": WEIGHTS, "config.json": b"{}"})
    done = dub("--yes", "--set", "separation.engine=demucs")
    if "needs demucs" not in done.stderr:
        pytest.skip("demucs is installed here")
    assert "Whisper small" in done.stderr and f"{SMALL}  size unknown  MIT" in done.stderr
    assert not [path for path in hub.asked if "/resolve/" in path]


@pytest.mark.parametrize("answer", ["y", "n"])
def test_on_a_terminal_it_asks_once(
    hub: StandInHub, tmp_path: Path, film: Path, default_models: None, answer: str
) -> None:
    hub.commit(SMALL, {"model.bin": WEIGHTS, "config.json": b"{}"})
    command = [sys.executable, "-m", "services.cli", "dub", str(film), "--lang", "es", "--out", str(tmp_path / "out")]
    environment = {**os.environ, "COUNTERDUB_MODELS": str(tmp_path / "models"), "HF_ENDPOINT": hub.url}
    ours, theirs = os.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        done = subprocess.run(
            [*command, "--set", "transcription.model=small"],
            env=environment,
            stdin=theirs,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.stderr.count("Fetch them?") == 1, done.stderr
    assert (tmp_path / "models/hub" / SMALL / "model.bin").is_file() == (answer == "y")
    assert done.returncode == 3


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
def test_a_profile_is_fetched_whole_and_is_enough_from_then_on(
    hub: StandInHub, default_models: None, counterdub: Command, profile: str
) -> None:
    for repo in hub_names(profile):
        publish(hub, repo)
    done = counterdub("models", "pull", "--profile", profile, "--json")
    assert done.returncode == 0, done.stdout
    assert set(json.loads(done.stdout)["pulled"]) == {*names(profile), *hub_names(profile)} > set(hub_names(profile))
    hub.asked.clear()
    again = counterdub("models", "pull", "--profile", profile, HF_HUB_OFFLINE="1")
    assert again.returncode == 0 and not hub.asked


def test_with_languages_the_voices_of_these_are_fetched(
    hub: StandInHub, tmp_path: Path, default_models: None, counterdub: Command
) -> None:
    for code in ("spa", "fra", "deu"):
        publish(hub, f"facebook/mms-tts-{code}")
    done = counterdub("models", "pull", "-l", "es", "-l", "fr", "--set", "dubbing.engine=mms")
    assert done.returncode == 0, done.stderr
    voices = {path.name for path in (tmp_path / "models/hub/facebook").iterdir() if path.is_dir()}
    assert voices == {"mms-tts-spa", "mms-tts-fra"}


def test_an_unknown_profile_is_refused(counterdub: Command) -> None:
    done = counterdub("models", "pull", "--profile", "gpux", "--json")
    assert json.loads(done.stdout)["error"]["code"] == "unknown_profile"


@pytest.mark.parametrize(("profile", "whole"), [("gpu", True), ("best", True), ("commercial", True), ("paper", False)])
def test_nothing_else_is_missing_of_a_profile_for_cards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str, whole: bool
) -> None:
    """Of the paper's, Whisper's own file and WavLM for kNN-VC are on no hub."""
    monkeypatch.setenv("COUNTERDUB_MODELS", str(tmp_path))
    missing = missing_models(used_engines(load_settings(profile), ["es"]), ["es"])
    assert {model.name for model in missing.models} == set(profile_models(profile))
    assert missing.others != whole


def test_the_readme_shows_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, default_models: None
) -> None:
    """Sizes as without an answer of the hub."""
    monkeypatch.setenv("COUNTERDUB_MODELS", str(tmp_path / "models"))
    missing = missing_models(used_engines(load_settings("gpu"), ["es"]), ["es"])
    assert f"{listing(missing.models)}\nFetch them? [Y/n]:" in (ROOT / "README.md").read_text(encoding="utf-8")

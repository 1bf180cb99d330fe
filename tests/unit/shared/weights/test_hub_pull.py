"""Fetching from a hub by its real library: pinned commits, trust on first use, and what is refused afterwards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.core.errors import EngineError
from shared.weights.hub_models import hub_model
from shared.weights.hub_pull import pull_hub
from shared.weights.hub_trust import hub_folder, hub_state, pulled_folder, read_trust
from tests.unit.shared.weights.stand_in_hub import StandInHub, serve_hub

REPO = "someone/tiny"
WEIGHTS = b"weights " * 100
FILES = {"config.json": b'{"model_type": "tiny"}', "model.safetensors": WEIGHTS, "pytorch_model.bin": b"same " * 200}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    from huggingface_hub import constants

    monkeypatch.setenv("COUNTERDUB_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with serve_hub(tmp_path / "hub") as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


def test_the_first_fetch_is_recorded_and_enough_from_then_on(hub: StandInHub) -> None:
    sha = hub.commit(REPO, FILES)
    told: list[tuple[str, int, int]] = []
    folder = pull_hub(hub_model(REPO), lambda *args: told.append(args))
    assert folder == hub_folder(REPO) == pulled_folder(REPO)
    # Of the same weights in two formats one is fetched.
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors"}
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    trust = read_trust(REPO)
    assert trust is not None and trust.commit == sha and trust.asked == "main"
    assert trust.size == len(WEIGHTS) + len(FILES["config.json"]) == told[-1][1] == told[-1][2]
    assert hub_state(REPO)[0] == "trusted"
    hub.asked.clear()
    hub.commit(REPO, {**FILES, "model.safetensors": b"newer " * 100})
    pull_hub(hub_model(REPO))
    assert not hub.asked and (folder / "model.safetensors").read_bytes() == WEIGHTS


def test_files_that_went_come_again_from_the_same_commit(hub: StandInHub) -> None:
    sha = hub.commit(REPO, FILES)
    folder = pull_hub(hub_model(REPO))
    hub.commit(REPO, {**FILES, "model.safetensors": b"newer " * 100})
    shutil.rmtree(folder)
    assert pulled_folder(REPO) is None and hub_state(REPO)[0] == "missing"
    pull_hub(hub_model(REPO))
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    trust = read_trust(REPO)
    assert trust is not None and trust.commit == sha
    assert not [path for path in hub.asked if "/resolve/main/" in path]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_other_content_under_the_same_commit_is_refused(hub: StandInHub, name: str) -> None:
    """A small file has no hash of the hub's own: what was recorded is."""
    sha = hub.commit(REPO, FILES)
    folder = pull_hub(hub_model(REPO))
    hub.commit(REPO, {name: FILES[name].replace(b"i", b"j")}, sha)
    (folder / name).unlink()
    with pytest.raises(EngineError, match="other files of someone/tiny than were fetched first") as caught:
        pull_hub(hub_model(REPO))
    assert caught.value.code == "weights_damaged" and name in caught.value.message
    assert not (folder / name).exists()


def test_files_that_were_changed_here_are_not_used_and_are_mended(hub: StandInHub) -> None:
    hub.commit(REPO, FILES)
    folder = pull_hub(hub_model(REPO))
    (folder / "model.safetensors").write_bytes(WEIGHTS.upper() + b"!")
    assert hub_state(REPO)[0] == "damaged"
    with pytest.raises(EngineError, match=r"model\.safetensors.*models pull someone/tiny") as caught:
        pulled_folder(REPO)
    assert caught.value.code == "weights_damaged"
    pull_hub(hub_model(REPO))
    assert pulled_folder(REPO) == folder and (folder / "model.safetensors").read_bytes() == WEIGHTS


def test_a_pinned_commit_is_fetched_though_the_hub_has_newer(hub: StandInHub, monkeypatch: pytest.MonkeyPatch) -> None:
    sha = hub.commit(REPO, FILES)
    hub.commit(REPO, {**FILES, "model.safetensors": b"newer " * 100})
    pinned = replace(hub_model(REPO), revision=sha)
    folder = pull_hub(pinned)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    monkeypatch.setattr("shared.weights.hub_trust.hub_model", lambda repo: pinned)
    assert hub_state(REPO)[0] == "pinned"
    # Another commit is meant now: the old record does not stand for it.
    monkeypatch.setattr("shared.weights.hub_trust.hub_model", lambda repo: replace(pinned, revision="f" * 40))
    assert pulled_folder(REPO) is None


def test_a_revision_that_was_asked_for_is_another_than_the_one_here(hub: StandInHub) -> None:
    sha = hub.commit(REPO, FILES)
    pull_hub(hub_model(REPO))
    assert pulled_folder(REPO, "main") and pulled_folder(REPO, sha)
    assert pulled_folder(REPO, "v2") is None


def test_what_cannot_be_fetched_says_so(hub: StandInHub) -> None:
    with pytest.raises(EngineError, match="someone/tiny could not be fetched") as caught:
        pull_hub(hub_model(REPO))
    assert caught.value.code == "weights_unavailable" and caught.value.retryable
    hub.commit(REPO, {"README.md": b"nothing"})
    with pytest.raises(EngineError, match="none of the files"):
        pull_hub(hub_model(REPO))


def test_a_record_that_cannot_be_read_says_what_to_do(hub: StandInHub) -> None:
    hub.commit(REPO, FILES)
    record = hub_folder(REPO).with_name("tiny.json")
    pull_hub(hub_model(REPO))
    assert json.loads(record.read_text(encoding="utf-8"))["files"]["config.json"][0] == len(FILES["config.json"])
    record.write_text("{", encoding="utf-8")
    with pytest.raises(EngineError, match=r"hub/someone/tiny\.json") as caught:
        pulled_folder(REPO)
    assert caught.value.code == "weights_damaged"


def test_engines_find_what_was_pulled_without_the_network(hub: StandInHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    from services.dubbing.engines.resident import hub_folder as engine_folder
    from services.transcription.engines.faster_whisper import FasterWhisper, own_folder
    from shared.engines.protocols import EngineOptions
    from shared.weights import WeightFolder
    from shared.weights.local import absent, local_digests, located

    sha = hub.commit(REPO, FILES)
    whisper = "Systran/faster-whisper-small"
    hub.commit(whisper, {"model.bin": WEIGHTS, "config.json": b"{}"})
    options, small = EngineOptions(model=REPO), EngineOptions(model="small")
    assert absent(options) and FasterWhisper.absent(small, "es")
    assert FasterWhisper.repositories(small, "es") == (whisper,)
    for repo in (REPO, whisper):
        pull_hub(hub_model(repo))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.asked.clear()
    assert located(options, WeightFolder()) == engine_folder(REPO, options) == hub_folder(REPO)
    assert own_folder(small) == hub_folder(whisper)
    assert not absent(options) and not FasterWhisper.absent(small, "es")
    # The commit names the results, as it does for a copy in the library's own cache.
    assert local_digests(options) == {REPO: sha}
    assert not hub.asked

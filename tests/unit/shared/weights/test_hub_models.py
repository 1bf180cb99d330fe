"""The file of the hub's models, and what is chosen of a repository."""

from __future__ import annotations

import re

import pytest

from shared.weights.hub_models import hub_catalog, hub_model, hub_names


def test_every_model_has_a_licence_and_a_pin_is_a_whole_commit() -> None:
    for repo, model in hub_catalog().items():
        assert repo.count("/") == 1 and model.title and model.stage and model.engine and model.licence.name
        assert model.revision is None or re.fullmatch("[0-9a-f]{40}", model.revision)
        assert not (model.family and (model.revision or model.profiles))


def test_a_model_of_a_family_is_known_by_it() -> None:
    model = hub_model("facebook/mms-tts-spa")
    assert (model.repo, model.engine, model.family) == ("facebook/mms-tts-spa", "mms", False)
    assert hub_model("Helsinki-NLP/opus-mt-en-es").engine == "marian"
    assert hub_model("Systran/faster-whisper-large-v3").revision
    assert not hub_model("someone/unknown").licence.commercial_use


def test_no_model_of_the_commercial_profile_forbids_commercial_use() -> None:
    assert hub_names("commercial")
    assert all(hub_model(repo).licence.commercial_use for repo in hub_names("commercial"))


@pytest.mark.parametrize(
    ("repo", "names", "wanted"),
    [
        ("a/b", ["pytorch_model.bin", "config.json", "rust_model.ot"], ["config.json", "pytorch_model.bin"]),
        ("a/b", ["model.safetensors", "pytorch_model.bin", "onnx/config.json"], ["model.safetensors"]),
        ("myshell-ai/OpenVoiceV2", ["config.json", "converter/config.json"], ["converter/config.json"]),
        ("myshell-ai/OpenVoiceV2", ["converter/..", "converter/..\\x"], []),
    ],
)
def test_of_a_repository_what_the_engine_reads_is_wanted(repo: str, names: list[str], wanted: list[str]) -> None:
    assert hub_model(repo).wanted(names) == wanted

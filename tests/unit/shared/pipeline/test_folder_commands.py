"""Before a run begins it is known whether its engines can work here."""

from __future__ import annotations

import time

import pytest

from shared.core.errors import EngineError, UsageError
from shared.pipeline.folder_commands import check_engines, needed_models
from shared.settings.models import load_settings
from shared.weights.hub_models import hub_names
from shared.weights.known_models import profile_models
from tests.conftest import CheckedWeights


def test_all_that_is_missing_is_said_at_once_and_soon(weights: CheckedWeights) -> None:
    """This machine has neither Demucs' nor XTTS' nor M2M100's weights."""
    settings = load_settings("gpu")
    began = time.perf_counter()
    with pytest.raises(EngineError) as caught:
        check_engines(settings, ["es", "ja"])
    assert time.perf_counter() - began < 2.0
    said = caught.value.message
    for what in ("955717e8-8726e21a.th", "Whisper large-v3", "facebook/m2m100_1.2B", "coqui/XTTS-v2"):
        assert what in said
    pulled = said.partition("`counterdub models pull ")[2].partition("`")[0]
    assert set(pulled.split()) == set(hub_names("gpu"))
    assert {lack["code"] for lack in caught.value.details["lacking"]} >= {"weights_missing"}


def test_one_thing_is_said_as_it_is() -> None:
    with pytest.raises(UsageError) as caught:
        check_engines(load_settings(), ["nl"])
    assert caught.value.code == "unsupported_language"
    assert caught.value.message.startswith("The engine “kokoro” has no voice for “nl”")


def test_nothing_is_missing_for_the_default(weights: CheckedWeights) -> None:
    check_engines(load_settings(), ["es", "fr", "ja", "pt"])


@pytest.mark.parametrize("profile", ["cpu", "fastest", "gpu", "best", "commercial", "paper"])
def test_the_models_listed_for_a_profile_are_those_that_its_engines_read(profile: str) -> None:
    languages = ["en", "es", "fr", "pt"]
    assert set(needed_models(load_settings(profile), languages)) == set(profile_models(profile))


def test_voices_by_language_are_needed_for_the_languages_asked() -> None:
    settings = load_settings("cpu", None, ["dubbing.engine=mms"])
    spoken = {name for name in needed_models(settings, ["es", "fr"]) if name.startswith("facebook/")}
    assert spoken == {"facebook/mms-tts-spa", "facebook/mms-tts-fra"}

"""Models by name, of the registry and of a hub."""

from __future__ import annotations

import pytest

from shared.core.errors import UsageError
from shared.weights.known_models import known_model, profile_models


@pytest.mark.parametrize("name", ["nothing", "../x", "a/b/c", "/a", "a/", "facebook/mms-tts-{}", "a/.."])
def test_what_is_no_name_of_a_model_is_refused(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        known_model(name)
    assert caught.value.code == "unknown_model"


def test_names_of_both_kinds_are_known() -> None:
    assert known_model("silero-vad").title == "Silero VAD, ONNX"
    assert known_model("coqui/XTTS-v2").title == "XTTS v2"


def test_a_profile_for_cards_has_models_of_both_kinds() -> None:
    assert {"silero-vad", "coqui/XTTS-v2"} < set(profile_models("gpu"))

"""Which engines the stages of dubbing ask for."""

from __future__ import annotations

from services.dubbing.stage import STAGE
from services.transcription.stage import QUALITY
from shared.pipeline.stage import Scope
from shared.pipeline.task_work import slot_key
from shared.settings.models import load_settings

LINE = Scope(language="es", chunk=0)


def test_the_guard_listens_with_the_options_of_its_model() -> None:
    """With its own, the same weights were loaded once more, and leave to download did not hold for it."""
    settings = load_settings("best", overrides=["quality.extra={compute_type='int8'}"])
    guard = STAGE.engines(settings, LINE)["recognizer"]
    assert dict(guard.options.extra) == {"compute_type": "int8"}
    assert slot_key(guard) == slot_key(QUALITY.engines(settings, LINE)["recognizer"])
    other = load_settings(
        "best", overrides=["quality.extra={compute_type='int8'}", "dubbing.guard.recognizer_model=base"]
    )
    assert dict(STAGE.engines(other, LINE)["recognizer"].options.extra) == {}

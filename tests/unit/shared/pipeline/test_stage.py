"""The registered stages."""

from __future__ import annotations

import pytest

from shared.core.entry_points import group
from shared.engines.protocols import KINDS, registered
from shared.pipeline.stage import card_queues, queue_of, stage, stage_names
from shared.settings.models import Settings, load_settings


@pytest.mark.parametrize("name", stage_names())
def test_a_stage_is_queued_where_it_says(name: str) -> None:
    assert queue_of(name) == stage(name).queue


@pytest.mark.parametrize(
    ("settings", "queues"),
    [
        (load_settings("cpu"), set()),
        (load_settings("fastest"), set()),
        (load_settings("gpu"), {"separation", "transcription", "translation", "dubbing"}),
        (load_settings(overrides=["quality.device=cuda"]), {"transcription"}),
        (load_settings(overrides=["translation.engine=m2m100"]), {"translation"}),
        (load_settings(overrides=["translation.by_language.pt=marian"]), {"translation"}),
        (load_settings(overrides=["dubbing.converter=knn-vc"]), {"dubbing"}),
    ],
    ids=lambda value: value.profile if isinstance(value, Settings) else ",".join(sorted(value)),
)
def test_engines_on_torch_and_cards_are_asked_of_workers_that_have_them(settings: Settings, queues: set[str]) -> None:
    assert card_queues(settings) == queues


def test_the_list_of_engines_on_torch_names_real_ones() -> None:
    named = group("counterdub.torch")
    known = {name: point.value for kind in KINDS for name, point in registered(kind).items()}
    assert named.keys() <= known.keys()

"""The registered stages."""

from __future__ import annotations

import pytest

from shared.pipeline.stage import queue_of, stage, stage_names


@pytest.mark.parametrize("name", stage_names())
def test_a_stage_is_queued_where_it_says(name: str) -> None:
    assert queue_of(name) == stage(name).queue

"""Marks of what is synthetic."""

from __future__ import annotations

import pytest

from shared.schemas.digital_source import COMPOSITE, ENHANCED, SYNTHETIC, mark, speech_source, track_source


def test_the_original_bears_no_mark_and_a_dub_is_named() -> None:
    assert track_source("orig") is None
    assert mark(track_source("orig")) == {}
    comment = mark(track_source("es"), ("es",))["comment"]
    assert "AI-generated speech (Spanish)" in comment
    assert comment.endswith("/compositeWithTrainedAlgorithmicMedia")


@pytest.mark.parametrize(
    ("track", "whole", "alone"),
    [("es", COMPOSITE, SYNTHETIC), ("en", COMPOSITE, SYNTHETIC), ("control", ENHANCED, ENHANCED)],
)
def test_a_track_and_its_speech(track: str, whole: str, alone: str) -> None:
    assert (track_source(track), speech_source(track)) == (whole, alone)


def test_what_was_recorded_is_not_called_synthetic() -> None:
    comment = mark(track_source("control"))["comment"]
    assert "AI-generated" not in comment
    assert comment.endswith("/algorithmicallyEnhanced")

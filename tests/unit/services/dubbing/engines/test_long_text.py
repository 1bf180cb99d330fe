"""Long texts are split where a reader would pause, nothing is lost, and the parts are joined with a pause."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dubbing.engines.long_text import PAUSE_SECONDS, join, pieces
from shared.core.errors import EngineError


@given(st.text(alphabet="ab .,?! あ、。", min_size=1, max_size=200), st.integers(4, 40))
def test_long_texts_are_split_into_parts_that_fit_and_nothing_is_lost(text: str, limit: int) -> None:
    parts = pieces(text, lambda part: len(part) <= limit)
    assert all(len(part) <= limit for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_splits_fall_at_sentences_before_commas_before_words() -> None:
    text = "One two three. Four five, six seven eight. Nine."
    assert pieces(text, lambda part: len(part) <= 30) == ["One two three. Four five,", "six seven eight. Nine."]
    assert pieces("Short.", lambda part: len(part) <= 30) == ["Short."]


def test_parts_are_joined_with_a_pause_between_them() -> None:
    one, two = np.ones(100, np.float32), np.full(50, 0.5, np.float32)
    joined = join([one, two], 1000)
    assert joined.dtype == np.float32 and joined.size == 150 + round(PAUSE_SECONDS * 1000)
    assert not joined[100:-50].any()
    with pytest.raises(EngineError) as caught:
        join([], 1000)
    assert caught.value.code == "nothing_to_speak"

"""Null test and exact 24-bit files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.audio.files import FULL_SCALE, quantise, read_audio, write
from shared.core.errors import StorageError
from shared.quality.null import null_test


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.integers(-FULL_SCALE, FULL_SCALE - 1), min_size=1, max_size=50))
def test_every_24_bit_value_survives_a_file(tmp_path_factory: pytest.TempPathFactory, steps: list[int]) -> None:
    path = tmp_path_factory.mktemp("steps") / "a.flac"
    audio = np.array(steps, dtype=np.float32) / FULL_SCALE
    write(path, audio)
    assert np.array_equal(quantise(read_audio(path)[0]), steps)
    assert np.array_equal(read_audio(path)[0], audio)


def test_what_is_left_is_found_where_it_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    background, speech = (quantise(rng.uniform(-0.4, 0.4, (2, 30_000))) for _ in range(2))
    track = background + speech
    track[1, 20_000] += round(FULL_SCALE * 10 ** (-50 / 20))
    one, spoken, behind = (
        write(tmp_path / name, audio) for name, audio in (("t", track), ("s", speech), ("b", background))
    )
    found = null_test(one, spoken, behind, windows=[(10_000, 30_000), (0, 10_000), (20_001, 30_000)])
    assert found.peak_dbfs == pytest.approx(-50, abs=0.01)
    assert found.window_peaks_dbfs == [pytest.approx(-50, abs=0.01), -200, -200]
    assert found.rms_dbfs < found.peak_dbfs


def test_files_of_other_lengths_are_refused(tmp_path: Path) -> None:
    long, short = (write(tmp_path / f"{count}.flac", np.zeros((1, count), np.float32)) for count in (1000, 999))
    with pytest.raises(StorageError) as error:
        null_test(long, long, short)
    assert error.value.code == "length_mismatch"

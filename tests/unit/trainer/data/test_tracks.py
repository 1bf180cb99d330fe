"""Which track is heard, by policy."""

from __future__ import annotations

import numpy as np
import pytest

from shared.core.errors import CounterdubError
from trainer.data.tracks import policy_of, secondary
from trainer.recipe import DataSettings

TRACKS = ("orig", "control", "background", "es", "fr", "ja")
ALL = 0b111111


def bits(*names: str) -> int:
    return sum(1 << TRACKS.index(name) for name in names)


def heard(settings: DataSettings, has: int, turns: int = 12, data: int = ALL) -> list[str]:
    policy = policy_of(settings, TRACKS, np.array([data], np.uint64))
    return [TRACKS[secondary(policy, has, turn, turn)[0]] for turn in range(turns)]


def test_policies() -> None:
    assert set(heard(DataSettings(secondary="same"), ALL)) == {"orig"}
    assert set(heard(DataSettings(secondary="same", primary="background"), ALL)) == {"background"}
    assert set(heard(DataSettings(secondary="fixed", languages=("fr", "es")), ALL)) == {"fr"}
    assert heard(DataSettings(secondary="uniform"), ALL, 6) == ["es", "fr", "ja"] * 2
    assert heard(DataSettings(secondary="round-robin", languages=("es", "fr", "ja")), ALL, 4) == [
        "es",
        "fr",
        "ja",
        "es",
    ]
    assert set(heard(DataSettings(secondary="fixed", languages=("control",)), ALL)) == {"control"}


def test_a_shot_without_the_language_takes_the_next() -> None:
    settings = DataSettings(secondary="round-robin", languages=("es", "fr", "ja"))
    assert heard(settings, bits("orig", "es", "ja"), 3) == ["es", "ja", "ja"]
    policy = policy_of(settings, TRACKS, np.array([ALL], np.uint64))
    assert secondary(policy, bits("orig", "es", "ja"), 1, 0) == (TRACKS.index("ja"), False)
    assert secondary(policy, bits("orig", "es", "ja"), 2, 0) == (TRACKS.index("ja"), True)
    assert secondary(policy, bits("orig", "control"), 0, 0) == (TRACKS.index("orig"), False)


@pytest.mark.parametrize(
    ("settings", "data", "code"),
    [
        (DataSettings(secondary="uniform"), bits("orig", "control", "background"), "one_language"),
        (DataSettings(secondary="fixed", languages=("ja",)), bits("orig", "es"), "no_such_track"),
        (DataSettings(secondary="same", primary="control"), bits("orig", "es"), "no_such_track"),
    ],
)
def test_data_that_cannot_do_it(settings: DataSettings, data: int, code: str) -> None:
    with pytest.raises(CounterdubError) as wrong:
        policy_of(settings, TRACKS, np.array([data], np.uint64))
    assert wrong.value.code == code

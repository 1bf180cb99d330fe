"""The bundled sample is what its truth says."""

from __future__ import annotations

import json
from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile as sf

HERE = Path(__file__).parent
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    return json.loads((HERE / "truth" / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def grey() -> np.ndarray:
    """All frames, float32 ``[frames, height, width]``, at a quarter of the size."""
    with av.open(str(HERE / "sample.mp4")) as file:
        frames = [frame.to_ndarray(format="gray8")[::4, ::4] for frame in file.decode(video=0)]
    return np.stack(frames).astype(np.float32)


@pytest.fixture(scope="module")
def sound(truth: dict[str, Any]) -> np.ndarray:
    """The sample's sound from time zero, ``[2, samples]``."""
    with av.open(str(HERE / "sample.mp4")) as file:
        frames = list(file.decode(audio=0))
    rate = truth["sample_rate"]
    assert all(frame.sample_rate == rate and frame.layout.nb_channels == 2 for frame in frames)
    audio = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
    return audio[:, max(0, round(-float(frames[0].pts * frames[0].time_base) * rate)) :]


@pytest.fixture(scope="module")
def stems(truth: dict[str, Any]) -> dict[str, np.ndarray]:
    """``[samples, channels]`` by name."""
    names = truth["stems"].items()
    return {name: sf.read(HERE / "truth" / file, dtype="float32", always_2d=True)[0] for name, file in names}


def test_size_and_length(truth: dict[str, Any]) -> None:
    assert (HERE / "sample.mp4").stat().st_size <= 3 * MEGABYTE
    assert sum(file.stat().st_size for file in (HERE / "truth").iterdir()) <= 2.5 * MEGABYTE
    assert 30 <= truth["duration"] <= 60


def test_has_what_it_is_for(truth: dict[str, Any]) -> None:
    lengths = [shot["end"] - shot["start"] for shot in truth["shots"]]
    assert min(lengths) < 3 and max(lengths) > 12
    assert [cut["kind"] for cut in truth["cuts"]].count("fade") == 1
    assert {line["speaker"] for line in truth["lines"]} == {"Anna", "Tom"}
    assert any(line["crosses_cut"] for line in truth["lines"])
    overlaps = [a["end"] - b["start"] for a, b in pairwise(truth["lines"]) if a["end"] > b["start"]]
    assert overlaps == [pytest.approx(0.5, abs=0.15)]
    silent = [shot for shot in truth["shots"] for gap in truth["without_speech"] if within(shot, gap)]
    assert any(5 <= shot["end"] - shot["start"] <= 12 for shot in silent)


def within(inner: dict[str, float], outer: dict[str, float]) -> bool:
    return outer["start"] <= inner["start"] and inner["end"] <= outer["end"]


def test_cuts_are_where_the_picture_changes(truth: dict[str, Any], grey: np.ndarray) -> None:
    assert len(grey) == truth["frames"]
    change = np.abs(np.diff(grey, axis=0)).mean(axis=(1, 2))  # change[i]: from frame i to i + 1
    for cut in truth["cuts"]:
        frame = cut["frame"]
        if cut["kind"] == "fade":
            assert grey[frame].mean() < 3
            assert min(grey[frame - cut["fade_frames"]].mean(), grey[frame + cut["fade_frames"]].mean()) > 20
        else:
            around = np.delete(change[frame - 10 : frame + 10], 9)
            assert change[frame - 1] > 4 * around.max()


def test_stems_add_up_to_the_sound(truth: dict[str, Any], sound: np.ndarray, stems: dict[str, np.ndarray]) -> None:
    samples = round(truth["duration"] * truth["sample_rate"])
    assert all(len(stem) == samples for stem in stems.values())
    mix = reduce(np.add, stems.values()).T  # Mono and stereo ones.
    assert mix.shape[0] == 2
    assert abs(sound.shape[1] - samples) <= 1024
    heard = sound[:, :samples]
    mix = mix[:, : heard.shape[1]]
    for channel in (0, 1):
        assert np.corrcoef(mix[channel], heard[channel])[0, 1] > 0.99


def test_each_speaker_is_heard_in_their_lines_only(truth: dict[str, Any], stems: dict[str, np.ndarray]) -> None:
    rate, tail = truth["sample_rate"], 0.4
    for speaker in truth["speakers"]:
        stem = stems[speaker["name"]][:, 0]
        spoken = np.zeros(len(stem), bool)
        for line in truth["lines"]:
            if line["speaker"] == speaker["name"]:
                first, last = round(line["start"] * rate), round(line["end"] * rate)
                assert np.sqrt(np.mean(stem[first:last] ** 2)) > 0.05
                spoken[first - 48 : last + round(tail * rate)] = True
        assert not stem[~spoken].any()


def test_speech_is_above_the_background(truth: dict[str, Any], stems: dict[str, np.ndarray]) -> None:
    rate = truth["sample_rate"]
    for line in truth["lines"]:
        part = slice(round(line["start"] * rate), round(line["end"] * rate))
        voice, rest = (np.sqrt(np.mean(stems[name][part] ** 2)) for name in (line["speaker"], "background"))
        assert 9 < 20 * np.log10(voice / rest) < 16

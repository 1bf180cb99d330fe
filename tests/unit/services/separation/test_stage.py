"""The two stages of separation: exact lengths, exact sums, gated stems, bounded memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.separation.blocks import edges, separate
from services.separation.stage import STAGE, STEMS, split
from shared.audio.files import FULL_SCALE, quantise, read_audio, write
from shared.core.errors import EngineError
from shared.core.records import SAMPLE_RATE, Span, Utterance, write_jsonl
from shared.pipeline.stage import Scope
from shared.settings.models import Settings

SETTINGS = Settings()


class Half:
    """Half of everything is speech; remembers the longest range it was given."""

    longest = 0

    def vocals(self, mix: np.ndarray) -> np.ndarray:
        self.longest = max(self.longest, mix.shape[1])
        return mix * np.float32(0.5)


class Hears:
    def __init__(self, *spans: tuple[float, float]) -> None:
        self.spans = [Span(start=start, end=end) for start, end in spans]

    def speech(self, audio: np.ndarray) -> list[Span]:
        return self.spans


class Folder:
    def __init__(self, path: Path) -> None:
        path.mkdir()
        self._path = path
        self.shares: list[float] = []

    def path(self, name: str) -> Path:
        return self._path / name

    def progress(self, share: float) -> None:
        self.shares.append(share)

    def count(self, name: str, amount: float = 1) -> None:
        raise AssertionError("separation counts nothing")

    def cached(self, key: Mapping[str, Any], suffix: str, make: Callable[[Path], None]) -> Path:
        raise AssertionError("separation keeps no parts")


def title(tmp_path: Path, audio: np.ndarray, cuts: list[int], speech: list[tuple[float, float]]) -> dict[str, Path]:
    """Files of a title with chunks ending at ``cuts`` and these utterances."""
    paths = {name: tmp_path / name for name in ("master.flac", "chunks.json", "speech.json", "utterances.jsonl")}
    write(paths["master.flac"], audio)
    chunks = [{"index": i, "start": low, "end": high} for i, (low, high) in enumerate(pairwise([0, *cuts]))]
    paths["chunks.json"].write_text(json.dumps(chunks), encoding="utf-8")
    paths["speech.json"].write_text("[]", encoding="utf-8")
    lines = [Utterance(id=f"u{i:04}", start=a, end=b, language="en", text="x") for i, (a, b) in enumerate(speech, 1)]
    write_jsonl(paths["utterances.jsonl"], lines)
    return paths


def stems(tmp_path: Path, inputs: Mapping[str, Path], chunk: int, separator: Any, detector: Any) -> Mapping[str, Path]:
    scope = Scope(chunk=chunk)
    raw = STAGE.run(scope, inputs, SETTINGS.separation, {"separator": separator}, Folder(tmp_path / f"raw{chunk}"))
    return STEMS.run(
        scope, {**inputs, **raw}, SETTINGS.separation, {"vad": detector}, Folder(tmp_path / f"stems{chunk}")
    )


def noise(channels: int, samples: int, level: float = 0.1) -> np.ndarray:
    return (level * np.random.default_rng(1).standard_normal((channels, samples))).clip(-1, 1).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2])
def test_stems_of_all_chunks_sum_to_the_mix_exactly(tmp_path: Path, channels: int) -> None:
    audio = noise(channels, 3 * SAMPLE_RATE + 17, level=0.6)
    inputs = title(tmp_path, audio, [SAMPLE_RATE + 5, audio.shape[1]], [(0.5, 0.8), (1.5, 2.5)])
    parts = [stems(tmp_path, inputs, chunk, Half(), Hears()) for chunk in (0, 1)]
    vocals, background = (
        np.concatenate([quantise(read_audio(part[name])) for part in parts], axis=1)
        for name in ("vocals.flac", "background.flac")
    )
    assert np.array_equal(vocals + background, quantise(read_audio(inputs["master.flac"])))


def test_outside_the_gate_the_background_is_the_mix_and_inside_it_is_not(tmp_path: Path) -> None:
    audio = noise(1, 6 * SAMPLE_RATE)
    audio[:, : 2 * SAMPLE_RATE] = 0
    audio[:, 4 * SAMPLE_RATE :] *= 0.001
    inputs = title(tmp_path, audio, [audio.shape[1]], [(2.5, 3.5)])
    out = stems(tmp_path, inputs, 0, Half(), Hears())
    vocals, background, mix = (
        read_audio(out["vocals.flac"])[0],
        read_audio(out["background.flac"])[0],
        read_audio(inputs["master.flac"])[0],
    )
    far = np.r_[0 : int(1.6 * SAMPLE_RATE), int(4.5 * SAMPLE_RATE) : len(mix)]
    assert not vocals[far].any()
    assert np.array_equal(background[far], mix[far])
    inside = slice(int(2.4 * SAMPLE_RATE), int(3.6 * SAMPLE_RATE))
    assert vocals[inside] == pytest.approx(mix[inside] / 2, abs=2**-22)
    (span,) = json.loads(out["speech.json"].read_text())
    assert span["start"] <= 2.35 and span["end"] >= 3.65


def test_what_only_the_vocals_reveal_opens_the_gate_too(tmp_path: Path) -> None:
    inputs = title(tmp_path, noise(1, 4 * SAMPLE_RATE, 1e-4), [4 * SAMPLE_RATE], [])
    out = stems(tmp_path, inputs, 0, Half(), Hears((1.0, 2.0), (3.0, 3.05)))
    (span,) = json.loads(out["speech.json"].read_text())
    assert span["start"] < 1.0 and 2.0 < span["end"] < 3.0


def test_nobody_speaks(tmp_path: Path) -> None:
    inputs = title(tmp_path, noise(2, SAMPLE_RATE), [SAMPLE_RATE], [])
    out = stems(tmp_path, inputs, 0, Half(), Hears())
    assert json.loads(out["speech.json"].read_text()) == []
    assert not read_audio(out["vocals.flac"]).any()
    assert np.array_equal(read_audio(out["background.flac"]), read_audio(inputs["master.flac"]))


@pytest.mark.parametrize(("reason", "opens"), [("hallucination", False), ("no_words", False), ("no_speech", True)])
def test_a_dropped_line_opens_the_gate_where_somebody_may_have_spoken(tmp_path: Path, reason: str, opens: bool) -> None:
    inputs = title(tmp_path, noise(1, 2 * SAMPLE_RATE), [2 * SAMPLE_RATE], [])
    line = Utterance(id="u0001", start=0.5, end=1.5, language="en", text="x", status="dropped", reason=reason)
    write_jsonl(inputs["utterances.jsonl"], [line])
    assert read_audio(stems(tmp_path, inputs, 0, Half(), Hears())["vocals.flac"]).any() == opens


def test_the_gate_has_no_step_where_chunks_meet(tmp_path: Path) -> None:
    audio = np.full((1, 4 * SAMPLE_RATE), 0.25, np.float32)
    inputs = title(tmp_path, audio, [2 * SAMPLE_RATE, 4 * SAMPLE_RATE], [(1.0, 1.9)])
    parts = [stems(tmp_path, inputs, chunk, Half(), Hears()) for chunk in (0, 1)]
    vocals = np.concatenate([read_audio(part["vocals.flac"])[0] for part in parts])
    assert np.abs(np.diff(vocals)).max() < 0.001


@pytest.mark.parametrize("samples", [1, 480, 2_400, 48_001])
def test_short_titles(tmp_path: Path, samples: int) -> None:
    inputs = title(tmp_path, noise(2, samples), [samples], [(0.0, 0.05)])
    out = stems(tmp_path, inputs, 0, Half(), Hears())
    assert read_audio(out["vocals.flac"]).shape == read_audio(out["background.flac"]).shape == (2, samples)


def test_a_long_range_is_separated_in_short_blocks_without_seams() -> None:
    total, largest, context = 1_000_003, 96_000, 4_800
    mix = noise(2, total)
    separator = Half()
    pieces = list(
        separate(separator.vocals, lambda a, b: mix[:, a:b], 1_000, total, total, context=context, largest=largest)
    )
    assert separator.longest <= largest + 2 * context
    assert np.abs(np.concatenate(pieces, axis=1) - mix[:, 1_000:] / 2).max() < 1e-6


def test_nothing_outside_the_title_is_read() -> None:
    asked: list[tuple[int, int]] = []

    def read_audio(first: int, last: int) -> np.ndarray:
        asked.append((first, last))
        return np.zeros((1, last - first), np.float32)

    list(separate(Half().vocals, read_audio, 0, 100, 100, context=48_000))
    assert asked == [(0, 100)]


@pytest.mark.parametrize("start, stop, largest, count", [(0, 10, 10, 1), (0, 11, 10, 2), (5, 5, 10, 1), (7, 37, 10, 3)])
def test_blocks_cover_the_range(start: int, stop: int, largest: int, count: int) -> None:
    ends = edges(start, stop, largest)
    assert (ends[0], ends[-1], len(ends) - 1) == (start, stop, count)
    assert max(np.diff(ends)) <= largest


def test_a_model_that_changes_the_length_is_found_out() -> None:
    class Shorter:
        def vocals(self, mix: np.ndarray) -> np.ndarray:
            return mix[:, 1:]

    with pytest.raises(EngineError) as error:
        list(separate(Shorter().vocals, lambda a, b: np.zeros((1, b - a), np.float32), 0, 100, 100, context=10))
    assert error.value.code == "bad_engine_output"


def test_progress_is_reported_and_ends_at_one(tmp_path: Path) -> None:
    inputs = title(tmp_path, noise(1, SAMPLE_RATE), [SAMPLE_RATE], [])
    work = Folder(tmp_path / "work")
    STAGE.run(Scope(chunk=0), inputs, SETTINGS.separation, {"separator": Half()}, work)
    assert work.shares == sorted(work.shares)
    assert work.shares[-1] == 1.0


def test_split_is_exact_even_at_full_scale() -> None:
    mix = np.array([[FULL_SCALE - 1, -FULL_SCALE, 0, 5]], np.int32)
    vocals = np.array([[-1.0, 1.0, 0.3, -0.2]], np.float32)
    speech, background = split(mix, vocals)
    assert np.array_equal(speech + background, mix)
    for steps in (speech, background):
        assert steps.min() >= -FULL_SCALE and steps.max() < FULL_SCALE

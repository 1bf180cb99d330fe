"""The real recogniser on real speech."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from services.transcription.engines.faster_whisper import FasterWhisper, hub_name
from services.transcription.stage import STAGE
from shared.audio.signal import resample
from shared.core.errors import UsageError
from shared.core.records import Utterance, read_jsonl
from shared.core.text import character_error_rate
from shared.engines.protocols import EngineOptions, WeightFiles
from shared.pipeline.stage import Scope
from shared.settings.models import TranscriptionSettings
from tests.unit.services.transcription.conftest import FakeWork

SAID = "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country."


@pytest.fixture(scope="module")
def recognizer(weights: WeightFiles) -> FasterWhisper:
    pytest.importorskip("faster_whisper")
    return FasterWhisper(EngineOptions(model="base", threads=2), weights)


@pytest.fixture(scope="module")
def speech(data_dir: Path) -> np.ndarray:
    """Mono 16 kHz."""
    audio, rate = sf.read(data_dir / "speech" / "jfk.flac", dtype="float32", always_2d=True)
    return resample(audio.mean(axis=1), rate, 16_000)


def test_language_of_speech(recognizer: FasterWhisper, speech: np.ndarray) -> None:
    found = recognizer.language(speech)
    assert max(found, key=lambda language: found[language]) == "en" and found["en"] > 0.8
    assert recognizer.language(speech[:0]) == {}


def test_words_with_times(recognizer: FasterWhisper, speech: np.ndarray) -> None:
    segments = recognizer.transcribe(speech, "en")
    text = " ".join(segment.text for segment in segments)
    words = [word for segment in segments for word in segment.words]
    assert character_error_rate(SAID, text, "en") < 0.1
    assert all(0 <= a.start <= a.end <= b.end <= 11.5 for a, b in pairwise(words))
    assert min(segment.mean_logprob for segment in segments) > -0.7
    assert recognizer.transcribe(speech, "en") == segments


def test_the_whole_is_heard_as_the_library_hears_it(
    recognizer: FasterWhisper, speech: np.ndarray, weights: WeightFiles
) -> None:
    from faster_whisper import WhisperModel

    folder = str(weights.path("whisper-base-ct2"))
    plain = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=2, local_files_only=True)
    wanted = [item.text.strip() for item in plain.transcribe(speech, language="en")[0]]
    shares: list[float] = []
    found = recognizer.whole(speech, "en", timed=False, progress=shares.append)
    assert [segment.text for segment in found] == wanted
    assert [word.text.strip() for segment in found for word in segment.words] == " ".join(wanted).split()
    assert {word.probability for segment in found for word in segment.words} == {0}
    assert shares and shares == sorted(shares) and shares[-1] <= 1
    timed = [word for segment in recognizer.whole(speech, "en", timed=True) for word in segment.words]
    assert all(a.start <= b.start for a, b in pairwise(timed)) and min(word.probability for word in timed) > 0


def test_what_is_in_doubt_is_heard_alike_every_time(weights: WeightFiles, speech: np.ndarray) -> None:
    """Under noise the library draws at random: two runs of one film would differ, and what a killed run left too."""
    noise = np.random.default_rng(0).normal(0, 4.0 * float(np.std(speech)), speech.size).astype(np.float32)
    texts = set()
    for _ in range(3):
        pytest.importorskip("faster_whisper")
        recognizer = FasterWhisper(EngineOptions(model="base", threads=2), weights)
        texts.add(" ".join(segment.text for segment in recognizer.whole(speech + noise, "en", timed=True)))
    assert len(texts) == 1 and texts != {""}


def test_a_short_piece_does_not_loop(recognizer: FasterWhisper, speech: np.ndarray) -> None:
    (segment,) = recognizer.transcribe(speech[:32_000], "en")
    assert segment.text.lower().count("fellow") == 1


def test_nothing_and_unknown_languages(recognizer: FasterWhisper, speech: np.ndarray) -> None:
    assert recognizer.transcribe(speech[:0], "en") == []
    with pytest.raises(UsageError) as error:
        recognizer.transcribe(speech, "tlh")
    assert error.value.code == "unknown_language"


def test_the_stage_on_real_speech(
    recognizer: FasterWhisper,
    speech: np.ndarray,
    chunk_inputs: Callable[..., dict[str, Path]],
    engines: dict[str, Any],
    work: FakeWork,
) -> None:
    audio = np.concatenate([np.zeros(48_000, dtype=np.float32), resample(speech, 16_000, 48_000)])
    inputs = chunk_inputs(audio, before=5.0)
    out = STAGE.run(Scope(chunk=1), inputs, TranscriptionSettings(), engines | {"recognizer": recognizer}, work)
    lines = read_jsonl(out["utterances.jsonl"], Utterance)
    assert character_error_rate(SAID, " ".join(line.text for line in lines), "en") < 0.1
    assert lines[0].start == pytest.approx(6.3, abs=0.25) and lines[-1].end == pytest.approx(16.5, abs=0.4)
    rates = [len(line.text) / (line.end - line.start) for line in lines]
    assert max(rates) < 28


def test_pieces_of_a_batch_are_told_apart_wherever_they_begin(weights: WeightFiles, speech: np.ndarray) -> None:
    """The library says where a piece begins in frames cut off: the second begins at 2.55 s, in frame 254 for it."""
    engine = FasterWhisper(EngineOptions(model="base", threads=2, extra={"batch_size": 8}), weights)
    pieces = [speech[:40_800], speech[85_000:125_000]]
    assert int(40_800 / 16_000 * 100) == 254
    first, second = engine.transcribe_many(pieces, "en")
    assert "fellow" in first[0].text and "fellow" not in second[0].text
    assert all(0 <= word.start <= word.end <= 3.1 for word in first[0].words)
    assert all(0 <= word.start <= word.end <= 3.1 for word in second[0].words)


def test_less_than_can_be_timed_holds_no_words(recognizer: FasterWhisper, speech: np.ndarray) -> None:
    """The library fails on a single frame."""
    assert recognizer.transcribe(speech[20_000:20_160], "en") == []
    assert recognizer.skim(speech[20_000:20_160], "en") == []


def test_sizes_are_looked_for_where_the_library_has_them() -> None:
    from faster_whisper.utils import _MODELS

    assert {model: hub_name(model) for model in _MODELS} == _MODELS

"""Synthesis in batches beside one line after another, in one run. With -s the figures are printed.

The networks have the published size and random weights, which cost the same as trained ones. What random weights do
not have is trained durations: so the sound of a line is set to about as long as speech.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.dubbing.batching import SpeechRequest
from shared.engines import EngineOptions
from tests.conftest import CheckedWeights
from tests.engines import tiny_dubbing

LINES = (
    "No.",
    "Where were you last night?",
    "I told you that I would be back before dinner, and here I am.",
    "Come on!",
    "It is not what it looks like.",
    "You never said a word about it.",
    "We have five minutes until the train leaves, so please hurry up and close the bag.",
    "All right, all right.",
)
COPIES = 1
CUDA = "cuda"


def full_mms(folder: Path) -> Path:
    """MMS at its published size (36 M parameters)."""
    import torch
    from transformers import VitsConfig, VitsModel

    tiny_dubbing.mms(folder)
    torch.manual_seed(0)
    words = len(tiny_dubbing.LETTERS) + 2
    model = VitsModel(VitsConfig(vocab_size=words, use_stochastic_duration_prediction=False, sampling_rate=16_000))
    with torch.no_grad():
        # Two frames of 16 ms for every letter and every blank between: 16 letters a second, as people speak.
        model.duration_predictor.proj.weight.zero_()
        model.duration_predictor.proj.bias.fill_(0.3)
    model.save_pretrained(folder)
    return folder


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    out = run()
    return time.perf_counter() - began, out


def compare(engine: Any, requests: list[SpeechRequest]) -> tuple[float, float, float]:
    """Seconds one by one, seconds in batches, seconds of speech."""
    engine.synthesize_batch(requests[:2])
    alone, speech = seconds(
        lambda: [engine.synthesize(one.text, one.language, one.voice, seed=one.seed) for one in requests]
    )
    together, _ = seconds(lambda: engine.synthesize_batch(requests))
    return alone, together, sum(audio.size for audio in speech) / engine.sample_rate


@pytest.mark.bench
@pytest.mark.parametrize("batch", [4, 8])
def test_batches_on_the_cpu(tmp_path: Path, batch: int) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    report(tmp_path, "cpu", batch)


@pytest.mark.bench
@pytest.mark.gpu
@pytest.mark.parametrize("batch", [4, 8])
def test_batches_on_a_card(tmp_path: Path, batch: int) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    if not torch.cuda.is_available():
        pytest.skip("no graphics card")
    report(tmp_path, CUDA, batch)


def report(folder: Path, device: str, batch: int) -> None:
    from services.dubbing.engines.mms import MmsSynthesizer

    options = EngineOptions(str(full_mms(folder / "mms")), device, 2, extra={"language": "en", "batch_size": batch})
    engine = MmsSynthesizer(options, CheckedWeights())
    requests = [SpeechRequest(text, "en", "mms", 1.0, seed) for seed, text in enumerate(LINES * COPIES)]
    alone, together, speech = compare(engine, requests)
    print(
        f"\nMMS on {device}, {len(requests)} lines, {speech:.1f} s of speech: one by one {alone:.2f} s, "
        f"batches of {batch} {together:.2f} s, ratio {alone / together:.2f}"
    )
    assert together > 0

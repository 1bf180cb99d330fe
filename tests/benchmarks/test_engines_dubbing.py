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

from shared.engines.protocols import EngineOptions, SpeechRequest
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
CUDA = "cuda"
BATCHES = (1, 4, 8, 0)
"""0: as the engine itself chooses."""


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


def speak(folder: Path, device: str, batch: int, requests: list[SpeechRequest]) -> float:
    """Seconds that the engine takes for all requests, ``batch`` at a time (0: its own choice)."""
    from services.dubbing.engines.mms import MmsSynthesizer

    extra = {"language": "en", **({"batch_size": batch} if batch else {})}
    engine = MmsSynthesizer(EngineOptions(str(folder), device, 2, extra=extra), CheckedWeights())
    engine.synthesize_batch(requests[:2])
    took, speech = seconds(lambda: engine.synthesize_batch(requests))
    if batch == 1:
        print(f"\nMMS on {device}, {len(requests)} lines, {sum(map(len, speech)) / engine.sample_rate:.1f} s of speech")
    return took


def compare(folder: Path, device: str) -> dict[int, float]:
    """Lines of all lengths, and lines that are alike, which need no padding; what the first of them took."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    network = full_mms(folder / "mms")
    found: list[dict[int, float]] = []
    for name, lines in (("of all lengths", LINES), ("of one length", (LINES[2],) * len(LINES))):
        requests = [SpeechRequest(text, "en", "mms", 1.0, seed) for seed, text in enumerate(lines)]
        spent = {batch: speak(network, device, batch, requests) for batch in BATCHES}
        for batch, took in spent.items():
            of = f"batches of {batch}" if batch else "engine's choice"
            print(f"lines {name}, {of:16} {took:6.2f} s, {spent[1] / took:5.2f} times as fast as one by one")
        found.append(spent)
    return found[0]


@pytest.mark.bench
def test_batches_on_the_cpu(tmp_path: Path) -> None:
    spent = compare(tmp_path, "cpu")
    assert spent[0] < 1.2 * min(spent.values()), "the engine's own choice is the best of them"


@pytest.mark.bench
@pytest.mark.gpu
def test_batches_on_a_card(tmp_path: Path) -> None:
    if not pytest.importorskip("torch").cuda.is_available():
        pytest.skip("no graphics card")
    spent = compare(tmp_path, CUDA)
    assert spent[0] < 0.9 * spent[1], "batches are faster than one by one"

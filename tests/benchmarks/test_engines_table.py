"""Every engine on torch as one row of a table: load, memory, speed, and batches beside one by one.

``make test-gpu`` does it on a graphics card. The checkpoints are the tests' tiny ones, which show that everything runs
there and what batching saves; for real figures put released models into one folder, each in a folder named after its
engine, and name it in ``COUNTERDUB_ENGINE_MODELS``.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from shared.audio.signal import resample
from shared.engines.accelerator import release
from shared.engines.protocols import EngineOptions, Line, SpeechRequest, engine_class
from shared.pipeline.engine_check import SENTENCE, CheckRow, measure, tone
from shared.pipeline.stage import EngineUse
from tests.conftest import ROOT
from tests.engines import tiny_dubbing, tiny_translation
from tests.engines.ct2_weights import to_openai

pytestmark = pytest.mark.bench

COUNT = 8
"""Items that are done one by one and together."""
ENGINES = {
    "demucs": "separator",
    "faster-whisper": "recognizer",
    "openai-whisper": "recognizer",
    **dict.fromkeys(("m2m100", "nllb", "marian", "madlad", "seamless"), "translator"),
    **dict.fromkeys(("mms", "coqui-vits", "xtts", "seamless-speech"), "synthesizer"),
    **dict.fromkeys(("knn-vc", "freevc", "openvoice"), "voice_converter"),
}
HEADER = f"{'engine':<28}{'device':<8}{'dtype':<16}{'load s':>7}{'memory MB':>11}{'× real time':>13}{'batched':>9}"


@pytest.fixture(scope="module")
def table() -> Iterator[list[tuple[CheckRow, float | None]]]:
    rows: list[tuple[CheckRow, float | None]] = []
    yield rows
    print("\n" + HEADER)
    for row, ratio in rows:
        print(
            f"{f'{row.kind} {row.engine}':<28}{row.device:<8}{row.dtype or '':<16}{row.load_seconds or 0:>7.2f}"
            f"{(row.memory_bytes or 0) / 1e6:>11.0f}{row.speed or 0:>13.1f}{f'{ratio:.2f}' if ratio else '–':>9}"
        )


def model(name: str, folder: Path, weights: Any) -> str:
    """The operator's model of an engine, or a tiny one."""
    given = Path(os.environ.get("COUNTERDUB_ENGINE_MODELS", "/nowhere")) / name
    if given.is_dir():
        return str(given)
    if name == "faster-whisper":
        return "base"
    if name == "openai-whisper":
        return str(to_openai(weights.path("whisper-base-ct2") / "model.bin", folder / "base.pt"))
    if name == "demucs":
        from tests.engines.tiny_separation import checkpoints

        return str(checkpoints(folder)["htdemucs"])
    if name == "coqui-vits":
        return str(tiny_dubbing.coqui_vits(folder / "model", language="es"))
    make = name.removesuffix("-speech").replace("-", "_")
    home = tiny_translation if hasattr(tiny_translation, make) else tiny_dubbing
    return str(getattr(home, make)(folder / "model"))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("name", ENGINES)
def test_a_row(name: str, device: str, table: list[Any], tmp_path: Path, weights: Any) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    kind, engine = ENGINES[name], name.removesuffix("-speech")
    if name in ("coqui-vits", "xtts", "knn-vc", "freevc", "openvoice"):
        pytest.importorskip("TTS")
    # Tiny networks only wait for a second thread.
    options = EngineOptions(model(name, tmp_path, weights), device, 1)
    row = measure(EngineUse(kind, engine, options), "es", weights)
    release()
    assert row.error is None, row
    table.append((row, ratio(kind, engine, options, weights)))


def ratio(kind: str, name: str, options: EngineOptions, weights: Any) -> float | None:
    """How many times as fast :data:`COUNT` items are done together; None for engines that take one at a time."""

    def load(batch: int) -> Any:
        extra = {**options.extra, "batch_size": batch}
        return engine_class(kind, name)(EngineOptions(options.model, options.device, 1, extra=extra), weights)

    if kind == "separator":
        mix = tone(COUNT * 8.0, 48_000, 2)
        return seconds(load(1).vocals, mix) / seconds(load(COUNT).vocals, mix)
    if kind == "recognizer":
        pieces = spoken_lines()
        return seconds(load(1).transcribe_many, pieces, "en") / seconds(load(COUNT).transcribe_many, pieces, "en")
    engine = load(COUNT)
    texts = [SENTENCE[: 20 + 4 * number] for number in range(COUNT)]
    if kind == "translator":
        lines = [Line(text) for text in texts]
        alone = seconds(lambda: [engine.translate([line], "en", "es", 1) for line in lines])
        return alone / seconds(engine.translate, lines, "en", "es", 1)
    if not hasattr(engine, "synthesize_batch"):
        return None
    requests = [SpeechRequest(text, "es", engine.voices("es")[0].id) for text in texts]
    alone = seconds(lambda: [engine.synthesize(one) for one in requests])
    return alone / seconds(engine.synthesize_batch, requests)


def spoken_lines() -> list[np.ndarray]:
    """Lines of the bundled sample's actors, mono 16 kHz; of tones a recogniser makes anything, and takes its time."""
    truth = ROOT / "tests" / "sample" / "truth"
    facts = json.loads((truth / "truth.json").read_text(encoding="utf-8"))
    stems = {name: sf.read(truth / facts["stems"][name], dtype="float32")[0] for name in ("Anna", "Tom")}
    rate = facts["sample_rate"]
    spans = [(one["speaker"], round(one["start"] * rate), round(one["end"] * rate)) for one in facts["lines"]]
    return [resample(stems[who][start:end], rate, 16_000) for who, start, end in spans[:COUNT]]


def seconds(work: Callable[..., Any], *given: Any) -> float:
    """Of the second time: the first one warms up."""
    work(*given)
    began = time.perf_counter()
    work(*given)
    return time.perf_counter() - began

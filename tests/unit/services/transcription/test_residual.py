"""Speech that is left in the background: what is believed, and what is heard with the real recogniser."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from services.transcription.engines.faster_whisper import FasterWhisper
from services.transcription.stage import RESIDUAL
from shared.audio.signal import resample
from shared.audio.silero import SileroVad
from shared.core.records import Chunk, LeftSpeech, Span, Utterance, read_jsonl, write_jsonl
from shared.engines.protocols import EngineOptions, WeightFiles
from shared.pipeline.stage import Scope
from shared.settings.models import PairingSettings, QualitySettings
from tests.conftest import ROOT
from tests.unit.services.transcription.conftest import FakeWork

LIMIT = PairingSettings().max_residual_speech
TRUTH = ROOT / "tests" / "sample" / "truth"


def line(text: str, start: float = 0.0, end: float = 3.0, language: str = "en", **more: Any) -> Utterance:
    return Utterance(id="u0001", start=start, end=end, language=language, text=text, **more)


@pytest.fixture(scope="module")
def engines(weights: WeightFiles) -> dict[str, Any]:
    pytest.importorskip("faster_whisper")
    recognizer = FasterWhisper(EngineOptions(model="base", threads=2), weights)
    return {"recognizer": recognizer, "vad": SileroVad(EngineOptions(), weights)}


def heard(background: np.ndarray, engines: dict[str, Any], work: FakeWork, language: str | None) -> list[LeftSpeech]:
    """The stage on 48 kHz sound that begins at second 8 of the sample."""
    folder = work.folder
    truth = json.loads((TRUTH / "truth.json").read_text())
    said = [line(row["text"], row["start"], row["end"]) for row in truth["lines"]]
    chunk = Chunk(index=1, start=8 * 48_000, end=8 * 48_000 + len(background))
    (folder / "chunks.json").write_text(json.dumps([chunk.model_dump()]))
    (folder / "language.json").write_text(json.dumps({"language": language}))
    write_jsonl(folder / "utterances.jsonl", said)
    sf.write(folder / "background.flac", background, 48_000, subtype="PCM_24")
    names = ("chunks.json", "language.json", "utterances.jsonl", "background.flac")
    inputs = {name: folder / name for name in names}
    out = RESIDUAL.run(Scope(chunk=1), inputs, QualitySettings(), engines, work)
    return read_jsonl(out["residual.jsonl"], LeftSpeech)


def excerpt(name: str, start: float = 8.0, end: float = 16.2) -> np.ndarray:
    audio, rate = sf.read(TRUTH / name, dtype="float32", always_2d=True)
    return resample(audio.mean(axis=1), rate, 48_000)[round(start * 48_000) : round(end * 48_000)]


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", None])
def test_one_line_that_was_left_is_heard_and_the_bed_is_not(
    engines: dict[str, Any], work: FakeWork, language: str | None
) -> None:
    bed, tom = excerpt("background.ogg"), excerpt("tom.flac")
    assert max((item.belief for item in heard(bed, engines, work, language)), default=0.0) <= LIMIT
    left = [item for item in heard(bed + tom, engines, work, language) if item.belief > LIMIT]
    assert {"missed", "last", "train"} <= {word for item in left for word in item.shared}
    assert all(9.3 - 1 < item.start < item.end < 12.31 + 1 for item in left)


def test_silence_costs_nothing(work: FakeWork) -> None:
    class Deaf:
        def transcribe(self, audio: np.ndarray, language: str | None) -> list[Any]:
            raise AssertionError("silence was listened to")

        def speech(self, audio: np.ndarray) -> list[Span]:
            return []

    assert heard(np.zeros(5 * 48_000, np.float32), {"recognizer": Deaf(), "vad": Deaf()}, work, "en") == []

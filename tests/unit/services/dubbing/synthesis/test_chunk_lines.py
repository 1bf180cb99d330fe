"""The stages ``dubbing`` and ``control`` on a chunk, with a synthesiser that hums."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.dubbing.stage import CONTROL, STAGE
from shared.audio import files
from shared.core.errors import EngineError
from shared.core.records import SAMPLE_RATE, DubbedUtterance, Shot, Span, read_jsonl
from shared.engines.protocols import SpeechRequest
from shared.pipeline.stage import Scope
from shared.settings.models import DubbingSettings
from tests.unit.services.dubbing.stand_ins import FolderWork, Hummer, babble, title, utterance

SETTINGS = DubbingSettings()


def dub(
    folder: Path, inputs: dict[str, Path], engine: Any = None, settings: DubbingSettings = SETTINGS
) -> tuple[np.ndarray, list[DubbedUtterance], FolderWork]:
    work = FolderWork(folder)
    engines = {"synthesizer": engine or Hummer()}
    out = STAGE.run(Scope(language="es", chunk=0), inputs, settings, engines, work)
    return files.read_audio(out["speech.flac"]), read_jsonl(out["dubbed.jsonl"], DubbedUtterance), work


def test_every_line_is_there_and_the_track_has_the_chunks_length(tmp_path: Path) -> None:
    lines = [
        utterance(1, 0.5, 2.0),
        utterance(2, 3.0, 4.0, status="dropped", reason="hallucination"),
        utterance(3, 5.0, 6.0),
        utterance(4, 7.0, 8.0),
    ]
    inputs = title(tmp_path, lines, {"u0001": ["x" * 15], "u0003": ["boom"]}, channels=2)
    speech, records, work = dub(tmp_path, inputs)
    assert speech.shape == (2, 10 * SAMPLE_RATE)
    assert [(one.id, one.status, one.reason) for one in records] == [
        ("u0001", "ok", None),
        ("u0002", "dropped", "hallucination"),
        ("u0003", "failed", "engine_failed: RuntimeError"),
        ("u0004", "failed", "no_translation"),
    ]
    assert not speech[:, int(2.9 * SAMPLE_RATE) :].any()
    assert work.counters["ok"] == 1 and work.counters["failed"] == 2


def test_a_silent_synthesis_fails_that_line_only(tmp_path: Path) -> None:
    lines = [utterance(1, 0.5, 2.0), utterance(2, 3.0, 4.5)]
    _, records, _ = dub(tmp_path, title(tmp_path, lines, {"u0001": ["hush hush"], "u0002": ["x" * 15]}))
    assert [(one.status, one.reason) for one in records] == [("failed", "engine_failed"), ("ok", None)]


def test_an_engine_that_is_not_installed_fails_the_stage(tmp_path: Path) -> None:
    class Absent(Hummer):
        def synthesize(self, request: SpeechRequest) -> np.ndarray:
            raise EngineError("Install it.", code="engine_missing")

    with pytest.raises(EngineError):
        dub(tmp_path, title(tmp_path, [utterance(1, 0.5, 2.0)], {"u0001": ["hola"]}), Absent())


def test_speech_starts_where_the_original_starts_to_the_sample(tmp_path: Path) -> None:
    start = 1.2345
    inputs = title(tmp_path, [utterance(1, start, start + 1.5)], {"u0001": ["x" * 15]})
    speech, (record,), _ = dub(tmp_path, inputs)
    (heard,) = np.nonzero(np.abs(speech[0]) > 1e-5)
    assert record.start == pytest.approx(start, abs=0.03)
    first = round(record.start * SAMPLE_RATE)
    assert not speech[0, :first].any()
    assert heard[0] - first < 0.05 * SAMPLE_RATE
    assert heard[-1] < round(record.end * SAMPLE_RATE)


def test_speech_fits_its_source_and_has_its_loudness(tmp_path: Path) -> None:
    inputs = title(tmp_path, [utterance(1, 1.0, 3.0)], {"u0001": ["x" * 23]})
    _, (record,), _ = dub(tmp_path, inputs)
    assert record.status == "ok"
    assert (record.end - record.start) / 2.0 == pytest.approx(1.0, abs=0.08)
    assert abs(record.loudness_difference_lu or 9) <= 1.5


def test_what_does_not_fit_is_cut_at_the_slot_and_reported(tmp_path: Path) -> None:
    lines = [utterance(1, 1.0, 2.0), utterance(2, 2.05, 3.5)]
    inputs = title(tmp_path, lines, {"u0001": ["x" * 60], "u0002": ["x" * 14]})
    speech, (first, second), _ = dub(tmp_path, inputs)
    assert (first.status, first.reason, second.status) == ("overflow", "too_long", "ok")
    assert first.overflow_ms > 1000
    assert first.stretch == SETTINGS.fit.hard_high and first.attempts <= 1 + SETTINGS.fit.max_retries
    assert first.end <= first.slot_end + 1e-4
    assert not speech[0, round(first.slot_end * SAMPLE_RATE) + 1 : round(second.start * SAMPLE_RATE)].any()


def test_a_shorter_wording_is_taken_when_the_best_does_not_fit(tmp_path: Path) -> None:
    inputs = title(tmp_path, [utterance(1, 1.0, 2.5)], {"u0001": ["x" * 60, "y" * 15]})
    _, (record,), _ = dub(tmp_path, inputs)
    assert record.text == "y" * 15 and record.status == "ok"


def test_an_edited_line_is_said_as_it_is(tmp_path: Path) -> None:
    inputs = title(tmp_path, [utterance(1, 1.0, 2.5)], {"u0001": ["x" * 30, "y" * 15]}, edited=True)
    _, (record,), _ = dub(tmp_path, inputs)
    assert record.text == "x" * 30 and record.edited


def test_short_lines_are_not_dragged_out(tmp_path: Path) -> None:
    inputs = title(tmp_path, [utterance(1, 1.0, 7.0)], {"u0001": ["¡No hables!"]})
    _, (record,), _ = dub(tmp_path, inputs)
    assert record.speed is not None and record.stretch is not None
    assert record.speed * record.stretch >= SETTINGS.fit.accept_low - 1e-9
    assert record.end - record.start < 2.0


def test_speech_never_passes_the_shot_in_which_the_line_ends(tmp_path: Path) -> None:
    shots = [Shot(index=0, start=0.0, end=2.2), Shot(index=1, start=2.2, end=10.0)]
    inputs = title(tmp_path, [utterance(1, 1.0, 2.0)], {"u0001": ["x" * 15]}, shots=shots)
    _, (record,), _ = dub(tmp_path, inputs)
    assert record.end <= 2.2 + 1e-6


def test_same_input_same_bytes_and_nothing_is_synthesised_twice(tmp_path: Path) -> None:
    inputs = title(tmp_path, [utterance(1, 1.0, 2.5)], {"u0001": ["x" * 25]})
    one, _, first = dub(tmp_path, inputs)
    two, _, second = dub(tmp_path, inputs)
    assert np.array_equal(one, two)
    assert first.counters["made"] >= 1 and "made" not in second.counters


def test_predicted_speed_saves_a_second_synthesis(tmp_path: Path) -> None:
    lines = [utterance(number, 1.0 + 2 * number, 2.5 + 2 * number) for number in range(4)]
    engine = Hummer(1 / 18)
    dub(
        tmp_path,
        title(tmp_path, lines, {line.id: ["abcd"[place] + "x" * 26] for place, line in enumerate(lines)}),
        engine,
    )
    assert len(engine.calls) <= len(lines) + 1


def test_overlapping_lines_sum(tmp_path: Path) -> None:
    lines = [utterance(1, 1.0, 3.0, speaker="S1"), utterance(2, 2.0, 4.0, speaker="S2")]
    speech, records, _ = dub(tmp_path, title(tmp_path, lines, {"u0001": ["x" * 20], "u0002": ["y" * 20]}))
    assert [one.status for one in records] == ["ok", "ok"]
    assert records[1].start < records[0].end
    assert np.abs(speech[0, int(2.2 * SAMPLE_RATE) : int(2.8 * SAMPLE_RATE)]).max() > 0


def control(folder: Path, inputs: dict[str, Path]) -> tuple[np.ndarray, list[DubbedUtterance]]:
    out = CONTROL.run(Scope(chunk=0), inputs, SETTINGS, {}, FolderWork(folder))
    return files.read_audio(out["speech.flac"]), read_jsonl(out["dubbed.jsonl"], DubbedUtterance)


def test_control_is_the_original_speech_in_place(tmp_path: Path) -> None:
    lines = [utterance(1, 1.0, 3.0, text="Source words."), utterance(2, 5.0, 6.0, status="dropped", reason="no_words")]
    inputs = title(tmp_path, lines, {}, channels=2)
    speech, (first, second) = control(tmp_path, inputs)
    vocals = files.read_audio(inputs["vocals.flac"])
    assert speech.shape == vocals.shape
    assert first.text == first.source_text == "Source words."
    assert (first.status, second.status) == ("ok", "dropped")
    assert abs(first.loudness_difference_lu or 0.0) < 0.5
    a, b = (x[0, SAMPLE_RATE : 3 * SAMPLE_RATE] for x in (speech, vocals))
    assert np.corrcoef(a, b)[0, 1] > 0.98
    assert not speech[:, : SAMPLE_RATE - 1].any() and not speech[:, 3 * SAMPLE_RATE + 1 :].any()


def test_control_says_the_common_part_of_overlapping_lines_once(tmp_path: Path) -> None:
    vocals = np.zeros((1, 10 * SAMPLE_RATE), np.float32)
    vocals[:, SAMPLE_RATE : 4 * SAMPLE_RATE] = babble(3.0)
    lines = [utterance(1, 1.0, 3.0), utterance(2, 2.0, 4.0, speaker="S2"), utterance(3, 2.2, 2.8, speaker="S3")]
    speech, records = control(tmp_path, title(tmp_path, lines, {}, vocals=vocals))
    assert [one.status for one in records] == ["ok", "ok", "ok"]
    middle = slice(int(2.1 * SAMPLE_RATE), int(2.9 * SAMPLE_RATE))
    assert np.std(speech[0, middle]) == pytest.approx(np.std(vocals[0, middle]), rel=0.15)


class Detector:
    def __init__(self, *spans: tuple[float, float]) -> None:
        self.spans = [Span(start=start, end=end) for start, end in spans]

    def speech(self, audio: np.ndarray) -> list[Span]:
        return self.spans


class Foreknowing(Hummer):
    """Knows how long it will hum, and hums phrases in one breath."""

    def natural_seconds(self, phrases: Sequence[SpeechRequest]) -> list[float]:
        return [len(phrase.text) * self.seconds_per_character for phrase in phrases]

    def synthesize_phrases(self, phrases: Sequence[SpeechRequest]) -> list[np.ndarray]:
        return [self.synthesize(phrase) for phrase in phrases]


@pytest.mark.parametrize("engine", [Hummer(1 / 18), Foreknowing(1 / 18)])
def test_the_dub_pauses_when_the_original_pauses(tmp_path: Path, engine: Hummer) -> None:
    vocals = np.zeros((1, 10 * SAMPLE_RATE), np.float32)
    for start, end in ((1.0, 2.6), (4.0, 5.4)):
        vocals[:, round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] = babble(end - start)
    text = "No puedo decirle la hora a usted, pero nos quedan cuatro días."
    inputs = title(tmp_path, [utterance(1, 1.0, 5.4)], {"u0001": [text]}, vocals=vocals)
    engines = {"synthesizer": engine, "vad": Detector((1.0, 2.6), (4.0, 5.4))}
    out = STAGE.run(Scope(language="es", chunk=0), inputs, SETTINGS, engines, FolderWork(tmp_path))
    speech = files.read_audio(out["speech.flac"])[0]
    (record,) = read_jsonl(out["dubbed.jsonl"], DubbedUtterance)
    assert (record.status, record.text) == ("ok", text)
    loud = [bool(np.abs(speech[round(t * SAMPLE_RATE) :][:4800]).max() > 0.01) for t in (1.1, 2.3, 3.0, 3.8, 4.1, 5.1)]
    assert loud == [True, True, False, False, True, True]


def test_an_engine_that_knows_its_lengths_needs_one_synthesis_a_line(tmp_path: Path) -> None:
    engine = Foreknowing(1 / 14)
    inputs = title(tmp_path, [utterance(1, 1.0, 3.0)], {"u0001": ["x" * 27]})
    _, (record,), work = dub(tmp_path, inputs, engine)
    assert len(engine.calls) == 1 and record.attempts == 1 and not work.counters["retries"]
    assert record.stretch == 1.0 and record.end - record.start == pytest.approx(2.0, abs=0.06)

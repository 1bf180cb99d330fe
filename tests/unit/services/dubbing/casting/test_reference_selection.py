"""What a cloning engine is shown of a speaker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from services.dubbing.casting.reference_selection import LEVEL, WANTED_SECONDS, contrast, pick
from services.dubbing.casting.title_references import read_references
from services.dubbing.stage import REFERENCES, STAGE
from shared.audio import files
from shared.audio.signal import SPEECH_RATE, resample, rms
from shared.core.records import SAMPLE_RATE, Chunk, Speaker, Utterance, write_jsonl, write_list
from shared.engines.protocols import SpeechRequest, clones, engine_class, registered
from shared.pipeline.planner import TitleRequest, plan
from shared.pipeline.stage import Scope
from shared.settings.models import DubbingSettings, settings_from
from tests.unit.services.dubbing.stand_ins import FolderWork, Hummer, babble, title, utterance


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    return resample(babble(seconds, seed)[0], SAMPLE_RATE, SPEECH_RATE)


class Takes:
    """The sound of lines, by their id."""

    def __init__(self, **sounds: np.ndarray) -> None:
        self.sounds = sounds

    def __call__(self, line: Utterance) -> np.ndarray:
        return self.sounds[line.id]


def lines(*lengths: float, **values: Any) -> list[Utterance]:
    return [utterance(number, 10.0 * number, 10.0 * number + length, **values) for number, length in enumerate(lengths)]


def seconds(audio: np.ndarray) -> float:
    return audio.size / SPEECH_RATE


def test_long_enough_and_no_longer() -> None:
    many = lines(*[4.0] * 8)
    out = pick(many, Takes(**{line.id: speech(4.0, number) for number, line in enumerate(many)}))
    assert out.dtype == np.float32
    assert WANTED_SECONDS - 1 < seconds(out) <= WANTED_SECONDS


def test_clean_lines_before_noisy_ones() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(12 * SPEECH_RATE).astype(np.float32)
    pauses = (np.sin(2 * np.pi * 1.5 * np.arange(12 * SPEECH_RATE) / SPEECH_RATE) > -0.3).astype(np.float32)
    clean = speech(12.0) * pauses + 1e-5 * noise
    assert contrast(clean) > contrast(clean + noise) + 10
    both = lines(12.0, 12.0)
    out = pick(both, Takes(u0000=clean + noise, u0001=clean))
    assert contrast(out) > contrast(clean) - 3


def test_nobody_else() -> None:
    both = lines(5.0, 5.0)
    heard = {5: np.array([1.0, 0.0]), 6: np.array([0.0, 1.0])}
    mine, other = speech(5.0), 0.5 * np.ones(5 * SPEECH_RATE, np.float32)

    def embed(audio: np.ndarray) -> np.ndarray:
        return heard[6 if audio.min() > 0 else 5]

    out = pick(both, Takes(u0000=other, u0001=mine), [1.0, 0.0], embed)
    assert out.min() < 0
    assert seconds(out) <= 5.0


@pytest.mark.parametrize("spoilt", ["overlapped", "clipped", "short"])
def test_what_spoils_a_line(spoilt: str) -> None:
    good, bad = utterance(1, 0.0, 4.0), utterance(2, 10.0, 14.0, overlapped=spoilt == "overlapped")
    sound = 0.3 * np.ones(4 * SPEECH_RATE, np.float32)
    if spoilt == "clipped":
        sound = np.ones(4 * SPEECH_RATE, np.float32)
    if spoilt == "short":
        sound = sound[: SPEECH_RATE // 2]
    out = pick([bad, good], Takes(u0001=speech(4.0), u0002=sound))
    assert seconds(out) <= 4.0
    assert np.mean(out < 0) > 0.2


def test_little_is_better_than_nothing() -> None:
    few = lines(0.6, 0.7)
    out = pick(few, Takes(u0000=speech(0.6), u0001=speech(0.7, 1)))
    assert seconds(out) > 1.2
    only = [utterance(1, 0.0, 2.0, overlapped=True)]
    assert seconds(pick(only, Takes(u0001=speech(2.0)))) > 1.5


def test_nothing() -> None:
    assert pick([], Takes()).size == 0
    silent = [utterance(1, 0.0, 2.0)]
    assert pick(silent, Takes(u0001=np.zeros(2 * SPEECH_RATE, np.float32))).size == 0
    dropped = [utterance(1, 0.0, 2.0, status="dropped")]
    assert pick(dropped, Takes(u0001=speech(2.0))).size == 0


def test_one_level() -> None:
    both = lines(4.0, 4.0)
    out = pick(both, Takes(u0000=0.05 * speech(4.0), u0001=2.0 * speech(4.0, 1)))
    first, second = out[: 3 * SPEECH_RATE], out[-3 * SPEECH_RATE :]
    assert rms(first) == pytest.approx(LEVEL, rel=0.2)
    assert rms(second) == pytest.approx(LEVEL, rel=0.2)


def whole_title(folder: Path, lengths: Sequence[float]) -> dict[str, Path]:
    """A title of two chunks of 10 s; lines of ``lengths`` seconds, one every 5 s, by S1 but for the last."""
    inputs = title(folder, [], {}, seconds=10.0)
    said = [
        utterance(number, 5.0 * number + 0.5, 5.0 * number + 0.5 + length, speaker="S1" if number < 3 else "S2")
        for number, length in enumerate(lengths)
    ]
    second = 10 * SAMPLE_RATE
    chunks = [Chunk(index=0, start=0, end=second), Chunk(index=1, start=second, end=2 * second)]
    vocals = np.zeros((1, 2 * second), np.float32)
    for number, line in enumerate(said):
        part = babble(line.end - line.start, seed=number)
        vocals[:, round(line.start * SAMPLE_RATE) :][:, : part.shape[1]] = part
    people = [Speaker(id=one, embedding=[1.0, 0.0], seconds=1.0) for one in ("S1", "S2", "S3")]
    inputs |= {
        "utterances.jsonl": write_jsonl(folder / "utterances.jsonl", said),
        "chunks.json": write_list(folder / "chunks.json", chunks),
        "speakers.json": write_list(folder / "speakers.json", people),
    }
    for chunk in chunks:
        name = f"vocals/{chunk.index:04}"
        inputs[name] = files.write(folder / f"vocals{chunk.index}.flac", vocals[:, chunk.start : chunk.end])
    return inputs


class Same:
    def embed(self, audio: np.ndarray) -> np.ndarray:
        return np.array([1.0, 0.0])


def test_the_whole_title_is_looked_through(tmp_path: Path) -> None:
    inputs = whole_title(tmp_path, [0.6, 0.6, 4.0, 3.0])
    work = FolderWork(tmp_path)
    out = REFERENCES.run(Scope(), inputs, DubbingSettings(), {"embedder": Same()}, work)
    found = read_references(out["references.npz"])
    # The first chunk has only scraps of S1; its good line is in the second.
    assert seconds(found["S1"]) > 3.0 and seconds(found["S2"]) > 2.5
    assert found["S3"].size == 0 and work.counters["speakers_without_reference"] == 1
    again = REFERENCES.run(Scope(), inputs, DubbingSettings(), {"embedder": Same()}, FolderWork(tmp_path))
    assert again["references.npz"].read_bytes() == out["references.npz"].read_bytes()


def test_a_line_is_spoken_with_the_titles_reference(tmp_path: Path) -> None:
    class Cloner(Hummer):
        clones = True
        heard: ClassVar[list[np.ndarray | None]] = []

        def synthesize(self, request: SpeechRequest) -> np.ndarray:
            self.heard.append(request.reference)
            return super().synthesize(request)

    inputs = title(tmp_path, [utterance(1, 0.5, 2.0)], {"u0001": ["x" * 15]})
    path = tmp_path / "references.npz"
    np.savez(path, S1=speech(6.0))
    engine = Cloner()
    STAGE.run(
        Scope("es", 0),
        {**inputs, "references.npz": path},
        DubbingSettings(),
        {"synthesizer": engine},
        FolderWork(tmp_path),
    )
    assert engine.heard and all(np.array_equal(one, speech(6.0)) for one in engine.heard)


@pytest.mark.parametrize(
    "settings, planned",
    [({}, False), ({"engine": "xtts"}, True), ({"converter": "knn-vc"}, True), ({"engine": "mms"}, False)],
)
def test_they_are_planned_where_an_engine_is_shown_them(
    settings: dict[str, str], planned: bool, tmp_path: Path
) -> None:
    (tmp_path / "chunks.json").write_text('[{"index": 0, "start": 0, "end": 9}, {"index": 1, "start": 9, "end": 18}]')
    (tmp_path / "shots.json").write_text("[]")

    def known(title: str, task: str, output: str) -> Path | None:
        return tmp_path / output if task == "ingest" else None

    request = TitleRequest("film", tmp_path / "film.mp4", ("es", "fr"))
    tasks = {
        task.id: task for task in plan(request, settings_from("cpu", {"dubbing": settings}), known, set(), True).tasks
    }
    assert ("references" in tasks) == planned
    assert all(("references.npz" in tasks[f"dubbing/{lang}/0001"].inputs) == planned for lang in ("es", "fr"))
    if planned:
        assert {"vocals/0000", "vocals/0001", "speakers.json"} <= set(tasks["references"].inputs)


def test_engines_that_clone_are_named_without_importing_them() -> None:
    for name in registered("synthesizer"):
        assert clones(name) == getattr(engine_class("synthesizer", name), "clones", False), name


@pytest.mark.parametrize(("reference", "own"), [("title", []), ("line", ["u0001"])])
def test_the_reference_is_the_titles_or_the_lines_own_where_it_is_long_enough(
    tmp_path: Path, reference: Literal["title", "line"], own: list[str]
) -> None:
    class Cloner(Hummer):
        clones = True

        def __init__(self) -> None:
            super().__init__()
            self.shown: dict[str, np.ndarray] = {}

        def synthesize(self, request: SpeechRequest) -> np.ndarray:
            assert request.reference is not None
            self.shown[request.text] = request.reference
            return super().synthesize(request)

    lines = [utterance(1, 0.5, 3.5), utterance(2, 4.0, 5.0)]
    inputs = title(tmp_path, lines, {"u0001": ["a" * 30], "u0002": ["b" * 10]})
    whole = speech(6.0)
    np.savez(tmp_path / "references.npz", S1=whole)
    engine = Cloner()
    STAGE.run(
        Scope("es", 0),
        {**inputs, "references.npz": tmp_path / "references.npz"},
        DubbingSettings(reference=reference),
        {"synthesizer": engine},
        FolderWork(tmp_path),
    )
    titles = {text for text, shown in engine.shown.items() if np.array_equal(shown, whole)}
    assert titles == {"b" * 10, *(["a" * 30] if not own else [])}
    if own:
        assert 2.5 < engine.shown["a" * 30].size / SPEECH_RATE <= 3.1

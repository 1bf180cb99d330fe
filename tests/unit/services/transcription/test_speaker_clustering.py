"""Grouping by voice: properties, numbering, given names, joining of sentences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.transcription.recognition.turns import by_voice
from services.transcription.speaker_clustering import assign, by_appearance, overlapping
from services.transcription.speaker_labels import pause, rejoin, run
from shared.core.records import Speaker, Utterance, Word, read_jsonl, write_jsonl
from shared.engines.protocols import Embedder
from shared.pipeline.stage import Scope
from shared.settings.models import TranscriptionSettings
from tests.unit.services.transcription.conftest import FakeWork, PitchEmbedder, tone
from tests.unit.services.transcription.test_listening import heard

SIZE = 32


def voices(people: Sequence[int], noise: float, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.eye(SIZE)[list(people)] + noise * random.standard_normal((len(people), SIZE)) / np.sqrt(SIZE)


def times(count: int, length: float = 2.0) -> list[tuple[float, float]]:
    return [(3.0 * i, 3.0 * i + length) for i in range(count)]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(0, 99))
def test_clear_voices_are_told_apart(people: list[int], seed: int) -> None:
    found = assign(voices(people, 0.3, seed), times(len(people)), 0.67, 12)
    assert found.tolist() == by_appearance(np.array(people)).tolist()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 30), st.integers(1, 5), st.integers(0, 99))
def test_never_more_than_the_most(count: int, most: int, seed: int) -> None:
    found = assign(voices(list(range(count)), 0.1, seed), times(count), 0.9, most)
    assert len(set(found.tolist())) <= most


def test_short_and_silent_utterances_join_somebody() -> None:
    vectors = voices([0, 1, 0, 1], 0.1)
    vectors[2] = 0
    spans = [(0, 2), (3, 5), (5.5, 6), (9, 9.4)]
    assert assign(vectors, spans, 0.67, 12).tolist() == [0, 1, 1, 1]
    assert assign(np.zeros((3, SIZE)), times(3), 0.67, 12).tolist() == [0, 0, 0]
    assert assign(np.zeros((0, SIZE)), [], 0.67, 12).tolist() == []


def test_overlaps_are_marked_on_both() -> None:
    assert overlapping([(0, 10), (1, 2), (4, 5), (9.95, 12), (13, 14)]) == [True, True, True, False, False]


def test_a_change_of_voice_splits_at_the_sentence() -> None:
    audio = np.concatenate([tone(2, 120, 16_000), tone(2, 900, 16_000)])
    words = heard((0, 1, "You"), (1, 2, "there?"), (2, 3, "Me"), (3, 4, "here."))
    assert [len(part) for part in by_voice(words, audio, cast(Embedder, PitchEmbedder()))] == [2, 2]
    same = np.concatenate([tone(2, 120, 16_000), tone(2, 120, 16_000)])
    assert [len(part) for part in by_voice(words, same, cast(Embedder, PitchEmbedder()))] == [4]


def line(number: int, start: float, end: float, speaker: str = "", **more: object) -> Utterance:
    facts = {"id": f"0000-{number:04}", "start": start, "end": end, "speaker": speaker, "language": "en"}
    return Utterance.model_validate({**facts, "text": f"Line {number}.", "mean_logprob": -0.2, **more})


def label(
    tmp_path: Path, lines: list[Utterance], people: Sequence[int], f0: Sequence[float] = (), cuts: Sequence[float] = ()
) -> tuple[list[Utterance], list[Speaker]]:
    """Run the stage with the lines spread over two chunks."""
    work = FakeWork(tmp_path)
    vectors = voices(people, 0.1)
    inputs = {}
    for chunk in (0, 1):
        mine = [i for i in range(len(lines)) if (i >= len(lines) // 2) == bool(chunk)]
        renamed = [lines[i].model_copy(update={"id": f"{chunk:04}-{i:04}"}) for i in mine]
        inputs[f"utterances/{chunk:04}"] = write_jsonl(tmp_path / f"in{chunk}.jsonl", renamed)
        np.savez(
            tmp_path / f"in{chunk}.npz",
            ids=np.array([item.id for item in renamed], dtype=str),
            embeddings=vectors[mine].reshape(len(mine), SIZE),
            f0=np.array([f0[i] if f0 else np.nan for i in mine]),
        )
        inputs[f"embeddings/{chunk:04}"] = tmp_path / f"in{chunk}.npz"
    shots = [{"index": i, "start": cut, "end": cut + 1} for i, cut in enumerate(cuts)]
    (tmp_path / "shots.json").write_text(json.dumps(shots))
    inputs["shots.json"] = tmp_path / "shots.json"
    out = run(Scope(), inputs, TranscriptionSettings(), {}, work)
    found = [Speaker.model_validate(item) for item in json.loads(out["speakers.json"].read_text())]
    return read_jsonl(out["utterances.jsonl"], Utterance), found


def test_ids_and_speakers_count_from_one_by_start(tmp_path: Path) -> None:
    lines = [line(i, 3.0 * i, 3.0 * i + 2) for i in range(6)]
    found, people = label(tmp_path, lines, [3, 3, 1, 3, 1, 0], f0=[100, 110, 220, 120, 210, float("nan")])
    assert [item.id for item in found] == [f"u{i:04}" for i in range(1, 7)]
    assert [item.speaker for item in found] == ["S1", "S1", "S2", "S1", "S2", "S3"]
    assert [(person.id, person.gender) for person in people] == [("S1", "male"), ("S2", "female"), ("S3", None)]
    assert people[0].median_f0_hz == 110 and people[0].seconds == 6
    assert np.linalg.norm(people[0].embedding) == pytest.approx(1, abs=1e-4)
    assert label(tmp_path, lines, [3, 3, 1, 3, 1, 0])[0] == found


def test_dropped_lines_are_kept_but_no_speaker_is_made_of_them(tmp_path: Path) -> None:
    lines = [line(0, 0, 2), line(1, 3, 5, status="dropped", reason="hallucination"), line(2, 6, 8)]
    found, people = label(tmp_path, lines, [0, 1, 0])
    assert [item.status for item in found] == ["ok", "dropped", "ok"] and found[1].reason == "hallucination"
    assert [person.id for person in people] == ["S1"]


def test_given_names_are_believed(tmp_path: Path) -> None:
    lines = [line(i, 3.0 * i, 3.0 * i + 2, name) for i, name in enumerate(["Tom", "Anna", "Tom", "", ""])]
    found, _ = label(tmp_path, lines, [0, 0, 0, 0, 7])
    assert [item.speaker for item in found] == ["S1", "S2", "S1", "S1", "S3"]
    numbered = [line(0, 0, 2, "S2"), line(1, 3, 5, "S1")]
    assert [item.speaker for item in label(tmp_path, numbered, [0, 1])[0]] == ["S2", "S1"]


def test_sentences_of_one_speaker_join_unless_a_cut_lies_between(tmp_path: Path) -> None:
    lines = [line(0, 0, 2), line(1, 2.3, 4), line(2, 4.3, 5.9), line(3, 6.2, 7.9), line(4, 8.5, 9), line(5, 9.1, 10)]
    lines += [line(i, 20.0 + 2 * i, 21.0 + 2 * i) for i in range(6, 12)]  # the second chunk
    found, _ = label(tmp_path, lines, [0, 0, 0, 1, 0, 0, *[0] * 6], cuts=[0, 4.2])
    assert [item.text for item in found][:4] == ["Line 0. Line 1.", "Line 2.", "Line 3.", "Line 4. Line 5."]


def test_no_lines_no_speakers(tmp_path: Path) -> None:
    assert label(tmp_path, [], []) == ([], [])


def test_turns_need_enough_voice_on_both_sides() -> None:
    audio = np.concatenate([tone(0.5, 120, 16_000), tone(2, 900, 16_000)])
    words = heard((0, 0.5, "Yes."), (0.5, 2.5, "No."))
    assert len(by_voice(words, audio, cast(Embedder, PitchEmbedder()))) == 1


def test_a_pause_between_words_is_kept_even_where_the_lines_touch() -> None:
    def line(start: float, end: float, first: float, last: float) -> Utterance:
        words = [Word(start=first, end=first + 0.2, text="One"), Word(start=last - 0.2, end=last, text="two.")]
        return Utterance(id="u1-1", start=start, end=end, language="en", text="One two.", words=words)

    touching = line(0, 2, 0.1, 1.4), line(2, 4, 2.1, 3.9)
    assert pause(*touching) == pytest.approx(0.7)
    names = {"u1-1": "S1"}
    assert len(rejoin(touching, names, [])) == 2
    assert len(rejoin((line(0, 2, 0.1, 1.9), touching[1]), names, [])) == 1

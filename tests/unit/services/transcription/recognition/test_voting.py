"""Several hearings of one sound: which words win, where they stand, and that no loop is kept."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from services.transcription.engines.faster_whisper import FasterWhisper
from services.transcription.recognition.chunk_utterances import ChunkSound, listen
from services.transcription.recognition.hearings import WHOLE_WEIGHT, unlooped
from services.transcription.recognition.utterances import Heard
from services.transcription.recognition.voting import Hearing, vote
from services.transcription.stage import LANGUAGE
from shared.audio.signal import resample
from shared.core.records import Span, Word
from shared.core.text import normalise
from shared.engines.protocols import EngineOptions, Segment, WeightFiles
from shared.pipeline.stage import Scope
from shared.settings.models import TranscriptionSettings
from tests.conftest import ROOT
from tests.unit.services.transcription.conftest import FakeWork, PitchEmbedder

TRUTH = ROOT / "tests" / "sample" / "truth"


def hearing(text: str, start: float = 0.0, sure: float = 0.6, **more: Any) -> Hearing:
    """Words half a second apart, all equally sure."""
    logprob = float(np.log(sure))
    times = [(start + i / 2, start + i / 2 + 0.4, part) for i, part in enumerate(text.split())]
    words = [Heard(Word(start=a, end=b, text=f" {part}", probability=sure), logprob, 0.1) for a, b, part in times]
    return Hearing(words, **more)


def said(words: list[Heard]) -> str:
    return "".join(heard.word.text for heard in words).strip()


def test_most_votes_win_word_by_word() -> None:
    one, two, three = hearing("the old key opens"), hearing("the cold key opens"), hearing("the old tea opens")
    assert said(vote([one, two, three])) == "the old key opens"


def test_what_one_of_three_claims_is_left_out_and_what_two_claim_is_not() -> None:
    empty = hearing("")
    assert vote([empty, hearing("thank you"), empty]) == []
    assert said(vote([empty, hearing("my friend"), hearing("my friend", sure=0.7)])) == "my friend"


def test_the_plain_call_is_kept_where_the_others_hear_nothing() -> None:
    plain = hearing("a dangerous quest", sure=0.55, weight=WHOLE_WEIGHT)
    assert said(vote([plain, hearing(""), hearing("")])) == "a dangerous quest"
    assert vote([hearing("a dangerous quest", sure=0.3, weight=WHOLE_WEIGHT), hearing(""), hearing("")]) == []


def test_who_did_not_listen_does_not_vote() -> None:
    claim = hearing("are you there", start=10.0, sure=0.5)
    elsewhere = hearing("", listened=[Span(start=0.0, end=5.0)])
    assert said(vote([elsewhere, claim])) == "are you there"
    assert vote([hearing("", listened=[Span(start=8.0, end=14.0)], weight=1.2), claim]) == []


def test_words_far_apart_are_two() -> None:
    assert said(vote([hearing("no", sure=0.9), hearing("no", start=6.0, sure=0.9)])) == "no no"


def test_times_come_from_who_knows_them() -> None:
    parts = ["so", "my", "dear", "friend"]
    words = [Heard(Word(start=0.0, end=9.0, text=f" {part}", probability=0), -0.3, 0.1) for part in parts]
    untimed = Hearing(words, WHOLE_WEIGHT)
    words = vote([untimed, hearing("my dear", start=5.0)])
    assert said(words) == "so my dear friend"
    assert [(item.word.start, item.word.end) for item in words[1:3]] == [(5.0, 5.4), (5.5, 5.9)]
    assert words[0].word.end <= 5.0 and words[3].word.start >= 5.9 and words[3].word.end <= 9.0


words = st.lists(st.tuples(st.sampled_from(["one", "two", "three", "four"]), st.floats(0.1, 0.9)), max_size=9)


@given(words, words, words)
def test_a_vote_keeps_order_and_makes_nothing_up(one: Any, two: Any, three: Any) -> None:
    hearings = [
        Hearing(
            [
                Heard(Word(start=i / 2, end=i / 2 + 0.4, text=f" {part}", probability=sure), float(np.log(sure)), 0.1)
                for i, (part, sure) in enumerate(rows)
            ]
        )
        for rows in (one, two, three)
    ]
    found = vote(hearings)
    assert {item.word.text.strip() for item in found} <= {part for rows in (one, two, three) for part, _ in rows}
    assert len(found) <= max(map(len, (one, two, three))) * 3
    assert said(vote([hearings[0]])) == " ".join(part for part, _ in one)


LOOPS = [
    ("hate, " * 9, -0.3, "hate,"),
    ("hate, " * 9, -1.2, ""),
    ("We have to go. " + "It is so cold here. " * 6, -0.4, "We have to go. It is so cold here."),
    ("No, no, no, wait.", -0.4, "No, no, no, wait."),
    ("I love you. Do you? I love you. I know.", -0.4, "I love you. Do you? I love you. I know."),
]


@pytest.mark.parametrize(("text", "logprob", "kept"), LOOPS)
def test_loops_are_left_out_and_told(text: str, logprob: float, kept: str) -> None:
    parts = text.split()
    heard = [
        Heard(Word(start=i / 3, end=i / 3 + 0.3, text=f" {part}", probability=0.5), logprob, 0.2)
        for i, part in enumerate(parts)
    ]
    words, loops = unlooped(heard, "en")
    assert said(words) == kept
    assert len(words) + len(loops) == len(parts)


class Deaf:
    """A detector that never hears a voice, as under loud music."""

    def speech(self, audio: np.ndarray) -> list[Span]:
        return []


class Looping:
    """A recogniser that writes one word until its window is full."""

    def transcribe(self, audio: np.ndarray, language: str | None) -> list[Segment]:
        words = [Word(start=i / 4, end=i / 4 + 0.2, text=" hate,", probability=0.5) for i in range(len(audio) // 4000)]
        return [Segment("hate, " * len(words), words, -0.9, 0.3)]


def test_no_loop_becomes_a_line() -> None:
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, 8 * 16_000).astype(np.float32)
    sound = ChunkSound(noise, noise, [Span(start=0.5, end=7.5)], [Span(start=0.5, end=7.5)])
    engines = {"recognizer": Looping(), "embedder": PitchEmbedder()}
    lines = listen(sound, "en", TranscriptionSettings(), engines, lambda share: None)
    assert [(line.status, line.reason) for line in lines] == [("dropped", "hallucination")]
    assert lines[0].text.startswith("hate, hate")


@pytest.fixture(scope="module")
def recognizer(weights: WeightFiles) -> FasterWhisper:
    pytest.importorskip("faster_whisper")
    return FasterWhisper(EngineOptions(model="base", threads=2), weights)


def excerpt(name: str, rate: int, start: float = 8.8, end: float = 16.3) -> np.ndarray:
    """Lines 2 and 3 of the sample, mono."""
    audio, own = sf.read(TRUTH / name, dtype="float32", always_2d=True)
    return resample(audio.mean(axis=1)[round(start * own) : round(end * own)], own, rate)


def said_there() -> set[str]:
    lines = json.loads((TRUTH / "truth.json").read_text())["lines"][1:3]
    return {word for line in lines for word in normalise(line["text"]).split()}


@pytest.mark.slow
def test_no_detector_decides_what_is_heard(recognizer: FasterWhisper) -> None:
    voices = excerpt("anna.flac", 16_000) + excerpt("tom.flac", 16_000)
    mix = voices + 2 * excerpt("background.ogg", 16_000)
    engines = {"recognizer": recognizer, "embedder": PitchEmbedder()}
    lines = listen(ChunkSound(mix, voices * 0, [], []), "en", TranscriptionSettings(), engines, lambda share: None)
    heard = {word for line in lines if line.status == "ok" for word in normalise(line.text).split()}
    assert len(heard & said_there()) >= 0.8 * len(said_there())
    assert all(a.start <= a.end <= b.start + 0.01 for a, b in pairwise(lines))


@pytest.mark.slow
@pytest.mark.parametrize("where", ["mix", "vocals", "nowhere"])
def test_no_title_is_without_speech_before_it_was_listened_to(
    recognizer: FasterWhisper, work: FakeWork, tmp_path: Path, where: str
) -> None:
    voices = excerpt("anna.flac", 48_000) + excerpt("tom.flac", 48_000)
    bed = excerpt("background.ogg", 48_000)
    sf.write(tmp_path / "master.flac", bed + voices if where == "mix" else bed, 48_000, subtype="PCM_24")
    sf.write(tmp_path / "vocals.flac", voices if where == "vocals" else voices * 0, 48_000, subtype="PCM_24")
    (tmp_path / "speech.json").write_text("[]")
    inputs = {name: tmp_path / name for name in ("master.flac", "speech.json")}
    inputs["vocals/0000"] = tmp_path / "vocals.flac"
    out = LANGUAGE.run(Scope(), inputs, TranscriptionSettings(), {"recognizer": recognizer}, work)
    answer = json.loads(out["language.json"].read_text())
    assert answer["language"] == (None if where == "nowhere" else "en")

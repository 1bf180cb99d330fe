"""Windows, word times, splitting, gates: pure functions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.transcription.engines.faster_whisper import useful_frames
from services.transcription.language import decide, listening_windows
from services.transcription.recognition.gates import phrase_share, refuse
from services.transcription.recognition.utterances import (
    Heard,
    breathing_room,
    hug,
    joined,
    levels,
    reunite,
    settle,
    split,
)
from services.transcription.recognition.windows import MAX_WINDOW_SECONDS, covered, union, windows, within
from shared.core.records import Span, Word
from shared.settings.models import TranscriptionSettings
from tests.unit.services.transcription.conftest import quiet, tone

SETTINGS = TranscriptionSettings()


def heard(*words: tuple[float, float, str]) -> list[Heard]:
    return [Heard(Word(start=start, end=end, text=f" {text}"), -0.2, 0.0) for start, end, text in words]


def texts(groups: list[list[Heard]]) -> list[str]:
    return [joined(group) for group in groups]


spans = st.lists(st.tuples(st.floats(0, 200), st.floats(0.05, 60)), max_size=12).map(
    lambda pairs: union(Span(start=start, end=start + length) for start, length in pairs)
)


@given(spans)
def test_windows_cover_all_speech_and_fit(speech: list[Span]) -> None:
    audio = np.zeros(270 * 16_000, dtype=np.float32)
    plan = windows(speech, audio)
    assert all(window.end - window.start <= MAX_WINDOW_SECONDS + 1 for window in plan)
    assert all(a.end <= b.start + 1e-6 for a, b in pairwise(plan))
    for span in speech:
        assert covered(plan, span.start, span.end) == pytest.approx(span.end - span.start, abs=0.01)


def test_long_speech_is_cut_where_it_is_quiet() -> None:
    audio = np.concatenate([tone(24, rate=16_000), quiet(0.5, 16_000), tone(20, rate=16_000)])
    first, second = windows([Span(start=0, end=44.5)], audio)
    assert 24.0 <= first.end <= 24.5 and second.start == first.end


def test_long_silence_separates_windows() -> None:
    plan = windows([Span(start=1, end=2), Span(start=4, end=5), Span(start=9, end=10)], quiet(12, 16_000))
    assert [(window.start, window.end) for window in plan] == [(0.75, 5.25), (8.75, 10.25)]


def test_within_shifts_and_clips() -> None:
    assert within([Span(start=1, end=4), Span(start=8, end=9)], 3, 8.5) == [
        Span(start=0, end=1),
        Span(start=5, end=5.5),
    ]


def test_words_are_cut_to_the_speech_under_them() -> None:
    speech = [Span(start=1, end=2), Span(start=4, end=5)]
    words = heard((0.0, 1.5, "And"), (1.5, 3.0, "so"), (3.1, 3.6, "my"), (4.5, 7.0, "friend"))
    settled = [(round(w.word.start, 2), round(w.word.end, 2)) for w in settle(words, speech)]
    assert settled == [(1.0, 1.5), (1.5, 2.0), (4.0, 4.5), (4.5, 5.0)]


@given(st.lists(st.tuples(st.floats(0, 60), st.floats(-1, 5)), max_size=30), spans)
def test_settled_words_never_overlap(times: list[tuple[float, float]], speech: list[Span]) -> None:
    words = heard(*((start, start + length, "a") for start, length in times))
    settled = [item.word for item in settle(words, speech)]
    assert all(word.end > word.start for word in settled)
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(settled))


def test_pauses_split() -> None:
    words = heard((0, 0.5, "One"), (0.6, 1.0, "two."), (1.25, 2.0, "Three"), (2.3, 3.0, "four"), (3.6, 4.0, "five."))
    assert texts(split(words, 0.5, 12)) == ["One two.", "Three four", "five."]


def test_a_letter_alone_goes_to_the_words_behind_it() -> None:
    words = heard((0, 0.3, "I"), (1.0, 1.4, "think"), (1.4, 1.8, "so."), (5.0, 5.2, "A"), (9.0, 9.4, "night."))
    parts = reunite(split(words, 0.5, 12), 2)
    assert texts(parts) == ["I think so.", "A", "night."]
    assert [item.word.start for item in parts[0]] == pytest.approx([0.7, 1.0, 1.4])


def test_long_utterances_split_at_the_best_break() -> None:
    words = heard(*((i, i + 0.95, "word," if i == 8 else "word") for i in range(16)))
    parts = split(words, 0.5, 12)
    assert [len(part) for part in parts] == [9, 7]


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0.05, 2)), min_size=1, max_size=40))
def test_splitting_loses_no_word(steps: list[tuple[float, float]]) -> None:
    words, at = [], 0.0
    for number, (pause, length) in enumerate(steps):
        words.append((at + pause, at + pause + length, f"w{number}."))
        at += pause + length
    parts = split(heard(*words), 0.5, 5.0)
    assert [item.word.text for part in parts for item in part] == [f" {text}" for _, _, text in words]
    assert all(len(part) == 1 or part[-1].word.end - part[0].word.start <= 5.0 for part in parts)


def test_edges_hug_the_sound() -> None:
    audio = np.concatenate([quiet(1, 16_000), tone(2, rate=16_000), quiet(1, 16_000)])
    for rough in (Span(start=0.6, end=3.5), Span(start=1.2, end=2.8)):
        span = hug(rough, levels(audio), 0.5, 3.6)
        assert span.start == pytest.approx(1.0, abs=0.03) and span.end == pytest.approx(3.0, abs=0.03)


def test_bad_times_do_not_make_speech_ten_times_too_fast() -> None:
    span = breathing_room(Span(start=5.0, end=5.1), 56, 3.0, 6.0)
    assert span.end - span.start == pytest.approx(2.0)
    squeezed = breathing_room(Span(start=5.0, end=5.1), 56, 4.9, 5.2)
    assert (squeezed.start, squeezed.end) == (4.9, 5.2)


@pytest.mark.parametrize(
    ("text", "facts", "reason"),
    [
        ("I know this letter.", {}, None),
        ("Thank you.", {}, None),
        ("…", {}, "no_words"),
        ("A", {}, "no_words"),
        ("la la la la la la la la", {"mean_logprob": -1.8}, "hallucination"),
        ("la la la la la la la la", {}, None),
        ("I love you. " * 40, {"seconds": 3.0}, "hallucination"),
        ("Thank you for watching!", {"supported": 0.1}, "hallucination"),
        ("Thank you.", {"no_speech": 0.9}, "hallucination"),
        ("ご視聴ありがとうございました", {"supported": 0.0}, "hallucination"),
        ("Sous-titres réalisés par la communauté d'Amara.org", {}, "hallucination"),
        ("Untertitel im Auftrag des ZDF für funk, 2017", {}, "hallucination"),
        ("a walk in the park", {"supported": 0.0, "mean_logprob": -0.9}, "no_speech"),
        ("a walk in the park", {"no_speech": 0.8, "mean_logprob": -1.2}, "no_speech"),
        ("a walk in the park", {"sparse": True, "mean_logprob": -0.9}, "hallucination"),
        ("a walk in the park", {"sparse": True}, None),
        ("Stop!", {"seconds": 0.05}, "too_short"),
    ],
)
def test_gates(text: str, facts: dict[str, float], reason: str | None) -> None:
    usual = {"seconds": 2.0, "mean_logprob": -0.3, "no_speech": 0.05, "supported": 1.0, "sparse": False}
    assert refuse(text, "en", **(usual | facts), settings=SETTINGS) == reason  # type: ignore[arg-type]


def test_phrase_share() -> None:
    assert phrase_share("go on go on go on go on", "en") == (1.0, 4)
    assert phrase_share("はいはいはいはい", "ja")[0] == 1.0
    assert phrase_share("every word here is another one", "en") == (0.0, 0)


def test_useful_frames_keep_a_margin() -> None:
    mel = np.zeros((80, 3000), dtype=np.float32)
    mel[:, :301] = 1
    assert useful_frames(mel) == 702
    mel[:] = 1
    assert useful_frames(mel) == 3000
    assert useful_frames(np.zeros((80, 3000), dtype=np.float32)) == 400


def test_language_is_listened_for_where_most_is_said() -> None:
    speech = [Span(start=10, end=12), Span(start=100, end=125), Span(start=130, end=131), Span(start=590, end=600)]
    chosen = listening_windows(speech, 600)
    assert [(window.start, window.end) for window, _ in chosen] == [(100, 125), (130, 131), (590, 600)]
    assert listening_windows([], 600) == []


def test_votes_decide() -> None:
    assert decide({}) == {"language": None, "confidence": 0.0, "votes": {}, "reason": "no_speech"}
    answer = decide({"en": 8.0, "fr": 1.9, "la": 0.05})
    assert answer["language"] == "en" and "la" not in answer["votes"]

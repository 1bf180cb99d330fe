"""Half sentences: which lines are parts of one, and where its translation is cut."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.translation.fragments import breaks_off, divide, join_fragments
from shared.core.records import Utterance
from shared.core.text import UNSPACED, alphanumerics
from tests.unit.services.translation.fakes import FakeTranslator, translate
from tests.unit.services.translation.test_stage import texts

HALVES = ["Excuse me, could", "I get in there and", "fetch my coat?"]
WHOLE = "Excuse me, could I get in there and fetch my coat?"
SPANISH = "Perdone, ¿podría entrar ahí y recoger mi abrigo?"
ALONE = {"Excuse me, could": "Perdone, podría", "I get in there and": "entro ahí y", "fetch my coat?": "¿mi abrigo?"}


def line(number: int, text: str, start: float, **fields: object) -> Utterance:
    return Utterance(id=f"u{number:04}", start=start, end=start + 1.0, language="en", text=text, **fields)


def spoken(*changes: dict[str, object]) -> list[Utterance]:
    """The three halves 0.4 s apart; ``changes`` to each line in turn."""
    fields = [*changes, *[{}] * (len(HALVES) - len(changes))]
    return [
        line(n, text, 1.4 * n).model_copy(update=change)
        for n, (text, change) in enumerate(zip(HALVES, fields, strict=True), 1)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Excuse me, could", True),
        ("well,", True),
        ("I was there.", False),
        ("Wait...", False),
        ("But I…", False),
        ("I never -", False),
        ("He said “no.”", False),
        ("…", False),
        ("彼は", True),
        ("行きました。", False),
    ],
)
def test_a_line_that_breaks_off_is_known_by_its_end(text: str, expected: bool) -> None:
    assert breaks_off(text) is expected


def test_parts_of_a_sentence_are_one_group() -> None:
    assert [len(group) for group in join_fragments(spoken(), lambda line: True)] == [3]


@pytest.mark.parametrize(
    "change",
    [
        {"speaker": "S2"},
        {"language": "fr"},
        {"overlapped": True},
        {"start": 4.0, "end": 4.1},
        {"text": "…"},
        {"text": "I get in there. And"},
    ],
)
def test_what_is_no_part_stays_alone(change: dict[str, object]) -> None:
    groups = join_fragments(spoken({}, change), lambda line: True)
    expected = [2, 1] if change.get("text") == "I get in there. And" else None
    sizes = [len(group) for group in groups]
    assert sizes[0] == 1 or (expected is not None and sizes == [3])


def test_lines_that_may_not_be_joined_are_not() -> None:
    groups = join_fragments(spoken(), lambda line: line.id != "u0002")
    assert [len(group) for group in groups] == [1, 1, 1]


def test_a_sentence_has_no_end_of_parts() -> None:
    many = [line(n, "and then", 1.2 * n) for n in range(12)]
    assert max(len(group) for group in join_fragments(many, lambda line: True)) == 4


def test_the_translation_is_cut_near_the_pause_and_never_after_an_article() -> None:
    pieces = divide(SPANISH, HALVES, "es")
    assert pieces is not None and len(pieces) == 3
    assert " ".join(pieces) == SPANISH
    assert not any(piece.endswith((" mi", " y", " la")) for piece in pieces)


def test_a_comma_near_the_pause_takes_the_cut() -> None:
    assert divide("Creo que sí, pero no lo sé.", ["I think so but", "I don't know."], "es") == [
        "Creo que sí,",
        "pero no lo sé.",
    ]


def test_japanese_is_cut_after_a_particle() -> None:
    assert divide("昨日私は駅で彼に会いました。", ["Yesterday I", "met him at the station."], "ja") == [
        "昨日私は",
        "駅で彼に会いました。",
    ]


def test_too_few_words_are_not_divided() -> None:
    assert divide("Perdone.", HALVES, "es") is None


@given(
    words=st.lists(st.text("abcñé¿,.", min_size=1, max_size=8), max_size=12),
    parts=st.lists(st.sampled_from(HALVES), min_size=2, max_size=4),
    language=st.sampled_from(["es", "ja"]),
)
def test_nothing_is_lost_in_a_division(words: list[str], parts: list[str], language: str) -> None:
    text = ("" if language in UNSPACED else " ").join(words)
    pieces = divide(text, parts, language)
    if pieces is not None:
        assert len(pieces) == len(parts) and all(map(alphanumerics, pieces))
        assert "".join(pieces).replace(" ", "") == text.replace(" ", "")


def test_the_stage_asks_for_the_sentence_and_answers_by_line(tmp_path: Path) -> None:
    engine = FakeTranslator({WHOLE: SPANISH})
    answers, work = translate(tmp_path, spoken(), engine)
    assert [item.text for item, _ in engine.asked] == [WHOLE]
    assert [answer.utterance for answer in answers] == ["u0001", "u0002", "u0003"]
    assert " ".join(text or "" for text in texts(answers)) == SPANISH
    assert work.counters["lines_joined"] == 3
    again, work = translate(tmp_path, spoken(), FakeTranslator({}))
    assert texts(again) == texts(answers) and work.made == 0


def test_an_edit_changes_no_other_part_of_its_sentence(tmp_path: Path) -> None:
    before, _ = translate(tmp_path, spoken(), FakeTranslator({WHOLE: SPANISH}))
    answers, work = translate(tmp_path, spoken(), FakeTranslator({}), edits={"u0002": "entrar ahí y"})
    assert texts(answers) == [texts(before)[0], "entrar ahí y", texts(before)[2]] and work.made == 0
    assert [answer.edited for answer in answers] == [False, True, False]


def test_a_sentence_of_edits_alone_is_not_asked_for(tmp_path: Path) -> None:
    engine = FakeTranslator({})
    edits = {"u0001": "Perdone,", "u0002": "¿puedo entrar", "u0003": "por mi abrigo?"}
    assert texts(translate(tmp_path, spoken(), engine, edits=edits)[0]) == list(edits.values())
    assert not engine.asked


@pytest.mark.parametrize("answer", [None, "", ValueError("tensor"), WHOLE, "Sí."])
def test_a_sentence_that_cannot_be_had_or_divided_is_asked_for_by_line(tmp_path: Path, answer: object) -> None:
    answers, _ = translate(tmp_path, spoken(), FakeTranslator({WHOLE: answer, **ALONE}))
    assert texts(answers) == list(ALONE.values())


def test_a_sentence_across_two_chunks_is_not_joined(tmp_path: Path) -> None:
    answers, _ = translate(tmp_path, spoken(), FakeTranslator(ALONE), chunks=((0, 2), (2, 60)), chunk=0)
    assert texts(answers) == ["Perdone, podría"]


def test_groups_keep_every_line_in_order() -> None:
    lines = spoken({}, {"speaker": "S2"}, {"speaker": "S2"})
    flat = [item for group in join_fragments(lines, lambda line: True) for item in group]
    assert flat == lines and all(first.start < second.start for first, second in pairwise(flat))

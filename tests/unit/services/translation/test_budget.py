"""How much room a line has, how candidates are ranked by it, and where lines are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.translation.budget import Budget, budget, rate, slots
from services.translation.ranking import length_cost, rank, used, with_glossary
from services.translation.sentences import fitting, sentences
from shared.core.records import Hypothesis
from tests.unit.services.translation.fakes import utterances

ROOM = Budget(aim=30, limit=45, expected=30)


def test_room_follows_the_time_and_the_language() -> None:
    spanish = budget("Thirty characters of some text", 2.0, 3.0, "en", "es")
    assert spanish == Budget(aim=31, limit=60, expected=31)
    assert budget("Thirty characters of some text", 2.0, 3.0, "en", "ja").aim == 20
    assert rate("sv") == 15.0


def test_the_shortest_line_has_room_for_a_word() -> None:
    room = budget("Go!", 0.05, 0.05, "en", "es")
    assert room.aim >= 6 and room.limit >= 12


def test_a_line_borrows_half_the_pause_and_no_overlap() -> None:
    lines = utterances(["a", "b", "c"], seconds=2.0, every=3.0)
    lines[2] = lines[2].model_copy(update={"start": 7.5})
    room = slots(lines)
    assert room["u0001"] == 2.5
    assert room["u0002"] == 2.0
    assert room["u0003"] == lines[2].end - lines[2].start + 0.5


def test_the_candidate_that_fits_wins_over_a_slightly_likelier_long_one() -> None:
    found = rank(
        [
            Hypothesis(text="Esta frase es con mucho demasiado larga para su tiempo", score=-0.20),
            Hypothesis(text="Esta frase cabe en su tiempo", score=-0.30),
        ],
        ROOM,
        0.1,
    )
    assert found[0].text == "Esta frase cabe en su tiempo"
    assert found[0].score > found[1].score


def test_what_dropped_half_of_the_line_loses_to_what_did_not() -> None:
    found = rank(
        [Hypothesis(text="Vale", score=-0.2), Hypothesis(text="Vale, voy ahora mismo allí", score=-0.3)], ROOM, 0.1
    )
    assert found[0].text.startswith("Vale, voy")


def test_the_same_words_are_listed_once_and_glossary_terms_count() -> None:
    twice = [Hypothesis(text="Hola, Tom.", score=-0.5), Hypothesis(text="¡Hola, Tom!", score=-0.2)]
    assert [item.score for item in rank(twice, Budget(10, 15, 10), 0.1)] == [-0.2]
    found = rank(
        [Hypothesis(text="Llama a Fortaleza", score=-0.1), Hypothesis(text="Llama a Fortress", score=-0.3)],
        ROOM,
        0.1,
        ["Fortress"],
    )
    assert found[0].text == "Llama a Fortress"
    assert with_glossary("El warp drive falla", {"warp drive": "motor de curvatura"}) == "El motor de curvatura falla"


@given(st.integers(1, 400), st.integers(6, 200), st.integers(6, 200))
def test_length_never_earns_anything(size: int, aim: int, expected: int) -> None:
    assert length_cost("x" * size, Budget(aim, aim * 2, expected), 0.1) >= 0


def test_lines_are_cut_into_sentences() -> None:
    assert sentences("Excuse me! Mr. Moran?") == ["Excuse me!", "Mr. Moran?"]
    assert sentences("Well... maybe not. Go on then.") == ["Well... maybe not.", "Go on then."]
    assert sentences("どこ？心配したよ。") == ["どこ？", "心配したよ。"]
    assert sentences("It costs 3.50 in the U.S. market") == ["It costs 3.50 in the U.S. market"]
    assert sentences("You know, I've never...") == ["You know, I've never..."]
    assert sentences("“Stop!” He ran.") == ["“Stop!”", "He ran."]


@given(st.text(alphabet="ab .!?…。A", max_size=40))
def test_no_letter_is_lost_or_moved_by_cutting(text: str) -> None:
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


def test_terms_are_whole_words_whatever_their_case() -> None:
    glossary = {"art": "arte", "Warp Drive": "motor", "艦": "nave"}
    assert used(glossary, "The party starts.") == {}
    assert used(glossary, "Art, and the warp drive. 艦長") == glossary
    assert with_glossary("La party del ART", glossary) == "La party del arte"


@given(st.text(max_size=200))
def test_long_texts_are_cut_into_parts_that_fit(text: str) -> None:
    parts = fitting(text, lambda part: len(part) <= 12)
    assert all(len(part) <= 12 for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())

"""Lines and cues matched in order."""

from __future__ import annotations

from services.translation.alignment.beads import Bead, align_beads
from services.translation.alignment.beads import TimedText as Text
from tests.unit.services.translation.alignment import scene


def shapes(beads: list[Bead]) -> list[tuple[int, int]]:
    return [(len(bead.lines), len(bead.cues)) for bead in beads]


def beads(lines: list[Text], cues: list[Text]) -> list[Bead]:
    return align_beads(lines, cues, "en", "es")


def test_beads_cover_all_lines_and_cues_in_order() -> None:
    lines = [Text(start, end, text, who) for start, end, who, text in scene.HEARD]
    made = beads(lines, [Text(*row) for row in scene.SPANISH])
    assert [i for bead in made for i in bead.lines] == list(range(len(lines)))
    assert [j for bead in made for j in bead.cues] == list(range(len(scene.SPANISH)))
    assert shapes(made) == [(2, 1), (2, 1), (2, 1), (1, 2), (1, 1), (1, 1), (1, 1), (2, 1), (1, 1), (2, 1)]


def test_a_name_decides_between_two_lines_that_a_cue_stands_between() -> None:
    first, second = "Come here, Margaret, please.", "I am over there, my friends."
    for texts in ((first, second), (second, first)):
        made = beads(
            [Text(1, 2, texts[0]), Text(2.1, 3.1, texts[1])],
            [Text(1.7, 2.3, "Ven, Margaret, por favor.")],
        )
        assert [bead.lines[0] for bead in made if bead.lines and bead.cues] == [texts.index(first)]


def test_other_numbers_are_another_Text() -> None:
    lines = [Text(1, 2.5, "We have 40 minutes left here."), Text(2.7, 4, "The bomb is in room 512.")]
    made = beads(lines, [Text(2.2, 3.6, "La bomba está en la 512.")])
    assert [bead.lines[0] for bead in made if bead.lines and bead.cues] == [1]


def test_a_cue_is_not_divided_over_a_line_that_it_does_not_cover() -> None:
    lines = [
        Text(1, 3, "This is what she told me yesterday."),
        Text(3.9, 6, "And nobody has heard of her since."),
    ]
    assert (2, 1) not in shapes(beads(lines, [Text(1, 3.5, "Eso es lo que me dijo ayer por la tarde.")]))


def test_thousands_of_cues_in_one_second_are_passed_by() -> None:
    lines = [Text(float(at), at + 0.8, "Somebody says something here.") for at in range(0, 300, 10)]
    cues = [Text(5 + n / 2000, 5.5 + n / 2000, "Nada.") for n in range(2000)]
    made = beads(lines, cues)
    assert sum(len(bead.cues) for bead in made) == len(cues) and sum(len(bead.lines) for bead in made) == len(lines)

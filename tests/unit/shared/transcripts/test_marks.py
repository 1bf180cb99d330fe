"""What stands in captions beside the words, and lines that stand there more than once."""

from __future__ import annotations

import pytest

from shared.media.subtitles import Cue
from shared.transcripts import repeats
from shared.transcripts.marks import tagged


def said(*texts: str) -> list[tuple[str | None, str]]:
    cues = tagged([Cue(float(n), n + 1.0, text) for n, text in enumerate(texts)])
    assert all(cue.start < cue.end for cue in cues)
    return [(cue.speaker, cue.text) for cue in cues]


@pytest.mark.parametrize(
    "texts",
    [
        ("Remember: the door is open.", "Remember: the train leaves at nine."),
        ("Note: Anna is here.", "Note: Tom is not."),
        ("Recuerda: Ana está aquí.", "Recuerda: el tren sale."),
        ("Achtung: Der Zug fährt ab.", "Achtung: Der Zug ist weg."),
        ("Everything else: nothing.", "Everything else: nobody."),
        ("I have one rule: never look back.", "I have one rule: never be late."),
        ("注意：雨です。", "注意：電車です。"),
    ],
    ids=lambda texts: texts[0],
)
def test_a_word_before_a_colon_that_comes_back_is_no_speaker(texts: tuple[str, ...]) -> None:
    assert said(*texts) == [(None, text) for text in texts]


@pytest.mark.parametrize(
    ("texts", "speakers"),
    [
        (("Anna: Hello.", "Anna: Me."), ["Anna", "Anna"]),
        (("ANNA: hello.", "ANNA: me."), ["ANNA", "ANNA"]),
        (("Dr. Smith: Hello.", "Dr. Smith: Me."), ["Dr. Smith", "Dr. Smith"]),
        (("MAN #2: Hello.", "MAN #2: Me."), ["MAN #2", "MAN #2"]),
        (("アンナ：こんばんは。", "アンナ：はい。"), ["アンナ", "アンナ"]),
        (("（アンナ）こんばんは。", "（アンナ）はい。"), ["アンナ", "アンナ"]),
        (("【Anna】Hello.", "【Anna】Me."), ["Anna", "Anna"]),
        (("[Anna] Hello.", "[Anna] me."), ["Anna", "Anna"]),
        (("Speaker 1: hello.", "Speaker 2: me."), ["Speaker 1", "Speaker 2"]),
        ((">> ANNA: Hello.", ">> Tom: Me."), ["ANNA", "Tom"]),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_names_are_taken_from_the_text(texts: tuple[str, ...], speakers: list[str]) -> None:
    found = said(*texts)
    assert [speaker for speaker, _ in found] == speakers
    assert all(not any(mark in text for mark in ":：[(（【>") for _, text in found)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("- Good evening.\n- Come in.", [(None, "Good evening."), (None, "Come in.")]),
        ("-Good evening,\nmy friend.\n-Come in.", [(None, "Good evening, my friend."), (None, "Come in.")]),
        ("Good evening.\n– Come in.", [(None, "Good evening."), (None, "Come in.")]),
        ("- Good evening. - Come in.", [(None, "Good evening."), (None, "Come in.")]),
        ("- Just one of them,\nin two lines.", [(None, "Just one of them, in two lines.")]),
        (">> TOM: Thank you.\n>> ANNA: You are welcome.", [("TOM", "Thank you."), ("ANNA", "You are welcome.")]),
        ("Hello. >> Hi there.", [(None, "Hello."), (None, "Hi there.")]),
        ("It was 5 - 3 - 1 at half time.", [(None, "It was 5 - 3 - 1 at half time.")]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_two_speakers_in_a_cue(text: str, parts: list[tuple[str | None, str]]) -> None:
    assert said(text) == parts


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Good evening. *sighs* Come in.", "Good evening. Come in."),
        ("*door slams* Who is it?", "Who is it?"),
        ("I *really* mean it.", "I really mean it."),
        ("*Never* do that.", "Never do that."),
        ("Come in (laughs) now.", "Come in now."),
        ("He (the doctor) said so.", "He (the doctor) said so."),
        ("Good [door slams] evening.", "Good evening."),
        ("♪ La la la ♪", "La la la"),
        ("# La la la #", "La la la"),
        ("雨です（ため息）ね。", "雨です ね。"),
    ],
)
def test_sounds_are_not_spoken_and_stressed_words_are(text: str, kept: str) -> None:
    assert said(text) == [(None, kept)]


def rolled(*cues: tuple[float, float, str]) -> list[str]:
    return [cue.text for cue in repeats.once([Cue(*cue) for cue in cues])[0]]


def test_captions_that_roll_say_each_line_once() -> None:
    flash = [(0, 2, "One line"), (2, 2.01, "One line"), (2.01, 4, "One line\nTwo lines"), (4, 4.01, "Two lines")]
    assert rolled(*flash, (4.01, 6, "Two lines\nThree lines")) == ["One line", "Two lines", "Three lines"]
    three = [(0, 1, "a b"), (1, 2, "a b\nc d"), (2, 3, "a b\nc d\ne f"), (3, 4, "c d\ne f\ng h")]
    assert rolled(*three) == ["a b", "c d", "e f", "g h"]


def test_captions_that_grow_are_said_once_from_their_first_word_on() -> None:
    cues, _ = repeats.once(
        [Cue(0, 1, "Good"), Cue(1, 2, "Good evening"), Cue(2, 3, "Good evening Tom"), Cue(5, 6, "Yes")]
    )
    assert [(cue.start, cue.end, cue.text) for cue in cues] == [(0, 3, "Good evening Tom"), (5, 6, "Yes")]


def test_what_people_do_say_twice_stays() -> None:
    cues = [(0, 1, "No."), (1.2, 2, "No."), (2.5, 4, "Come in.\nIt is raining."), (4.2, 6, "It is raining?\nYes.")]
    assert rolled(*cues) == [text for _, _, text in cues]

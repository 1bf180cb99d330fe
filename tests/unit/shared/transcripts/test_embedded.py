"""Which stream is the whole text in a language."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from shared.media.subtitle_streams import StreamCue, SubtitleStream
from shared.transcripts.embedded import Chosen, choose_stream
from tests.unit.shared.transcripts.texts import TEXTS

SPANISH = TEXTS["es"]


def stream(index: int, texts: Sequence[str] = SPANISH, **facts: Any) -> SubtitleStream:
    many = (list(texts) * 40)[:40] if texts else []
    own = {"codec": "srt", "language": "es", "title": "", "forced": False, "hearing_impaired": False}
    own |= {"commentary": False, "default": False, "pictures": False}
    cues = [StreamCue(start=n * 3.0, end=n * 3 + 2.0, text=text) for n, text in enumerate(many)]
    return SubtitleStream(index=index, **{**own, "cues": cues, **facts})


def choose(folder: Path, *streams: SubtitleStream) -> Chosen:
    path = folder / "subtitles.json"
    path.write_text(json.dumps([one.model_dump() for one in streams]))
    return choose_stream(path, "es", "Spanish translation")


FEW = stream(2).cues[:3]
DESCRIBED = [StreamCue(start=n * 3.0, end=n * 3 + 1.0, text="[RISAS]") for n in range(10)]


@pytest.mark.parametrize(
    ("lesser", "word"),
    [
        (stream(2, forced=True), "is forced"),
        (stream(2, title="Forced (signs)"), "is forced"),
        (stream(2, cues=FEW), "has 3 cues where another has 40"),
        (stream(2, title="Director's Commentary"), "is commentary"),
        (stream(2, pictures=True, codec="pgssub"), "holds pictures (pgssub)"),
        (stream(2, []), "has no text"),
        (stream(2, hearing_impaired=True), "stands by"),
        (stream(2, title="Español SDH"), "stands by"),
        (stream(2, cues=[*stream(2).cues, *DESCRIBED]), "stands by"),
    ],
)
def test_the_whole_text_without_descriptions_is_preferred(tmp_path: Path, lesser: SubtitleStream, word: str) -> None:
    chosen = choose(tmp_path, lesser, stream(3))
    assert chosen.stream is not None and chosen.stream.index == 3
    assert word in chosen.notes[0].message and chosen.notes[0].kind == "subtitles_used"


def test_one_for_the_hard_of_hearing_is_better_than_none(tmp_path: Path) -> None:
    chosen = choose(tmp_path, stream(2, hearing_impaired=True), stream(3, language="fr"))
    assert chosen.stream is not None and chosen.stream.index == 2
    assert "for the hard of hearing" in chosen.notes[0].message


def test_the_default_comes_first_and_an_untagged_text_is_known_by_itself(tmp_path: Path) -> None:
    chosen = choose(tmp_path, stream(2), stream(4, default=True))
    assert chosen.stream is not None and chosen.stream.index == 4
    untagged = choose(tmp_path, stream(5, language=None))
    assert untagged.stream is not None and untagged.stream.index == 5


def test_a_wrong_tag_does_not_deceive(tmp_path: Path) -> None:
    chosen = choose(tmp_path, stream(2, TEXTS["fr"]))
    assert chosen.stream is None and "is in French" in chosen.notes[0].message
    assert chosen.notes[0].kind == "subtitles_missing" and chosen.cues == []


def test_codes_and_drawings_of_ass_are_left_out(tmp_path: Path) -> None:
    rows = [
        StreamCue(start=4, end=5, text="{\\i1}Hola{\\i0},\\NTomás. ¿Cómo estás hoy, amigo mío?"),
        StreamCue(start=1, end=2, text="{\\p1}m 0 0 l 10 10{\\p0}"),
    ]
    assert [cue.text for cue in choose(tmp_path, stream(2, cues=rows)).cues] == [
        "Hola,\nTomás. ¿Cómo estás hoy, amigo mío?"
    ]

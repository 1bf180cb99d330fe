"""Subtitle streams of real files, muxed here."""

from __future__ import annotations

from pathlib import Path

import pytest
from av.stream import Disposition

from shared.media.probing import probe
from shared.media.subtitle_streams import read_subtitle_streams
from shared.media.subtitles import Cue
from shared.settings.models import LimitSettings
from tests.unit.shared.media import odd
from tests.unit.shared.media.subtitled import Subtitles, with_subtitles

CUES = [Cue(0.5, 1.5, "Buenas <i>noches</i>,\nTomás."), Cue(2.0, 2.5, "[RISAS] ¿Sí?")]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return odd.clip(tmp_path_factory.mktemp("film") / "film.mp4", 3.0)


def test_streams_with_their_tags_and_texts_on_the_titles_clock(film: Path, tmp_path: Path) -> None:
    streams = [
        Subtitles(CUES, "spa", "Español (SDH)", Disposition.hearing_impaired),
        Subtitles([CUES[0]], "fre", "Forcés", Disposition.forced | Disposition.default, "ass"),
        Subtitles([], "", "Commentary", Disposition.comment),
    ]
    path = with_subtitles(film, streams, tmp_path / "film.mkv")
    read = read_subtitle_streams(path, probe(path), LimitSettings())
    assert [stream.language for stream in read] == ["es", "fr", None]
    assert [(s.hearing_impaired, s.forced, s.commentary, s.default) for s in read] == [
        (True, False, False, False),
        (False, True, False, True),
        (False, False, True, False),
    ]
    assert not any(stream.pictures for stream in read)
    first, second = read[0].cues
    assert first.text == "Buenas {\\i1}noches{\\i0},\nTomás." and second.text == "[RISAS] ¿Sí?"
    assert (first.start, first.end) == pytest.approx((0.5, 1.5), abs=0.03)
    assert len(read[1].cues) == 1 and read[2].cues == []


def test_text_in_mp4_and_a_film_without_any(film: Path, tmp_path: Path) -> None:
    path = with_subtitles(film, [Subtitles([CUES[1]], "spa", codec="mov_text")], tmp_path / "film.mp4")
    (stream,) = read_subtitle_streams(path, probe(path), LimitSettings())
    assert [cue.text for cue in stream.cues] == ["[RISAS] ¿Sí?"]
    assert read_subtitle_streams(film, probe(film), LimitSettings()) == []

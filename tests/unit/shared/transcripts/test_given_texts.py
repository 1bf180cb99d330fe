"""Translations as people name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.core.errors import UsageError
from shared.transcripts.given_texts import asked_translations, parse_translations


def test_options_are_language_and_file() -> None:
    assert parse_translations(["es=film.es.srt", "Japanese=a=b.ass"]) == {
        "es": Path("film.es.srt"),
        "Japanese": Path("a=b.ass"),
    }


@pytest.mark.parametrize("options", [["film.es.srt"], ["=film.srt"], ["es="], ["es=a.srt", "es=b.srt"]])
def test_options_without_a_language_or_twice_the_same_are_refused(options: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        parse_translations(options)
    assert refused.value.code == "bad_translation"


def test_languages_are_those_that_are_asked_however_they_are_written() -> None:
    assert asked_translations({"Spanish": 1, "fr-FR": 2}, ["es", "fr"]) == {"es": 1, "fr": 2}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"klingonish": 1}, "unknown_language"),
        ({"de": 1}, "translation_not_asked"),
        ({"es": 1, "spa": 2}, "bad_translation"),
    ],
)
def test_others_are_refused(given: dict[str, int], code: str) -> None:
    with pytest.raises(UsageError) as refused:
        asked_translations(given, ["es", "fr"])
    assert refused.value.code == code

"""The functions for notebooks hand on what they are given; each refusal comes from what they hand it to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import counterdub
from shared.core.errors import UsageError


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        ({"translations": {"fr": "film.fr.srt"}}, "translation_not_asked"),
        ({"translations": {"es": "nowhere.srt"}}, "bad_translation"),
        ({"transcript": "nowhere.srt"}, "bad_transcript"),
        ({"subtitles": "some"}, "unknown_subtitles"),
    ],
)
def test_texts_that_people_have_reach_the_run(tmp_path: Path, texts: dict[str, Any], code: str) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"never opened")
    with pytest.raises(UsageError) as caught:
        counterdub.dub(film, ["es"], tmp_path / "out", **texts)
    assert caught.value.code == code and not (tmp_path / "out").exists()

"""Hearing the voices of a finished folder: auditions, single lines, and whether files are still what they were."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import pytest

from shared.core.records import SAMPLE_RATE
from tests.integration.films import cli


def heard(path: Path) -> tuple[float, str, dict[str, str]]:
    """Seconds, codec and tags of a sound file."""
    with av.open(str(path), "r") as container:
        stream = container.streams.audio[0]
        tags = {**container.metadata, **stream.metadata}
        seconds = sum(frame.samples for frame in container.decode(stream)) / SAMPLE_RATE
        return seconds, stream.codec_context.name, tags


@pytest.mark.slow
def test_voices_are_auditioned_and_nothing_else_is_made_again(finished: Path) -> None:
    before = {path: path.read_bytes() for path in sorted((finished / "dialogue" / "tracks").iterdir())}
    ended = cli.command("voices", finished, "--audition", "--format", "ogg", "--json")
    assert ended.code == 0, ended.stdout
    rows = ended.data["voices"]
    assert {row["language"] for row in rows} == {"en", "es"}
    assert all(row["auditioned"] and len(row["alternatives"]) == 2 for row in rows)
    for row in rows:
        assert row["voice"] not in {other["voice"] for other in row["alternatives"]}
    assert len(ended.data["files"]) == len(rows)
    for file in ended.data["files"]:
        seconds, codec, tags = heard(Path(file))
        assert codec == "opus"
        assert seconds > 3 * 0.6
        assert "AI-generated speech" in tags["comment"]
    assert {path: path.read_bytes() for path in before} == before
    again = cli.here("voices", finished, "--json")
    assert again.data["voices"] == rows


def test_a_line_becomes_a_file(finished: Path, tmp_path: Path) -> None:
    rows = cli.here("voices", finished, "--json").data["voices"]
    assert not any(row["auditioned"] for row in rows)
    ended = cli.here("line", finished, "--utterance", "u0001", "-l", "es", "--to", tmp_path / "line.mp3", "--json")
    assert ended.code == 0, ended.stdout
    seconds, codec, tags = heard(tmp_path / "line.mp3")
    assert codec.startswith("mp3")
    assert seconds == pytest.approx(ended.data["end"] - ended.data["start"] + 0.5, abs=0.3)
    assert tags["comment"].endswith("compositeWithTrainedAlgorithmicMedia")
    own = cli.here("line", finished, "--utterance", "u0001", "-l", "orig", "--format", "wav", "--json")
    assert "comment" not in heard(Path(own.data["file"]))[2]
    for wrong, code in (("u9999", "unknown_utterance"), ("u0001", "unknown_language")):
        language = "fr" if code == "unknown_language" else "es"
        refused = cli.here("line", finished, "--utterance", wrong, "-l", language, "--json")
        assert (refused.code, refused.error["code"]) == (2, code)


def test_changed_and_missing_files_are_seen(finished: Path) -> None:
    whole = cli.here("verify", finished, "--json")
    assert whole.code == 0
    assert whole.data["dialogue"]["changed"] == whole.data["dialogue"]["missing"] == []
    track, stem = finished / "dialogue/tracks/es.flac", finished / "dialogue/stems/speech.es.flac"
    track.unlink()
    shutil.copyfile(stem, track)
    stem.unlink()
    spoilt = cli.here("verify", finished, "--json")
    assert spoilt.code == 1
    assert spoilt.data["dialogue"]["changed"] == ["dialogue/tracks/es.flac"]
    assert spoilt.data["dialogue"]["missing"] == ["dialogue/stems/speech.es.flac"]


def test_a_key_that_is_none_is_refused_before_any_work(tmp_path: Path) -> None:
    video, key = tmp_path / "film.mp4", tmp_path / "key.pem"
    video.write_bytes(b"")
    key.write_text("no key", encoding="utf-8")
    out = tmp_path / "out"
    refused = cli.here("dub", video, "-l", "es", "-o", out, "--signing-key", key, "--json")
    assert (refused.code, refused.error["code"]) == (2, "bad_signing_key")
    assert not out.exists()

"""Files that cannot be used, and odd ones that can: all in one folder, one run, and each comes out right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from shared.media.probing import probe
from shared.schemas.reasons import Reason
from tests.integration.films import cli, media
from tests.unit.shared.media import odd

pytestmark = pytest.mark.slow

Maker = Callable[[Path], Path]

USELESS: dict[str, tuple[Maker, str, str]] = {
    "not_a_video": (odd.not_a_video, "not_a_video", "not a video"),
    "text_called_mp4": (odd.plain_text, "not_a_video", "not a video"),
    "empty_file": (odd.empty, "empty_file", "empty"),
    "truncated_mp4": (odd.truncated, "truncated", "breaks off"),
    "sound_without_picture": (odd.sound_only, "no_video_stream", "no picture"),
    "playlist_disguised_as_mp4": (
        lambda path: odd.playlist(path, Path("/etc/passwd")),
        "disguised_playlist",
        "playlist",
    ),
    "concat_script_disguised_as_mp4": (
        lambda path: odd.concat_script(path, Path("/etc/passwd")),
        "disguised_playlist",
        "playlist",
    ),
}
"""Title → maker, code, words of the message."""

ODD: dict[str, tuple[Maker, float]] = {
    "telephone_8_khz_mono": (lambda path: media.line(path, rate=8000, layout="mono"), 4.0),
    "surround_5_1": (lambda path: media.line(path, layout="5.1"), 4.0),
    "sound_at_44_1_khz": (lambda path: media.line(path, rate=44100), 4.0),
    "variable_frame_rate": (media.varying, 4.0),
    "rotated": (lambda path: media.line(path, rotation=90), 4.0),
    "odd_size": (lambda path: media.line(path, size=(161, 121)), 4.0),
    "video_longer_than_audio": (lambda path: media.line(path, 6.0), 6.0),
    "audio_longer_than_video": (lambda path: media.line(path, 3.2), 4.0),
    "start_times_not_zero": (media.late_start, 4.6),
}
"""Title with speech → maker, seconds that its tracks must last."""

SHORT: dict[str, tuple[Maker, float | None]] = {
    "fifty_milliseconds": (lambda path: odd.clip(path, 0.05, sound_seconds=0.05), 0.05),
    "broken_after_its_index": (media.broken_in_the_middle, None),
}
"""Titles without speech; None: as long as what of them can be read."""

FRAME = 1024 / 8000
"""Seconds: encoders of sound pad to whole frames."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad") / "films"
    folder.mkdir()
    makers = {name: row[0] for name, row in (USELESS | ODD | SHORT).items()}
    for name, make in makers.items():
        workshop = folder.parent / name
        workshop.mkdir()
        make(workshop / f"{name}.mp4").rename(folder / f"{name}.mp4")
    return folder


@pytest.fixture(scope="session")
def run(folder: Path, all_weights: None) -> cli.Ended:
    return cli.command("dub", folder, "-l", "en", "-o", folder.parent / "out", *cli.LIGHT, "--json")


@pytest.fixture
def out(run: cli.Ended, folder: Path) -> Path:
    return folder.parent / "out"


def title(run: cli.Ended, name: str) -> dict[str, Any]:
    (found,) = (title for title in run.data["titles"] if title["title"] == name)
    return found


@pytest.mark.parametrize("name", USELESS)
def test_useless_file_is_rejected_with_a_reason(run: cli.Ended, out: Path, name: str) -> None:
    _, code, words = USELESS[name]
    error = title(run, name)["error"]
    assert title(run, name)["state"] == "failed"
    assert error["code"] == code and words in error["message"] and error["stage"] == "ingest"
    assert not error["retryable"]
    (row,) = cli.rejects(out, name)
    assert row["reason"] == Reason.TITLE_FAILED and code in row["detail"]
    assert run.stderr.count(f"{name}: ") == 1, "said once, also with --json"


@pytest.mark.parametrize("name", USELESS)
def test_useless_file_alone_exits_with_3(folder: Path, tmp_path: Path, all_weights: None, name: str) -> None:
    result = cli.here("dub", folder / f"{name}.mp4", "-l", "en", "-o", tmp_path / "out")
    assert result.code == 3
    assert USELESS[name][2] in " ".join(result.stderr.split()) and USELESS[name][1] in result.stderr
    assert cli.rejects(tmp_path / "out", name), "even then the reason is in rejects.parquet"


def test_a_title_that_fails_does_not_stop_the_others(run: cli.Ended, out: Path) -> None:
    assert run.code == 1, run.stderr
    states = {title["title"]: title["state"] for title in run.data["titles"]}
    assert states == dict.fromkeys(USELESS, "failed") | dict.fromkeys(ODD | SHORT, "done")
    report = (out / "report.html").read_text(encoding="utf-8")
    assert all(name in report for name in states)


@pytest.mark.parametrize("name", ODD | SHORT)
def test_odd_file_gets_tracks_of_one_length(run: cli.Ended, folder: Path, out: Path, name: str) -> None:
    seconds = (ODD | SHORT)[name][1] or probe(folder / f"{name}.mp4").duration
    assert title(run, name)["tracks"] == ["orig", "control", "en"]
    files = [*(out / name / "tracks").glob("*.flac"), *(out / name / "stems").glob("*.flac")]
    facts = {(info.samplerate, info.frames) for info in (sf.info(str(path)) for path in files)}
    ((rate, frames),) = facts
    assert rate == 48000 and frames / 48000 == pytest.approx(seconds, abs=FRAME)
    for suffix in ("mp4", "mkv"):
        assert probe(out / name / f"{name}.{suffix}").duration == pytest.approx(seconds, abs=FRAME)


@pytest.mark.parametrize("name", ODD)
def test_odd_file_is_understood_and_dubbed(run: cli.Ended, out: Path, name: str) -> None:
    assert title(run, name)["source_language"] == "en"
    lines = [json.loads(row) for row in (out / name / "utterances" / "en-revoiced.jsonl").read_text().splitlines()]
    assert "raining" in " ".join(line["source_text"] for line in lines)
    assert all(line["status"] != "failed" for line in lines)
    speech, _ = sf.read(out / name / "stems" / "speech.en.flac")
    assert np.abs(speech).max() > 0.01


def test_start_times_not_zero_are_kept_between_picture_and_sound(run: cli.Ended, out: Path) -> None:
    """The sound began 0.6 s after the picture, and the first word 0.2 s after that."""
    line = json.loads((out / "start_times_not_zero" / "utterances" / "en.jsonl").read_text().splitlines()[0])
    assert line["start"] == pytest.approx(0.8, abs=0.15)


def test_rotated_and_odd_sizes_look_the_same_in_the_clips(run: cli.Ended, out: Path) -> None:
    turned = probe(next((out / "rotated" / "shots").glob("*_en.mp4"))).video
    # Turned by the player or for good: either way taller than wide.
    upright = turned.width < turned.height if turned.rotation % 180 == 0 else turned.width > turned.height
    assert upright
    assert probe(next((out / "odd_size" / "shots").glob("*_en.mp4"))).video.width in (160, 161, 162)


def test_fifty_milliseconds_are_rejected_as_too_short(run: cli.Ended, out: Path) -> None:
    assert {row["reason"] for row in cli.rejects(out, "fifty_milliseconds")} == {Reason.TOO_SHORT}


SPEECHLESS: dict[str, Maker] = {
    "no_audio_stream": lambda path: odd.clip(path, 4.0, sound=None),
    "silent_track": lambda path: odd.clip(path, 4.0, sound="silence"),
    "no_speech_at_all": lambda path: odd.clip(path, 4.0),
}


@pytest.fixture(scope="session")
def speechless(tmp_path_factory: pytest.TempPathFactory, all_weights: None) -> tuple[cli.Ended, Path]:
    folder = tmp_path_factory.mktemp("speechless")
    paths = [make(folder / f"{name}.mp4") for name, make in SPEECHLESS.items()]
    return cli.command("dub", *paths, "-l", "en", "-o", folder / "out", *cli.LIGHT, "--json"), folder / "out"


@pytest.mark.parametrize("name", SPEECHLESS)
def test_without_speech_the_pairs_are_rejected_and_the_run_succeeds(
    speechless: tuple[cli.Ended, Path], name: str
) -> None:
    run, out = speechless
    assert run.code == 0, run.stderr
    assert title(run, name)["state"] == "done"
    assert run.data["accepted"] == 0
    rows = cli.rejects(out, name)
    assert {row["track"] for row in rows} == {"orig", "control", "en"}
    assert {row["reason"] for row in rows} == {Reason.NO_SPEECH}
    (length,) = {sf.info(str(path)).frames for path in (out / name / "tracks").glob("*.flac")}
    assert 4 * 48000 <= length <= 4 * 48000 + 1024, "AAC ends on a whole frame"

"""Rows and verdicts of a title: each reason alone, the order of reasons, what a row says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.pairing.stage import PAIRS
from shared.audio.files import read_audio, write
from shared.core.records import LeftSpeech, Utterance, read_jsonl
from shared.schemas.pairs import PairRow
from shared.schemas.quality import QualityReport
from shared.schemas.reasons import TEXTS, Reason
from shared.settings.models import PairingSettings, Settings
from tests.conftest import ROOT
from tests.unit.services.pairing.title import SHOTS, TRACKS, Title, dubbed, facts_scope, pairs_inputs, run_stage


def copy_of(title: Title, folder: Path) -> Title:
    return Title(folder, dict(title.files))


def rows_of(
    title: Title, folder: Path, settings: PairingSettings | None = None, **scope: Any
) -> tuple[dict[tuple[int, str], PairRow], QualityReport]:
    outputs = run_stage(
        PAIRS,
        folder / "pairs",
        pairs_inputs(title),
        facts_scope(**scope),
        Settings(pairing=settings or PairingSettings()),
    )
    accepted = [PairRow.model_validate_json(line) for line in outputs["pairs.jsonl"].read_text().splitlines()]
    rejected = [PairRow.model_validate_json(line) for line in outputs["rejects.jsonl"].read_text().splitlines()]
    assert all(row.accepted and row.reason is None and row.reasons == [] for row in accepted)
    assert all(not row.accepted and row.reasons[0] == row.reason and row.detail for row in rejected)
    rows = {(row.shot, row.track): row for row in [*accepted, *rejected]}
    return rows, QualityReport.model_validate_json(outputs["quality.json"].read_text())


def test_every_shot_and_track_has_one_row_and_good_ones_are_pairs(finished: Title, tmp_path: Path) -> None:
    rows, report = rows_of(finished, tmp_path)
    assert set(rows) == {(shot, track) for shot in range(len(SHOTS)) for track in ("orig", *TRACKS)}
    for (shot, track), row in rows.items():
        expected = {1: Reason.NO_SPEECH, 2: Reason.TOO_SHORT}.get(shot)
        assert row.reason == expected, (shot, track, row.detail)
    assert report.accepted == 8 and report.rejected == 8
    assert report.reasons == {"no_speech": 4, "too_short": 4}
    assert report.shots == 4 and report.kept_shots == 3


def test_a_row_says_what_was_measured(finished: Title, tmp_path: Path) -> None:
    rows, _ = rows_of(finished, tmp_path)
    row = rows[0, "es"]
    assert (row.title, row.source_language, row.language) == ("clip", "en", "es")
    assert row.clip_path == "clip/shots/clip_0_es.mp4"
    assert (row.track_path, row.speech_path) == ("clip/tracks/es.flac", "clip/stems/speech.es.flac")
    assert row.background_path == "clip/stems/background.flac"
    assert row.speech_ratio == pytest.approx(2.5 / 4)
    assert row.utterances == 1 and row.dropped_utterances == 0
    assert row.isochrony_iou == pytest.approx(1)
    assert row.null_residual_db == -200
    assert (row.round_trip_cer, row.speaker_similarity) == (pytest.approx(0.1), pytest.approx(0.7))
    assert (row.detected_language, row.language_confidence) == ("es", pytest.approx(0.9))
    assert row.engines["dubbing"] == "kokoro" and "separation" in row.engines
    orig = rows[0, "orig"]
    assert orig.clip_path == "clip/shots/clip_0_en.mp4"
    assert orig.speech_path is None and orig.null_residual_db is None and orig.overflow_ms is None
    assert orig.engines == {}
    assert rows[0, "control"].clip_path == "clip/shots/clip_0_control.mp4"
    assert rows[0, "control"].language == "en" and "dubbing" not in rows[0, "control"].engines
    assert rows[2, "es"].clip_path is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "failed", "reason": "no_voice", "start": 0.5, "end": 0.5}, Reason.UTTERANCE_FAILED),
        ({"status": "overflow", "overflow_ms": 120.0}, Reason.OVERFLOW),
        ({"detected_language": "pt", "language_confidence": 0.8}, Reason.WRONG_LANGUAGE),
        ({"round_trip_cer": 0.9}, Reason.ROUND_TRIP),
        ({"loudness_difference_lu": -9.0}, Reason.LOUDNESS),
        ({"detected_language": "pt", "language_confidence": 0.1}, None),
        ({"detected_language": None, "language_confidence": None, "round_trip_cer": None}, None),
        ({"end": 2.0, "detected_language": "pt"}, None),
        ({"loudness_difference_lu": None, "speaker_similarity": None, "fit_ratio": None}, None),
    ],
)
def test_one_bad_line_rejects_its_shot_in_its_language_only(
    finished: Title, tmp_path: Path, changes: dict[str, Any], reason: Reason | None
) -> None:
    title = copy_of(finished, tmp_path)
    title.jsonl("dubbed/es/0000", [dubbed("u0001", "es", **changes)])
    rows, report = rows_of(title, tmp_path)
    assert rows[0, "es"].reason == reason
    assert rows[3, "es"].accepted and rows[0, "ja"].accepted and rows[0, "orig"].accepted
    assert report.reasons.get(reason, 0) == (1 if reason else 0)


def test_speech_at_another_time_is_not_isochronous(finished: Title, tmp_path: Path) -> None:
    title = copy_of(finished, tmp_path)
    title.json("activity/es/0000", {"source": [{"start": 0.5, "end": 3.0}], "dub": [{"start": 2.9, "end": 4.0}]})
    rows, report = rows_of(title, tmp_path)
    assert rows[0, "es"].reason == Reason.ISOCHRONY
    assert report.tracks["es"].isochrony is not None
    assert report.tracks["es"].isochrony.onset_error == pytest.approx(1.2)


def test_a_foreign_sound_in_a_track_is_a_null_residual_of_its_shot(finished: Title, tmp_path: Path) -> None:
    title = copy_of(finished, tmp_path)
    audio = read_audio(title.files["tracks/es"])
    audio[:, 20_000] += 0.01
    title.files["tracks/es"] = write(tmp_path / "es.flac", audio)
    rows, report = rows_of(title, tmp_path)
    assert rows[0, "es"].reason == Reason.NULL_RESIDUAL
    assert rows[0, "es"].null_residual_db == pytest.approx(-40, abs=0.1)
    assert rows[3, "es"].accepted
    assert report.tracks["es"].null is not None and report.tracks["es"].null.peak_dbfs == pytest.approx(-40, abs=0.1)


def notes_of(folder: Path) -> list[dict[str, str]]:
    (path,) = (folder / "pairs").glob("*-notes.json")
    return json.loads(path.read_text())


def left(belief: float) -> LeftSpeech:
    return LeftSpeech(start=1.0, end=2.0, text="A dangerous quest", mean_logprob=-0.4, no_speech=0.06, belief=belief)


@pytest.mark.parametrize(("belief", "reason"), [(0.97, Reason.SPEECH_IN_BACKGROUND), (0.3, None)])
def test_speech_left_in_the_background_rejects_every_track_of_its_shot(
    finished: Title, tmp_path: Path, belief: float, reason: Reason | None
) -> None:
    title = copy_of(finished, tmp_path)
    title.jsonl("residual/0000", [left(belief)])
    title.jsonl("residual/0001", [])
    rows, report = rows_of(title, tmp_path)
    for track in TRACKS:
        assert rows[0, track].residual_speech == belief and rows[0, track].reason == reason
        assert rows[3, track].residual_speech == 0.0 and rows[3, track].accepted
    assert rows[0, "orig"].residual_speech is None
    assert report.thresholds["max_residual_speech"] == 0.5
    if reason:
        assert "“A dangerous quest” at 1.0 s" in (rows[0, "es"].detail or "")
        assert rows[0, "orig"].reason == Reason.NO_COUNTERPART
    assert ("speech_in_background" in {note["kind"] for note in notes_of(tmp_path)}) is bool(reason)


def test_without_listening_nothing_is_known_of_the_background(finished: Title, tmp_path: Path) -> None:
    rows, _ = rows_of(copy_of(finished, tmp_path), tmp_path)
    assert all(row.residual_speech is None for row in rows.values())


def test_what_of_the_original_is_not_dubbed_is_counted(finished: Title, tmp_path: Path) -> None:
    title = copy_of(finished, tmp_path)
    title.jsonl("dubbed/es/0001", [dubbed("u0002", "es", status="failed", start=9.5, end=9.5)])
    lines = read_jsonl(title.files["utterances.jsonl"], Utterance)
    song = Utterance(id="u0003", start=3.2, end=3.7, language="en", text="la la", status="dropped", reason="no_speech")
    title.jsonl("utterances.jsonl", [*lines, song])
    for track in TRACKS:
        spans = [{"start": 0.5, "end": 3.0}, {"start": 5.0, "end": 7.0}, {"start": 7.5, "end": 7.6}]
        title.json(f"activity/{track}/0000", {"source": spans, "dub": spans[:1]})
    rows, report = rows_of(title, tmp_path)
    assert rows[0, "es"].speech_dubbed == pytest.approx(2.5 / 3.0)
    assert rows[1, "es"].speech_dubbed == 0.0
    assert (rows[3, "es"].speech_dubbed, rows[3, "ja"].speech_dubbed, rows[3, "orig"].speech_dubbed) == (0.0, 1.0, None)
    assert report.tracks["es"].not_dubbed == pytest.approx({"failed": 2.0, "no_speech": 0.5, "without_words": 2.0})
    assert report.tracks["ja"].speech_dubbed == pytest.approx(4.5 / 7.0)
    assert report.tracks["orig"].speech_dubbed is None
    told = [note["message"] for note in notes_of(tmp_path)]
    assert "es: 36% of the speech is dubbed, not 2.0 s failed, 0.5 s no speech, 2.0 s without words." in told


def test_speech_without_words_is_told_from_silence(finished: Title, tmp_path: Path) -> None:
    title = copy_of(finished, tmp_path)
    for track in TRACKS:
        spans = [{"start": 0.5, "end": 3.0}, {"start": 5.0, "end": 7.0}]
        title.json(f"activity/{track}/0000", {"source": spans, "dub": spans[:1]})
    rows, _ = rows_of(title, tmp_path)
    assert {rows[1, track].reason for track in ("orig", *TRACKS)} == {Reason.NO_TRANSCRIPT}


def test_dropped_lines_are_counted_and_leave_no_transcript(finished: Title, tmp_path: Path) -> None:
    title = copy_of(finished, tmp_path)
    lines = read_jsonl(title.files["utterances.jsonl"], Utterance)
    lines.append(Utterance(id="u0003", start=5, end=6, language="en", text="oh", status="dropped", reason="too_short"))
    title.jsonl("utterances.jsonl", lines)
    rows, _ = rows_of(title, tmp_path)
    assert rows[1, "es"].reason == Reason.NO_TRANSCRIPT and rows[1, "es"].dropped_utterances == 1


def test_a_title_without_speech_has_only_rejects(finished: Title, tmp_path: Path) -> None:
    title = copy_of(finished, tmp_path)
    title.jsonl("utterances.jsonl", [])
    for track in TRACKS:
        for chunk in range(2):
            title.jsonl(f"dubbed/{track}/{chunk:04}", [])
            title.json(f"activity/{track}/{chunk:04}", {"source": [], "dub": []})
    rows, report = rows_of(title, tmp_path, source_language=None)
    assert report.accepted == 0
    assert {row.reason for row in rows.values()} == {Reason.NO_SPEECH, Reason.TOO_SHORT}
    assert rows[0, "orig"].clip_path == "clip/shots/clip_0_orig.mp4"


def test_a_track_alone_is_no_pair(finished: Title, tmp_path: Path) -> None:
    title = copy_of(finished, tmp_path)
    for track in TRACKS:
        title.jsonl(f"dubbed/{track}/0000", [dubbed("u0001", track, status="failed", reason="x")])
    rows, _ = rows_of(title, tmp_path)
    assert rows[0, "orig"].reason == Reason.NO_COUNTERPART
    assert rows[3, "orig"].accepted


def test_a_line_that_crosses_the_cut_belongs_to_both_shots(finished: Title, tmp_path: Path) -> None:
    title = copy_of(finished, tmp_path)
    title.jsonl("dubbed/es/0000", [dubbed("u0001", "es", end=4.5, status="overflow", overflow_ms=500.0)])
    rows, _ = rows_of(title, tmp_path)
    assert rows[0, "es"].reason == Reason.OVERFLOW
    assert rows[1, "es"].reasons == [Reason.NO_SPEECH, Reason.OVERFLOW]


def test_thresholds_are_settings(finished: Title, tmp_path: Path) -> None:
    rows, report = rows_of(finished, tmp_path / "a", PairingSettings(min_shot_seconds=3.5, max_shot_seconds=3.9))
    assert rows[0, "es"].reason == Reason.TOO_LONG and rows[3, "es"].reason == Reason.TOO_SHORT
    assert report.thresholds["max_shot_seconds"] == 3.9
    rows, _ = rows_of(finished, tmp_path / "b", PairingSettings(max_round_trip_cer=0.05))
    assert rows[0, "es"].reason == Reason.ROUND_TRIP
    assert rows[0, "control"].accepted, "the control is not judged by what is heard of its words"
    assert rows_of(finished, tmp_path / "c", PairingSettings(export_shots=False))[0][0, "es"].clip_path is None


def test_without_listening_again_the_utterances_say_when_somebody_speaks(finished: Title, tmp_path: Path) -> None:
    title = copy_of(finished, tmp_path)
    title.files = {name: path for name, path in title.files.items() if not name.startswith("activity/")}
    rows, _ = rows_of(title, tmp_path)
    assert rows[0, "es"].accepted and rows[0, "orig"].speech_ratio == pytest.approx(2.5 / 4)


def test_the_quality_report_proves_the_tracks(finished: Title, tmp_path: Path) -> None:
    _, report = rows_of(finished, tmp_path)
    assert {(result.a, result.b) for result in report.shortcut} == {
        ("control", "es"), ("control", "ja"), ("orig", "es"), ("orig", "ja"), ("orig", "control"),
    }  # fmt: skip
    assert all(result.auc == pytest.approx(0.5, abs=0.01) for result in report.shortcut)
    control = next(result for result in report.shortcut if (result.a, result.b) == ("control", "es"))
    assert control.identical == 1.0 and control.auc == 0.5
    for track in TRACKS:
        quality = report.tracks[track]
        assert quality.null is not None and quality.null.peak_dbfs == -200
        assert quality.true_peak_dbtp is not None and quality.true_peak_dbtp <= -1 + 1e-6
        assert quality.utterances == {"ok": 2} and quality.language_right == 1.0
        assert quality.samples == report.samples and quality.accepted_shots == 2
    assert report.tracks["orig"].null is None and report.tracks["orig"].fit_ratio is None


def test_every_reason_is_documented() -> None:
    page = (ROOT / "docs" / "output.md").read_text(encoding="utf-8")
    for reason in Reason:
        assert f"`{reason.value}`" in page and TEXTS[reason] in page
    for name in [*PairRow.model_fields, *QualityReport.model_fields]:
        assert f"`{name}`" in page, name


def test_outputs_are_plain_json_lines(finished: Title, tmp_path: Path) -> None:
    outputs = run_stage(PAIRS, tmp_path, pairs_inputs(finished), facts_scope())
    for line in outputs["pairs.jsonl"].read_text(encoding="utf-8").splitlines():
        assert json.loads(line)["schema_version"] == 1

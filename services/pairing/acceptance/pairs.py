"""Pairs: the rows of one title, accepted and rejected, and the proof of its tracks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from services.pairing.acceptance.coverage import coverage, share_dubbed
from services.pairing.acceptance.criteria import judge, need_counterpart, objections
from services.pairing.acceptance.facts import TOUCH_SECONDS, TitleFacts, read_facts
from services.pairing.acceptance.leak_proof import null_tests, shortcut_tests
from services.pairing.acceptance.rows import ShotMeasures, make_row
from services.pairing.acceptance.summary import quality_report
from shared.audio.files import length
from shared.core.records import GIVEN, DubbedUtterance, Note, Record, write_jsonl, write_notes
from shared.pipeline.planner import keeps
from shared.pipeline.stage import Scope, Work
from shared.quality.null import Residual
from shared.quality.spans import total
from shared.schemas.layout import CONTROL, ORIG
from shared.schemas.pairs import PairRow
from shared.schemas.quality import QualityReport
from shared.schemas.reasons import Reason
from shared.settings.models import PairingSettings, Section, Settings

LISTED = 12
"""Lines named in a note."""


class PairsOptions(Section):
    """What rows depend on: thresholds, and the names of the engines that they carry."""

    pairing: PairingSettings
    engines: dict[str, str] = Field(description="Stage → engine, with its model if one is named.")
    translators: dict[str, str] = Field(description="Language → its own translation engine.")


def options(settings: Settings) -> PairsOptions:
    def name(section: Any) -> str:
        return f"{section.engine}/{section.model}" if section.model else str(section.engine)

    engines = {
        part: name(getattr(settings, part)) for part in ("separation", "transcription", "translation", "dubbing")
    }
    if settings.dubbing.converter:
        engines["conversion"] = settings.dubbing.converter
    return PairsOptions(pairing=settings.pairing, engines=engines, translators=settings.translation.by_language)


def engines_of(track: str, settings: PairsOptions, lines: Sequence[DubbedUtterance] = ()) -> dict[str, str]:
    """The engines that a track owes its sound to; where ``lines`` were given, that stands for the translator."""
    if track == ORIG:
        return {}
    stages = ("separation", "transcription") if track == CONTROL else tuple(settings.engines)
    own = {"translation": settings.translators[track]} if track in settings.translators else {}
    engines = {stage: settings.engines[stage] for stage in stages} | own
    translators = {line.translator for line in lines if line.status in ("ok", "overflow")}
    if GIVEN in translators:
        engines["translation"] = GIVEN if len(translators) == 1 else f"{GIVEN}, {engines['translation']}"
    return engines


def run(
    scope: Scope, inputs: Mapping[str, Path], settings: PairsOptions, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """Measure and judge every shot and track of a title.

    Inputs: ``shots.json``, ``level.json``, ``utterances.jsonl``, ``background.flac``, ``tracks/<track>``,
    ``speech/<track>``, ``dubbed/<track>/NNNN``, ``activity/<track>/NNNN``, ``residual/NNNN``. Outputs:
    ``pairs.jsonl`` (accepted rows), ``rejects.jsonl``, ``quality.json``.
    """
    facts = read_facts(scope, inputs)
    nulls = null_tests(facts, inputs, lambda share: work.progress(0.6 * share))
    shortcuts = shortcut_tests(facts, inputs, lambda share: work.progress(0.6 + 0.35 * share))
    rows = title_rows(facts, nulls, settings)
    samples, _ = length(inputs[f"tracks/{ORIG}"])
    report = quality_report(facts, rows, nulls, shortcuts, samples=samples, settings=settings.pairing)
    work.count("pairs_accepted", report.accepted)
    work.count("pairs_rejected", report.rejected)

    quality = work.path("quality.json")
    quality.write_text(report.model_dump_json(indent=1), encoding="utf-8")
    remarks = [*left_out(report), *cut_translations(facts), *background_speech_notes(rows)]
    notes = write_notes(work.path("notes.json"), remarks)
    kept: list[Record] = [row for row in rows if row.accepted]
    left: list[Record] = [row for row in rows if not row.accepted]
    return {
        "pairs.jsonl": write_jsonl(work.path("pairs.jsonl"), kept),
        "rejects.jsonl": write_jsonl(work.path("rejects.jsonl"), left),
        "quality.json": quality,
        "notes.json": notes,
    }


def left_out(report: QualityReport) -> list[Note]:
    """How much of the original's speech is dubbed, track by track, where something is left out."""
    notes = []
    for name, track in report.tracks.items():
        if track.not_dubbed and track.speech_dubbed is not None:
            why = ", ".join(f"{seconds:.1f} s {fate.replace('_', ' ')}" for fate, seconds in track.not_dubbed.items())
            notes.append(
                Note(
                    kind="speech_not_dubbed",
                    message=f"{name}: {track.speech_dubbed:.0%} of the speech is dubbed, not {why}.",
                )
            )
    return notes


def cut_translations(facts: TitleFacts) -> list[Note]:
    """Lines of a given translation that are longer than their time: said word for word, and cut at the end."""
    notes = []
    for name, track in facts.tracks.items():
        cut = [line for line in track.spoken if line.translator == GIVEN and line.status == "overflow"]
        if cut:
            lines = ", ".join(f"{line.id} ({line.overflow_ms / 1000:.1f} s)" for line in cut[:LISTED])
            more = f" and {len(cut) - LISTED} more" if len(cut) > LISTED else ""
            message = f"{name}: {len(cut)} given lines do not fit their time, however fast, and are cut: {lines}{more}."
            notes.append(Note(kind="translation_too_long", message=message))
    return notes


def background_speech_notes(rows: Sequence[PairRow]) -> list[Note]:
    """A note that counts the shots in whose background words are understood; none where there are none."""
    shots = {row.shot for row in rows if Reason.SPEECH_IN_BACKGROUND.value in row.reasons}
    message = f"Words are understood in the background of {len(shots)} shots, whose pairs are rejected."
    return [Note(kind="speech_in_background", message=message)] if shots else []


def title_rows(facts: TitleFacts, nulls: Mapping[str, Residual], settings: PairsOptions) -> list[PairRow]:
    """All rows of a title, judged, shot by shot in the order of tracks."""
    rows = []
    for position, shot in enumerate(facts.shots):
        ratio = total(facts.source.within(shot.start, shot.end)) / shot.duration
        exported = settings.pairing.export_shots and keeps(shot, settings.pairing)
        left = None if facts.left is None else facts.left.within(shot.start, shot.end, TOUCH_SECONDS)
        for track in facts.tracks.values():
            lines = track.timeline.within(shot.start, shot.end, TOUCH_SECONDS)
            measures = ShotMeasures(
                null_residual_db=nulls[track.name].window_peaks_dbfs[position] if track.name in nulls else None,
                left=left,
                speech_dubbed=share_dubbed(coverage(facts, track, shot.start, shot.end)),
            )
            engines = engines_of(track.name, settings, lines)
            row = make_row(facts, shot, track, measures, exported=exported, engines=engines)
            rows.append(judge(row, objections(row, lines, ratio, settings.pairing, left or ())))
    return need_counterpart(rows)

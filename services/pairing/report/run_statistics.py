"""Counting: all numbers of a run, one title in memory at a time."""

from __future__ import annotations

import json
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from services.pairing.acceptance.summary import THRESHOLDS
from services.pairing.report import schema
from services.pairing.report.measures import MEASURES, Bound, Measure, is_beyond, line_values, row_values
from services.pairing.report.title_facts import TitleFiles
from shared.schemas.digital_source import track_source
from shared.settings.models import FitSettings, PairingSettings

SHOT_BIN, SHOT_TOP = 0.5, 12.0
"""Seconds, as in the paper's Fig. A.1."""
STAGE_ORDER = [
    *("ingest", "separation", "language", "subtitles", "transcription", "speakers", "stems"),
    *("alignment", "translation", "cast"),
    *(
        "references",
        "dubbing",
        "audition",
        "control",
        "quality",
        "residual",
        "level",
        "track",
        "pictures",
        "shots",
        "export",
        "preview",
    ),
    "pairs",
]


class Totals:
    """Everything counted so far."""

    def __init__(self) -> None:
        self.titles: list[schema.TitleSummary] = []
        self.accepted: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.languages: dict[str, set[str | None]] = defaultdict(set)
        self.statuses: dict[str, Counter[str]] = defaultdict(Counter)
        self.reasons: dict[str, Counter[str]] = defaultdict(Counter)
        self.paired_shots = 0
        self.thresholds: dict[str, None] = {}
        self.shot_seconds = array("d")
        self.values: dict[str, dict[str, array[float]]] = defaultdict(lambda: defaultdict(lambda: array("d")))
        self.shortcut: list[schema.ProbeResult] = []
        self.timings: dict[str, Counter[str]] = defaultdict(Counter)
        self.counters: Counter[str] = Counter()
        self.engines: dict[str, schema.ReportEngine] = {}

    def add(self, title: TitleFiles) -> None:
        """Count one title."""
        accepted = Counter[str]()
        paired = set()
        for row in title.rows("pairs.jsonl"):
            accepted[row.track or ""] += 1
            paired.add(row.shot)
            self._measure(row_values(row), row.track or "")
        rejected = Counter[str]()
        for rows in (title.rows("rejects.jsonl"), title.failures()):
            for row in rows:
                rejected[row.track or ""] += 1
                self.reasons[row.reason or ""][row.track or ""] += 1
                self._measure(row_values(row), row.track or "")
        self.accepted += accepted
        self.rejected += rejected
        self.paired_shots += len(paired)
        lines = 0
        for track in title.tracks:
            self.languages[track].add(title.language(track))
            spoken = title.spoken(track)
            lines = max(lines, len(spoken))
            for line in spoken:
                self.statuses[track][line.status] += 1
                self._measure(line_values(line, track), track)
        if title.quality:
            self.thresholds[json.dumps(title.quality.thresholds)] = None
            self.shot_seconds.extend(title.quality.shot_seconds)
            self.shortcut += [schema.ProbeResult(title=title.name, **r.model_dump()) for r in title.quality.shortcut]
        self._costs(title.record)
        self.titles.append(summarise(title, accepted.total(), rejected.total(), lines))

    def _measure(self, values: dict[str, float], track: str) -> None:
        for name, value in values.items():
            self.values[name][track].append(value)

    def _costs(self, record: dict[str, Any]) -> None:
        for stage, spent in (record.get("timings") or {}).items():
            self.timings[stage].update(spent)
        self.counters.update(record.get("counters") or {})
        for used in record.get("engines") or []:
            key = json.dumps([used["kind"], used["engine"], used["model"], used["weights"]], sort_keys=True)
            known = {name: used[name] for name in schema.ReportEngine.model_fields if name != "stages"}
            entry = self.engines.setdefault(key, schema.ReportEngine(stages=[], **known))
            if used["stage"] not in entry.stages:
                entry.stages.append(used["stage"])


def summarise(title: TitleFiles, accepted: int, rejected: int, lines: int) -> schema.TitleSummary:
    quality = title.quality
    error = title.error
    return schema.TitleSummary(
        title=title.name,
        state="failed" if error else "done",
        source_language=title.source_language,
        tracks=title.tracks,
        failed_languages=[row.track for row in title.failures() if row.track],
        duration=(title.record.get("probe") or {}).get("duration"),
        shots=quality.shots if quality else len(title.record.get("shots") or []),
        kept_shots=quality.kept_shots if quality else 0,
        lines=lines,
        accepted=accepted,
        rejected=rejected,
        gain_db=quality.gain_db if quality else None,
        notes=[note["message"] for note in title.record.get("notes") or []],
        error=f"{error.get('stage') or 'unknown stage'}: {error.get('message')} ({error.get('code')})"
        if error
        else None,
    )


def count(titles: Iterable[TitleFiles], pairing: PairingSettings, fit: FitSettings) -> schema.RunReport:
    """All numbers of the run. ``pairing`` gives the thresholds where no title tells its own."""
    totals = Totals()
    for title in titles:
        totals.add(title)
        title.release()
    judged = [json.loads(text) for text in totals.thresholds]
    thresholds = judged[-1] if judged else {name: getattr(pairing, name) for name in THRESHOLDS}
    timings = {stage: schema.StageTime.model_validate(spent) for stage, spent in totals.timings.items()}
    order = {stage: place for place, stage in enumerate(STAGE_ORDER)}
    by_reason = {reason: tracks.total() for reason, tracks in totals.reasons.items()}
    return schema.RunReport(
        accepted=totals.accepted.total(),
        rejected=totals.rejected.total(),
        paired_shots=totals.paired_shots,
        titles=totals.titles,
        tracks={track: track_summary(totals, track) for track in totals.languages},
        reasons=dict(sorted(by_reason.items(), key=lambda item: -item[1])),
        reasons_by_track={reason: dict(tracks) for reason, tracks in totals.reasons.items()},
        thresholds=thresholds,
        thresholds_differ=len(judged) > 1,
        shot_lengths=shot_lengths(totals.shot_seconds, thresholds["min_shot_seconds"], thresholds["max_shot_seconds"]),
        measures={m.name: summarise_measure(m, totals.values[m.name], m.bounds(thresholds, fit)) for m in MEASURES},
        shortcut=totals.shortcut,
        timings=dict(sorted(timings.items(), key=lambda item: order.get(item[0], len(order)))),
        seconds=round(sum(spent.seconds for spent in timings.values()), 3),
        engine_seconds=round(sum(spent.engine_seconds for spent in timings.values()), 3),
        counters=dict(totals.counters),
        engines=list(totals.engines.values()),
    )


def track_summary(totals: Totals, track: str) -> schema.TrackSummary:
    languages = totals.languages[track]
    return schema.TrackSummary(
        language=next(iter(languages)) if len(languages) == 1 else None,
        digital_source_type=track_source(track),
        accepted=totals.accepted[track],
        rejected=totals.rejected[track],
        lines=dict(totals.statuses[track]),
    )


def shot_lengths(seconds: Sequence[float], kept_from: float, kept_to: float) -> schema.ShotLengths:
    """The histogram of the paper's Fig. A.1."""
    top = max(SHOT_TOP, kept_to)
    edges = [*np.arange(0, top + SHOT_BIN / 2, SHOT_BIN).tolist(), top + 1.0]
    return schema.ShotLengths(
        edges=edges,
        counts=histogram(seconds, edges),
        kept_from=kept_from,
        kept_to=kept_to,
        kept=sum(kept_from <= length <= kept_to for length in seconds),
        total=len(seconds),
    )


def summarise_measure(measure: Measure, values: dict[str, array[float]], bounds: list[Bound]) -> schema.MeasureSummary:
    edges = np.linspace(measure.low, measure.high, measure.bins + 1).round(6).tolist()
    return schema.MeasureSummary(
        label=measure.label,
        unit=measure.unit,
        of="line" if measure.line else "shot",
        limits=[schema.Limit(**bound._asdict()) for bound in bounds],
        tracks={track: spread(numbers, bounds) for track, numbers in values.items()},
        edges=edges,
        counts={track: histogram(numbers, edges) for track, numbers in values.items()},
    )


def spread(values: Sequence[float], bounds: list[Bound]) -> schema.Spread:
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9)).round(4).tolist()
    return schema.Spread(
        count=len(values), median=middle, p10=low, p90=high, beyond=sum(is_beyond(value, bounds) for value in values)
    )


def histogram(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    """Counts between the edges; what lies beyond them is in the outer bins."""
    clipped = np.clip(np.asarray(values, float), edges[0], edges[-1])
    counts: list[int] = np.histogram(clipped, np.asarray(edges))[0].tolist()
    return counts

"""What stands at the top of the report and of each title: facts in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from services.pairing.report.charts import clock
from services.pairing.report.schema import ReportEngine, RunReport
from services.pairing.report.title_facts import TitleFiles, track_name
from shared.core.languages import name as language_name
from shared.schemas.layout import CONTROL, ORIG


class Fact(NamedTuple):
    label: str
    value: str
    note: str = ""


def run_facts(report: RunReport) -> list[Fact]:
    """The run in a handful of figures."""
    done = [title for title in report.titles if title.state == "done"]
    failed = len(report.titles) - len(done)
    languages = [track for track in report.tracks if track not in {ORIG, CONTROL}]
    seconds = sum(title.duration or 0.0 for title in done)
    lengths = report.shot_lengths
    share = report.engine_seconds / report.seconds if report.seconds else None
    return [
        Fact("titles", f"{len(done)}", f"{failed} failed" if failed else f"{clock(seconds)} of video"),
        Fact("languages", f"{len(languages)}", ", ".join(language_name(lang) for lang in languages) or "none"),
        Fact(
            "shots paired",
            f"{report.paired_shots}",
            f"of {lengths.total}, {lengths.kept} of the right length",
        ),
        Fact("rows accepted", f"{report.accepted}", f"{report.rejected} rejected"),
        Fact("work", duration(report.seconds), f"{share:.0%} inside engines" if share is not None else ""),
    ]


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def title_facts(title: TitleFiles) -> list[Fact]:
    """What is known of a title's file and sound."""
    record = title.record
    probe: Mapping[str, Any] = record.get("probe") or {}
    video, audio = probe.get("video") or {}, probe.get("audio") or {}
    language = record.get("source_language") or {}
    confidence = language.get("confidence") if isinstance(language, dict) else None
    spoken = title.source_language
    facts = [
        Fact("file", str(record.get("source_name") or "unknown"), str(probe.get("container") or "")),
        Fact("length", clock(probe.get("duration") or 0.0), size(probe.get("size_bytes"))),
    ]
    if video:
        rate = f"{video['fps']:.3g} fps{', variable' if video['variable_frame_rate'] else ''}"
        turned = f", turned {video['rotation']}°" if video["rotation"] else ""
        facts.append(Fact("picture", f"{video['width']} × {video['height']}{turned}", f"{video['codec']}, {rate}"))
    if audio:
        kind = f"{audio['codec']}, {audio['sample_rate'] / 1000:g} kHz"
        facts.append(Fact("sound", str(audio["layout"] or f"{audio['channels']} channels"), kind))
    else:
        facts.append(Fact("sound", "none", "no audio stream"))
    heard = f"{confidence:.0%} sure" if confidence is not None else ""
    facts.append(Fact("spoken", language_name(spoken) if spoken else "unknown", heard))
    if title.quality:
        facts.append(Fact("gain", f"{title.quality.gain_db:+.1f} dB".replace("-", "−"), "one for all tracks"))
    return facts


def size(count: int | None) -> str:
    if count is None:
        return ""
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"


def warnings(engines: list[ReportEngine]) -> list[tuple[str, str]]:
    """Engines whose terms ask for attention: (engine, why)."""
    notices = []
    for engine in engines:
        name = f"{engine.engine} {engine.model}".strip()
        if not engine.commercial_use:
            notices.append((name, f"{engine.licence}: not for commercial use. {engine.note}".strip()))
        elif "GPL" in engine.licence or "GPL" in engine.note:
            notices.append((name, f"{engine.licence}. {engine.note}".strip()))
    return notices


def track_names(report: RunReport) -> dict[str, str]:
    return {track: track_name(track, summary.language) for track, summary in report.tracks.items()}

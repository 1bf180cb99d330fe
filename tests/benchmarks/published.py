"""What an output folder promises, checked on the files themselves. Every check returns what is wrong in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from shared.audio import files
from shared.audio.loudness import speech_loudness
from shared.core.records import SAMPLE_RATE, DubbedUtterance, Utterance, read_jsonl
from shared.quality.null import null_test
from shared.schemas.pairs import from_table
from tests.benchmarks.running import LANGUAGES

ROUNDING = 1.5 / SAMPLE_RATE


def titles(out: Path) -> list[Path]:
    return sorted(path.parent for path in out.glob("*/title.json"))


def source_language(title: Path) -> str:
    return json.loads((title / "title.json").read_text(encoding="utf-8"))["source_language"]["language"]


def lines(title: Path, languages: Sequence[str] = LANGUAGES) -> Iterator[tuple[str, DubbedUtterance]]:
    """Every dubbed line with its language."""
    for language in languages:
        for line in read_jsonl(title / "utterances" / f"{language}.jsonl", DubbedUtterance):
            yield language, line


def heard_text(title: Path) -> str:
    """The words of the source that were believed."""
    source = read_jsonl(title / "utterances" / f"{source_language(title)}.jsonl", Utterance)
    return " ".join(line.text for line in source if line.status == "ok")


def residuals(title: Path) -> list[float]:
    """How surely somebody is understood in the background, shot by shot, where it was listened for."""
    found = {}
    for name in ("pairs.parquet", "rejects.parquet"):
        for row in from_table(pq.read_table(title.parent / name)):
            if row.title == title.name and row.residual_speech is not None:
                found[row.shot] = row.residual_speech
    return list(found.values())


def wrong_lengths(title: Path) -> list[str]:
    """Tracks and stems that have not the original's sample count."""
    wanted, channels = files.length(title / "tracks" / "orig.flac")
    found = {path: files.length(path) for folder in ("tracks", "stems") for path in (title / folder).glob("*.flac")}
    return [f"{title.name}/{path.name}: {has}" for path, has in found.items() if has != (wanted, channels)]


def null_peaks(title: Path) -> dict[str, float]:
    """Track − speech − background: peak in dBFS of every synthetic track."""
    background = title / "stems" / "background.flac"
    return {
        path.stem: null_test(path, title / "stems" / f"speech.{path.stem}.flac", background).peak_dbfs
        for path in sorted((title / "tracks").glob("*.flac"))
        if path.stem != "orig"
    }


def lost_lines(title: Path) -> list[str]:
    """Utterances that are neither spoken nor listed with a reason."""
    source = read_jsonl(title / "utterances" / f"{source_language(title)}.jsonl", Utterance)
    wrong = [
        f"{title.name}: {line.id} dropped without a reason"
        for line in source
        if line.status != "ok" and not line.reason
    ]
    for language in LANGUAGES:
        mine = {line.id: line for _, line in lines(title, [language])}
        for line in source:
            dubbed = mine.get(line.id)
            spoken = dubbed is not None and dubbed.status in {"ok", "overflow"} and dubbed.end > dubbed.start
            if dubbed is None or not (spoken or dubbed.reason):
                wrong.append(f"{title.name}/{language}: {line.id} is lost")
    return wrong


def silent_lines(title: Path) -> list[str]:
    """Utterances that were understood but not spoken, with their reason."""
    return [
        f"{title.name}/{language} {line.id}: {line.status}, {line.reason}"
        for language, line in lines(title)
        if line.status == "failed"
    ]


def late_lines(title: Path) -> list[str]:
    """Lines that end outside their slot and do not say so."""
    return [
        f"{title.name}/{language}: {line.id} ends {line.end - line.slot_end:+.3f} s"
        for language, line in lines(title)
        if line.end > line.slot_end + ROUNDING or (line.overflow_ms > 0) != (line.status == "overflow")
    ]


def loudness_differences(title: Path) -> list[float]:
    """LU between each dubbed line and the original vocals of its time, measured on the published stems."""
    found = []
    for language, line in lines(title):
        if line.end - line.start < 0.1:
            continue
        pair = [("vocals", line.source_start, line.source_end), (f"speech.{language}", line.start, line.end)]
        levels = [
            speech_loudness(
                files.read_audio(title / "stems" / f"{stem}.flac", round(a * SAMPLE_RATE), round(b * SAMPLE_RATE))
            )
            for stem, a, b in pair
        ]
        if None not in levels:
            found.append(levels[1] - levels[0])
    return found

"""Transcripts as JSON: our own, and those of whisper, whisper.cpp, YouTube and the services for recognition."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from shared.core.text import spoken_characters
from shared.media.subtitles import Cue, bad_transcript, parse_time

LISTS = (
    "utterances",
    "segments",
    "transcription",
    "cues",
    "captions",
    "subtitles",
    "chunks",
    "events",
    "results",
    "body",
)
"""Where a list of lines stands, the better ones first."""
STARTS = ("start", "from", "begin", "start_time", "startTime", "start_ms", "startMs", "tStartMs", "startSec", "offset")
ENDS = ("end", "to", "end_time", "endTime", "end_ms", "endMs", "endSec", "stop")
LENGTHS = ("dDurationMs", "duration", "dur", "length")
TEXTS = ("text", "content", "transcript", "sentence", "caption", "utf8")
SPEAKERS = ("speaker", "speaker_label", "speaker_id", "name", "role")

SCALES = ((1.0, "seconds"), (1e-3, "milliseconds"), (1e-6, "microseconds"), (1e-7, "ticks of 100 ns"))
SLOWEST, FASTEST = 0.2, 60.0
"""Characters a second: fewer or more than that nobody says over a whole transcript."""
FEW = 3
"""Fewer lines than that may last as long as the title: one that holds everything does."""


def parse_json(text: str) -> list[Cue]:
    """A list of ``{start, end, text, speaker?}``; one under a usual name; or one object a line.

    Raises:
        UsageError: ``bad_transcript`` with the line or the entry.
    """
    numbers: Sequence[int]
    try:
        data = json.loads(text)
        items = listed(data)
        numbers, what = range(1, len(items) + 1), "entry"
    except json.JSONDecodeError as error:
        rows = [(number, row) for number, row in enumerate(text.splitlines(), 1) if row.strip()]
        if error.msg != "Extra data" or len(rows) < 2:
            raise bad_transcript(f"this is not valid JSON: {error.msg}", error.lineno) from error
        items, numbers, what = [json_row(row, number) for number, row in rows], [number for number, _ in rows], "line"
    except (RecursionError, ValueError) as error:
        raise bad_transcript("this JSON is nested too deeply, or holds too long a number", 1) from error
    return [json_cue(item, number, what) for item, number in zip(items, numbers, strict=True) if not blank(item)]


def listed(data: Any) -> list[Any]:
    """The lines of a document, wherever they stand in it."""
    if isinstance(data, list):
        return data
    if not isinstance(data, dict) or {"start", "text"} <= data.keys():
        return [data]
    for key in LISTS:
        lines = data.get(key)
        if isinstance(lines, list):
            return lines
    for key in ("results", "result", "data"):
        if isinstance(data.get(key), dict):
            return listed(data[key])
    return [data]


def blank(item: Any) -> bool:
    """YouTube's events that only say where a window opens, or end a line."""
    if not isinstance(item, dict) or "tStartMs" not in item:
        return False
    return "segs" not in item or not words(item["segs"]).strip()


def json_row(row: str, number: int) -> Any:
    try:
        return json.loads(row)
    except json.JSONDecodeError as error:
        raise bad_transcript(f"this is not valid JSON: {error.msg}", number) from error
    except (RecursionError, ValueError) as error:
        raise bad_transcript("this JSON is nested too deeply, or holds too long a number", number) from error


def json_cue(item: Any, number: int, what: str) -> Cue:
    try:
        start, end = times(item)
        text = words(item["segs"]) if "segs" in item else item[first(item, TEXTS)]
        speaker = next((item[key] for key in SPEAKERS if item.get(key) not in (None, "")), None)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, IndexError) as error:
        raise bad_transcript(f"{what} {number} needs start, end (seconds) and text", number) from error
    if not isinstance(text, str) or not abs(start) < 1e12 or not abs(end) < 1e12:
        raise bad_transcript(f"{what} {number} needs start, end (seconds) and text", number)
    return Cue(start, end, text, str(speaker) if speaker is not None else None, number)


def times(item: Mapping[str, Any]) -> tuple[float, float]:
    """Start and end of an entry, in whatever unit it has."""
    if isinstance(item.get("offsets"), dict):
        return number_of(item["offsets"]["from"]) / 1000, number_of(item["offsets"]["to"]) / 1000
    if isinstance(item.get("timestamps"), dict):
        return number_of(item["timestamps"]["from"]), number_of(item["timestamps"]["to"])
    if isinstance(item.get("timestamp"), list):
        start, end = item["timestamp"]
        return number_of(start), number_of(end if end is not None else start)
    name = first(item, STARTS)
    start = number_of(item[name])
    if any(key in item for key in ENDS):
        end = number_of(item[first(item, ENDS)])
    else:
        end = start + number_of(item[first(item, LENGTHS)])
    scale = 1e-3 if name.lower().endswith("ms") else 1.0
    return start * scale, end * scale


def first(item: Mapping[str, Any], names: Sequence[str]) -> str:
    """The first of the names that an entry has."""
    return next(name for name in names if name in item) if any(name in item for name in names) else names[0]


def number_of(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    return parse_time(value) if isinstance(value, str) else float(value)


def words(parts: Any) -> str:
    """YouTube's pieces of a line."""
    return "".join(str(part.get("utf8", "")) for part in parts)


def in_seconds(cues: Sequence[Cue], title_seconds: float) -> tuple[list[Cue], str | None]:
    """Cues with times in seconds, and the unit that they were in if it was another.

    Another unit is believed when seconds cannot be: nobody speaks so slowly, and in that unit the text fits the title
    and is spoken at a usual rate.
    """
    timed = [cue for cue in cues if cue.end > cue.start and spoken_characters(cue.text)]
    if not timed:
        return list(cues), None
    rate = median(spoken_characters(cue.text) / (cue.end - cue.start) for cue in timed)
    fits = max(cue.end for cue in timed) <= title_seconds
    if rate >= SLOWEST or (fits and len(timed) < FEW):
        return list(cues), None
    for scale, unit in SCALES[1:]:
        latest = max(cue.end for cue in timed) * scale
        if rate / scale <= FASTEST and rate / scale >= SLOWEST and latest <= title_seconds * 1.1 + 2:
            return [cue._replace(start=cue.start * scale, end=cue.end * scale) for cue in cues], unit
    return list(cues), None

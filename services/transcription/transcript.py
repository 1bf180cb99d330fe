"""Transcripts given by the user: SRT, VTT, JSON or JSON lines, with or without speakers.

Speakers are ``<v Name>`` (VTT), ``"speaker"`` (JSON), ``[S1] text`` or ``S1: text``. Other names in that place count
when they come back: ``[Anna]`` twice is a person, ``[door]`` once is a noise and is left out.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel

from shared.subtitles import Cue, bad_transcript, parse_cues, parse_time
from shared.text import alphanumerics

BRACKETED = re.compile(r"^\s*[\[(]([^\])\n]{1,40})[\])]\s*:?\s*")
NAMED = re.compile(r"^\s*(?:-\s*)?([^\W\d_][\w.'’-]*(?: [^\W\d_][\w.'’-]*){0,2})\s?:\s+")
NUMBERED = re.compile(r"(s|spk|speaker)[ _-]?\d{1,3}", re.IGNORECASE)
NOISES = frozenset(
    ("applause", "applausi", "crying", "gasps", "inaudible", "laughing", "laughs", "laughter", "music", "musik")
) | {"musique", "música", "noise", "rires", "risas", "screams", "sighs", "silence", "singing"}
MAX_BYTES = 32 * 2**20

RecordT = TypeVar("RecordT", bound=BaseModel)


class Given(NamedTuple):
    """A cue and, when it cannot be used, why."""

    cue: Cue
    reason: str | None = None


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def read_list(path: Path, kind: type[RecordT]) -> list[RecordT]:
    """A JSON list of records, as the stages before this one write them."""
    return [kind.model_validate(item) for item in read_json(path)]


def read(path: Path, title_seconds: float) -> list[Given]:
    """Cues of a transcript in order of start, checked against the title's length.

    Raises:
        UsageError: ``bad_transcript`` with the line (or the entry of a JSON list).
    """
    if path.stat().st_size > MAX_BYTES:
        raise bad_transcript(f"the file is larger than {MAX_BYTES // 2**20} MiB", 1)
    text = decode(path.read_bytes())
    cues = parse_json(text) if text.lstrip()[:1] in ("[", "{") else parse_cues(text)
    if not cues:
        raise bad_transcript("the file has no text", 1)
    checked = [check(cue, title_seconds) for cue in tagged(cues)]
    return sorted(checked, key=lambda given: (given.cue.start, given.cue.end))


def decode(data: bytes) -> str:
    """UTF-8 or UTF-16 with or without a mark at the front; what is neither is Windows' Latin 1."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    if b"\x00" in data[:64]:
        return data.decode("utf-16-be" if data[0] == 0 else "utf-16-le", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def parse_json(text: str) -> list[Cue]:
    """A list of ``{start, end, text, speaker?}``; one under ``segments`` or ``utterances``; or one object a line."""
    numbers: Sequence[int]
    try:
        data = json.loads(text)
        if isinstance(data, dict) and not {"start", "text"} <= data.keys():
            data = next((data[key] for key in ("utterances", "segments", "cues") if key in data), data)
        items = data if isinstance(data, list) else [data]
        numbers, what = range(1, len(items) + 1), "entry"
    except json.JSONDecodeError as error:
        rows = [(number, row) for number, row in enumerate(text.splitlines(), 1) if row.strip()]
        if error.msg != "Extra data" or len(rows) < 2:
            raise bad_transcript(f"this is not valid JSON: {error.msg}", error.lineno) from error
        items, numbers, what = [json_row(row, number) for number, row in rows], [number for number, _ in rows], "line"
    except (RecursionError, ValueError) as error:
        raise bad_transcript("this JSON is nested too deeply, or holds too long a number", 1) from error
    return [json_cue(item, number, what) for item, number in zip(items, numbers, strict=True)]


def json_row(row: str, number: int) -> Any:
    try:
        return json.loads(row)
    except json.JSONDecodeError as error:
        raise bad_transcript(f"this is not valid JSON: {error.msg}", number) from error
    except (RecursionError, ValueError) as error:
        raise bad_transcript("this JSON is nested too deeply, or holds too long a number", number) from error


def json_cue(item: Any, number: int, what: str) -> Cue:
    try:
        start, end, text = item["start"], item["end"], item["text"]
        times = [parse_time(value) if isinstance(value, str) else float(value) for value in (start, end)]
        speaker = item.get("speaker")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise bad_transcript(f"{what} {number} needs start, end (seconds) and text", number) from error
    if not isinstance(text, str) or not all(abs(value) < 1e7 for value in times):
        raise bad_transcript(f"{what} {number} needs start, end (seconds) and text", number)
    return Cue(times[0], times[1], " ".join(text.split()), str(speaker) if speaker else None, number)


def tagged(cues: Sequence[Cue]) -> list[Cue]:
    """Speaker tags moved from the text to ``speaker``; descriptions of sounds in brackets left out."""
    seen: Counter[str] = Counter()
    for cue in cues:
        for pattern in (BRACKETED, NAMED):
            found = pattern.match(cue.text)
            if found:
                seen[found.group(1).strip()] += 1

    def is_speaker(tag: str, rest: str) -> bool:
        if not rest or tag.casefold() in NOISES:
            return False
        return bool(NUMBERED.fullmatch(tag)) or (seen[tag] > 1 and tag[:1].isupper())

    out = []
    for cue in cues:
        text, speaker = cue.text, cue.speaker
        found = BRACKETED.match(text)
        while found:
            tag, text = found.group(1).strip(), text[found.end() :]
            if speaker is None and is_speaker(tag, text):
                speaker = tag
            found = BRACKETED.match(text)
        named = NAMED.match(text)
        if named and speaker is None and is_speaker(named.group(1).strip(), text[named.end() :]):
            speaker, text = named.group(1).strip(), text[named.end() :]
        out.append(cue._replace(text=text.strip(), speaker=speaker))
    return out


def check(cue: Cue, title_seconds: float) -> Given:
    """Clamp times to the title; a cue that cannot be spoken is kept with a reason."""
    if not alphanumerics(cue.text):
        return Given(cue._replace(start=max(cue.start, 0.0), end=max(cue.start, cue.end, 0.0)), "no_words")
    if not cue.end > cue.start or cue.end <= 0:
        return Given(cue._replace(start=max(cue.start, 0.0), end=max(cue.start, cue.end, 0.0)), "bad_times")
    if cue.start >= title_seconds:
        return Given(cue, "beyond_end")
    return Given(cue._replace(start=max(cue.start, 0.0), end=min(cue.end, title_seconds)))

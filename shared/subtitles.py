"""SRT and VTT, read and written.

Reading keeps the line number of every cue, so that a mistake can be shown where it is. Writing breaks lines for
reading: at most two lines of 42 characters, 20 where characters are wide.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from shared.errors import UsageError
from shared.text import UNSPACED

LINE_CHARS = 42
LINE_CHARS_WIDE = 20
LINES = 2

TIME = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
ARROW = re.compile(rf"^\s*(-?){TIME}\s*-->\s*(-?){TIME}")
# Possessive, and no part can begin another: in linear time also where a tag never ends.
VOICE = re.compile(r"<v(?:\.[^\s.<>]++)*+\s([^<>]++)>", re.IGNORECASE)
TAG = re.compile(r"</?[a-zA-Z][^<>]*+>|<\d[\d:.]*+>|\{\\[^{}]*+\}")


class Cue(NamedTuple):
    """A piece of text with its time in seconds. ``line`` is where it stands in its file, 0 for none."""

    start: float
    end: float
    text: str
    speaker: str | None = None
    line: int = 0


def clock(seconds: float, mark: str) -> str:
    """``3661.5`` → ``01:01:01.500`` with ``mark`` before the milliseconds."""
    total = max(0, round(seconds * 1000))
    hours, rest = divmod(total, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{mark}{rest % 1000:03}"


def to_srt(cues: Iterable[Cue], language: str) -> str:
    """SRT text; cues without words are left out, long ones are cut in time."""
    blocks = []
    for number, cue in enumerate(readable(cues, language), 1):
        blocks.append(f"{number}\n{clock(cue.start, ',')} --> {clock(cue.end, ',')}\n{cue.text}\n")
    return "\n".join(blocks)


def to_vtt(cues: Iterable[Cue], language: str) -> str:
    """WebVTT text, speakers as voice tags."""
    blocks = ["WEBVTT\n"]
    for cue in readable(cues, language):
        text = html.escape(cue.text, quote=False)
        if cue.speaker:
            text = f"<v {html.escape(cue.speaker, quote=False)}>{text}"
        blocks.append(f"{clock(cue.start, '.')} --> {clock(cue.end, '.')}\n{text}\n")
    return "\n".join(blocks)


def readable(cues: Iterable[Cue], language: str) -> Iterator[Cue]:
    """Cues of at most two balanced lines; what is longer becomes several, time shared by characters."""
    width = LINE_CHARS_WIDE if language in UNSPACED else LINE_CHARS
    for cue in sorted(cues, key=lambda cue: (cue.start, cue.end)):
        text = " ".join(cue.text.split())
        if not text or cue.end <= cue.start:
            continue
        lines = wrap(text, width)
        pages = [lines[i : i + LINES] for i in range(0, len(lines), LINES)]
        total, begun = sum(map(len, lines)), 0
        for page in pages:
            start = cue.start + (cue.end - cue.start) * begun / total
            begun += sum(map(len, page))
            end = cue.start + (cue.end - cue.start) * begun / total
            yield Cue(start, end, "\n".join(page), cue.speaker)


def wrap(text: str, width: int) -> list[str]:
    """Lines of about equal length, none over ``width`` unless a single word is.

    Text without spaces is cut behind punctuation where there is some, else anywhere.
    """
    if len(text) <= width:
        return [text]
    spaced = " " in text
    pieces = text.split(" ") if spaced else re.findall(r"[^、。，！？…]{1,4}[、。，！？…」』）]*|.", text)
    glue = " " if spaced else ""
    count = -(-len(text) // width)
    while True:
        aim = len(text) / count
        lines = [""]
        for piece in pieces:
            longer = lines[-1] + glue + piece if lines[-1] else piece
            # A line ends once the next word would take it further past the aim than it now falls short of it.
            past = len(longer) > width or (len(lines) < count and len(longer) - aim > aim - len(lines[-1]))
            if lines[-1] and past:
                lines.append(piece)
            else:
                lines[-1] = longer
        if len(lines) <= count or count >= len(pieces):
            return lines
        count += 1


def seconds(hours: str | None, minutes: str, secs: str, fraction: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(secs) + int(fraction.ljust(3, "0")) / 1000


def parse_time(text: str) -> float:
    """``"00:01:02,5"``, ``"1:02.5"`` or ``"62.5"`` → seconds.

    Raises:
        ValueError: when it is none of these.
    """
    found = re.fullmatch(rf"\s*(-?){TIME}\s*", text)
    if not found:
        return float(text)
    value = seconds(*found.groups()[1:])
    return -value if found.group(1) else value


def parse_cues(text: str) -> list[Cue]:
    """Cues of SRT or VTT text: tags stripped, VTT voices kept as speakers. Cues may be empty.

    Raises:
        UsageError: ``bad_transcript`` with the line number, for a broken time line or a file without any.
    """
    lines = text.splitlines()
    cues = []
    at = 0
    while at < len(lines):
        if "-->" not in lines[at]:
            at += 1
            continue
        found = ARROW.match(lines[at])
        if not found:
            raise bad_transcript("the times cannot be read", at + 1)
        groups = found.groups()
        start, end = seconds(*groups[1:5]), seconds(*groups[6:10])
        body, first = [], at + 1
        at = first
        while at < len(lines) and lines[at].strip() and "-->" not in lines[at]:
            body.append(lines[at])
            at += 1
        if at < len(lines) and "-->" in lines[at] and body and body[-1].strip().isdigit():
            body.pop()  # the next cue's number: the blank line between the two is missing
        voice = VOICE.search(" ".join(body))
        plain = html.unescape(TAG.sub("", " ".join(body))).strip()
        cues.append(
            Cue(
                -start if groups[0] else start,
                -end if groups[5] else end,
                " ".join(plain.split()),
                voice.group(1).strip() if voice else None,
                first,
            )
        )
    if not cues and text.strip() and not text.lstrip("\ufeff").startswith("WEBVTT"):
        raise bad_transcript("there is no line with times (00:00:01,000 --> 00:00:02,000)", 1)
    return cues


def bad_transcript(why: str, line: int) -> UsageError:
    return UsageError(f"The transcript cannot be used: line {line}: {why}.", code="bad_transcript", line=line)

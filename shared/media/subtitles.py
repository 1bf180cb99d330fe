"""SRT and VTT, read and written: what is written here is read back as it was.

Reading keeps the line number of every cue, so that a mistake can be shown where it is. Writing breaks lines for
reading: at most two lines of 42 characters, 20 where characters are wide. Behind signs that readers would take for
markup or times, writing puts U+2060, which nobody sees; reading takes it out again.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from shared.core.errors import UsageError
from shared.core.text import UNSPACED, clean, is_unspaced

LINE_CHARS = 42
LINE_CHARS_WIDE = 20
LINES = 2
LONGEST_WORD = 500
"""Characters; what is longer is no word, and MP4 holds 65,535 bytes a line."""

TIME = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2})(?:[.,](\d{1,9})|:(\d{3}))?"
CLOCK = r"(\d{1,3}):(\d{1,2}):(\d{2})(?:[.,](\d{1,9})|:(\d{3}))?"
ARROW = re.compile(rf"^\s*+(-?){TIME}\s*+-->\s*+(-?){TIME}(?![\w:])")
# Programs for writing letters turn the hyphens into a dash.
DASHED = re.compile(rf"^\s*+(-?){CLOCK}\s*+[-–—]>\s*+(-?){CLOCK}(?![\w:])")
TIMED = re.compile(r"^\s*+-?\d{1,3}:[\w:.,; ]{1,24}-->")
"""A line that was meant to hold times."""
NUMBER = re.compile(r"\s*\d{1,9}\s*")
# Possessive, and no part can begin another: in linear time also where a tag never ends.
VOICE = re.compile(r"<v(?:\.[^\s.<>]++)*+\s([^<>]++)>", re.IGNORECASE)
TAG = re.compile(r"</?[a-zA-Z][^<>]*+>|<\d[\d:.]*+>|\{\\[^{}]*+\}|\{[a-zA-Z]:[^{}]*+\}")
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,30});")
MARKED = re.compile(
    r"<(?=\u2060|/?[a-zA-Z]|\d)|\{(?=\u2060|\\|[a-zA-Z]:)|\\(?=\u2060|[Nnh])|[-–—](?=\u2060++>)"
    r"|&(?=\u2060|(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,30});)"
)
# VTT has entities for the rest.
MARKED_VTT = re.compile(r"\{(?=\u2060|\\|[a-zA-Z]:)|\\(?=\u2060|[Nnh])|[<&](?=\u2060)|[-–—](?=\u2060++>)")
POINTED = re.compile(r"[-–—](?=>)")
GUARDED = re.compile(r"([<{&\\])\u2060|([-–—])\u2060(?=\u2060*+>)")
GUARD = "\u2060"
ASIDE = ("NOTE", "STYLE", "REGION")
"""First words of VTT blocks that are not spoken."""


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


def guard(text: str, marked: re.Pattern[str] = MARKED) -> str:
    """Text whose signs no reader of subtitles takes for markup."""
    return marked.sub(lambda match: match.group() + GUARD, text)


def guard_times(text: str) -> str:
    """:func:`guard` for SRT, where a line of text must not look like one with times either."""
    lines = []
    for line in text.split("\n"):
        timed = ARROW.match(line) or DASHED.match(line) or TIMED.match(line)
        safe = guard(line)
        lines.append(POINTED.sub(lambda match: match.group() + GUARD, safe) if timed else safe)
    return "\n".join(lines)


def unguard(text: str) -> str:
    """What :func:`guard` was given."""
    return GUARDED.sub(lambda match: match.group(1) or match.group(2), text)


def to_srt(cues: Iterable[Cue], language: str) -> str:
    """SRT text; cues without words are left out, long ones are cut in time."""
    blocks = []
    for number, cue in enumerate(readable(cues, language), 1):
        blocks.append(f"{number}\n{clock(cue.start, ',')} --> {clock(cue.end, ',')}\n{guard_times(cue.text)}\n")
    return "\n".join(blocks)


def to_vtt(cues: Iterable[Cue], language: str) -> str:
    """WebVTT text, speakers as voice tags."""
    blocks = ["WEBVTT\n"]
    for cue in readable(cues, language):
        text = html.escape(guard(cue.text, MARKED_VTT), quote=False)
        if cue.speaker:
            text = f"<v {html.escape(clean(cue.speaker), quote=False)}>{text}"
        blocks.append(f"{clock(cue.start, '.')} --> {clock(cue.end, '.')}\n{text}\n")
    return "\n".join(blocks)


def readable(cues: Iterable[Cue], language: str) -> Iterator[Cue]:
    """Cues of at most two balanced lines; what is longer becomes several, time shared by characters."""
    width = LINE_CHARS_WIDE if language in UNSPACED else LINE_CHARS
    for cue in sorted(cues, key=lambda cue: (cue.start, cue.end)):
        text = clean(cue.text)
        if not text or cue.end <= cue.start:
            continue
        lines = wrap(text, width)
        pages = ["\n".join(lines[i : i + LINES]) for i in range(0, len(lines), LINES)]
        for (start, end), page in zip(shared_time(cue.start, cue.end, pages), pages, strict=True):
            yield Cue(start, end, page, cue.speaker)


def shared_time(start: float, end: float, texts: Sequence[str]) -> list[tuple[float, float]]:
    """The time between ``start`` and ``end`` shared out by characters, in order and without gaps."""
    total, begun, times = sum(map(len, texts)) or 1, 0, []
    for text in texts:
        first = start + (end - start) * begun / total
        begun += len(text)
        times.append((first, start + (end - start) * begun / total))
    return times


def wrap(text: str, width: int) -> list[str]:
    """Lines of about equal length, none over ``width`` unless a single word is.

    Text without spaces between words is cut behind punctuation where there is some, else anywhere. A line ends with a
    space where the text has one that :func:`join_lines` would not put there.
    """
    if len(text) <= width:
        return [text]
    pieces = list(breakable(text))
    count = -(-len(text) // width)
    while True:
        aim = len(text) / count
        lines = [""]
        for piece in pieces:
            longer = lines[-1] + piece
            # A line ends once the next word would take it further past the aim than it now falls short of it.
            past = len(longer) > width or (len(lines) < count and len(longer) - aim > aim - len(lines[-1]))
            if lines[-1] and past:
                word = piece.removeprefix(" ")
                if word != piece and is_unspaced(lines[-1][-1]) and is_unspaced(word[0]):
                    lines[-1] += " "
                lines.append(word)
            else:
                lines[-1] = longer
        if len(lines) <= count or count >= len(pieces):
            return lines
        count += 1


def breakable(text: str) -> Iterator[str]:
    """Pieces before each of which a line may end; a piece behind a space begins with it."""
    for number, word in enumerate(text.split(" ")):
        space = " " if number else ""
        runs = re.findall(r"[^、。，！？…]{1,4}[、。，！？…」』）]*|.", word) if any(map(is_unspaced, word)) else [word]
        pieces = [runs[0]]
        for run in runs[1:]:
            if is_unspaced(pieces[-1][-1]) and is_unspaced(run[0]):
                pieces.append(run)
            else:
                pieces[-1] += run
        for piece in pieces:
            for at in range(0, len(piece), LONGEST_WORD):
                yield (space if at == 0 else "") + piece[at : at + LONGEST_WORD]
            space = ""


def join_lines(lines: Iterable[str]) -> str:
    """Lines of a text as one: with a space between them unless the script has none."""
    text = ""
    for line in lines:
        part = clean(line)
        if not part:
            continue
        if text:
            spaced = text[-1] == " " or not (is_unspaced(text[-1]) and is_unspaced(part[0]))
            text = text.rstrip(" ") + (" " if spaced else "")
        text += part + (" " if line[-1:].isspace() else "")
    return text.strip()


def seconds(hours: str | None, minutes: str, secs: str, fraction: str | None, thousandths: str | None) -> float:
    part = float(f"0.{fraction}") if fraction else int(thousandths or 0) / 1000
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(secs) + part


def parse_time(text: str) -> float:
    """``"00:01:02,5"``, ``"1:02.5"``, ``"62.5"`` or ``"62.5s"`` → seconds.

    Raises:
        ValueError: when it is none of these.
    """
    match = re.fullmatch(rf"\s*(-?){TIME}\s*", text)
    if not match:
        return float(text.strip().removesuffix("s"))
    value = seconds(*match.groups()[1:])
    return -value if match.group(1) else value


def split_lines(text: str) -> list[str]:
    """Lines as editors count them; CR CR LF is one end of a line."""
    return text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n").split("\n")


def parse_cues(text: str) -> list[Cue]:
    """Cues of SRT or VTT text, each on one line: tags stripped, VTT voices kept as speakers. Cues may be empty.

    Raises:
        UsageError: ``bad_transcript`` with the line number, for a broken time line or a file without any.
    """
    return [cue._replace(text=join_lines(cue.text.split("\n"))) for cue in parse_lines(text)]


def parse_lines(text: str) -> list[Cue]:
    """:func:`parse_cues` with the lines of a cue as they stand.

    A cue's text ends at the next time line, whatever blank lines it holds.
    """
    lines = split_lines(text)
    times = []
    for at, line in enumerate(lines):
        match = ARROW.match(line) or DASHED.match(line)
        if match:
            times.append((at, match))
        elif TIMED.match(line):
            raise bad_transcript("the times cannot be read (00:00:01,000 --> 00:00:02,000)", at + 1)
    vtt = text.lstrip("\ufeff \n\r").startswith("WEBVTT")
    if not times and text.strip() and not vtt:
        raise bad_transcript("there is no line with times (00:00:01,000 --> 00:00:02,000)", 1)
    numbered = bool(times and times[0][0] and NUMBER.fullmatch(lines[times[0][0] - 1]))
    cues: list[Cue] = []
    for number, (at, match) in enumerate(times):
        last = number + 1 == len(times)
        body = lines[at + 1 : None if last else times[number + 1][0]]
        if numbered and not last and body and NUMBER.fullmatch(body[-1]):
            body.pop()
        if vtt:
            body = spoken_part(body, last)
        groups = match.groups()
        start, end = seconds(*groups[1:6]), seconds(*groups[7:12])
        cues += voices(body, vtt, -start if groups[0] else start, -end if groups[6] else end, at + 1)
    return cues


def spoken_part(body: list[str], last: bool) -> list[str]:
    """Lines behind a VTT time line without notes, styles and the next cue's name."""
    blocks: list[list[str]] = [[]]
    for line in body:
        if line.strip():
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    if not last and len(blocks) > 1 and len(blocks[-1]) == 1:
        blocks.pop()
    cue_blocks = [block for block in blocks[1:] if block and block[0].split(" ")[0].strip() not in ASIDE]
    return [line for block in (blocks[0], *cue_blocks) for line in block]


def voices(body: list[str], vtt: bool, start: float, end: float, line: int) -> list[Cue]:
    """A cue, or one for each voice that VTT names in it."""
    text = "\n".join(body)
    tags = list(VOICE.finditer(text))
    if len(tags) < 2:
        speaker = plain(tags[0].group(1), vtt).strip() if tags else None
        return [Cue(start, end, plain(text, vtt), speaker, line)]
    marks = [0, *(voice.start() for voice in tags), len(text)]
    parts = [
        (None if i == 0 else plain(tags[i - 1].group(1), vtt).strip(), plain(text[marks[i] : marks[i + 1]], vtt))
        for i in range(len(marks) - 1)
    ]
    parts = [(who, content) for who, content in parts if content.strip()]
    times = shared_time(start, end, [content for _, content in parts])
    return [Cue(first, stop, content, who, line) for (first, stop), (who, content) in zip(times, parts, strict=True)]


def plain(text: str, vtt: bool = False) -> str:
    """Text without tags, entities, codes of ASS and what :func:`guard` put in."""
    text = TAG.sub("", text)
    if "&" in text:
        text = ENTITY.sub(lambda match: html.unescape(match.group()), text)
        # In SRT, which has no entities, some write tags as such.
        text = text if vtt else TAG.sub("", text)
    text = text.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
    return unguard(text).strip("\n")


def bad_transcript(why: str, line: int) -> UsageError:
    return UsageError(f"The transcript cannot be used: line {line}: {why}.", code="bad_transcript", line=line)

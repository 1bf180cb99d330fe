"""Formats of transcripts, told by their content: SRT, VTT, SBV, ASS/SSA, TTML, SAMI, LRC, MPL2 and several JSON.

Readers of our own, not pysubs2's: given files are hostile, and its patterns take time with the square of a line
(“{{{{…”); its TTML knows neither ticks nor ``dur``. What is not read is refused by its name.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from shared.core.errors import UsageError
from shared.media.subtitles import Cue, bad_transcript, parse_lines, parse_time, plain, split_lines
from shared.transcripts.json_transcripts import parse_json

REFUSED: tuple[tuple[bytes, str], ...] = (
    (b"\x00\x00\x01\xba", "a VobSub picture stream (.sub)"),
    (b"# VobSub index file", "the index of VobSub pictures (.idx)"),
    (b"PG", "PGS pictures (.sup)"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"%PDF", "a PDF"),
    (b"{\\rtf", "an RTF document"),
    (b"\xd0\xcf\x11\xe0", "an office document"),
    (b"\x1aE\xdf\xa3", "a Matroska film"),
    (b"Scenarist_SCC", "Scenarist captions (.scc)"),
)
"""How a file begins → what it is, where it holds no text that can be read here."""

FRAMES = re.compile(r"\{\d{1,7}\}\{\d{0,7}\}")
TENTHS = re.compile(r"\[(\d{1,7})\]\[(\d{0,7})\](.*)")
SBV = re.compile(r"^\s*+(\d{1,3}:\d{2}:\d{2}[.,]\d{1,3}),(\d{1,3}:\d{2}:\d{2}[.,]\d{1,3})\s*$")
LYRIC = re.compile(r"\[(\d{1,3}):(\d{2}(?:[.:]\d{1,3})?)\]")
SYNC = re.compile(r"<sync\b([^<>]*+)>", re.IGNORECASE)
START = re.compile(r"start\s*=\s*[\"']?(\d{1,9})", re.IGNORECASE)
PARAGRAPH = re.compile(r"<p\b([^<>]*+)>", re.IGNORECASE)
CLASS = re.compile(r"class\s*=\s*[\"']?(\w{1,40})", re.IGNORECASE)
CLASS_LANGUAGE = re.compile(r"\.(\w{1,40})\s{0,9}\{[^{}]{0,300}?lang\s{0,9}:\s{0,9}([a-zA-Z]{2,3})", re.IGNORECASE)
BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
TICKS = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|f|t)")
FRAMED = re.compile(r"(\d{1,3}):(\d{2}):(\d{2})[:;](\d{1,3})")
LYRIC_SECONDS = 8.0
"""The longest that a line of lyrics or SAMI stands when nothing says when it ends."""


def refuse_binary(data: bytes) -> None:
    """Refuse by its name what holds no text.

    Raises:
        UsageError: ``bad_transcript``.
    """
    name = next((name for mark, name in REFUSED if data.startswith(mark)), None)
    if (name is None and data[3:8] == b"STL25") or data[3:8] == b"STL30":
        name = "EBU subtitles (.stl)"
    if name is None and data[4:8] == b"ftyp":
        name = "an MP4 film"
    if name is not None:
        raise unread(name)


def unread(name: str) -> UsageError:
    return UsageError(
        f"The transcript cannot be used: it is {name}, which is not read here. Give SRT, VTT, ASS, SBV, TTML, SAMI, "
        "LRC or JSON.",
        code="bad_transcript",
        line=1,
    )


def parse(text: str, language: str | None) -> list[Cue]:
    """Cues with their lines as they stand, whatever the format; ``language`` chooses among SAMI's texts.

    Raises:
        UsageError: ``bad_transcript`` with the line where there is one.
    """
    text = text.lstrip("\ufeff")
    head = text[:4000].lstrip()
    lower = head.lower()
    if lower.startswith("[script info]") or "\n[events]" in text.lower() or head.startswith("Dialogue:"):
        return list(parse_ass(text))
    if lower.startswith("<sami"):
        return parse_sami(text, language)
    if lower.startswith(("<?xml", "<tt")):
        return parse_ttml(text)
    if FRAMES.match(head):
        raise unread("MicroDVD, which counts frames")
    if TENTHS.match(head):
        return parse_mpl2(text)
    if head.startswith(("[", "{")) and not LYRIC.match(head) and not lower.startswith(("[ar:", "[ti:", "[al:", "[by:")):
        return parse_json(text)
    lines = split_lines(text)
    if any(SBV.match(line) for line in lines[:50]):
        return parse_sbv(lines)
    if "-->" not in text and any(LYRIC.match(line) for line in lines[:50]):
        return parse_lyrics(lines)
    return parse_lines(text)


def parse_ass(text: str) -> Iterator[Cue]:
    """Dialogue of SubStation Alpha; drawings, signs' positions and comments are left out."""
    fields = ["layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text"]
    events = False
    for number, line in enumerate(split_lines(text), 1):
        row = line.strip()
        kind, _, rest = row.partition(":")
        if row.startswith("["):
            events = row.lower().startswith("[events")
        elif events and kind.lower() == "format":
            fields = [name.strip().lower() for name in rest.split(",")]
            if not {"start", "end", "text"} <= set(fields):
                raise bad_transcript("the format of the events lacks Start, End or Text", number)
        elif kind == "Dialogue":
            values = dict(zip(fields, rest.lstrip().split(",", len(fields) - 1), strict=False))
            try:
                start, end = parse_time(values["start"]), parse_time(values["end"])
                dialogue = values["text"]
            except (KeyError, ValueError) as error:
                raise bad_transcript("the times of the dialogue cannot be read", number) from error
            if re.search(r"\\p[1-9]", dialogue):
                continue
            yield Cue(start, end, plain(dialogue), values.get("name", "").strip() or None, number)


def parse_sbv(lines: Sequence[str]) -> list[Cue]:
    """YouTube's ``0:00:01.000,0:00:03.000`` with the text below."""
    times = [(at, match) for at, line in enumerate(lines) if (match := SBV.match(line))]
    ends = [at for at, _ in times[1:]] + [len(lines)]
    return [
        Cue(parse_time(match[1]), parse_time(match[2]), plain("\n".join(lines[at + 1 : end])), None, at + 1)
        for (at, match), end in zip(times, ends, strict=True)
    ]


def parse_mpl2(text: str) -> list[Cue]:
    """``[12][34]text|second line``: tenths of seconds."""
    cues = []
    for number, line in enumerate(split_lines(text), 1):
        match = TENTHS.match(line.strip())
        if match:
            start = int(match[1]) / 10
            end = int(match[2]) / 10 if match[2] else start + LYRIC_SECONDS
            content = "\n".join(part.removeprefix("/") for part in match[3].split("|"))
            cues.append(Cue(start, end, plain(content), None, number))
    return cues


def parse_lyrics(lines: Sequence[str]) -> list[Cue]:
    """LRC: a line lasts to the next one's time; a line with several times is said as often."""
    lyrics: list[tuple[float, str, int]] = []
    for number, line in enumerate(lines, 1):
        rest, times = line.strip(), []
        while match := LYRIC.match(rest):
            times.append(int(match[1]) * 60 + float(match[2].replace(":", ".")))
            rest = rest[match.end() :].lstrip()
        lyrics += [(time, plain(rest), number) for time in times]
    return until_next(sorted(lyrics))


def until_next(timed_texts: Sequence[tuple[float, str, int]]) -> list[Cue]:
    """Cues that end where the next begins, at most :data:`LYRIC_SECONDS` later."""
    cues = []
    for (start, text, number), after in itertools.zip_longest(timed_texts, timed_texts[1:]):
        end = min(after[0] if after else start + LYRIC_SECONDS, start + LYRIC_SECONDS)
        if text.strip():
            cues.append(Cue(start, end, text, None, number))
    return cues


def parse_sami(text: str, language: str | None) -> list[Cue]:
    """SAMI's texts of one class: the film's language where a class says so, else the class with most to say."""
    marks = list(SYNC.finditer(text))
    spoken: dict[str, list[tuple[float, str, int]]] = {}
    line, counted = 1, 0
    for mark, after in itertools.zip_longest(marks, marks[1:]):
        line += text.count("\n", counted, mark.start())
        counted = mark.start()
        start = START.search(mark[1])
        if start is None:
            raise bad_transcript("this SYNC has no Start", line)
        body = text[mark.end() : after.start() if after else len(text)]
        places = list(PARAGRAPH.finditer(body))
        for place, following in itertools.zip_longest(places, places[1:]):
            kind = CLASS.search(place[1])
            part = body[place.end() : following.start() if following else len(body)]
            content = plain(BREAK.sub("\n", part.replace("\r", " ").replace("\n", " ")))
            name = kind[1].lower() if kind else ""
            spoken.setdefault(name, []).append((int(start[1]) / 1000, html.unescape(content), line))
    tongues = {name.lower(): code.lower() for name, code in CLASS_LANGUAGE.findall(text[:20_000])}
    fitting = [name for name in spoken if language and tongues.get(name, "").startswith(language)]
    most = max(spoken, key=lambda name: sum(len(content.strip()) for _, content, _ in spoken[name]), default=None)
    chosen = fitting[0] if fitting else most
    return until_next(spoken[chosen]) if chosen is not None else []


def parse_ttml(text: str) -> list[Cue]:
    """TTML and DFXP: paragraphs with ``begin`` and ``end`` or ``dur``, in clock times, frames or ticks."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise bad_transcript("this XML declares a document type, which subtitles have no use for", 1)
    try:
        root = ElementTree.fromstring(text.encode("utf-8"), ElementTree.XMLParser(encoding="utf-8"))  # noqa: S314
    except (ElementTree.ParseError, ValueError) as error:
        line = error.position[0] if isinstance(error, ElementTree.ParseError) else 1
        raise bad_transcript("this is not whole XML", line) from error
    if local(root.tag) != "tt":
        raise unread(f"XML of another kind (<{local(root.tag)[:40]}>)")
    rates = {local(name): value for name, value in root.attrib.items()}
    cues = []
    # With a stack of our own: files may be nested deeper than Python calls.
    waiting: list[tuple[ElementTree.Element, float]] = [(root, 0.0)]
    while waiting:
        element, zero = waiting.pop()
        facts = {local(name): value for name, value in element.attrib.items()}
        try:
            start = zero + (ttml_time(facts.get("begin"), rates) or 0.0)
            if local(element.tag) == "p":
                length = ttml_time(facts.get("dur"), rates)
                end = start + length if length is not None else zero + (ttml_time(facts.get("end"), rates) or 0.0)
                content = ttml_text(element)
                if content.strip():
                    cues.append(Cue(start, end, content, facts.get("agent")))
                continue
        except ValueError as error:
            raise bad_transcript(f"the time “{str(error)[:40]}” cannot be read", 1) from error
        waiting += [(child, start) for child in reversed(element)]
    return cues


def local(name: str) -> str:
    """A tag without its name space."""
    return name.rpartition("}")[2] if isinstance(name, str) else ""


def ttml_time(text: str | None, rates: dict[str, str]) -> float | None:
    """Seconds of ``01:02:03.5``, ``01:02:03:12`` (frames), ``12.5s``, ``300f`` or ``125000000t``."""
    if text is None:
        return None
    try:
        frames, ticks = float(rates.get("frameRate") or 30), float(rates.get("tickRate") or rates.get("frameRate") or 1)
        if match := TICKS.fullmatch(text.strip()):
            scale = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "f": 1 / frames, "t": 1 / ticks}[match[2]]
            return float(match[1]) * scale
        if match := FRAMED.fullmatch(text.strip()):
            return int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3]) + int(match[4]) / frames
        return parse_time(text)
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise ValueError(text) from error


def ttml_text(paragraph: ElementTree.Element) -> str:
    """The text of a paragraph, ``<br/>`` as ends of lines."""
    parts: list[str] = []
    waiting: list[tuple[ElementTree.Element, bool]] = [(paragraph, False)]
    while waiting:
        element, behind = waiting.pop()
        if behind or local(element.tag) not in ("br", "metadata"):
            parts.append(" ".join(((element.tail if behind else element.text) or "").splitlines()))
        elif local(element.tag) == "br":
            parts.append("\n")
        if not behind and local(element.tag) != "metadata":
            for child in reversed(element):
                waiting += [(child, True), (child, False)]
    return "".join(parts)

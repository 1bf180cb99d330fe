"""Which of a video's subtitle streams is the whole text in a language: neither forced nor commentary."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from shared.core import languages
from shared.core.records import Note, read_list
from shared.core.text import clean
from shared.media.subtitle_streams import SubtitleStream
from shared.media.subtitles import Cue, plain
from shared.transcripts.text_language import SURE, beliefs, other_language

FORCED = re.compile(r"\b(?:forced|forc[eé]s?|forzad[oa]s?|erzwungen|signs?|songs?)\b", re.IGNORECASE)
HEARING_IMPAIRED = re.compile(r"\b(?:sdh|cc|hoh|hearing|sordos|sourds|malentendants|hörgeschädigte)\b", re.IGNORECASE)
COMMENTARY = re.compile(r"\b(?:commentary|comentarios?|commentaires?|kommentar)\b", re.IGNORECASE)
DESCRIBED = re.compile(r"^\s*+(?:-\s*+)?[\[(（♪#]")
"""A cue that begins with a description of a sound, or with music."""
DRAWING = re.compile(r"\\p[1-9]")
"""ASS draws with these; what follows is no text."""
DESCRIBED_SHARE = 0.08
"""Of the cues, from which on a stream is one for the hard of hearing."""
FORCED_SHARE, ENOUGH_CUES = 0.3, 10
"""A stream with a smaller share of the cues of the fullest one holds only what other languages say in the film …"""
FEWEST_LETTERS = 60
"""A stream without a tag is known by its text when it has so many."""


class Chosen(NamedTuple):
    """The stream for a language, if there is one, and why the others are not."""

    stream: SubtitleStream | None
    notes: list[Note]

    @property
    def cues(self) -> list[Cue]:
        return cues_of(self.stream) if self.stream is not None else []


def choose_stream(path: Path, language: str, what: str) -> Chosen:
    """The stream that says everything in a language.

    Args:
        path: ``subtitles.json`` of the stage ``subtitles``.
        what: What the stream is to be, for the notes: “transcript”, or “Spanish translation”.
    """
    streams = read_list(path, SubtitleStream)
    most = max((len(stream.cues) for stream in streams), default=0)
    mine = [stream for stream in streams if language_by_text(stream) == language]
    refused = {stream.index: reason for stream in mine if (reason := why_not(stream, language, most)) is not None}
    left = [stream for stream in mine if stream.index not in refused]
    best = min(left, key=lambda stream: (is_described(stream), not stream.default, stream.index), default=None)
    reasons = ", ".join(f"stream {index} {reason}" for index, reason in refused.items())
    if best is None:
        why = f" ({reasons})" if reasons else ""
        message = f"The video has no {languages.name(language)} subtitles that could be the {what}{why}."
        return Chosen(None, [Note(kind="subtitles_missing", message=message)])
    kind = " for the hard of hearing" if is_described(best) else ""
    others = [f"stream {stream.index} stands by" for stream in left if stream is not best]
    aside = ", ".join([*others, *([reasons] if reasons else [])])
    message = f"Subtitle stream {best.index} ({languages.name(language)}{kind}, {len(best.cues)} cues) is the {what}"
    return Chosen(best, [Note(kind="subtitles_used", message=message + (f"; {aside}." if aside else "."))])


def language_by_text(stream: SubtitleStream) -> str | None:
    """The language of a stream by its tag; without one by its text, where that is sure."""
    if stream.language is not None or stream.pictures:
        return stream.language
    text = text_of(stream)
    if sum(map(str.isalpha, text)) < FEWEST_LETTERS:
        return None
    shares = beliefs(text)
    best = max(shares, key=lambda name: shares[name])
    return best if shares[best] >= SURE else None


def why_not(stream: SubtitleStream, language: str, most: int) -> str | None:
    """Why a stream is not the whole text of its language."""
    if stream.pictures:
        return f"holds pictures ({stream.codec})"
    if stream.commentary or COMMENTARY.search(stream.title):
        return "is commentary"
    if stream.forced or FORCED.search(stream.title):
        return "is forced: it holds signs and other languages only"
    if not stream.cues:
        return "has no text"
    if most >= ENOUGH_CUES and len(stream.cues) < FORCED_SHARE * most:
        return f"has {len(stream.cues)} cues where another has {most}"
    other = other_language(text_of(stream), language)
    return f"is in {languages.name(other)}, whatever its tag says" if other is not None else None


def is_described(stream: SubtitleStream) -> bool:
    """Whether a stream is one for the hard of hearing: by its disposition, its title or its descriptions of sounds."""
    if stream.hearing_impaired or HEARING_IMPAIRED.search(stream.title):
        return True
    described = sum(bool(DESCRIBED.match(plain(cue.text))) for cue in stream.cues)
    return described > DESCRIBED_SHARE * max(len(stream.cues), 1)


def text_of(stream: SubtitleStream) -> str:
    return clean(" ".join(plain(cue.text) for cue in stream.cues))


def cues_of(stream: SubtitleStream) -> list[Cue]:
    """Cues as the reader of files gives them; ``line`` counts from 1."""
    return [
        Cue(cue.start, cue.end, plain(cue.text), line=number)
        for number, cue in enumerate(sorted(stream.cues, key=lambda cue: (cue.start, cue.end)), 1)
        if not DRAWING.search(cue.text)
    ]

"""The records that stages hand to one another and that the output folder documents.

Every file written from them carries ``schema_version``. Times are seconds on the title's own clock: 0 is where the
earliest stream of the file starts; sample ``n`` of any track is at ``n / 48000``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1
SAMPLE_RATE = 48_000
"""Sample rate of every master, stem and track, Hz (paper supplement, A)."""


class Record(BaseModel):
    """Base of all records: unknown fields are an error, so that a typo cannot pass for a value."""

    model_config = ConfigDict(extra="forbid")


class VideoStream(Record):
    index: int | None = Field(None, description="Of the stream in its file, as ffprobe counts.")
    codec: str
    width: int = Field(description="Pixels as stored, before rotation.")
    height: int
    rotation: int = Field(0, description="Degrees clockwise that a player turns the picture by.")
    fps: float = Field(description="Average frames per second.")
    variable_frame_rate: bool
    interlaced: bool = Field(
        False, description="Frames hold two fields; they are put together where it is encoded anew."
    )
    hdr: str | None = Field(None, description="PQ or HLG; tone-mapped where it is encoded anew in 8 bit.")
    start: float = Field(description="Seconds on the file's own clock.")
    duration: float


class AudioStream(Record):
    index: int | None = Field(None, description="Of the stream in its file, as ffprobe counts.")
    codec: str
    sample_rate: int
    channels: int
    layout: str
    start: float
    duration: float
    language: str | None = Field(None, description="ISO 639-1 code from the container, if it names one.")


class Restart(Record):
    """A place of a file from which on its clock has begun again, as where recordings were put together."""

    position: int = Field(description="Byte of the file.")
    shift: float = Field(description="Seconds that are added to the clock from there on.")


class Probe(Record):
    """What the container says, checked by decoding."""

    container: str
    size_bytes: int
    duration: float = Field(description="Seconds from the earliest start to the latest end of the two streams.")
    video: VideoStream
    audio: AudioStream | None = Field(description="None when the file has no audio stream.")
    sha256: str = Field(description="Of the submitted file.")
    restarts: list[Restart] = Field([], description="Where the file's clock begins again; times here go on.")
    hidden: float = Field(0.0, description="Seconds of picture in the file that no player shows (edit lists).")
    notes: list[str] = Field([], description="What was chosen or repaired when the file was read.")


class Shot(Record):
    """Frames between two camera changes."""

    index: int
    start: float
    end: float

    @property
    def duration(self) -> float:
        return self.end - self.start


class Chunk(Record):
    """A run of consecutive shots, about five minutes, cut where nobody speaks: the unit of distributed work."""

    index: int
    start: int = Field(description="First sample at 48 kHz.")
    end: int = Field(description="One past the last sample at 48 kHz.")


class Span(Record):
    """A stretch of time, seconds."""

    start: float
    end: float


class Word(Record):
    start: float
    end: float
    text: str
    probability: float = 1.0


class Utterance(Record):
    """A stretch of speech by one speaker in the source language."""

    id: str = Field(description="Stable within the title: u0001, u0002, … in order of start.")
    start: float
    end: float
    speaker: str = Field("S1", description="S1, S2, … within the title.")
    language: str
    text: str
    words: list[Word] = []
    mean_logprob: float | None = Field(None, description="Recogniser's mean log-probability a token; None if given.")
    origin: Literal["recognised", "given"] = "recognised"
    overlapped: bool = Field(False, description="Another utterance speaks at the same time.")
    status: Literal["ok", "dropped"] = "ok"
    reason: str | None = Field(None, description="Why it was dropped: hallucination, no_words, too_short…")


class LeftSpeech(Record):
    """Words heard in the background, which nobody should understand there."""

    start: float
    end: float
    text: str
    mean_logprob: float = Field(description="Recogniser's mean log-probability a token.")
    no_speech: float = Field(description="Recogniser's probability that nobody speaks.")
    shared: list[str] = Field([], description="Content words that the original says at the same time.")
    belief: float = Field(description="How sure it is that somebody says this, 0–1.")


class Speaker(Record):
    """One voice of a title."""

    id: str
    embedding: list[float] = Field(description="256-d, L2-normalised mean of the speaker's utterances.")
    median_f0_hz: float | None = None
    gender: Literal["female", "male"] | None = None
    seconds: float = Field(description="Speech heard from this speaker.")


class Note(Record):
    """What was chosen, repaired or left out, in one sentence: nothing that concerns content is silent."""

    kind: str = Field(description="Stable: docs/output.md lists them.")
    message: str


class Hypothesis(Record):
    """One candidate translation."""

    text: str
    score: float = Field(description="Higher is better; comparable within one utterance only.")


GIVEN = "given"
"""In the place of a translation engine: a person's translation that came with the title."""


class Translation(Record):
    """The candidates for one utterance in one language, best first."""

    utterance: str
    hypotheses: list[Hypothesis]
    edited: bool = Field(False, description="The text was given by a person and is taken as it is.")
    engine: str | None = Field(
        None, description="The translation engine that was asked; “given” for a given text; None when none was."
    )
    status: Literal["ok", "failed"] = "ok"
    reason: str | None = None


class CastMember(Record):
    """The synthetic voice that speaks for one speaker in one language."""

    speaker: str
    language: str
    voice: str
    gender: Literal["female", "male"] | None = None
    native: bool = Field(description="The voice was trained on this language.")
    similarity: float | None = Field(None, description="Cosine of voice and speaker embeddings.")
    embedding: list[float] = Field([], description="The speaker's embedding, to find the same person in later titles.")


class DubbedUtterance(Record):
    """One line of ``utterances/<lang>.jsonl``: what was said, where, how well it fits."""

    id: str
    speaker: str
    language: str
    voice: str | None = None
    source_text: str
    text: str
    translator: str | None = Field(
        None, description="The engine that translated it; “given” for a given text; None when none was asked."
    )
    start: float = Field(description="Where the dubbed speech starts, seconds.")
    end: float = Field(description="Where it ends; equals start when nothing was placed.")
    source_start: float
    source_end: float
    slot_start: float
    slot_end: float
    synthesised_seconds: float | None = Field(None, description="Trimmed length before stretching.")
    speed: float | None = Field(None, description="Native speed asked of the synthesiser.")
    fit_ratio: float | None = Field(None, description="Trimmed natural length ÷ length of the source utterance.")
    stretch: float | None = Field(None, description="Tempo factor applied after synthesis; > 1 is faster.")
    overflow_ms: float = 0.0
    attempts: int = 0
    loudness_lufs: float | None = None
    source_loudness_lufs: float | None = None
    loudness_difference_lu: float | None = None
    round_trip_text: str | None = None
    round_trip_cer: float | None = Field(None, description="Character error rate; in kana for Japanese.")
    detected_language: str | None = None
    language_confidence: float | None = None
    speaker_similarity: float | None = Field(None, description="Cosine to the source utterance's speaker.")
    pitch_correlation: float | None = Field(None, description="Of the melody with the original's, while both speak.")
    energy_correlation: float | None = Field(None, description="Of the level with the original's, while either speaks.")
    edited: bool = False
    status: Literal["ok", "overflow", "failed", "dropped"] = "ok"
    reason: str | None = None


class AuditionPiece(Record):
    """One stretch of ``audition.flac``: a speaker's own line, or a voice that says it."""

    speaker: str
    kind: Literal["original", "chosen", "alternative"]
    voice: str | None = Field(None, description="None for the original.")
    similarity: float | None = Field(None, description="Cosine of voice and speaker embeddings.")
    utterance: str
    text: str = Field(description="What is said in it.")
    start: int = Field(description="First sample at 48 kHz.")
    end: int = Field(description="One past the last sample at 48 kHz.")


RecordT = TypeVar("RecordT", bound=BaseModel)


def write_jsonl(path: Path, records: Iterable[BaseModel]) -> Path:
    """Write one JSON object a line, UTF-8, each with ``schema_version`` first."""
    with path.open("w", encoding="utf-8") as out:
        for record in records:
            row = {"schema_version": SCHEMA_VERSION, **record.model_dump()}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def write_notes(path: Path, notes: Iterable[Note]) -> Path:
    """Write a stage's notes, each once; as output ``notes.json`` they come into ``title.json``."""
    rows = list(dict.fromkeys((note.kind, note.message) for note in notes))
    path.write_text(
        json.dumps([{"kind": kind, "message": message} for kind, message in rows], ensure_ascii=False), encoding="utf-8"
    )
    return path


def read_json(path: Path) -> Any:
    """The JSON value that a file holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_list(path: Path, kind: type[RecordT]) -> list[RecordT]:
    """Records of a JSON array, as :func:`write_list` and the stages write them."""
    return [kind.model_validate(row) for row in read_json(path)]


def write_list(path: Path, records: Sequence[BaseModel]) -> Path:
    """Records as a JSON array; returns the path."""
    rows = [record.model_dump(mode="json") for record in records]
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
    return path


def read_chunk(path: Path, index: int | None) -> Chunk:
    """One chunk of a list of chunks."""
    (row,) = (row for row in read_json(path) if row["index"] == index)
    return Chunk.model_validate(row)


def read_jsonl(path: Path, kind: type[RecordT]) -> list[RecordT]:
    """Read what :func:`write_jsonl` wrote."""
    rows = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            row.pop("schema_version", None)
            rows.append(kind.model_validate(row))
    return rows

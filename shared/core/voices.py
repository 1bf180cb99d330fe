"""Who speaks for whom in a title, and what of that can be heard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from shared.core.records import AuditionPiece, Record


class OtherVoice(Record):
    """A voice that was not chosen."""

    voice: str
    similarity: float | None = Field(description="Cosine of voice and speaker embeddings.")


class CastVoice(Record):
    """The voice of one speaker in one language."""

    title: str
    language: str
    speaker: str
    voice: str
    gender: Literal["female", "male"] | None
    native: bool = Field(description="The voice was trained on this language.")
    similarity: float | None = Field(description="Cosine of voice and speaker embeddings.")
    lines: int = Field(description="Spoken on the track.")
    seconds: float = Field(description="Of speech on the track.")
    auditioned: bool = Field(description="There is an audition to hear.")
    alternatives: list[OtherVoice] = Field(description="Next best voices of the audition, best first.")


def speaker_voices(
    title: str,
    language: str,
    cast: Iterable[Mapping[str, Any]],
    lines: Iterable[Mapping[str, Any]],
    pieces: Sequence[AuditionPiece],
) -> list[CastVoice]:
    """Who of a title's cast speaks on a track; members who are there from earlier titles are left out.

    Args:
        cast: As ``title.json`` has it, the title's own speakers first.
        lines: Of ``utterances/<language>.jsonl``.
        pieces: Of the language's audition; empty when there is none.
    """
    spoken = [line for line in lines if line["status"] in ("ok", "overflow")]
    rows: dict[str, CastVoice] = {}
    for member in cast:
        own = [line for line in spoken if line["speaker"] == member["speaker"]]
        if not own or member["speaker"] in rows:
            continue
        heard = [piece for piece in pieces if piece.speaker == member["speaker"]]
        rows[member["speaker"]] = CastVoice(
            title=title,
            language=language,
            speaker=member["speaker"],
            voice=member["voice"],
            gender=member["gender"],
            native=member["native"],
            similarity=member["similarity"],
            lines=len(own),
            seconds=round(sum(line["end"] - line["start"] for line in own), 3),
            auditioned=bool(heard),
            alternatives=[
                OtherVoice(voice=piece.voice, similarity=piece.similarity)
                for piece in heard
                if piece.kind == "alternative" and piece.voice
            ],
        )
    return list(rows.values())

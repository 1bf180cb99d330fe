"""Which synthetic voice speaks for whom: near in sound, right in gender, different for different people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from shared.core.records import CastMember, Speaker

NATIVE_BONUS = 0.02
"""A voice trained on the language wins unless another is nearer by this cosine."""
WRONG_GENDER_COST = 2.0
TAKEN_COST = 1.0
F0_BOUNDARY_HZ = 165.0
"""Median pitch that separates men's from women's speaking voices."""
EITHER_HZ = (140.0, 195.0)
"""Men who raise their voice and women with a low one are both found here; what the voice sounds like decides then."""
CLEARLY_NEARER = 0.03

Gender = Literal["female", "male"]


@dataclass(frozen=True)
class Candidate:
    """A voice that may be cast."""

    voice: str
    gender: Gender
    native: bool
    embedding: np.ndarray | None = None
    """L2-normalised; of a mix, the mean of its parts, not normalised again: mixes are near to everybody otherwise."""

    def likeness(self, speaker: Speaker) -> float | None:
        """Cosine to a speaker, for a mix the mean cosine of its parts; None when they cannot be compared."""
        if self.embedding is None or (near := cosine(speaker.embedding, self.embedding)) is None:
            return None
        return near * float(np.linalg.norm(self.embedding))


def candidates(synthesizer: Any, language: str, comparable: bool) -> list[Candidate]:
    """What the engine can offer: with embeddings where it knows its voices' and they are of the setting's embedder."""
    offer = getattr(synthesizer, "candidates", None)
    if offer is not None:
        known: list[Candidate] = offer(language)
        return known if comparable else [Candidate(c.voice, c.gender, c.native) for c in known]
    return [Candidate(v.id, v.gender, v.language == language) for v in synthesizer.voices(language)]


def cosine(one: np.ndarray | Sequence[float], other: np.ndarray | Sequence[float]) -> float | None:
    """None when the two cannot be compared."""
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if not a.size or a.shape != b.shape:
        return None
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9))


def gender_of(speaker: Speaker) -> Gender | None:
    if speaker.gender is None and speaker.median_f0_hz:
        return "male" if speaker.median_f0_hz < F0_BOUNDARY_HZ else "female"
    return speaker.gender


def gender_heard(speaker: Speaker, candidates: Sequence[Candidate]) -> Gender | None:
    """By pitch, and where that may be either, the gender of the voice that is clearly nearest."""
    stated = gender_of(speaker)
    pitch = speaker.median_f0_hz
    if pitch is None or not EITHER_HZ[0] < pitch < EITHER_HZ[1]:
        return stated
    nearest: dict[Gender, float] = {}
    for candidate in candidates:
        near = candidate.likeness(speaker)
        if near is not None:
            nearest[candidate.gender] = max(near, nearest.get(candidate.gender, -1.0))
    if len(nearest) < 2 or abs(nearest["male"] - nearest["female"]) < CLEARLY_NEARER:
        return stated
    return max(nearest, key=lambda gender: nearest[gender])


def cast(
    speakers: Sequence[Speaker],
    language: str,
    candidates: Sequence[Candidate],
    *,
    fixed: Mapping[str, Candidate],
    previous: Sequence[CastMember],
    same_person: float,
) -> list[CastMember]:
    """The cast of a title in one language, then members of earlier titles that are not in this one.

    Args:
        candidates: Best general choice first; at least one.
        fixed: Speaker id → voice asked for by the user.
        previous: Cast of the title before: who is heard again keeps the voice.
        same_person: Cosine from which on two speakers are one person.
    """
    again = recognise([speaker for speaker in speakers if speaker.id not in fixed], previous, same_person)
    known = {candidate.voice: candidate for candidate in candidates}
    chosen = dict(fixed)
    for name, member in again.items():
        gender = member.gender or "female"
        chosen[name] = known.get(member.voice) or Candidate(member.voice, gender, member.native)
    chosen |= assign(
        [speaker for speaker in speakers if speaker.id not in chosen],
        candidates,
        {candidate.voice for candidate in chosen.values()},
    )
    members = []
    for speaker in speakers:
        voice = chosen[speaker.id]
        members.append(
            CastMember(
                speaker=speaker.id,
                language=language,
                voice=voice.voice,
                gender=voice.gender,
                native=voice.native,
                similarity=voice.likeness(speaker),
                embedding=speaker.embedding,
            )
        )
    heard = {id(member) for member in again.values()}
    return members + [member for member in previous if id(member) not in heard]


def recognise(speakers: Sequence[Speaker], previous: Sequence[CastMember], threshold: float) -> dict[str, CastMember]:
    """Speaker id → the earlier member who is the same person; nearest pairs first, each member once."""
    pairs = [
        (near, speaker.id, index)
        for speaker in speakers
        for index, member in enumerate(previous)
        if (near := cosine(speaker.embedding, member.embedding)) is not None and near >= threshold
    ]
    out: dict[str, CastMember] = {}
    used: set[int] = set()
    for _, speaker_id, index in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if speaker_id not in out and index not in used:
            out[speaker_id] = previous[index]
            used.add(index)
    return out


def assign(speakers: Sequence[Speaker], candidates: Sequence[Candidate], taken: set[str]) -> dict[str, Candidate]:
    """Different voices for different speakers while there are enough, best total likeness."""
    if not speakers:
        return {}
    copies = 1 + max(0, len(speakers) - len(candidates))
    genders = {speaker.id: gender_heard(speaker, candidates) for speaker in speakers}
    columns = [(candidate, copy) for copy in range(copies) for candidate in candidates]
    cost = np.array(
        [
            [
                misfit(speaker, candidate, genders[speaker.id])
                + TAKEN_COST * (copy + (candidate.voice in taken))
                + 1e-4 * order
                for order, (candidate, copy) in enumerate(columns)
            ]
            for speaker in speakers
        ]
    )
    from scipy.optimize import linear_sum_assignment  # Half a second that listing the engines need not pay.

    rows, picks = linear_sum_assignment(cost)
    return {speakers[row].id: columns[pick][0] for row, pick in zip(rows.tolist(), picks.tolist(), strict=True)}


def misfit(speaker: Speaker, candidate: Candidate, gender: Gender | None) -> float:
    near = candidate.likeness(speaker)
    wrong = gender is not None and candidate.gender != gender
    return WRONG_GENDER_COST * wrong - (near or 0.0) - NATIVE_BONUS * candidate.native

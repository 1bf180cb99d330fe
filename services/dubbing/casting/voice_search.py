"""A voice made for one speaker: a few that should be near are heard, and the one that is nearest is kept."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from services.dubbing.casting.cast import cosine
from services.dubbing.post_processing import trim
from shared.audio.signal import SPEECH_RATE, resample
from shared.core.records import CastMember, Speaker
from shared.engines.protocols import SpeechRequest
from shared.pipeline.stage import Work

ALIKE = 0.85
"""Cosine from which on two voices that say the same sentence are hard to tell apart. Of Kokoro's 54 styles, pairs of
one sex lie below it in 99 of 100 cases; those above are one person in two languages."""


@dataclass(frozen=True)
class TakenVoices:
    """What other speakers of a title are spoken by."""

    names: Collection[str] = ()
    embeddings: Sequence[np.ndarray] = ()
    """Of those that were heard."""


def refine(
    member: CastMember,
    speaker: Speaker,
    synthesizer: Any,
    embedder: Any,
    work: Work,
    *,
    count: int,
    taken: TakenVoices,
) -> CastMember:
    """The nearest of ``count`` voices that the engine proposes for a speaker, measured on one spoken sentence.

    One that sounds like another speaker's is taken only when all do, and then the one that does least.

    Args:
        member: The speaker's voice by the table; kept when the engine has nothing to propose.
        synthesizer: With ``proposals(language, member, speaker, count)`` and ``probe(language)``.
    """
    heard = rank_proposals(member, speaker, synthesizer, embedder, work, count=count, taken=taken.names)
    if not heard:
        return member

    def nearest_other(voice: str) -> float:
        own = embedding(synthesizer, embedder, member.language, voice, work)
        return max((cosine(own, other) or 0.0 for other in taken.embeddings), default=0.0)

    likeness = {voice: nearest_other(voice) for voice, _ in heard}
    apart = [one for one in heard if likeness[one[0]] < ALIKE]
    voice, near = apart[0] if apart else min(heard, key=lambda one: likeness[one[0]])
    chosen = synthesizer.describe(voice, member.language)
    return member.model_copy(update={"voice": voice, "native": chosen.native, "similarity": round(near, 4)})


def rank_proposals(
    member: CastMember,
    speaker: Speaker,
    synthesizer: Any,
    embedder: Any,
    work: Work,
    *,
    count: int,
    taken: Collection[str],
) -> list[tuple[str, float]]:
    """What :func:`refine` hears, with its cosine to the speaker, nearest first."""
    voices = [voice for voice in synthesizer.proposals(member, speaker, count) if voice not in taken]
    heard = []
    for voice in voices:
        vector = embedding(synthesizer, embedder, member.language, voice, work)
        heard.append((voice, cosine(speaker.embedding, vector) or 0.0))
    return sorted(heard, key=lambda one: -one[1])


def embedding(synthesizer: Any, embedder: Any, language: str, voice: str, work: Work) -> np.ndarray:
    """What a voice sounds like in a language; made once."""

    def make(path: Path) -> None:
        text, rate = synthesizer.probe(language), synthesizer.sample_rate
        audio = trim(synthesizer.synthesize(SpeechRequest(text, language, voice)), rate)
        vector = embedder.embed(resample(audio, rate, SPEECH_RATE))
        path.write_text(json.dumps([round(float(value), 6) for value in vector]), encoding="utf-8")

    key = {"probe": synthesizer.probe(language), "language": language, "voice": voice}
    return np.array(json.loads(work.cached(key, ".json", make).read_text(encoding="utf-8")))

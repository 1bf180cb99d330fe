"""Auditions: a line of every speaker, said again by the chosen voice and by the next best ones, to be compared by ear.

The voices speak dry, as long as the original line: room, colour and level of the dub would hide what is compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from services.dubbing.casting.cast import Candidate, candidates, gender_heard, misfit
from services.dubbing.casting.title_references import FILE as REFERENCES
from services.dubbing.casting.title_references import Vocals, read_references
from services.dubbing.casting.voice_search import rank_proposals
from services.dubbing.synthesis.batching import FAULTS
from services.dubbing.synthesis.chunk_lines import NOBODY, made_ready
from services.dubbing.synthesis.islands import Island
from services.dubbing.synthesis.line_synthesis import SpokenLine, Voicer
from shared.audio import files
from shared.core.errors import CounterdubError, EngineError
from shared.core.records import (
    SAMPLE_RATE,
    AuditionPiece,
    CastMember,
    Chunk,
    DubbedUtterance,
    Hypothesis,
    Note,
    Speaker,
    Utterance,
    read_jsonl,
    read_list,
    write_list,
    write_notes,
)
from shared.pipeline.stage import Scope, Work
from shared.settings.models import DubbingSettings, Section

WANTED_SECONDS = 3.5
"""Long enough to know a voice, short enough to remember it while the next one speaks."""
MAX_SECONDS = 10.0
ROOM = 2.0
"""Times the original's length that a voice may take: nothing is cut off here."""


class AuditionOptions(Section):
    """What auditions depend on."""

    dubbing: DubbingSettings
    alternatives: int


def run(
    scope: Scope, inputs: Mapping[str, Path], settings: AuditionOptions, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """``utterances.jsonl``, ``speakers.json``, ``cast.json``, ``vocals/NNNN``, ``dubbed/NNNN`` → ``audition.flac``.

    ``audition.json`` says what is where in it: mono, 48 kHz, pieces one after another, each speaker's together. Who
    has no dubbed line, and a voice that cannot speak, are left out with a note: an audition fails no title.
    """
    language = str(scope.language)
    vocals = Vocals(read_list(inputs["chunks.json"], Chunk), inputs)
    originals = {line.id: line for line in read_jsonl(inputs["utterances.jsonl"], Utterance)}
    dubbed = [
        line
        for name in sorted(inputs)
        if name.startswith("dubbed/")
        for line in read_jsonl(inputs[name], DubbedUtterance)
    ]
    members = read_list(inputs["cast.json"], CastMember)
    references = read_references(inputs[REFERENCES]) if REFERENCES in inputs else {}
    voicer = made_ready(engines, language, settings.dubbing, work)
    speakers = read_list(inputs["speakers.json"], Speaker)
    pieces: list[AuditionPiece] = []
    notes: list[Note] = []
    reel: list[np.ndarray] = []
    length = 0

    def add(audio: np.ndarray, **facts: Any) -> None:
        nonlocal length
        pieces.append(AuditionPiece(**facts, start=length, end=length + audio.size))
        reel.append(audio)
        length += audio.size

    for number, speaker in enumerate(speakers):
        work.progress(number / len(speakers))
        member = next((one for one in members if one.speaker == speaker.id), None)
        line = choose_line([one for one in dubbed if one.speaker == speaker.id], originals)
        if member is None or line is None:
            message = f"{speaker.id} says nothing in {language} that could be auditioned."
            notes.append(Note(kind="not_auditioned", message=message))
            continue
        original = vocals.cut_mono(originals[line.id])[: round(MAX_SECONDS * SAMPLE_RATE)]
        about: dict[str, Any] = {"speaker": speaker.id, "utterance": line.id}
        add(original, kind="original", text=line.source_text, **about)
        taken = {one.voice for one in members if one.speaker != speaker.id}
        others = alternatives(member, speaker, taken, settings, engines, work)
        heard = [("chosen", member.voice, member.similarity), *(("alternative", *other) for other in others)]
        for kind, voice, near in heard:
            try:
                audio = speak(line, member, voice, voicer, references.get(speaker.id, NOBODY), original)
            except EngineError as error:
                message = f"{voice} cannot be auditioned for {speaker.id} in {language} ({error.code})."
                notes.append(Note(kind="not_auditioned", message=message))
                continue
            add(audio, kind=kind, voice=voice, similarity=near, text=line.text, **about)
    whole = np.concatenate(reel) if reel else np.zeros(1, np.float32)  # No FLAC holds nothing.
    outputs = {
        "audition.flac": files.write(work.path("audition.flac"), np.clip(whole, -1, 1)),
        "audition.json": write_list(work.path("audition.json"), pieces),
    }
    return outputs | ({"notes.json": write_notes(work.path("notes.json"), notes)} if notes else {})


def choose_line(lines: Sequence[DubbedUtterance], originals: Mapping[str, Utterance]) -> DubbedUtterance | None:
    """Of a speaker's dubbed lines the one to compare voices by: alone, well spoken, of a handy length."""
    spoken = [line for line in lines if line.status in {"ok", "overflow"} and line.text and line.id in originals]

    def cost(line: DubbedUtterance) -> tuple[bool, bool, float]:
        seconds = line.source_end - line.source_start
        return (
            originals[line.id].overlapped,
            line.status != "ok",
            abs(float(np.log(max(seconds, 0.1) / WANTED_SECONDS))),
        )

    return min(spoken, key=cost, default=None)


def alternatives(
    member: CastMember,
    speaker: Speaker,
    taken: set[str],
    settings: AuditionOptions,
    engines: Mapping[str, Any],
    work: Work,
) -> list[tuple[str, float | None]]:
    """The next best voices for a speaker that nobody has, with their cosines: first what the casting's search hears.

    An engine that takes its voice from the speaker has none.
    """
    synthesizer, chosen = engines["synthesizer"], settings.dubbing
    table = candidates(synthesizer, member.language, comparable=chosen.embedder == "resemblyzer")
    gender = member.gender or gender_heard(speaker, table)
    table.sort(key=lambda candidate: misfit(speaker, candidate, gender))
    ranked: list[tuple[str, float | None]] = []
    if table and "embedder" in engines and chosen.embedder == "resemblyzer" and hasattr(synthesizer, "proposals"):
        before = member.model_copy(update={"voice": table[0].voice, "gender": gender})
        count = max(chosen.voices_heard, settings.alternatives + 1)
        heard = rank_proposals(before, speaker, synthesizer, engines["embedder"], work, count=count, taken=taken)
        ranked += [(voice, round(near, 4)) for voice, near in heard]
    ranked += [(candidate.voice, rounded(candidate, speaker)) for candidate in table if fits(candidate, gender)]
    free = {voice: near for voice, near in reversed(ranked) if voice != member.voice and voice not in taken}
    order = list(dict.fromkeys(voice for voice, _ in ranked if voice in free))
    return [(voice, free[voice]) for voice in order[: settings.alternatives]]


def fits(candidate: Candidate, gender: str | None) -> bool:
    return gender is None or candidate.gender == gender


def rounded(candidate: Candidate, speaker: Speaker) -> float | None:
    near = candidate.likeness(speaker)
    return None if near is None else round(near, 4)


def speak(
    line: DubbedUtterance,
    member: CastMember,
    voice: str,
    voicer: Voicer,
    reference: np.ndarray,
    original: np.ndarray,
) -> np.ndarray:
    """A line's text by one voice, mono 48 kHz.

    Raises:
        EngineError: Also for what the engine itself raises.
    """
    seconds = max(original.size / SAMPLE_RATE, 0.5)
    text = (Hypothesis(text=line.text, score=0.0),)
    try:
        return voicer.speak(
            SpokenLine(text, voice, (Island(0.0, seconds, ROOM * seconds),), reference, member.gender)
        ).audio
    except CounterdubError:
        raise
    except FAULTS as error:
        raise EngineError(f"The engine failed: {type(error).__name__}.", code="engine_failed") from error

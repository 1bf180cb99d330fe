"""Dubbing: casting, speaking the lines of a chunk, and the control that goes the same way.

Entry points: ``cast``, ``references``, ``dubbing``, ``audition``, ``control``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from services.dubbing.casting.cast import Candidate, candidates, cast, gender_of
from services.dubbing.casting.title_references import run as run_references
from services.dubbing.casting.voice_search import TakenVoices, embedding, refine
from services.dubbing.synthesis.audition import AuditionOptions
from services.dubbing.synthesis.audition import run as run_audition
from services.dubbing.synthesis.chunk_lines import run as run_dubbing
from services.dubbing.synthesis.control import run as run_control
from shared.core.errors import UsageError
from shared.core.records import CastMember, Speaker, read_list, write_list
from shared.engines.protocols import EngineOptions, engine_class
from shared.pipeline.stage import EngineUse, Scope, Stage, Work
from shared.settings.models import DubbingSettings, Settings


def run_cast(
    scope: Scope, inputs: Mapping[str, Path], settings: DubbingSettings, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """Choose a voice for every speaker of the title in ``scope.language``.

    Raises:
        UsageError: ``no_voice`` when the synthesiser cannot speak the language, ``unknown_voice``.
    """
    language = str(scope.language)
    speakers = read_list(inputs["speakers.json"], Speaker)
    previous = read_list(inputs["previous"], CastMember) if "previous" in inputs else []
    synthesizer = engines["synthesizer"]
    voices = candidates(synthesizer, language, comparable=settings.embedder == "resemblyzer")
    if not voices:
        raise UsageError(
            f"The synthesiser “{settings.engine}” cannot speak “{language}”.", code="no_voice", language=language
        )
    fixed = {}
    for speaker in speakers:
        wanted = settings.voices.get(f"{language}:{speaker.id}", settings.voices.get(speaker.id))
        if wanted is not None:
            fixed[speaker.id] = find(wanted, voices, synthesizer, language)
    members = cast(
        speakers, language, voices, fixed=fixed, previous=previous, same_person=settings.same_person_threshold
    )
    if getattr(synthesizer, "clones", False):
        members = named_after(speakers, members, {voice.voice for voice in voices})
    if "embedder" in engines and settings.embedder == "resemblyzer" and hasattr(synthesizer, "proposals"):
        members = made_for_them(members, speakers, previous, set(fixed), settings, engines, work)
    work.count("voices_not_native", sum(not member.native for member in members[: len(speakers)]))
    return {"cast.json": write_list(work.path("cast.json"), members)}


def named_after(
    speakers: Sequence[Speaker], members: Sequence[CastMember], cloned: Collection[str]
) -> list[CastMember]:
    """A cloned voice has the speaker's own gender."""
    genders = {speaker.id: gender_of(speaker) for speaker in speakers}
    return [
        member.model_copy(update={"gender": genders[member.speaker]})
        if member.voice in cloned and member.speaker in genders
        else member
        for member in members
    ]


def made_for_them(
    members: list[CastMember],
    speakers: Sequence[Speaker],
    previous: Sequence[CastMember],
    fixed: Collection[str],
    settings: DubbingSettings,
    engines: Mapping[str, Any],
    work: Work,
) -> list[CastMember]:
    """The cast with a nearer voice for everybody who is new and whose voice the user did not choose."""
    kept = {member.voice for member in previous}
    out = list(members)
    chosen = {index for index, speaker in enumerate(speakers) if speaker.id in fixed or members[index].voice in kept}
    names = {member.voice for member in members}
    heard: list[np.ndarray] = []

    def hear(voice: str) -> np.ndarray:
        return embedding(engines["synthesizer"], engines["embedder"], str(out[0].language), voice, work)

    if len(chosen) < len(speakers):
        heard += [hear(members[index].voice) for index in sorted(chosen)]
    for index, speaker in enumerate(speakers):
        work.progress(index / len(speakers))
        if index in chosen:
            continue
        out[index] = refine(
            out[index],
            speaker,
            engines["synthesizer"],
            engines["embedder"],
            work,
            count=settings.voices_heard,
            taken=TakenVoices(names, heard),
        )
        names.add(out[index].voice)
        if len(speakers) > 1:
            heard.append(hear(out[index].voice))
    return out


def find(voice: str, voices: list[Candidate], synthesizer: Any, language: str) -> Candidate:
    """The candidate a user named; engines may know more voices than they offer, such as mixes.

    Raises:
        UsageError: ``unknown_voice``.
    """
    for candidate in voices:
        if candidate.voice == voice:
            return candidate
    describe = getattr(synthesizer, "describe", None)
    if describe is None:
        raise UsageError(
            f"There is no voice “{voice}” for “{language}”. Known: {', '.join(c.voice for c in voices)}.",
            code="unknown_voice",
            voice=voice,
        )
    described: Candidate = describe(voice, language)
    return described


def section(settings: Settings) -> DubbingSettings:
    return settings.dubbing


def synthesizer_use(settings: Settings, scope: Scope) -> dict[str, EngineUse]:
    chosen = settings.dubbing
    options = EngineOptions(chosen.model, chosen.device, chosen.threads, chosen.seed, chosen.extra)
    return {"synthesizer": EngineUse("synthesizer", chosen.engine, options)}


def casting_engines(settings: Settings, scope: Scope) -> dict[str, EngineUse]:
    heard = embedder_use(settings, scope) if settings.dubbing.voices_heard > 0 else {}
    return synthesizer_use(settings, scope) | heard


def embedder_use(settings: Settings, scope: Scope) -> dict[str, EngineUse]:
    chosen = settings.dubbing
    return {"embedder": EngineUse("embedder", chosen.embedder, EngineOptions("", chosen.device, chosen.threads))}


def speaking_engines(settings: Settings, scope: Scope) -> dict[str, EngineUse]:
    uses = synthesizer_use(settings, scope)
    chosen = settings.dubbing
    kind = engine_class("synthesizer", chosen.engine)
    if chosen.converter:
        options = EngineOptions(
            chosen.converter_model, chosen.device, chosen.threads, chosen.seed, chosen.converter_extra
        )
        uses["converter"] = EngineUse("voice_converter", chosen.converter, options)
    guard = chosen.guard
    if getattr(kind, "generative", False) and guard.recognizer:
        # With the options of whoever hears with the same model: they hold for it here too, and it is loaded once.
        listening = (settings.quality, settings.transcription)
        same = [one.extra for one in listening if (one.engine, one.model) == (guard.recognizer, guard.recognizer_model)]
        options = EngineOptions(guard.recognizer_model, chosen.device, chosen.threads, extra=same[0] if same else {})
        uses["recognizer"] = EngineUse("recognizer", guard.recognizer, options)
    if getattr(kind, "generative", False) and guard.fallback:
        options = EngineOptions("", chosen.device, chosen.threads, chosen.seed)
        uses["fallback"] = EngineUse("synthesizer", guard.fallback, options)
    return uses


def dubbing_engines(settings: Settings, scope: Scope) -> dict[str, EngineUse]:
    detector = EngineUse("voice_detector", settings.ingest.vad, EngineOptions(threads=1))
    return speaking_engines(settings, scope) | {"vad": detector}


def audition_options(settings: Settings) -> AuditionOptions:
    return AuditionOptions(dubbing=settings.dubbing, alternatives=settings.auditions.alternatives)


def audition_engines(settings: Settings, scope: Scope) -> dict[str, EngineUse]:
    return speaking_engines(settings, scope) | casting_engines(settings, scope)


CAST = Stage("cast", 3, run_cast, section, casting_engines, "dubbing")
REFERENCES = Stage("references", 2, run_references, section, embedder_use, "dubbing")
STAGE = Stage("dubbing", 7, run_dubbing, section, dubbing_engines, "dubbing")
AUDITION = Stage("audition", 2, run_audition, audition_options, audition_engines, "dubbing")
CONTROL = Stage("control", 1, run_control, section, lambda settings, scope: {}, "dubbing")

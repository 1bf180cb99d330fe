"""Stages of the transcription service: the language, the words of a chunk, the title's speakers, the check of dubs."""

from __future__ import annotations

from collections.abc import Mapping

from services.transcription import language, residual, round_trip, speaker_labels
from services.transcription.recognition import chunk_utterances
from shared.engines.protocols import EngineOptions
from shared.pipeline.stage import EngineUse, Scope, Stage
from shared.settings.models import QualitySettings, Settings, TranscriptionSettings

QUEUE = "transcription"


def recognizer(settings: TranscriptionSettings | QualitySettings, beam_size: int) -> EngineUse:
    options = EngineOptions(
        model=settings.model,
        device=settings.device,
        threads=settings.threads,
        extra={**settings.extra, "beam_size": beam_size},
    )
    return EngineUse("recognizer", settings.engine, options)


def helpers(settings: TranscriptionSettings | QualitySettings) -> dict[str, EngineUse]:
    options = EngineOptions(device=settings.device, threads=settings.threads)
    return {
        "embedder": EngineUse("embedder", settings.embedder, options),
        "vad": EngineUse("voice_detector", settings.vad, options),
    }


def language_engines(settings: Settings, scope: Scope) -> Mapping[str, EngineUse]:
    wanted = settings.transcription
    return {} if wanted.language is not None else {"recognizer": recognizer(wanted, wanted.beam_size)}


def transcription_engines(settings: Settings, scope: Scope) -> Mapping[str, EngineUse]:
    wanted = settings.transcription
    return {"recognizer": recognizer(wanted, wanted.beam_size), **helpers(wanted)}


def quality_engines(settings: Settings, scope: Scope) -> Mapping[str, EngineUse]:
    wanted = settings.quality
    if not wanted.round_trip:
        return {"vad": helpers(wanted)["vad"]}
    return {"recognizer": recognizer(wanted, settings.transcription.beam_size), **helpers(wanted)}


def residual_engines(settings: Settings, scope: Scope) -> Mapping[str, EngineUse]:
    wanted = settings.quality
    if not wanted.round_trip:
        return {}
    return {"recognizer": recognizer(wanted, settings.transcription.beam_size), "vad": helpers(wanted)["vad"]}


LANGUAGE = Stage("language", 3, language.run, lambda settings: settings.transcription, language_engines, QUEUE)
STAGE = Stage(
    "transcription", 7, chunk_utterances.run, lambda settings: settings.transcription, transcription_engines, QUEUE
)
SPEAKERS = Stage(
    "speakers", 4, speaker_labels.run, lambda settings: settings.transcription, lambda settings, scope: {}, QUEUE
)
QUALITY = Stage("quality", 3, round_trip.run, lambda settings: settings.quality, quality_engines, QUEUE)
RESIDUAL = Stage("residual", 1, residual.run, lambda settings: settings.quality, residual_engines, QUEUE)

"""Separation: the speech of a chunk out of the mix, and later the stems, gated to where somebody speaks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from services.separation.blocks import separate_file
from services.separation.gate import EDGE, STEP, clip, curve, follow, levels, merge, pad, shift
from shared.audio.files import FULL_SCALE, FlacWriter, blocks, length, quantise, read_audio
from shared.audio.signal import to_mono, to_mono_16k
from shared.core.records import SAMPLE_RATE, Chunk, Span, Utterance, read_chunk, read_jsonl, read_list
from shared.engines.protocols import EngineOptions, VoiceDetector
from shared.pipeline.stage import EngineUse, Scope, Stage, Work
from shared.settings.models import SeparationSettings, Settings

PAD_SECONDS = 0.15
"""The gate opens this much before speech and closes this much after: consonants are softer than detectors hear."""
JOIN_SECONDS = 0.25
"""A pause this short is not worth closing for."""
DOUBTFUL = frozenset({"no_speech", "too_short"})
"""Lines that are not dubbed for these reasons may have been said."""
SHORTEST_SECONDS = 0.15
"""Speech heard in the vocals alone and shorter than this is a click of the separation."""
FOLLOW_DB, FOLLOW_PAUSE, FOLLOW_REACH = 30.0, 0.1, 0.6
"""The gate waits for the voice to fall by 30 dB, at most 0.6 s: reverberation of a room is then masked."""


def run(
    scope: Scope, inputs: Mapping[str, Path], settings: SeparationSettings, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """``master.flac``, ``chunks.json`` → ``vocals.flac``: the raw speech of the chunk, exactly its length."""
    chunk = read_chunk(inputs["chunks.json"], scope.chunk)
    _, channels = length(inputs["master.flac"])
    path = work.path("vocals.flac")
    pieces = separate_file(
        engines["separator"], inputs["master.flac"], chunk.start, chunk.end, context_seconds=settings.context_seconds
    )
    work.progress(0.0)
    with FlacWriter(path, channels) as out:
        for piece in pieces:
            out.write(piece)
            work.progress(out.samples / (chunk.end - chunk.start))
    return {"vocals.flac": path}


def run_stems(
    scope: Scope, inputs: Mapping[str, Path], settings: SeparationSettings, engines: Mapping[str, Any], work: Work
) -> dict[str, Path]:
    """``master.flac``, ``chunks.json``, ``vocals.flac``, ``utterances.jsonl``, ``speech.json`` → the gated stems.

    ``vocals.flac`` is zero outside the gate and ``background.flac`` is the mix there; their sum is the mix to the
    last bit. ``speech.json`` lists where the gate is open, in title seconds.
    """
    chunk = read_chunk(inputs["chunks.json"], scope.chunk)
    spoken = [line for line in read_jsonl(inputs["utterances.jsonl"], Utterance) if may_be_spoken(line)]
    known = [Span(start=line.start, end=line.end) for line in spoken] + read_list(inputs["speech.json"], Span)
    spans = open_spans(known, inputs["vocals.flac"], chunk, engines["vad"])

    outputs = {name: work.path(name) for name in ("vocals.flac", "background.flac", "speech.json")}
    inside = clip(spans, chunk.start / SAMPLE_RATE, chunk.end / SAMPLE_RATE)
    outputs["speech.json"].write_text(json.dumps([span.model_dump() for span in inside]), encoding="utf-8")
    _, channels = length(inputs["master.flac"])
    with (
        FlacWriter(outputs["vocals.flac"], channels) as vocals_out,
        FlacWriter(outputs["background.flac"], channels) as background_out,
    ):
        for at, vocals in blocks(inputs["vocals.flac"]):
            first = chunk.start + at
            last = first + vocals.shape[1]
            mix = quantise(read_audio(inputs["master.flac"], first, last))
            speech, background = split(mix, vocals * curve(spans, first, last))
            vocals_out.write(speech)
            background_out.write(background)
            work.progress(vocals_out.samples / (chunk.end - chunk.start))
    return outputs


def may_be_spoken(line: Utterance) -> bool:
    """Whether somebody says this, or a recogniser at least doubts that nobody does: then no dub may keep the voice."""
    return line.status == "ok" or line.reason in DOUBTFUL


def split(mix: np.ndarray, vocals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Speech and background in 24-bit steps whose sum is ``mix`` exactly.

    Args:
        mix: int32 steps ``[channels, samples]``.
        vocals: float32, same shape.
    """
    background = np.clip(mix - quantise(vocals), -FULL_SCALE, FULL_SCALE - 1)
    # Where the background met full scale, the speech takes what is left; that is within full scale again.
    return mix - background, background


def open_spans(known: Iterable[Span], vocals: Path, chunk: Chunk, detector: VoiceDetector) -> list[Span]:
    """Where the gate of a chunk is open, title seconds.

    That is ``known`` speech of the title, speech that a detector hears once the vocals stand alone, and what the
    voice goes on to say or to ring around both. What only this chunk knows fades out before the chunk's ends; what
    the title knows may cross them, and the next chunk goes on where this one stops.
    """
    start, end = chunk.start / SAMPLE_RATE, chunk.end / SAMPLE_RATE
    level, mono = [], []
    for _, block in blocks(vocals):
        level.append(levels(block))
        mono.append(to_mono(block))
    heard = detector.speech(to_mono_16k(np.concatenate(mono)))
    heard = [span for span in heard if span.end - span.start >= SHORTEST_SECONDS]
    shared_by_all = merge(pad(known, PAD_SECONDS), JOIN_SECONDS)
    seeds = merge([*shift(clip(shared_by_all, start, end), -start), *pad(heard, PAD_SECONDS)], JOIN_SECONDS)
    seeds = clip(seeds, 0.0, end - start)
    grown = merge(follow(seeds, np.concatenate(level), FOLLOW_DB, FOLLOW_PAUSE, FOLLOW_REACH), JOIN_SECONDS)
    local = clip(shift(grown, start), start + EDGE + STEP, end - EDGE - STEP)
    return merge([*shared_by_all, *local])


def separation_settings(settings: Settings) -> SeparationSettings:
    return settings.separation


def separator(settings: Settings, scope: Scope) -> dict[str, EngineUse]:
    section = settings.separation
    options = EngineOptions(section.model, section.device, section.threads, extra=section.extra)
    return {"separator": EngineUse("separator", section.engine, options)}


def voice_detector(settings: Settings, scope: Scope) -> dict[str, EngineUse]:
    return {"vad": EngineUse("voice_detector", settings.ingest.vad, EngineOptions(threads=settings.separation.threads))}


STAGE = Stage("separation", 1, run, separation_settings, separator, "separation")
STEMS = Stage("stems", 2, run_stems, separation_settings, voice_detector, "separation")

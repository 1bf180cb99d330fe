"""QUALITY: the dubbed speech heard again. What text does a recogniser get, in which language, in whose voice?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from services.transcription.recognition.windows import cut, read_speech
from shared.audio.signal import rms
from shared.core.records import (
    SAMPLE_RATE,
    Chunk,
    DubbedUtterance,
    Span,
    Speaker,
    read_json,
    read_jsonl,
    read_list,
    write_jsonl,
)
from shared.core.text import character_error_rate
from shared.pipeline.stage import Scope, Work
from shared.quality.prosody import compare_prosody
from shared.settings.models import QualitySettings

MIN_SECONDS = 0.3
PAD_SECONDS = 0.1
LANGUAGE_SECONDS = 2.0
"""Shorter speech is not enough to name its language: ``detected_language`` stays empty and ``language_confidence`` is
the probability of the language that was meant."""
SILENT_RMS = 1e-4
LISTENING_RMS = 0.1
"""Lines are heard equally loud: at −20 dBFS more of their languages were recognised than as they came."""
PLAUSIBLE = frozenset("ar cs de en es fr hi id it ja ko nl pl pt ru sv th tr vi zh".split())  # noqa: SIM905
"""Languages well represented in the recogniser's training. Short lines with an accent are otherwise taken for
Hebrew, Latin or Yoruba."""


def run(
    scope: Scope,
    inputs: Mapping[str, Path],
    settings: QualitySettings,
    engines: Mapping[str, Any],
    work: Work,
) -> dict[str, Path]:
    """``dubbed.jsonl`` with its QA fields filled and ``activity.json``, when somebody speaks in source and dub."""
    chunks = read_list(inputs["chunks.json"], Chunk)
    chunk = next(chunk for chunk in chunks if chunk.index == scope.chunk)
    offset = chunk.start / SAMPLE_RATE
    speech = read_speech(inputs["speech.flac"])
    speakers = {speaker.id: speaker for speaker in read_list(inputs["speakers.json"], Speaker)}
    lines = read_jsonl(inputs["dubbed.jsonl"], DubbedUtterance)
    vocals = read_speech(inputs["vocals.flac"])
    checked = []
    for number, line in enumerate(lines):
        work.progress(0.9 * number / len(lines))
        span = Span(start=line.start - offset, end=line.end - offset)
        audio = cut(speech, span, PAD_SECONDS)
        audible = line.status in ("ok", "overflow") and line.end - line.start >= MIN_SECONDS and rms(audio) > SILENT_RMS
        if not audible:
            checked.append(line)
            continue
        compared = beside_original(line, cut(vocals, span, 0.0), cut(speech, span, 0.0))
        checked.append(check_line(compared, audio, speakers, engines, work) if settings.round_trip else compared)
    work.progress(0.9)
    activity = {
        name: [{"start": round(span.start + offset, 3), "end": round(span.end + offset, 3)} for span in spans]
        for name, spans in (("source", engines["vad"].speech(vocals)), ("dub", engines["vad"].speech(speech)))
    }
    path = work.path("activity.json")
    path.write_text(json.dumps(activity), encoding="utf-8")
    work.progress(1.0)
    return {"dubbed.jsonl": write_jsonl(work.path("dubbed.jsonl"), checked), "activity.json": path}


def beside_original(line: DubbedUtterance, original: np.ndarray, dub: np.ndarray) -> DubbedUtterance:
    """Fill in how a line's melody and loudness move with the original's; mono 16 kHz, of the same time."""
    found = compare_prosody(original, dub)
    values = {"pitch_correlation": found.pitch_correlation, "energy_correlation": found.energy_correlation}
    return line.model_copy(update={name: None if value is None else round(value, 4) for name, value in values.items()})


def check_line(
    line: DubbedUtterance,
    audio: np.ndarray,
    speakers: Mapping[str, Speaker],
    engines: Mapping[str, Any],
    work: Work,
) -> DubbedUtterance:
    """Fill the QA fields of one line from its mono 16 kHz ``audio``; each line is heard once and remembered."""

    def make(path: Path) -> None:
        path.write_text(json.dumps(hear(audio, line.language, engines), ensure_ascii=False), encoding="utf-8")

    sound = hashlib.sha256(np.ascontiguousarray(audio, dtype=np.float32).tobytes()).hexdigest()
    heard = read_json(work.cached({"sound": sound, "language": line.language}, ".json", make))
    probabilities = heard["languages"]
    long_enough = line.end - line.start >= LANGUAGE_SECONDS
    detected = max(probabilities, key=lambda language: probabilities[language], default=None) if long_enough else None
    speaker = speakers.get(line.speaker)
    error_rate = character_error_rate(line.text, heard["text"], line.language)
    similarity = None
    if speaker is not None and speaker.embedding:
        similarity = round(float(np.dot(heard["embedding"], speaker.embedding)), 4)
    return line.model_copy(
        update={
            "round_trip_text": heard["text"],
            "round_trip_cer": None if error_rate is None else round(error_rate, 4),
            "detected_language": detected,
            "language_confidence": round(probabilities.get(detected or line.language, 0.0), 4),
            "speaker_similarity": similarity,
        }
    )


def hear(audio: np.ndarray, language: str, engines: Mapping[str, Any]) -> dict[str, Any]:
    """What the models make of a line, without knowing what it should be."""
    loud = audio * np.float32(LISTENING_RMS / max(rms(audio), SILENT_RMS))
    probabilities = plausible(engines["recognizer"].language(loud), language)
    segments = engines["recognizer"].transcribe(loud, language)
    joint = "" if language in ("ja", "zh") else " "
    return {
        "text": joint.join(segment.text for segment in segments).strip(),
        "languages": probabilities,
        "embedding": [round(float(value), 6) for value in engines["embedder"].embed(audio)],
    }


def plausible(probabilities: Mapping[str, float], meant: str) -> dict[str, float]:
    """Probabilities of :data:`PLAUSIBLE` languages and the one that was meant, scaled to sum to 1."""
    kept = {key: value for key, value in probabilities.items() if key in PLAUSIBLE or key == meant}
    total = sum(kept.values())
    return {key: round(value / total, 4) for key, value in kept.items() if value >= 0.001 * total} if total else {}

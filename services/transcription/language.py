"""LANGUAGE: which language a title speaks, by listening where most is said."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.transcription.transcript import read_list
from services.transcription.windows import covered, read_speech, union
from shared import languages
from shared.audio import files
from shared.pipeline.stage import Scope, Work
from shared.records import SAMPLE_RATE, Span
from shared.settings import TranscriptionSettings

WINDOW_SECONDS = 30.0
VOTES = 5


def run(
    scope: Scope,
    inputs: Mapping[str, Path],
    settings: TranscriptionSettings,
    engines: Mapping[str, Any],
    work: Work,
) -> dict[str, Path]:
    """``language.json``: language (null when nobody speaks), confidence, votes, and a reason where there is one."""
    answer: dict[str, Any]
    if settings.language is not None:
        answer = {"language": languages.code(settings.language), "confidence": 1.0, "votes": {}, "reason": "given"}
    else:
        speech = union(read_list(inputs["speech.json"], Span))
        duration = files.length(inputs["master.flac"])[0] / SAMPLE_RATE
        chosen = listening_windows(speech, duration)
        votes: dict[str, float] = defaultdict(float)
        for number, (window, seconds) in enumerate(chosen):
            work.progress(number / len(chosen))
            start, stop = round(window.start * SAMPLE_RATE), round(window.end * SAMPLE_RATE)
            audio = read_speech(inputs["master.flac"], start, stop)
            for language, probability in engines["recognizer"].language(audio).items():
                votes[language] += probability * seconds
        answer = decide(votes)
    path = work.path("language.json")
    path.write_text(json.dumps(answer, ensure_ascii=False), encoding="utf-8")
    work.progress(1.0)
    return {"language.json": path}


def listening_windows(speech: Sequence[Span], duration: float) -> list[tuple[Span, float]]:
    """Windows of at most 30 s with their seconds of speech: in each fifth of the title the one that has most.

    A window is as long as its speech needs, so that short titles are not mostly silence.
    """
    if not speech:
        return []
    part = max(duration / VOTES, WINDOW_SECONDS)
    best: dict[int, tuple[Span, float]] = {}
    for span in speech:
        end = min(span.start + WINDOW_SECONDS, duration)
        seconds = covered(speech, span.start, end)
        last = max(min(other.end, end) for other in speech if other.start < end)
        slot = int(span.start / part)
        if slot not in best or seconds > best[slot][1]:
            best[slot] = (Span(start=span.start, end=last), seconds)
    return [best[slot] for slot in sorted(best)][:VOTES]


def decide(votes: Mapping[str, float]) -> dict[str, Any]:
    """The language with most of the weight; votes as shares, the small ones left out."""
    total = sum(votes.values())
    if total <= 0:
        return {"language": None, "confidence": 0.0, "votes": {}, "reason": "no_speech"}
    shares = {language: weight / total for language, weight in votes.items()}
    winner = max(shares, key=lambda language: shares[language])
    listed = {key: round(share, 4) for key, share in sorted(shares.items(), key=lambda x: -x[1]) if share >= 0.01}
    return {"language": winner, "confidence": round(shares[winner], 4), "votes": listed}

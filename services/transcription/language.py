"""LANGUAGE: which language a title speaks, by listening where most is said.

Where a detector sees no speech at all, the mix and the separated voice are listened to where they are loudest: loud
music hides a voice from detectors, not from recognisers. Where no words are understood there, all the rest is listened
to until some are. Only where none are is the title without speech; a transcript then says what it speaks.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from services.transcription.recognition.gates import CREDITS, GHOSTS, phrase_share
from services.transcription.recognition.windows import covered, read_speech, union
from shared.audio import files
from shared.audio.signal import rms
from shared.core import languages
from shared.core.errors import UsageError
from shared.core.records import SAMPLE_RATE, Span, read_list
from shared.core.text import clean, normalise
from shared.engines.protocols import Recognizer, Segment
from shared.pipeline.stage import Scope, Work
from shared.settings.models import TranscriptionSettings
from shared.transcripts.text_language import SURE, beliefs
from shared.transcripts.transcript import Given, read_transcript

WINDOW_SECONDS = 30.0
VOTES = 5
SURE_NO_SPEECH, SURE_LOGPROB, LOOP_SHARE = 0.5, -0.8, 0.5
"""Words heard where no detector sees speech are believed only within these."""
SILENT_RMS = 1e-4


def run(
    scope: Scope,
    inputs: Mapping[str, Path],
    settings: TranscriptionSettings,
    engines: Mapping[str, Any],
    work: Work,
) -> dict[str, Path]:
    """``language.json``: language (null when nobody speaks), confidence, votes, and a reason where there is one.

    Inputs: ``master.flac``, ``speech.json``, ``vocals/NNNN`` of every chunk, ``transcript`` where one is given.
    """
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
        answer = decide(votes or understood(inputs, engines["recognizer"], work.progress))
        if answer["language"] is None and "transcript" in inputs:
            with suppress(UsageError):  # The stage ``transcription`` refuses what cannot be read.
                answer = written(read_transcript(inputs["transcript"], duration)) or answer
    path = work.path("language.json")
    path.write_text(json.dumps(answer, ensure_ascii=False), encoding="utf-8")
    work.progress(1.0)
    return {"language.json": path}


def written(lines: Sequence[Given]) -> dict[str, Any] | None:
    """The language that a transcript is surely in."""
    shares = beliefs(clean(" ".join(given.cue.text for given in lines)))
    language = max(shares, key=lambda one: shares[one])
    if shares[language] < SURE:
        return None
    return {"language": language, "confidence": round(shares[language], 4), "votes": {}, "reason": "transcript"}


def understood(
    inputs: Mapping[str, Path], recognizer: Recognizer, progress: Callable[[float], None]
) -> dict[str, float]:
    """Language → seconds of words that are believed, in the loudest stretches of the mix and of the voice.

    Where nothing is understood there either, the rest is listened to until something is.
    """
    votes: dict[str, float] = defaultdict(float)
    sounds = [inputs["master.flac"], *(inputs[name] for name in sorted(inputs) if name.startswith("vocals/"))]
    first: list[tuple[Path, Span]] = []
    rest: list[tuple[Path, Span]] = []
    for path in sounds:
        levels = window_levels(path)
        chosen = loudest_windows(levels, files.length(path)[0] / SAMPLE_RATE)
        first += [(path, window) for window in chosen]
        rest += [(path, window) for level, window in levels if level >= SILENT_RMS and window not in chosen]
    for number, (path, window) in enumerate([*first, *rest]):
        if votes and number >= len(first):
            break
        progress(number / (len(first) + len(rest)))
        audio = read_speech(path, round(window.start * SAMPLE_RATE), round(window.end * SAMPLE_RATE))
        chances = recognizer.language(audio)
        if not chances:
            continue
        language = max(chances, key=lambda one: chances[one])
        for segment in recognizer.transcribe(audio, language):
            if believed(segment, language):
                votes[language] += chances[language] * (segment.words[-1].end - segment.words[0].start)
    return votes


def believed(segment: Segment, language: str) -> bool:
    """Words that a recogniser does not make up: likely speech, likely words, no greeting of video makers, no loop."""
    share, _ = phrase_share(segment.text, language)
    invented = normalise(segment.text) in GHOSTS or bool(CREDITS.search(segment.text.casefold())) or share > LOOP_SHARE
    sure = segment.no_speech < SURE_NO_SPEECH and segment.mean_logprob >= SURE_LOGPROB
    return bool(segment.words) and sure and not invented


def window_levels(path: Path) -> list[tuple[float, Span]]:
    """RMS of every 30 s of a sound; the last window may be shorter."""
    duration = files.length(path)[0] / SAMPLE_RATE
    levels = []
    start = 0.0
    while start < duration:
        end = min(start + WINDOW_SECONDS, duration)
        level = rms(read_speech(path, round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)))
        levels.append((level, Span(start=start, end=end)))
        start = end
    return levels


def loudest_windows(levels: Sequence[tuple[float, Span]], duration: float) -> list[Span]:
    """The loudest window of every fifth of a sound; none where it is silent."""
    part = max(duration / VOTES, WINDOW_SECONDS)
    best: dict[int, tuple[float, Span]] = {}
    for level, window in levels:
        slot = int(window.start / part)
        if level >= SILENT_RMS and (slot not in best or level > best[slot][0]):
            best[slot] = (level, window)
    return [span for _, (_, span) in sorted(best.items())][:VOTES]


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

"""SPEAKERS: all chunks of a title brought together; final ids, speakers, overlaps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from services.transcription.speaker_clustering import assign, overlapping, unit
from services.transcription.voice_sex import ENCODER, sex_of
from shared.core.records import Shot, Speaker, Utterance, read_jsonl, read_list, write_jsonl
from shared.core.text import UNSPACED
from shared.pipeline.stage import Scope, Work
from shared.settings.models import TranscriptionSettings

BREATH_SECONDS = 0.35
"""A longer pause between the last word and the next is one that a dub has to keep."""
JOINED_SECONDS = 6.0


def run(
    scope: Scope,
    inputs: Mapping[str, Path],
    settings: TranscriptionSettings,
    engines: Mapping[str, Any],
    work: Work,
) -> dict[str, Path]:
    """Final utterances (u0001 … by start) and the title's speakers."""
    lines: list[Utterance] = []
    vectors: dict[str, np.ndarray] = {}
    pitches: dict[str, float] = {}
    for name in sorted(inputs):
        if name.startswith("utterances/"):
            lines += read_jsonl(inputs[name], Utterance)
        elif name.startswith("embeddings/"):
            with np.load(inputs[name], allow_pickle=False) as stored:
                for key, vector, pitch in zip(stored["ids"], stored["embeddings"], stored["f0"], strict=True):
                    vectors[str(key)], pitches[str(key)] = vector, float(pitch)
    lines.sort(key=lambda line: (line.start, line.end, line.id))
    names = name_speakers(lines, vectors, settings)
    shots = read_list(inputs["shots.json"], Shot) if "shots.json" in inputs else []
    heard = [line for line in lines if line.status == "ok"]
    lines = rejoin(lines, names, [shot.start for shot in shots])
    spoken = [line for line in lines if line.status == "ok"]
    overlaps = dict(zip((line.id for line in spoken), overlapping([(x.start, x.end) for x in spoken]), strict=True))
    final = [
        line.model_copy(
            update={
                "id": f"u{number:04}",
                "speaker": names[line.id],
                "overlapped": overlaps.get(line.id, False),
            }
        )
        for number, line in enumerate(lines, 1)
    ]
    people = [
        with_sex(person(name, heard, names, vectors, pitches), settings.embedder)
        for name in in_order(names[line.id] for line in heard)
    ]
    work.count("speakers", len(people))
    path = work.path("speakers.json")
    path.write_text(json.dumps([person.model_dump() for person in people], ensure_ascii=False), encoding="utf-8")
    work.progress(1.0)
    return {"utterances.jsonl": write_jsonl(work.path("utterances.jsonl"), final), "speakers.json": path}


def name_speakers(
    lines: Sequence[Utterance], vectors: Mapping[str, np.ndarray], settings: TranscriptionSettings
) -> dict[str, str]:
    """Id → S1, S2, … in order of first appearance.

    Speakers named by a given transcript are believed and stay apart; tags that already are S1, S2 … keep their
    number. The rest is grouped by voice, apart from the named ones unless a name's voice is near enough.
    """
    spoken = [line for line in lines if line.status == "ok"]
    untagged = [line for line in spoken if not line.speaker]
    size = max((len(vector) for vector in vectors.values()), default=1)
    stacked = np.stack([vectors.get(line.id, np.zeros(size)) for line in untagged]) if untagged else np.zeros((0, size))
    groups = assign(
        stacked, [(line.start, line.end) for line in untagged], settings.speaker_threshold, settings.max_speakers
    )
    tags = {line.id: line.speaker for line in spoken if line.speaker}
    known = {
        tag: mean_voice([vectors[line.id] for line in spoken if line.speaker == tag and line.id in vectors])
        for tag in in_order(tags.values())
    }
    for group in np.unique(groups):
        members = [line.id for line, number in zip(untagged, groups, strict=True) if number == group]
        voice = mean_voice([vectors[key] for key in members if key in vectors])
        nearest = max(known, key=lambda tag: float(np.dot(known[tag], voice)), default=None) if len(voice) else None
        same = nearest is not None and float(np.dot(known[nearest], voice)) >= settings.speaker_threshold
        for key in members:
            tags[key] = nearest if same and nearest is not None else f"\x00voice {group}"
    order = in_order(tags[line.id] for line in spoken)
    if order and all(re.fullmatch(r"S[1-9]\d*", tag) for tag in order):
        final = {tag: tag for tag in order}
    else:
        final = {tag: f"S{number}" for number, tag in enumerate(order, 1)}
    names = {key: final[tag] for key, tag in tags.items()}
    return {line.id: names.get(line.id, "S1") for line in lines}


def rejoin(lines: Sequence[Utterance], names: Mapping[str, str], cuts: Sequence[float]) -> list[Utterance]:
    """Sentences of one speaker with a short breath between them become one line again, unless a cut lies between.

    They were taken apart because another speaker might have answered; together they translate and sound better.
    """
    out: list[Utterance] = []
    for line in lines:
        last = out[-1] if out else None
        if (
            last is not None
            and line.status == last.status == "ok"
            and line.origin == last.origin == "recognised"
            and names[line.id] == names[last.id]
            and line.id.split("-")[0] == last.id.split("-")[0]
            and line.start >= last.end
            and pause(last, line) <= BREATH_SECONDS
            and line.end - last.start <= JOINED_SECONDS
            and not any(last.end < cut <= line.start for cut in cuts)
        ):
            out[-1] = join(last, line)
        else:
            out.append(line)
    return out


def pause(first: Utterance, second: Utterance) -> float:
    """Seconds between two lines, or between the words at their edges if that is longer."""
    between = second.start - first.end
    if first.words and second.words:
        between = max(between, second.words[0].start - first.words[-1].end)
    return between


def join(first: Utterance, second: Utterance) -> Utterance:
    """One utterance of two; the first one's id."""
    lengths = [line.end - line.start for line in (first, second)]
    logprobs = [line.mean_logprob for line in (first, second) if line.mean_logprob is not None]
    space = "" if first.language in UNSPACED else " "
    return first.model_copy(
        update={
            "end": second.end,
            "text": first.text + space + second.text,
            "words": [*first.words, *second.words],
            "mean_logprob": float(np.average(logprobs, weights=lengths)) if len(logprobs) == 2 else None,
        }
    )


def in_order(names: Any) -> list[str]:
    return list(dict.fromkeys(names))


def mean_voice(vectors: Sequence[np.ndarray]) -> np.ndarray:
    """Unit mean of embeddings, zeros for silence."""
    return unit(np.sum(vectors, axis=0)) if len(vectors) else np.zeros(0)


def person(
    name: str,
    spoken: Sequence[Utterance],
    names: Mapping[str, str],
    vectors: Mapping[str, np.ndarray],
    pitches: Mapping[str, float],
) -> Speaker:
    """One speaker's record; embedding and pitch weighted by seconds."""
    mine = [line for line in spoken if names[line.id] == name]
    seconds = sum(line.end - line.start for line in mine)
    voiced = [line for line in mine if np.any(vectors.get(line.id, np.zeros(1)))]
    weighted = [vectors[line.id] * (line.end - line.start) for line in voiced]
    embedding = unit(np.sum(weighted, axis=0)).tolist() if weighted else []
    heard = [(pitches[line.id], line.end - line.start) for line in mine if np.isfinite(pitches.get(line.id, np.nan))]
    f0 = weighted_median(heard) if heard else None
    return Speaker(
        id=name,
        embedding=[round(value, 6) for value in embedding],
        median_f0_hz=None if f0 is None else round(f0, 1),
        seconds=round(seconds, 3),
    )


def with_sex(speaker: Speaker, encoder: str) -> Speaker:
    embedding = speaker.embedding if encoder == ENCODER else []
    return speaker.model_copy(update={"gender": sex_of(embedding, speaker.median_f0_hz)})


def weighted_median(values: Sequence[tuple[float, float]]) -> float:
    """Median of values with weights."""
    ordered = sorted(values)
    half = sum(weight for _, weight in ordered) / 2
    passed = 0.0
    for value, weight in ordered:
        passed += weight
        if passed >= half:
            return value
    return ordered[-1][0]

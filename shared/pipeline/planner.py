"""The planner: which tasks a title needs, given what is already known of it.

The plan grows as facts appear: after ingest the chunks are known, after listening the source language. Planning is a
pure function, so every executor and every restart arrives at the same tasks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.pipeline.stage import Scope
from shared.records import Shot
from shared.settings import PairingSettings, Settings

ORIG, CONTROL, STEMS = "orig", "control", "stems"


@dataclass(frozen=True)
class Ref:
    """An output of another task."""

    task: str
    output: str


@dataclass(frozen=True)
class Task:
    """One call of a stage. ``inputs`` name files: outputs of other tasks, or a path given by the user."""

    id: str
    stage: str
    scope: Scope = Scope()
    inputs: Mapping[str, Ref | Path] = field(default_factory=dict)

    @property
    def needs(self) -> set[str]:
        return {ref.task for ref in self.inputs.values() if isinstance(ref, Ref)}


@dataclass(frozen=True)
class TitleRequest:
    """What is wanted of one video."""

    name: str
    source: Path
    languages: tuple[str, ...]
    transcript: Path | None = None
    edits: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """``{language: {utterance id: text}}``: lines that a person wrote."""
    previous: str | None = None
    """The title before it in the run, whose cast it goes on from."""
    earlier_casts: Mapping[str, Path] = field(default_factory=dict)
    """``{language: cast.json}`` of the title before it, where that was done in an earlier run."""


Known = Callable[[str, str, str], Path | None]
"""``known(title, task, output)`` → local path of a finished task's output."""


@dataclass(frozen=True)
class Plan:
    tasks: Sequence[Task]
    source_language: str | None = None
    tracks: tuple[str, ...] = ()
    failed_languages: tuple[str, ...] = ()
    complete: bool = False
    """All facts are known: no more tasks will appear."""


def task_language(task: str) -> str | None:
    """The language that a task works for, from its id (``dubbing/es/0001``)."""
    stage, _, rest = task.partition("/")
    language = rest.partition("/")[0]
    return language if stage in {"translation", "cast", "dubbing", "quality"} and language != CONTROL else None


def keeps(shot: Shot, settings: PairingSettings) -> bool:
    """Whether a shot is long and short enough to become a pair (paper supplement, A)."""
    return settings.min_shot_seconds <= shot.duration <= settings.max_shot_seconds


def read(path: Path | None) -> Any:
    return None if path is None else json.loads(path.read_text(encoding="utf-8"))


def plan(title: TitleRequest, settings: Settings, known: Known, failed: set[str], cast_ready: bool) -> Plan:
    """All tasks of ``title`` that can be named now, in the order they are best done.

    Args:
        known: Gives outputs of finished tasks.
        failed: Ids of tasks that failed for good. A failed language is left out; anything else fails the title.
        cast_ready: The previous title's cast is known or will never be, so this title's may be chosen.
    """

    def find(task: str, output: str) -> Path | None:
        return known(title.name, task, output)

    def ref(output: str, task: str = "ingest") -> Ref:
        return Ref(task, output)

    tasks = [Task("ingest", "ingest", Scope(extra={"title": title.name}), {"source": title.source})]
    chunk_list = read(find("ingest", "chunks.json"))
    if chunk_list is None:
        return Plan(tasks)
    chunks = [chunk["index"] for chunk in chunk_list]
    sound = {"master.flac": ref("master.flac"), "chunks.json": ref("chunks.json")}
    given = {"transcript": title.transcript} if title.transcript else {}

    tasks.append(
        Task("language", "language", Scope(), {"master.flac": sound["master.flac"], "speech.json": ref("speech.json")})
    )
    for chunk in chunks:
        tasks.append(Task(f"separation/{chunk:04}", "separation", Scope(chunk=chunk), sound))
    for chunk in chunks:
        inputs = {
            **sound,
            **given,
            "vocals.flac": ref("vocals.flac", f"separation/{chunk:04}"),
            "language.json": ref("language.json", "language"),
            "speech.json": ref("speech.json"),
        }
        tasks.append(Task(f"transcription/{chunk:04}", "transcription", Scope(chunk=chunk), inputs))
    heard = {}
    for chunk in chunks:
        heard[f"utterances/{chunk:04}"] = ref("utterances.jsonl", f"transcription/{chunk:04}")
        heard[f"embeddings/{chunk:04}"] = ref("embeddings.npz", f"transcription/{chunk:04}")
    tasks.append(Task("speakers", "speakers", Scope(), {**heard, "shots.json": ref("shots.json")}))
    lines = {"utterances.jsonl": ref("utterances.jsonl", "speakers"), "chunks.json": ref("chunks.json")}
    people = {"speakers.json": ref("speakers.json", "speakers")}
    for chunk in chunks:
        inputs = {
            **sound,
            "vocals.flac": ref("vocals.flac", f"separation/{chunk:04}"),
            "utterances.jsonl": lines["utterances.jsonl"],
            "speech.json": ref("speech.json"),
        }
        tasks.append(Task(f"stems/{chunk:04}", "stems", Scope(chunk=chunk), inputs))

    alive = tuple(lang for lang in title.languages if not any(task_language(task) == lang for task in failed))
    for lang in alive:
        edits = dict(title.edits.get(lang, {}))
        for chunk in chunks:
            scope = Scope(language=lang, chunk=chunk, extra={"edits": edits} if edits else {})
            inputs = {**lines, "language.json": ref("language.json", "language")}
            tasks.append(Task(f"translation/{lang}/{chunk:04}", "translation", scope, inputs))
    for lang in alive:
        if cast_ready:
            before = known(title.previous, f"cast/{lang}", "cast.json") if title.previous else None
            before = before or title.earlier_casts.get(lang)
            earlier = {"previous": before} if before else {}
            tasks.append(Task(f"cast/{lang}", "cast", Scope(language=lang), {**people, **earlier}))
        for chunk in chunks:
            inputs = {
                **lines,
                **people,
                "translations.jsonl": ref("translations.jsonl", f"translation/{lang}/{chunk:04}"),
                "shots.json": ref("shots.json"),
                "vocals.flac": ref("vocals.flac", f"stems/{chunk:04}"),
                "cast.json": ref("cast.json", f"cast/{lang}"),
            }
            tasks.append(Task(f"dubbing/{lang}/{chunk:04}", "dubbing", Scope(language=lang, chunk=chunk), inputs))
    for chunk in chunks:
        inputs = {**lines, "vocals.flac": ref("vocals.flac", f"stems/{chunk:04}")}
        tasks.append(Task(f"control/{chunk:04}", "control", Scope(chunk=chunk), inputs))

    def speech(track: str, chunk: int, output: str) -> Ref:
        return ref(output, f"control/{chunk:04}" if track == CONTROL else f"dubbing/{track}/{chunk:04}")

    synthetic = (CONTROL, *alive)
    for track in synthetic:
        for chunk in chunks:
            inputs = {
                **people,
                "chunks.json": ref("chunks.json"),
                "vocals.flac": ref("vocals.flac", f"stems/{chunk:04}"),
                "speech.flac": speech(track, chunk, "speech.flac"),
                "dubbed.jsonl": speech(track, chunk, "dubbed.jsonl"),
            }
            scope = Scope(language=None if track == CONTROL else track, chunk=chunk, track=track)
            tasks.append(Task(f"quality/{track}/{chunk:04}", "quality", scope, inputs))

    language = read(find("language", "language.json"))
    spoken = all(find(f"dubbing/{lang}/{chunk:04}", "speech.flac") for lang in alive for chunk in chunks)
    if language is None or not spoken:
        return Plan(tasks, failed_languages=tuple(set(title.languages) - set(alive)))

    # All speech is there, so the one gain of the title and everything behind it can be decided.
    background = {f"background/{chunk:04}": ref("background.flac", f"stems/{chunk:04}") for chunk in chunks}
    inputs = {"master.flac": sound["master.flac"], **background}
    for track in synthetic:
        inputs |= {f"speech/{track}/{chunk:04}": speech(track, chunk, "speech.flac") for chunk in chunks}
    tasks.append(Task("level", "level", Scope(), inputs))
    level = {"level.json": ref("level.json", "level"), "chunks.json": ref("chunks.json")}
    tracks = (ORIG, *synthetic)
    for track in (*tracks, STEMS):
        inputs = {**level, **background}
        if track == ORIG:
            inputs = {**level, "master.flac": sound["master.flac"]}
        elif track == STEMS:
            inputs |= {f"vocals/{chunk:04}": ref("vocals.flac", f"stems/{chunk:04}") for chunk in chunks}
        else:
            inputs |= {f"speech/{chunk:04}": speech(track, chunk, "speech.flac") for chunk in chunks}
        tasks.append(Task(f"track/{track}", "track", Scope(track=track), inputs))
    shots = [Shot.model_validate(shot) for shot in read(find("ingest", "shots.json"))]
    kept = [shot.index for shot in shots if keeps(shot, settings.pairing)]
    tasks += delivery_tasks(title, settings, language["language"], tracks, chunks, kept)
    return Plan(tasks, language["language"], tracks, tuple(set(title.languages) - set(alive)), complete=True)


def delivery_tasks(
    title: TitleRequest,
    settings: Settings,
    source_language: str | None,
    tracks: Sequence[str],
    chunks: Sequence[int],
    kept: Sequence[int],
) -> list[Task]:
    """What is made of the finished tracks: shots, subtitles and containers, rows, pictures for the report."""
    video: dict[str, Ref | Path] = {
        "source": title.source,
        "probe.json": Ref("ingest", "probe.json"),
        "shots.json": Ref("ingest", "shots.json"),
    }
    sounds = {f"tracks/{track}": Ref(f"track/{track}", "track.flac") for track in tracks}
    synthetic = [track for track in tracks if track != ORIG]
    lines: dict[str, Ref | Path] = {"utterances.jsonl": Ref("speakers", "utterances.jsonl")}
    for track in synthetic:
        for chunk in chunks:
            task = f"quality/{track}/{chunk:04}"
            lines[f"dubbed/{track}/{chunk:04}"] = Ref(task, "dubbed.jsonl")
    facts = Scope(extra={"title": title.name, "source_language": source_language, "tracks": list(tracks)})
    tasks = []
    if settings.pairing.export_shots and kept:
        tasks.append(Task("pictures", "pictures", Scope(), video))
        pictures = {f"pictures/{shot:04}.mp4": Ref("pictures", f"{shot:04}.mp4") for shot in kept}
        for track in tracks:
            scope = Scope(track=track, extra={"source_language": source_language})
            inputs = {"shots.json": video["shots.json"], "track.flac": sounds[f"tracks/{track}"], **pictures}
            tasks.append(Task(f"shots/{track}", "shots", scope, inputs))
    tasks.append(Task("export", "export", facts, {**video, **sounds, **lines}))
    for track in tracks:
        inputs = {"shots.json": video["shots.json"], "track.flac": sounds[f"tracks/{track}"]}
        tasks.append(Task(f"preview/{track}", "preview", Scope(track=track), inputs))
    inputs = {**video, **sounds, **lines, "background.flac": Ref("track/stems", "background.flac")}
    inputs |= {"level.json": Ref("level", "level.json"), "chunks.json": Ref("ingest", "chunks.json")}
    for track in synthetic:
        inputs[f"speech/{track}"] = Ref(f"track/{track}", "speech.flac")
        for chunk in chunks:
            inputs[f"activity/{track}/{chunk:04}"] = Ref(f"quality/{track}/{chunk:04}", "activity.json")
    del inputs["source"]
    tasks.append(Task("pairs", "pairs", facts, inputs))
    return tasks

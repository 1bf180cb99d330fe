"""The planner: which tasks a title needs, given what is already known of it.

The plan grows as facts appear: after ingest the chunks are known, after listening the source language. Planning is a
pure function, so every executor and every restart arrives at the same tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.core.records import Shot, read_json
from shared.core.store import Blob
from shared.engines.protocols import clones
from shared.pipeline.stage import Scope
from shared.settings.models import DubbingSettings, PairingSettings, Settings

ORIG, CONTROL, STEMS = "orig", "control", "stems"


@dataclass(frozen=True)
class Ref:
    """An output of another task."""

    task: str
    output: str


Inputs = Mapping[str, Ref | Path | Blob]
"""Name of an input → an output of another task, or a file the user gave (in the services: stored already)."""


@dataclass(frozen=True)
class Task:
    """One call of a stage."""

    id: str
    stage: str
    scope: Scope = field(default_factory=Scope)
    inputs: Inputs = field(default_factory=dict)

    @property
    def needs(self) -> set[str]:
        return {ref.task for ref in self.inputs.values() if isinstance(ref, Ref)}


@dataclass(frozen=True)
class TitleRequest:
    """What is wanted of one video."""

    name: str
    source: Path | Blob
    languages: tuple[str, ...]
    transcript: Path | Blob | None = None
    translations: Mapping[str, Path | Blob] = field(default_factory=dict)
    """Language → a file with the text of its lines."""
    embedded: bool = False
    """The video's own subtitle streams stand for transcript and translations that are not given."""
    edits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Language → lines that a person wrote, as :func:`shared.core.edits.stored_edits` has them."""
    previous: str | None = None
    """The title before it in the run, whose cast it goes on from."""
    earlier_casts: Mapping[str, Path | Blob] = field(default_factory=dict)
    """``{language: cast.json}`` of the title before it, where that was done in an earlier run."""
    source_name: str = ""
    """What the user calls the video, where ``source`` does not say."""


Known = Callable[[str, str, str], Path | Blob | None]
"""``known(title, task, output)`` → a finished task's output: its local path, or where it is kept if it is another
title's."""


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
    own = stage in {"alignment", "translation", "cast", "dubbing", "quality"}
    return language if own and language != CONTROL else None


def keeps(shot: Shot, settings: PairingSettings) -> bool:
    """Whether a shot is long and short enough to become a pair (paper supplement, A)."""
    return settings.min_shot_seconds <= shot.duration <= settings.max_shot_seconds


def plan(title: TitleRequest, settings: Settings, known: Known, failed: set[str], cast_ready: bool) -> Plan:
    """All tasks of ``title`` that can be named now, in the order they are best done.

    Args:
        known: Gives outputs of finished tasks.
        failed: Ids of tasks that failed for good. A failed language is left out; anything else fails the title.
        cast_ready: The previous title's cast is known or will never be, so this title's may be chosen.
    """

    def find(task: str, output: str) -> Any:
        path = known(title.name, task, output)
        return read_json(path) if isinstance(path, Path) else None

    tasks = [Task("ingest", "ingest", Scope(), {"source": title.source})]
    chunk_list, shot_list = find("ingest", "chunks.json"), find("ingest", "shots.json")
    if chunk_list is None or shot_list is None:
        return Plan(tasks)
    chunks = [chunk["index"] for chunk in chunk_list]
    alive = tuple(lang for lang in title.languages if not any(task_language(task) == lang for task in failed))
    lost = tuple(lang for lang in title.languages if lang not in alive)
    tasks += listening_tasks(title, chunks)
    for lang in alive:
        tasks += translation_tasks(title, lang, chunks)
    if alive and shows_references(settings.dubbing):
        tasks.append(references_task(chunks))
    for lang in alive:
        tasks += dubbing_tasks(title, lang, chunks, known, cast_ready, shows_references(settings.dubbing))
    tasks += control_tasks(chunks)
    synthetic = (CONTROL, *alive)
    for track in synthetic:
        tasks += [quality_task(track, chunk) for chunk in chunks]
    if settings.quality.round_trip:
        tasks += residual_tasks(chunks)

    language = find("language", "language.json")
    spoken = all(known(title.name, f"dubbing/{lang}/{chunk:04}", "speech.flac") for lang in alive for chunk in chunks)
    if language is None or not spoken:
        return Plan(tasks, failed_languages=lost)
    # All speech is there, so the one gain of the title and everything behind it can be decided.
    source_language = language["language"]
    tracks = (ORIG, *synthetic)
    if settings.auditions.wanted:
        tasks += [audition_task(lang, chunks, shows_references(settings.dubbing)) for lang in alive]
    kept = [shot["index"] for shot in shot_list if keeps(Shot.model_validate(shot), settings.pairing)]
    tasks += track_tasks(tracks, chunks)
    tasks += delivery_tasks(title, settings, source_language, tracks, chunks, kept)
    return Plan(tasks, source_language, tracks, lost, complete=True)


def ingested(*outputs: str) -> Inputs:
    """Files of the ingest task under their own names."""
    return {output: Ref("ingest", output) for output in outputs}


LINES: Inputs = {"utterances.jsonl": Ref("speakers", "utterances.jsonl"), **ingested("chunks.json")}
PEOPLE: Inputs = {"speakers.json": Ref("speakers", "speakers.json")}
SUBTITLES: Inputs = {"subtitles.json": Ref("subtitles", "subtitles.json")}


def speech(track: str, chunk: int, output: str) -> Ref:
    """An output of the task that speaks a track's lines."""
    return Ref(f"control/{chunk:04}" if track == CONTROL else f"dubbing/{track}/{chunk:04}", output)


def listening_tasks(title: TitleRequest, chunks: Sequence[int]) -> list[Task]:
    """Stems, and who says what when in the source language."""
    sound = ingested("master.flac", "chunks.json")
    given: Inputs = {"transcript": title.transcript} if title.transcript else {}
    streams: Inputs = SUBTITLES if title.embedded and not title.transcript else {}
    vocals: Inputs = {f"vocals/{chunk:04}": Ref(f"separation/{chunk:04}", "vocals.flac") for chunk in chunks}
    tasks = [Task(f"separation/{chunk:04}", "separation", Scope(chunk=chunk), sound) for chunk in chunks]
    if title.embedded:
        tasks.append(Task("subtitles", "subtitles", Scope(), {"source": title.source, **ingested("probe.json")}))
    tasks.append(Task("language", "language", Scope(), {**ingested("master.flac", "speech.json"), **vocals, **given}))
    heard: Inputs = {}
    for chunk in chunks:
        task = f"transcription/{chunk:04}"
        inputs = {**sound, **ingested("speech.json"), **given, **streams}
        inputs |= {"vocals.flac": Ref(f"separation/{chunk:04}", "vocals.flac")}
        inputs |= {"language.json": Ref("language", "language.json")}
        tasks.append(Task(task, "transcription", Scope(chunk=chunk), inputs))
        heard = {**heard, f"utterances/{chunk:04}": Ref(task, "utterances.jsonl")}
        heard = {**heard, f"embeddings/{chunk:04}": Ref(task, "embeddings.npz")}
    tasks.append(Task("speakers", "speakers", Scope(), {**heard, **ingested("shots.json")}))
    for chunk in chunks:
        inputs = {**sound, **LINES, **ingested("speech.json")}
        inputs |= {"vocals.flac": Ref(f"separation/{chunk:04}", "vocals.flac")}
        tasks.append(Task(f"stems/{chunk:04}", "stems", Scope(chunk=chunk), inputs))
    return tasks


def translation_tasks(title: TitleRequest, lang: str, chunks: Sequence[int]) -> list[Task]:
    edits = dict(title.edits.get(lang, {}))
    inputs = {**LINES, "language.json": Ref("language", "language.json")}
    extra = {"edits": edits} if edits else {}
    tasks = []
    if lang in title.translations or title.embedded:
        text: Inputs = {"translation": title.translations[lang]} if lang in title.translations else SUBTITLES
        tasks.append(Task(f"alignment/{lang}", "alignment", Scope(lang), {**inputs, **text}))
        inputs |= {"given.jsonl": Ref(f"alignment/{lang}", "given.jsonl")}
    return tasks + [
        Task(f"translation/{lang}/{chunk:04}", "translation", Scope(lang, chunk, extra=extra), inputs)
        for chunk in chunks
    ]


def shows_references(settings: DubbingSettings) -> bool:
    """Whether an engine is shown the original speakers: then lines wait for the vocals of the whole title."""
    return bool(settings.converter) or clones(settings.engine)


def references_task(chunks: Sequence[int]) -> Task:
    """What is shown of each speaker: one for all languages and chunks."""
    vocals: Inputs = {f"vocals/{chunk:04}": Ref(f"stems/{chunk:04}", "vocals.flac") for chunk in chunks}
    return Task("references", "references", Scope(), {**LINES, **PEOPLE, **vocals})


def dubbing_tasks(
    title: TitleRequest, lang: str, chunks: Sequence[int], known: Known, cast_ready: bool, references: bool
) -> list[Task]:
    """The cast, once the title before has chosen its own, and the lines it speaks."""
    tasks = []
    shown: Inputs = {"references.npz": Ref("references", "references.npz")} if references else {}
    if cast_ready:
        before: Path | Blob | None = known(title.previous, f"cast/{lang}", "cast.json") if title.previous else None
        before = before or title.earlier_casts.get(lang)
        earlier: Inputs = {"previous": before} if before else {}
        tasks.append(Task(f"cast/{lang}", "cast", Scope(lang), {**PEOPLE, **earlier}))
    for chunk in chunks:
        inputs = {
            **LINES,
            **PEOPLE,
            **shown,
            **ingested("shots.json"),
            "translations.jsonl": Ref(f"translation/{lang}/{chunk:04}", "translations.jsonl"),
            "vocals.flac": Ref(f"stems/{chunk:04}", "vocals.flac"),
            "cast.json": Ref(f"cast/{lang}", "cast.json"),
        }
        tasks.append(Task(f"dubbing/{lang}/{chunk:04}", "dubbing", Scope(lang, chunk), inputs))
    return tasks


def audition_task(lang: str, chunks: Sequence[int], references: bool) -> Task:
    """The voices of a language, to be heard beside the people they speak for."""
    inputs: Inputs = {**LINES, **PEOPLE, "cast.json": Ref(f"cast/{lang}", "cast.json")}
    if references:
        inputs = {**inputs, "references.npz": Ref("references", "references.npz")}
    for chunk in chunks:
        inputs = {
            **inputs,
            f"vocals/{chunk:04}": Ref(f"stems/{chunk:04}", "vocals.flac"),
            f"dubbed/{chunk:04}": speech(lang, chunk, "dubbed.jsonl"),
        }
    return Task(f"audition/{lang}", "audition", Scope(lang), inputs)


def control_tasks(chunks: Sequence[int]) -> list[Task]:
    return [
        Task(
            f"control/{chunk:04}",
            "control",
            Scope(chunk=chunk),
            {**LINES, "vocals.flac": Ref(f"stems/{chunk:04}", "vocals.flac")},
        )
        for chunk in chunks
    ]


def quality_task(track: str, chunk: int) -> Task:
    inputs = {
        **PEOPLE,
        **ingested("chunks.json"),
        "vocals.flac": Ref(f"stems/{chunk:04}", "vocals.flac"),
        "speech.flac": speech(track, chunk, "speech.flac"),
        "dubbed.jsonl": speech(track, chunk, "dubbed.jsonl"),
    }
    scope = Scope(None if track == CONTROL else track, chunk, track)
    return Task(f"quality/{track}/{chunk:04}", "quality", scope, inputs)


def residual_tasks(chunks: Sequence[int]) -> list[Task]:
    """The background heard again."""
    title_inputs: Inputs = {**LINES, "language.json": Ref("language", "language.json")}
    return [
        Task(
            f"residual/{chunk:04}",
            "residual",
            Scope(chunk=chunk),
            {**title_inputs, "background.flac": Ref(f"stems/{chunk:04}", "background.flac")},
        )
        for chunk in chunks
    ]


def track_tasks(tracks: Sequence[str], chunks: Sequence[int]) -> list[Task]:
    """The title's one gain, the tracks and the stems."""
    background: Inputs = {f"background/{chunk:04}": Ref(f"stems/{chunk:04}", "background.flac") for chunk in chunks}
    spoken: dict[str, Inputs] = {
        track: {f"{chunk:04}": speech(track, chunk, "speech.flac") for chunk in chunks}
        for track in tracks
        if track != ORIG
    }
    everything = {f"speech/{track}/{chunk}": ref for track, refs in spoken.items() for chunk, ref in refs.items()}
    tasks = [Task("level", "level", Scope(), {**ingested("master.flac"), **background, **everything})]
    level: Inputs = {"gain.json": Ref("level", "gain.json"), **ingested("chunks.json")}
    sources: dict[str, Inputs] = {
        track: {**background, **{f"speech/{chunk}": ref for chunk, ref in refs.items()}}
        for track, refs in spoken.items()
    }
    sources[ORIG] = ingested("master.flac")
    vocals: Inputs = {f"vocals/{chunk:04}": Ref(f"stems/{chunk:04}", "vocals.flac") for chunk in chunks}
    sources[STEMS] = {**background, **vocals}
    tasks += [
        Task(f"track/{track}", "track", Scope(track=track), {**level, **sources[track]}) for track in (*tracks, STEMS)
    ]
    return tasks


def delivery_tasks(
    title: TitleRequest,
    settings: Settings,
    source_language: str | None,
    tracks: Sequence[str],
    chunks: Sequence[int],
    kept: Sequence[int],
) -> list[Task]:
    """What is made of the finished tracks: shots, subtitles and containers, rows, pictures for the report."""
    video: Inputs = {"source": title.source, **ingested("probe.json", "shots.json")}
    sounds: Inputs = {f"tracks/{track}": Ref(f"track/{track}", "track.flac") for track in tracks}
    synthetic = [track for track in tracks if track != ORIG]
    lines = {"utterances.jsonl": LINES["utterances.jsonl"]}
    lines |= {
        f"dubbed/{track}/{chunk:04}": Ref(f"quality/{track}/{chunk:04}", "dubbed.jsonl")
        for track in synthetic
        for chunk in chunks
    }
    facts = Scope(extra={"title": title.name, "source_language": source_language, "tracks": list(tracks)})
    tasks = []
    if settings.pairing.export_shots and kept:
        tasks.append(Task("pictures", "pictures", Scope(), video))
        pictures = {f"pictures/{shot:04}.mp4": Ref("pictures", f"{shot:04}.mp4") for shot in kept}
        for track in tracks:
            scope = Scope(track=track, extra={"source_language": source_language})
            inputs = {**ingested("shots.json"), "track.flac": sounds[f"tracks/{track}"], **pictures}
            tasks.append(Task(f"shots/{track}", "shots", scope, inputs))
    tasks.append(Task("export", "export", facts, {**video, **sounds, **lines}))
    for track in tracks:
        inputs = {**ingested("shots.json"), "track.flac": sounds[f"tracks/{track}"]}
        tasks.append(Task(f"preview/{track}", "preview", Scope(track=track), inputs))
    inputs = {**ingested("probe.json", "shots.json", "chunks.json"), **sounds, **lines}
    inputs |= {"level.json": Ref("level", "level.json"), "background.flac": Ref("track/stems", "background.flac")}
    for track in synthetic:
        inputs[f"speech/{track}"] = Ref(f"track/{track}", "speech.flac")
        for chunk in chunks:
            inputs[f"activity/{track}/{chunk:04}"] = Ref(f"quality/{track}/{chunk:04}", "activity.json")
    if settings.quality.round_trip:
        inputs |= {f"residual/{chunk:04}": Ref(f"residual/{chunk:04}", "residual.jsonl") for chunk in chunks}
    tasks.append(Task("pairs", "pairs", facts, inputs))
    return tasks

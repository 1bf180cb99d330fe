"""Laying finished artifacts out as the folder that people use (``docs/output.md``)."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shared.core.records import SCHEMA_VERSION, read_json
from shared.core.storage_errors import storage_errors
from shared.core.store import Blob, Store
from shared.engines.protocols import engine_class
from shared.pipeline.ledger import TitleOutcome
from shared.pipeline.planner import ORIG
from shared.schemas import layout as paths
from shared.schemas.digital_source import track_source
from shared.schemas.provenance import ClaimFacts, Sign, provenance


def layout(run: TitleOutcome) -> dict[str, Blob]:
    """Path below OUT → blob, for everything of a title that is finished."""
    title, language = run.request.name, run.plan.source_language
    files: dict[str, Blob] = {}

    def add(path: str | None, task: str, output: str) -> None:
        done = run.done.get(task)
        if path and done and output in done.outputs:
            files[path] = done.outputs[output]

    for track in run.plan.tracks:
        add(paths.track_path(title, track), f"track/{track}", "track.flac")
        add(paths.speech_path(title, track), f"track/{track}", "speech.flac")
        shots = run.done.get(f"shots/{track}")
        for name in shots.outputs if shots else ():
            add(paths.clip_path(title, int(Path(name).stem), track, language), f"shots/{track}", name)
        suffix = paths.clip_suffix(track, language)
        for kind in ("srt", "vtt"):
            add(paths.subtitle_path(title, track, language, kind), "export", f"{suffix}.{kind}")
        add(paths.utterances_path(title, track, language), "export", f"{suffix}.jsonl")
    for language_spoken in run.request.languages:
        for kind in ("flac", "json"):
            path = paths.audition_path(title, language_spoken, kind)
            add(path, f"audition/{language_spoken}", f"audition.{kind}")
    for stem in ("vocals", "background"):
        add(paths.stem_path(title, stem), "track/stems", f"{stem}.flac")
    for kind in ("mkv", "mp4"):
        add(paths.posix(title, f"{title}.{kind}"), "export", f"title.{kind}")
    add(paths.utterances_path(title, ORIG, language), "speakers", "utterances.jsonl")
    return files


def internals(run: TitleOutcome) -> dict[str, Blob]:
    """What later runs and the whole run's tables need of a title: file name → blob."""
    files = {f"cast.{lang}.json": ("cast/" + lang, "cast.json") for lang in run.request.languages}
    files |= {name: ("pairs", name) for name in ("pairs.jsonl", "rejects.jsonl", "quality.json")}
    files |= {f"preview.{track}.json": (f"preview/{track}", "preview.json") for track in run.plan.tracks}
    blobs = {}
    for name, (task, output) in files.items():
        done = run.done.get(task)
        if done and output in done.outputs:
            blobs[name] = done.outputs[output]
    return blobs


def title_record(run: TitleOutcome, store: Store, timings: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """``title.json``: probe, shots, engines with weight hashes and licences, timings, errors."""

    def load(task: str, output: str) -> Any:
        done = run.done.get(task)
        if not done or output not in done.outputs:
            return None
        return json.loads(store.fetch(done.outputs[output]).read_text(encoding="utf-8"))

    return {
        "schema_version": SCHEMA_VERSION,
        "title": run.request.name,
        "source_name": run.request.source_name or run.request.source.name,
        "source_language": load("language", "language.json"),
        "languages": list(run.request.languages),
        "tracks": list(run.plan.tracks),
        "probe": load("ingest", "probe.json"),
        "shots": load("ingest", "shots.json"),
        "chunks": load("ingest", "chunks.json"),
        "level": load("level", "level.json"),
        "cast": {lang: load(f"cast/{lang}", "cast.json") for lang in run.request.languages},
        "digital_source_types": {track: track_source(track) for track in run.plan.tracks},
        "notes": notes(run, store),
        "speech": speech_covered(load("pairs", "quality.json")),
        "engines": engines_used(run),
        "timings": timings,
        "counters": counters(run),
        "failed": {task: error.to_dict() for task, error in sorted(run.failed.items())},
    }


def provenance_record(run: TitleOutcome, record: Mapping[str, Any], sign: Sign | None = None) -> dict[str, Any]:
    """``provenance.json`` of a title.

    Args:
        record: Its ``title.json``.
    """
    engines = {
        row["stage"]: f"{row['engine']} {row['model']}".strip()
        for row in record["engines"]
        if row["kind"] in ("translator", "synthesizer") and row["stage"] in ("translation", "dubbing")
    }
    facts = ClaimFacts(
        title=record["title"],
        source_name=record["source_name"],
        source_sha256=(record["probe"] or {}).get("sha256"),
        source_language=run.plan.source_language,
        tracks=record["tracks"],
        engines=engines,
    )
    return provenance(layout(run), facts, sign)


def notes(run: TitleOutcome, store: Store) -> list[dict[str, str]]:
    """What the stages chose, repaired or left out, each once, in the order of the plan."""
    seen: dict[tuple[str, str, str], None] = {}
    for task in run.plan.tasks:
        done = run.done.get(task.id)
        if done and "notes.json" in done.outputs:
            rows = json.loads(store.fetch(done.outputs["notes.json"]).read_text(encoding="utf-8"))
            seen.update(((task.stage, row["kind"], row["message"]), None) for row in rows)
    return [{"stage": stage, "kind": kind, "message": message} for stage, kind, message in seen]


def speech_covered(quality: Mapping[str, Any] | None) -> dict[str, Any]:
    """How much of the original's speech each synthetic track says, and what it leaves out; from ``quality.json``."""
    tracks = (quality or {}).get("tracks", {})
    kept = ("speech_dubbed", "not_dubbed")
    return {name: {key: track[key] for key in kept} for name, track in tracks.items() if name != ORIG}


def engines_used(run: TitleOutcome) -> list[dict[str, Any]]:
    """Every engine behind the title's files, once, with licence and weight hashes."""
    seen: dict[str, dict[str, Any]] = {}
    for task, done in run.done.items():
        for role, identity in done.engines.items():
            licence = engine_class(identity["kind"], identity["name"]).licence
            entry = {
                "stage": task.partition("/")[0],
                "role": role,
                "kind": identity["kind"],
                "engine": identity["name"],
                "model": identity["model"],
                "weights": identity["weights"],
                "licence": licence.name,
                "commercial_use": licence.commercial_use,
                "note": licence.note,
            }
            seen.setdefault(json.dumps(entry, sort_keys=True), entry)
    return [seen[key] for key in sorted(seen)]


def counters(run: TitleOutcome) -> dict[str, float]:
    """Sums of what the stages counted."""
    total: dict[str, float] = {}
    for done in run.done.values():
        for name, amount in done.counters.items():
            total[name] = total.get(name, 0) + amount
    return dict(sorted(total.items()))


PENDING = "pending.json"
"""What is being laid out: a run that is killed in between is gone on with by the next."""


def lay_out(
    out: Path,
    state: Path,
    store: Store,
    files: Mapping[str, Blob],
    records: Mapping[str, Any],
    whole: Sequence[str],
    location: str | None = None,
) -> None:
    """Put files at their places below ``out``, all of them however often the process is killed.

    Args:
        state: Folder of the run's own state.
        files: Path below ``out`` → blob.
        records: Path below ``out`` → JSON value.
        whole: Titles of which ``files`` holds everything: what else lies in their folders is removed.
        location: URL of the store, where it is not the folder's own.
    """
    blobs = {name: asdict(blob) for name, blob in files.items()}
    write_json(state / PENDING, {"files": blobs, "records": dict(records), "whole": list(whole), "store": location})
    go_on(out, state, store)


def go_on(out: Path, state: Path, store: Store) -> None:
    """Lay out the rest of what :func:`lay_out` had begun."""
    pending = read_json_if_there(state / PENDING)
    if pending is None:
        return
    files = {name: Blob(**blob) for name, blob in pending["files"].items()}
    place(files, store, out)
    for title in pending["whole"]:
        prune(title, files, out)
    for name, record in pending["records"].items():
        write_json(out / name, record)
    with storage_errors("the output folder"):
        (state / PENDING).unlink(missing_ok=True)


def place(files: Mapping[str, Blob], store: Store, out: Path) -> None:
    """Put blobs at their paths below ``out``, by hard link where the file system can, else by copy."""
    with storage_errors("the output folder"):
        for name, blob in files.items():
            target = out / name
            source = store.fetch(blob)
            if target.exists() and target.samefile(source):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f".{target.name}.part")
            partial.unlink(missing_ok=True)
            try:
                os.link(source, partial)
            except OSError:
                shutil.copyfile(source, partial)
            partial.replace(target)


def prune(title: str, keep: Mapping[str, Blob], out: Path) -> None:
    """Remove what an earlier run left in the folders that belong to us and this run no longer makes."""
    for name in ("tracks", "stems", "utterances", "subtitles", "shots", "auditions"):
        folder = out / title / name
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_file() and path.relative_to(out).as_posix() not in keep:
                path.unlink()
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def read_json_if_there(path: Path) -> Any:
    """The JSON value in a file, None when there is no such file."""
    try:
        return read_json(path)
    except FileNotFoundError:
        return None


def write_json(path: Path, value: Any) -> None:
    """Write under a temporary name, then rename."""
    with storage_errors("the output folder"):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.part")
        partial.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)

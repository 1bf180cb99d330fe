"""Tables for people: what a file holds, which engines and models there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.progress import BarColumn, DownloadColumn, TextColumn
from rich.table import Table

from services.cli.terminal.progress import make_progress
from shared.core.errors import EngineError
from shared.core.voices import CastVoice
from shared.engines.protocols import KINDS, EngineOptions, engine_class, registered
from shared.weights import Entry, WeightFolder, catalog
from shared.weights.hub_models import HubModel, hub_catalog, hub_model
from shared.weights.hub_trust import hub_state, trusted_repositories
from shared.weights.known_models import pull_models


def probe_table(facts: Mapping[str, Any]) -> Table:
    """What ``counterdub inspect`` shows of a probe."""
    table = Table(show_header=False, box=None)
    video, audio = facts["video"], facts["audio"]
    table.add_row("name", facts["name"])
    table.add_row("container", f"{facts['container']}, {facts['size_bytes'] / 1e6:.1f} MB, {facts['duration']:.3f} s")
    vfr = ", variable" if video["variable_frame_rate"] else ""
    turned = f", turned {video['rotation']}°" if video["rotation"] else ""
    table.add_row("video", f"{video['codec']} {video['width']}×{video['height']}{turned}, {video['fps']:.3f} fps{vfr}")
    if audio:
        language = f", {audio['language']}" if audio["language"] else ""
        table.add_row("audio", f"{audio['codec']} {audio['sample_rate']} Hz, {audio['layout']}{language}")
    else:
        table.add_row("audio", "none: the pairs of this title would be rejected (no_speech)")
    for note in facts.get("notes", ()):
        table.add_row("note", note)
    if "shots" in facts:
        table.add_row("shots", " ".join(f"{shot['start']:.2f}–{shot['end']:.2f}" for shot in facts["shots"]))
    return table


def voice_table(rows: Sequence[CastVoice]) -> Table:
    """Who speaks for whom."""
    table = Table("title", "language", "speaker", "voice", "gender", "native", "similarity", "lines", "seconds")
    for row in rows:
        near = "" if row.similarity is None else f"{row.similarity:.2f}"
        shown = (row.title, row.language, row.speaker, row.voice, row.gender or "", "yes" if row.native else "no", near)
        table.add_row(*shown, str(row.lines), f"{row.seconds:.1f}")
    return table


def engine_rows() -> list[dict[str, Any]]:
    """Every registered engine; one whose package is absent is listed with what it lacks."""
    rows = []
    for kind in KINDS:
        for name in sorted(registered(kind)):
            row: dict[str, Any] = {"kind": kind, "engine": name}
            try:
                engine = engine_class(kind, name)
                row |= {
                    "licence": engine.licence.name,
                    "commercial_use": engine.licence.commercial_use,
                    "note": engine.licence.note,
                    "weights": list(engine.weights(EngineOptions())),
                }
            except EngineError as error:
                row["missing"] = error.details.get("package")
            rows.append(row)
    return rows


def engine_table(rows: list[dict[str, Any]]) -> Table:
    table = Table("kind", "engine", "licence", "commercial use", "weights", "note")
    for row in rows:
        if "missing" in row:
            table.add_row(row["kind"], row["engine"], "", "", "", f"needs the package {row['missing']}", style="dim")
            continue
        allowed = "yes" if row["commercial_use"] else "[red]no[/]"
        table.add_row(row["kind"], row["engine"], row["licence"], allowed, " ".join(row["weights"]), row["note"])
    return table


def check_table(rows: list[dict[str, Any]]) -> Table:
    """What ``engines --check`` found: where each engine runs and how fast."""
    table = Table("kind", "engine", "model", "device", "dtype", "load", "memory", "× real time", "error")
    for row in rows:
        load = "" if row["load_seconds"] is None else f"{row['load_seconds']:.1f} s"
        memory = "" if row["memory_bytes"] is None else f"{row['memory_bytes'] / 2**20:.0f} MB"
        speed = "" if row["speed"] is None else f"{row['speed']:.2f}"
        error = f"[red]{row['error']}[/]" if row["error"] else ""
        shown = (row["kind"], row["engine"], row["model"], row["device"], row["dtype"] or "", load, memory, speed)
        table.add_row(*shown, error)
    return table


def model_rows() -> list[dict[str, Any]]:
    """The registry and the hub's known models, with whether the files are on this machine and by what they are held.

    ``state``: ``pinned`` where the registry has their hashes or commit, ``trusted`` where those of the first fetch are
    kept (``since`` that day), ``missing``, ``damaged``.
    """
    folder = WeightFolder()
    rows = []
    for name, entry in catalog().items():
        here = folder.stamped(entry)
        state = "pinned" if here else "missing"
        rows.append(model_row(name, entry, {"bytes": entry.size, "here": here, "state": state, "since": None}))
    known = [repo for repo in trusted_repositories() if repo not in hub_catalog()]
    for repo in (*hub_catalog(), *known):
        model = hub_model(repo)
        state, trust = ("missing", None) if model.family else hub_state(repo)
        size, since = (trust.size, trust.since) if trust is not None else (model.size, None)
        here = state in ("pinned", "trusted")
        rows.append(model_row(repo, model, {"bytes": size, "here": here, "state": state, "since": since}))
    return rows


def model_row(name: str, model: Entry | HubModel, held: Mapping[str, Any]) -> dict[str, Any]:
    licence = model.licence
    return {
        "name": name,
        "title": model.title,
        "stage": model.stage,
        "licence": licence.name,
        "commercial_use": licence.commercial_use,
        "note": licence.note,
        "profiles": list(model.profiles),
        **held,
    }


def model_table(rows: list[dict[str, Any]]) -> Table:
    table = Table("model", "stage", "licence", "MB", "here", "profile", "title")
    shown = {"pinned": "[green]pinned[/]", "missing": "not here", "damaged": "[red]damaged[/]"}
    for row in rows:
        here = shown.get(row["state"]) or f"[green]trusted since {row['since']}[/]"
        size = "" if row["bytes"] is None else f"{row['bytes'] / 1e6:.1f}"
        table.add_row(row["name"], row["stage"], row["licence"], size, here, " ".join(row["profiles"]), row["title"])
    return table


def pull_with_bars(wanted: Sequence[str], quiet: bool) -> list[str]:
    """Fetch models with a bar for each."""
    bars = make_progress(TextColumn("{task.description:<32}"), BarColumn(), DownloadColumn(), quiet=quiet)
    tasks: dict[str, Any] = {}

    def show(name: str, done: int, total: int) -> None:
        if name not in tasks:
            tasks[name] = bars.add_task(name, total=total)
        bars.update(tasks[name], completed=done)

    with bars:
        return pull_models(wanted, show)

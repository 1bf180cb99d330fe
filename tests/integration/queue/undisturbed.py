"""What a job must have made in the end: the same null stages through the in-process executor."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from shared.core.store import Blob, Store
from shared.pipeline import publish
from shared.pipeline.events import RunEvent
from shared.pipeline.local_executor import Executor
from shared.pipeline.planner import Task, TitleRequest
from shared.pipeline.stage import Scope
from shared.pipeline.task_work import EnginePool
from shared.settings.models import Settings
from shared.weights import WeightFolder
from tests.unit.shared.pipeline.ledgers import run_ledger

LEDGER = "undisturbed.db"


def undisturbed(
    folder: Path,
    *names: str,
    languages: Sequence[str] = ("es", "fr"),
    chunks: int = 2,
    listener: Callable[[RunEvent], None] = lambda event: None,
    failures: bool = False,
) -> dict[str, str]:
    """Path → content hash, as :meth:`tests.integration.queue.rig.Rig.artifacts` gives it.

    Args:
        folder: Where it works; its ledger is :data:`LEDGER` there.
        listener: Told what happens, and may disturb it after all.
        failures: Titles may fail; else that is an error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    store = Store(str(folder / "undisturbed"))
    executor = Executor(store, EnginePool(WeightFolder()), Settings(), listener)
    requests = []
    for number, name in enumerate(names):
        video = folder / f"{name}.json"
        video.write_text(json.dumps({"name": name, "chunks": chunks, "shots": chunks * 2}))
        blob = store.add("video.mp4", video)
        previous = names[number - 1] if number else None
        requests.append(TitleRequest(name, blob, tuple(languages), previous=previous, source_name=f"{name}.mp4"))
    inputs: dict[str, Blob] = {}
    found: dict[str, Blob] = {}
    with run_ledger(folder / LEDGER, requests, Settings()) as ledger:
        outcomes = [ledger.outcome(title.request, title.plan) for title in executor.run(requests, ledger)]
    failed = {title.request.name: title.lost.to_dict() for title in outcomes if title.lost}
    assert failures or not failed, failed
    for title in outcomes:
        files = publish.layout(title)
        inner = {f"{title.request.name}/{name}": blob for name, blob in publish.internals(title).items()}
        inputs |= inner | {path: blob for path, blob in files.items() if path.endswith(".jsonl")}
        found |= files | {f".internal/{path}": blob for path, blob in inner.items()}
        if not title.lost:
            provenance = publish.provenance_record(title, publish.title_record(title, store, {}))
            path = folder / "provenance.json"
            path.write_text(json.dumps(provenance, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            found[f"{title.request.name}/provenance.json"] = store.add("provenance.json", path)
        # A stand-in: what it says is not read.
        inputs[f"{title.request.name}/title.json"] = store.add("title.json", folder / f"{title.request.name}.json")
    scope = Scope(extra={"titles": list(names), "failed": failed})
    found |= executor.execute("", Task("dataset", "dataset", scope), inputs).outputs
    return {path: blob.sha256 for path, blob in found.items()}

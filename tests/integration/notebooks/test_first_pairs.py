"""The notebook for newcomers does what it says, and what is kept of it is small and names no machine."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

from shared.weights import names
from tests.conftest import CheckedWeights
from tests.integration.notebooks.execution import NOTEBOOKS, execute

KEPT = NOTEBOOKS / "first-pairs.ipynb"
LARGEST = 400_000
EMBEDDED = re.compile(r"data:[\w/]+;base64,[\w+/=\s]+")

FACTS = """
print(json.dumps({
    "folder": str(folder),
    "pairs": pairs,
    "rejects": counterdub.open_pairs(out, rejects=True),
    "tasks": summary.computed_tasks,
    "redone": again.computed_tasks,
    "found": again.cached_tasks,
    "files": sorted(before),
    "changed": changed,
    "text": next(line["text"] for line in lines("es") if line["id"] == wrong["id"]),
    "quiet": float(quiet.mean()),
    "between_lines": int(np.abs(difference[quiet]).max()),
    "in_lines": int(np.abs(difference[~quiet]).max()),
    "batch": {name: [str(tensor.dtype), *tensor.shape] for name, tensor in batch.items()},
    "secondary": [feed.tracks[track] for track in batch["track_s"]],
}))
"""
"""Asked of the kernel before the last cell, which removes the folder."""


@dataclass(frozen=True)
class Executed:
    notebook: nbformat.NotebookNode
    facts: dict[str, Any]


def kept() -> nbformat.NotebookNode:
    return nbformat.read(KEPT, as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell: nbformat.NotebookNode) -> list[str]:
    """What each output of a cell is: a stream's name, an error, or the media types of what is shown."""
    return [output.get("name") or " ".join(sorted(output.get("data", [output.output_type]))) for output in cell.outputs]


def execute_and_ask(notebook: nbformat.NotebookNode, folder: Path) -> Executed:
    """Execute a notebook from nothing, and what the kernel knows in the end."""
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    notebook.cells.insert(-1, nbformat.v4.new_code_cell(FACTS))
    execute(notebook, folder)
    asked = notebook.cells.pop(-2)
    return Executed(notebook, json.loads(asked.outputs[0].text))


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory, weights: CheckedWeights) -> Executed:
    for name in names("cpu"):
        weights.path(name)
    return execute_and_ask(kept(), tmp_path_factory.mktemp("notebook"))


@pytest.mark.slow
def test_accepted_shots_are_pairs(executed: Executed) -> None:
    by_shot: dict[int, set[str]] = {}
    for row in executed.facts["pairs"]:
        by_shot.setdefault(row["shot"], set()).add(row["track"])
    assert len(by_shot) >= 2
    assert all(tracks == {"orig", "control", "es"} for tracks in by_shot.values())


@pytest.mark.slow
def test_rejects_are_those_that_the_text_names(executed: Executed) -> None:
    assert {row["reason"] for row in executed.facts["rejects"]} == {"no_speech", "too_long", "too_short"}


@pytest.mark.slow
def test_control_and_dub_differ_only_where_somebody_speaks(executed: Executed) -> None:
    assert executed.facts["between_lines"] == 0
    assert 0.05 < executed.facts["quiet"] < 0.95
    assert executed.facts["in_lines"] > 2**24


@pytest.mark.slow
def test_redub_does_only_what_depends_on_the_line(executed: Executed) -> None:
    facts = executed.facts
    assert facts["text"] == "Mi hermano halló ayer esta carta bajo la mesa."
    assert 0 < facts["redone"] < facts["tasks"] / 2
    assert facts["found"] > 0
    assert {"evening/tracks/es.flac", "evening/utterances/es.jsonl"} <= set(facts["changed"])
    stays = [f"evening/tracks/{track}.flac" for track in ("orig", "control")] + ["evening/stems/background.flac"]
    assert set(stays) <= set(facts["files"]) - set(facts["changed"])


@pytest.mark.slow
def test_a_batch_holds_pictures_and_sounds_of_two_tracks(executed: Executed) -> None:
    kind, *shape = executed.facts["batch"]["video_p"]
    assert kind == "torch.uint8" and shape[0] == 2 and shape[-1] == 3
    assert executed.facts["batch"]["audio_p"] == executed.facts["batch"]["audio_s"] == ["torch.int16", 2, 2, 3 * 48_000]
    assert executed.facts["secondary"] == ["es", "es"]


@pytest.mark.slow
def test_nothing_is_left_behind(executed: Executed) -> None:
    folder = Path(executed.facts["folder"])
    assert folder.parent.is_dir() and not folder.exists()


@pytest.mark.slow
def test_what_is_kept_is_what_the_cells_show(executed: Executed) -> None:
    assert [kinds(cell) for cell in code_cells(kept())] == [kinds(cell) for cell in code_cells(executed.notebook)]


def test_every_cell_is_kept_executed_in_order() -> None:
    cells = code_cells(kept())
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not {"error", "stderr"} & {kind for cell in cells for kind in kinds(cell)}


def test_what_is_kept_is_small_and_names_no_machine() -> None:
    assert KEPT.stat().st_size < LARGEST
    told = [
        EMBEDDED.sub("", text)
        for cell in code_cells(kept())
        for output in cell.outputs
        for kind, text in output.get("data", {"text/plain": output.get("text", "")}).items()
        if kind.startswith("text/")
    ]
    assert any("evening" in text for text in told)
    assert not [text for text in told if re.search(r"(?<![\w.<])/\w+/|[A-Z]:\\", text)]

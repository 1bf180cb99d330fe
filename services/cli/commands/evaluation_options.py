"""What the commands of ``counterdub eval`` share: encoders by name, progress, what was written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.cli.terminal.output import console, errors, say_json

if TYPE_CHECKING:
    from trainer.evaluation.hear.protocol import Listener


def encoders(names: list[str], seed: int, device: str) -> Iterator[tuple[str, Any]]:
    """Label and encoder of each ``--checkpoint``, loaded one after the other.

    The first is loaded at once, before anything is written for it.
    """
    from trainer.evaluation.baselines import encoder_of

    def loaded(name: str) -> tuple[str, Any]:
        label, _, place = name.rpartition("=")
        encoder = encoder_of(place, seed, device)
        return label or label_of(place, encoder), encoder

    return chain([loaded(names[0])], map(loaded, names[1:]))


def label_of(place: str, encoder: Any) -> str:
    """The recipe's name of a checkpoint; the name itself of a baseline."""
    recipe = getattr(encoder, "recipe", None)
    return recipe.name if recipe is not None and recipe.name and ":" not in place else place


def torch_device(device: str) -> str:
    from trainer.training.processes import select_device

    return str(select_device(device, 0))


def tell(written: list[Path], as_json: bool, every: bool = False) -> None:
    """Show what was written: the main metric, or every one."""
    from trainer.evaluation.results.records import read_result

    found = [{**read_result(path), "path": str(path)} for path in written]
    if as_json:
        say_json({"results": found})
        return
    for result in found:
        for name in result["metrics"] if every else [result["primary"]]:
            found_one = result["metrics"][name]
            value = "not defined" if found_one["value"] is None else f"{found_one['value']:.4f}"
            spread = f" ± {found_one['sd']:.4f}" if found_one["sd"] is not None else ""
            blind = f"  (chance {found_one['chance']:.4f})" if "chance" in found_one else ""
            console.print(f"{result['label']}  {result['name']}  {name} {value}{spread}{blind}", highlight=False)
        console.print(f"  {result['path']}", soft_wrap=True, highlight=False)


@contextmanager
def bar(quiet: bool) -> Iterator[Listener]:
    """A progress bar on a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=32), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, disable=quiet or not errors.is_terminal) as progress:
        task = progress.add_task("", total=None)
        yield lambda what, done, of: progress.update(task, description=what, completed=done, total=of)


def named(listener: Listener, of: str) -> Listener:
    """A listener whose steps are told as those of one encoder and task."""
    return lambda what, done, total: listener(f"{of}: {what}", done, total)

"""What the commands of ``counterdub eval`` share: options, encoders by name, progress, what was written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.cli.terminal.output import console, say_json

if TYPE_CHECKING:
    from trainer.evaluation.cache import EmbeddingCache
    from trainer.evaluation.hear.protocol import Listener


@dataclass(frozen=True)
class EvaluationOptions:
    """Options of every evaluation of checkpoints.

    Attributes:
        checkpoints: As ``--checkpoint`` names them.
        out: Folder of the results.
        cache: File of embeddings; None for ``embeddings.db`` in the folder of results.
        quiet: No progress is shown.
    """

    checkpoints: list[str]
    out: Path
    seed: int
    cache: Path | None
    device: str
    quiet: bool


Measure = Callable[[str, Any, "EmbeddingCache", "Listener"], Iterable[tuple[dict[str, Any], Any]]]
"""``measure(label, encoder, cache, listener)``: results with their predictions, or with None."""


def evaluate_checkpoints(options: EvaluationOptions, measure: Measure) -> list[Path]:
    """Measure one encoder after the other and write every result as soon as it is there; returns the files.

    Raises:
        StorageError: ``disk_full``, ``not_writable``.
    """
    from trainer.evaluation.cache import EmbeddingCache
    from trainer.evaluation.results import records

    written = []
    chosen = encoders(options.checkpoints, options.seed, options.device)
    with (
        EmbeddingCache(options.cache or options.out / "embeddings.db") as cache,
        bar(quiet=options.quiet) as listener,
    ):
        for label, encoder in chosen:
            for result, predictions in measure(label, encoder, cache, listener):
                written.append(records.write(result, options.out, predictions))
    return written


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
    """``auto`` as the device that there is."""
    from trainer.training.processes import select_device

    return str(select_device(device, 0))


def show_results(written: list[Path], as_json: bool, every: bool = False) -> None:
    """Show what was written: the main metric, or every one."""
    from trainer.evaluation.results.records import read_result

    results = [{**read_result(path), "path": str(path)} for path in written]
    if as_json:
        say_json({"results": results})
        return
    for result in results:
        for name in result["metrics"] if every else [result["primary"]]:
            metric = result["metrics"][name]
            value = "not defined" if metric["value"] is None else f"{metric['value']:.4f}"
            spread = f" ± {metric['sd']:.4f}" if metric["sd"] is not None else ""
            chance = f"  (chance {metric['chance']:.4f})" if "chance" in metric else ""
            console.print(f"{result['label']}  {result['name']}  {name} {value}{spread}{chance}", highlight=False)
        console.print(f"  {result['path']}", soft_wrap=True, highlight=False)


@contextmanager
def bar(quiet: bool) -> Iterator[Listener]:
    """A progress bar on a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

    from services.cli.terminal.progress import make_progress

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=32), MofNCompleteColumn(), TimeElapsedColumn())
    with make_progress(*columns, quiet=quiet) as progress:
        task = progress.add_task("", total=None)
        yield lambda what, done, of: progress.update(task, description=what, completed=done, total=of)


def named(listener: Listener, of: str) -> Listener:
    """A listener whose steps are told as those of one encoder and task."""
    return lambda what, done, total: listener(f"{of}: {what}", done, total)

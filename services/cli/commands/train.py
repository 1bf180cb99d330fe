"""``counterdub train``: train an encoder by a recipe."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.commands.options import Json
from services.cli.terminal.extras import with_extra
from services.cli.terminal.output import console, errors, say_json

if TYPE_CHECKING:
    from trainer.training.loop import Listener


def train(
    recipe: Annotated[str | None, typer.Argument(metavar="RECIPE", help="Name of a recipe, or a .toml file.")] = None,
    data: Annotated[str | None, typer.Option(help="Folder of shards (counterdub shards).")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the run.")] = None,
    set_: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="A value of the recipe: optimiser.steps=100.")
    ] = [],  # noqa: B006 - typer copies it
    fresh: Annotated[bool, typer.Option("--fresh/--resume", help="Start over, or go on from what is there.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the recipes.")] = False,
    json: Json = False,
) -> None:
    """Train an encoder on shards, by a recipe.

    On several devices: `torchrun --standalone --nproc-per-node 4 -m services.cli train RECIPE --data DIR --out RUN`.
    Exit codes: 0 done, 2 bad usage, 3 failed, 130 stopped (saved; the same command goes on).
    """
    first = os.environ.get("RANK", "0") == "0"
    with with_extra("trainer", json and first):  # one process speaks for all
        from shared.core.errors import UsageError
        from trainer.recipe import load_recipe

        if list_:
            show_recipes(json)
            return
        if recipe is None or data is None or out is None:
            raise UsageError("Say what to train: counterdub train RECIPE --data DIR --out RUN.", code="no_input")
        loaded = load_recipe(recipe, set_)

        from trainer.training.loop import train as run

        with bar(quiet=json or not first) as listener:
            summary = run(loaded, data, out, fresh=fresh, listener=listener)
    if not first:
        return
    if json:
        say_json(summary.to_dict())
        return
    console.print(f"[green]done[/]  {summary.recipe}  {summary.step} steps", highlight=False)
    for name in sorted(name for name in summary.retrieval if name.startswith("r1/")):
        console.print(
            f"{name.removeprefix('r1/').replace('-', ' → '):<16} R@1 {summary.retrieval[name]:.1%}  "
            f"chance {summary.retrieval['chance']:.1%} of {summary.retrieval['held_out']} held-out shots",
            highlight=False,
        )
    console.print(f"checkpoint  {summary.checkpoint}\ncurves      {summary.curves}", soft_wrap=True, highlight=False)


def show_recipes(as_json: bool) -> None:
    from rich.table import Table

    from trainer.recipe import load_recipe, names

    rows = [{"name": name, "description": load_recipe(name).description} for name in names()]
    if as_json:
        say_json({"recipes": rows})
        return
    table = Table("recipe", "what", box=None)
    for row in rows:
        table.add_row(row["name"], row["description"])
    console.print(table)


@contextmanager
def bar(quiet: bool) -> Iterator[Listener]:
    """A progress bar on a terminal; elsewhere a line of text for each logged step."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    live = errors.is_terminal and not quiet
    columns = (BarColumn(bar_width=32), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    notes: dict[str, str] = {}
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=errors, disable=not live) as progress:
        task = progress.add_task("", total=None, note="")

        def hear(step: int, steps: int, line: Mapping[str, Any]) -> None:
            new = {}
            if "loss" in line:
                new["loss"] = f"loss {line['loss']:.3f}  {line['clips_per_s']:.0f} clips/s"
            if "held_out" in line:
                pair = next((name for name in line if name.startswith("r1/")), None)  # sound → picture, if there is one
                share = f"{line[pair]:.1%}" if pair else "–"
                new["found"] = f"R@1 {share} (chance {line['chance']:.1%})"
            notes.update(new)
            progress.update(task, completed=step, total=steps, note="  ".join(notes.values()))
            if new and not live and not quiet:
                errors.print(f"step {step}/{steps}  {'  '.join(new.values())}", highlight=False, soft_wrap=True)

        yield hear

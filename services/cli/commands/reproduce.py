"""``counterdub reproduce``: the controlled comparison in miniature."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.commands.options import Json
from services.cli.terminal.extras import with_extra
from services.cli.terminal.output import console, errors, say_json


def reproduce(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of everything that is made, and of the report.")
    ] = Path("out/reproduce"),
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with esc10 and spoken-digits; COUNTERDUB_DATA or ../shared/data otherwise."),
    ] = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="One fold, four variants, 50 steps: shows that it runs.")
    ] = False,
    steps: Annotated[int | None, typer.Option(min=10, help="Of each training, instead of the scale's own.")] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes of one thread each.")] = 2,
    json: Json = False,
) -> None:
    """Train the paper's controlled variants in a synthetic cinema and say which of its claims hold there.

    What was made is kept: the same command again makes only what is missing or changed.
    """
    with with_extra("trainer,dubbing,separation,espeak", json):
        from trainer.reproduce.comparison import run_comparison
        from trainer.reproduce.scale import FULL, SMOKE
        from trainer.reproduce.summary import summarise

        scale = SMOKE if smoke else FULL
        if steps is not None:
            scale = scale._replace(steps=steps, sweep_steps=max(10, steps // 2))

        def say(what: str, done: int, of: int) -> None:
            if not json:
                errors.print(f"{what}: {done} of {of}", highlight=False)

        summary = summarise(run_comparison(scale, out, data, jobs, say), out)
    if json:
        say_json(summary)
        return
    show(summary)
    console.print(f"report  {out / 'reproduce.html'}", soft_wrap=True, highlight=False)


def show(summary: dict[str, Any]) -> None:
    """The main table in per cent, and each claim's verdict."""
    from statistics import mean

    from rich.table import Table

    columns = summary["values"]["main"]
    table = Table("training", *summary["metrics"], box=None)
    for label, metrics in columns.items():
        cells = [f"{100 * mean(metrics[name].values()):.1f}" if metrics[name] else "–" for name in summary["metrics"]]
        table.add_row(label, *cells)
    console.print(table)
    for row in summary["claims"]:
        parts = []
        for part in row["contrasts"]:
            low, high = part["interval"]
            parts.append(f"{part['metric']} {100 * part['difference']:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]")
        line = f"{row['verdict']:>14}  {row['text']}: {'; '.join(parts) or 'not run'}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)

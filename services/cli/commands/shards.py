"""``counterdub shards``: pairs or real dubs as shards for the trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.commands.options import Json
from services.cli.terminal.output import FAILED, SOME_REJECTED, console, reported, say_json
from shared.core.errors import UsageError

if TYPE_CHECKING:
    from trainer.shards.pairs import Planned
    from trainer.shards.shard_building import ShardSummary
    from trainer.shards.verification import Checked

HARMLESS = {"too_short", "too_long"}
"""Reasons that shots are left out for on purpose."""


def shards(
    out: Annotated[Path | None, typer.Argument(metavar="[OUT]", help="Output folder of counterdub dub.")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="Folder that gets the shards.")] = None,
    dubs: Annotated[
        Path | None,
        typer.Option(help="Real dubs instead: {title}_{shot}_{language}.mp4, or multi-audio films."),
    ] = None,
    primary: Annotated[str, typer.Option(help="With --dubs: the original's language.")] = "",
    verify: Annotated[Path | None, typer.Option(help="Check a folder of shards, and make none.")] = None,
    shots_a_shard: Annotated[int, typer.Option(min=1, max=100_000, help="Shots in one tar.")] = 256,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Shards at a time.")] = 2,
    json: Json = False,
) -> None:
    """Make shards for the trainer out of pairs. What is there already is not made again.

    Exit codes: 0 done, 1 some shots could not be used, 2 bad usage, 3 failed, 130 interrupted.
    """
    with reported(json):
        if verify is not None:
            from trainer.shards.verification import verify as check

            with bar("verifying", json) as progress:
                checked = check(verify, progress)
            show_checked(checked, json)
            return
        if to is None or (out is None) == (dubs is None):
            raise UsageError("Say counterdub shards OUT --to DIR, or --dubs FOLDER --to DIR.", code="bad_usage")
        from trainer.shards.shard_building import make_shards

        planned = plan(out, dubs, primary)
        with bar("shots", json) as progress:
            summary = make_shards(planned, to, shots_a_shard, jobs, progress)
        show(summary, to, json)


def plan(out: Path | None, dubs: Path | None, primary: str) -> Planned:
    if out is not None:
        from trainer.shards.pairs import plan_pairs

        return plan_pairs(out)
    assert dubs is not None
    if not primary:
        raise UsageError("Say which language is the original's, such as --primary en.", code="bad_usage")
    from services.ingest.inspect import shots_of
    from trainer.shards.dubs import plan_dubs

    return plan_dubs(dubs, primary, shots_of)


@contextmanager
def bar(name: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar where somebody watches."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    from services.cli.terminal.progress import make_progress

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with make_progress(*columns, quiet=quiet) as progress:
        task = progress.add_task(name, total=None)
        yield lambda done, every: progress.update(task, completed=done, total=every)


def show(summary: ShardSummary, to: Path, as_json: bool) -> None:
    if as_json:
        say_json(summary._asdict())
    else:
        console.print(
            f"{summary.shots} shots of {summary.titles} titles, {summary.seconds / 60:.1f} min, "
            f"{summary.bytes / 1e6:.1f} MB; {summary.made} shards made, {summary.kept} found",
            highlight=False,
        )
        console.print(
            "tracks  " + "  ".join(f"{name} {count}" for name, count in summary.tracks.items()), highlight=False
        )
        for reason, count in summary.skipped.items():
            console.print(f"[yellow]{count} shots left out[/]  {reason}", highlight=False)
        for reason, count in summary.left_out.items():
            console.print(f"[yellow]{count} tracks left out[/]  {reason}", highlight=False)
        console.print(f"shards  {to}", highlight=False, soft_wrap=True)
    if set(summary.skipped) - HARMLESS or summary.left_out:
        raise typer.Exit(SOME_REJECTED)


def show_checked(checked: Checked, as_json: bool) -> None:
    if as_json:
        say_json(checked._asdict())
    else:
        for name, problem in checked.problems.items():
            console.print(f"[red]bad[/]  {name}: {problem}", highlight=False)
        bad = len(checked.problems)
        console.print(f"{checked.shards} shards, {checked.shots} shots: {bad or 'no'} problems", highlight=False)
    if checked.problems:
        raise typer.Exit(FAILED)

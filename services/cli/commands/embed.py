"""``counterdub embed``: embeddings of files by a trained encoder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.commands.options import Device, Json
from services.cli.terminal.extras import with_extra
from services.cli.terminal.output import DONE, FAILED, SOME_REJECTED, console, say_json

if TYPE_CHECKING:
    from shared.core.errors import CounterdubError
    from trainer.embedding.files import Listener


def embed(
    files: Annotated[list[str], typer.Argument(metavar="FILES…", help="Sound files, videos, folders or globs.")],
    checkpoint: Annotated[Path, typer.Option("--checkpoint", "-c", help="A checkpoint, or the folder of a training.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Parquet file to write.")],
    crops: Annotated[bool, typer.Option(help="A row for each of the five crops, not their mean.")] = False,
    heads: Annotated[bool, typer.Option(help="Projections that the loss saw, not the towers' output.")] = False,
    device: Device = "auto",
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Files decoded at a time.")] = 2,
    json: Json = False,
) -> None:
    """Embed every 3 s window of sound and picture of files.

    Exit codes: 0 done, 1 some files could not be read, 2 bad usage, 3 failed (or none could be read), 130 interrupted.
    """
    with with_extra("trainer", json):
        from shared.pipeline.title_names import SOUND_SUFFIXES, VIDEO_SUFFIXES, find_videos
        from trainer.embedding.files import embed_files
        from trainer.encoder import load_encoder

        paths = find_videos(files, VIDEO_SUFFIXES | SOUND_SUFFIXES)
        encoder = load_encoder(checkpoint, device)
        with bar(quiet=json) as listener:
            summary = embed_files(encoder, paths, out, crops=crops, heads=heads, jobs=jobs, listener=listener)
    if json:
        say_json({**summary._asdict(), "out": str(out), "checkpoint": encoder.id})
    elif summary.files:
        console.print(
            f"[green]done[/]  {summary.rows} embeddings of {summary.files} files; {len(summary.failed)} failed",
            highlight=False,
        )
        console.print(f"embeddings  {out}", soft_wrap=True, highlight=False)
    raise typer.Exit((SOME_REJECTED if summary.files else FAILED) if summary.failed else DONE)


@contextmanager
def bar(quiet: bool) -> Iterator[Listener]:
    """A progress bar on a terminal; files that fail are always named."""
    from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn, TimeRemainingColumn

    from services.cli.terminal.progress import make_progress

    columns = (BarColumn(bar_width=32), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with make_progress(*columns, quiet=quiet) as progress:
        task = progress.add_task("", total=None)

        def hear(done: int, total: int, file: str, error: CounterdubError | None) -> None:
            progress.update(task, completed=done, total=total)
            if error is not None and not quiet:
                text = f"{Path(file).name}: {error.message} ({error.code})"
                progress.console.print(text, style="red", markup=False, soft_wrap=True)

        yield hear

"""Options that several commands have, each with one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Set = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="A setting, such as dubbing.seed=3.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:N, or auto: cuda where there is one.")]
Data = Annotated[Path | None, typer.Option(help="Folder given to serve; else what COUNTERDUB_… says.")]
Translation = Annotated[
    list[str],
    typer.Option(metavar="LANG=FILE", help="Text of a dub, in any form that --transcript takes; repeat for more."),
]
Subtitles = Annotated[
    str | None, typer.Option(help="embedded: the video's own subtitles are transcript and translations; none: not.")
]

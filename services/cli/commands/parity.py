"""``counterdub parity``: our towers, front end and losses beside numbers of public implementations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.commands.options import Json
from services.cli.terminal.extras import with_extra
from services.cli.terminal.output import DONE, FAILED, console, say_json

if TYPE_CHECKING:
    from trainer.parity import Case


def parity(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of parity cases.")],
    only: Annotated[str, typer.Option(metavar="PATTERN", help="Cases to check, such as 'mvit/*_S_*'.")] = "*",
    json: Json = False,
) -> None:
    """Check this installation's towers, front end and losses against stated numbers, a line a case.

    A line says which comparison came nearest to its tolerance, or exceeds it most, and by how much it is off. Weights
    and inputs come from rules, so nothing is downloaded. Exit codes: 0 all hold, 2 bad usage, 3 one does not.
    """
    with with_extra("trainer", json):
        from trainer.parity import check, find

        cases = []
        for case in check(find(folder, only)):
            cases.append(case)
            if not json:
                say(case)
    failed = [case.name for case in cases if not case.ok]
    if json:
        say_json({"ok": not failed, "cases": [case.to_dict() for case in cases]})
    else:
        console.print(f"{len(cases) - len(failed)} of {len(cases)} cases hold", highlight=False)
    raise typer.Exit(FAILED if failed else DONE)


def say(case: Case) -> None:
    worst = case.worst
    mark = "[green]ok[/]  " if case.ok else "[red]FAIL[/]"
    off = f"{worst.difference:.0f} wrong" if worst.exact else f"{worst.difference:.1e} of {worst.tolerance:.0e}"
    console.print(f"{mark} {case.name:40} {off:18} {worst.part}", highlight=False, soft_wrap=True)
    for note in case.notes:
        console.print(f"     {note}", highlight=False, markup=False, soft_wrap=True)
    for check in case.checks:
        if not check.ok and check is not worst:
            console.print(
                f"       {check.part}: {check.difference:.3g} of {check.tolerance:.0e}", highlight=False, markup=False
            )

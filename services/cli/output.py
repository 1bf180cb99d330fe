"""How commands talk: tables for people, JSON for programs, errors with an exit code."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console

from shared.errors import Cancelled, CounterdubError, UsageError

DONE, SOME_REJECTED, BAD_USAGE, FAILED, INTERRUPTED = 0, 1, 2, 3, 130

console = Console()
if not console.is_terminal:
    console.width = 160  # a file or a pipe has no width of its own, and tables for 80 columns are cut
errors = Console(stderr=True)

log = logging.getLogger(__name__)


def say_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


@contextmanager
def reported(as_json: bool) -> Iterator[None]:
    """Show a failure as the command's output and leave with the exit code that belongs to it."""
    try:
        yield
    except CounterdubError as error:
        if as_json:
            say_json({"error": error.to_dict()})
        else:
            where = f" [{error.stage}]" if error.stage else ""
            errors.print(f"error{where}: {error.message} ({error.code})", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(exit_code(error)) from error
    except KeyboardInterrupt as error:
        if as_json:
            say_json({"error": Cancelled().to_dict()})
        errors.print("interrupted; finished work is kept", style="yellow")
        raise typer.Exit(INTERRUPTED) from error


def exit_code(error: CounterdubError) -> int:
    if error.code == "cancelled":
        return INTERRUPTED
    return BAD_USAGE if isinstance(error, UsageError) else FAILED

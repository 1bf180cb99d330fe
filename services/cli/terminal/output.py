"""How commands talk: tables for people, JSON for programs, errors with an exit code."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from platformdirs import user_log_path
from rich.console import Console

from shared.core.errors import Cancelled, CounterdubError, UsageError
from shared.observability.internal_errors import LOG_NAME, internal_error, log_file

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
    with command_log():
        try:
            yield
        except CounterdubError as error:
            show(error, as_json)
            raise typer.Exit(exit_code(error)) from error
        except KeyboardInterrupt as error:
            if as_json:
                say_json({"error": Cancelled().to_dict()})
            errors.print("interrupted; finished work is kept", style="yellow")
            raise typer.Exit(INTERRUPTED) from error
        except (typer.Exit, typer.Abort, typer.BadParameter, ModuleNotFoundError):
            raise
        except Exception as error:
            fault = internal_error(error, None, " ".join(["counterdub", *sys.argv[1:2]]))
            show(fault, as_json)
            raise typer.Exit(FAILED) from error


def show(error: CounterdubError, as_json: bool) -> None:
    if as_json:
        say_json({"error": error.to_dict()})
        return
    where = f" [{error.stage}]" if error.stage else ""
    errors.print(f"error{where}: {error.message} ({error.code})", style="red", markup=False, soft_wrap=True)


@contextmanager
def command_log() -> Iterator[None]:
    """Keep the log of a command in the user's folder for logs; a command with an output folder has its own there."""
    folder = user_log_path("counterdub")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.info("no log is kept: %s", error.strerror)
        yield
        return
    path = folder / LOG_NAME
    home = Path.home()
    shown = Path("~") / path.relative_to(home) if path.is_relative_to(home) else path
    with log_file(path, f"the log {shown}"):
        yield


class OneLineFormatter(logging.Formatter):
    """What the terminal shows of the log without ``--verbose``: the first line, no traceback."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{record.levelname} {record.name}: {record.getMessage().partition(chr(10))[0]}"


def exit_code(error: CounterdubError) -> int:
    if error.code == "cancelled":
        return INTERRUPTED
    return BAD_USAGE if isinstance(error, UsageError) else FAILED

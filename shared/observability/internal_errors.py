"""Turn an unexpected exception into one sentence for people that names the log; the traceback goes there alone."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

from shared.core.errors import CounterdubError
from shared.observability.redaction import clean

log = logging.getLogger(__name__)

LOG_NAME = "counterdub.log"
LOG_BYTES = 4 * 2**20
SUMMARY_CHARACTERS = 300

_place = "the log of this program"
_attaching = threading.Lock()


def name_log_place(place: str) -> None:
    """Say where this process's log is, in words that people are shown: ``the log of the worker``."""
    global _place  # noqa: PLW0603 - a process has one log
    _place = place


def internal_error(error: BaseException, stage: str | None, what: str) -> CounterdubError:
    """Log an unexpected exception with its traceback and return what people are told of it.

    Neither the exception's text nor its traceback is part of the message: both may hold paths of the machine.

    Args:
        what: What was being done, for the log: ``task dubbing/es/0001 of film``.
    """
    log.error("%s failed", what, exc_info=error)
    return internal_error_of(type(error).__name__, stage)


def internal_error_of(kind: str, stage: str | None) -> CounterdubError:
    """The error that people see of a fault of ours.

    Args:
        kind: Name of the exception's class.
    """
    where = f" in {stage}" if stage else ""
    return CounterdubError(
        f"Counterdub itself failed{where} ({kind}): a fault of the program, not of what it was given. Please report it "
        f"with {_place}, which says more.",
        code="internal_error",
        stage=stage,
        kind=kind,
    )


def summary(error: BaseException) -> str:
    """What a library's exception says, as people may see it: its first line, without folders of the machine."""
    lines = str(error).strip().splitlines()
    return without_folders(lines[0])[:SUMMARY_CHARACTERS] if lines else type(error).__name__


def without_folders(text: str) -> str:
    """Text without the machine's folders: of a path its last part remains."""
    return re.sub(r"(?<![\w:/])~?(?:/[^\s/\"'“”:,;()]+)+/([^\s/\"'“”:,;()]+)", r"\1", text)


class LogFileFormatter(logging.Formatter):
    """Lines of a log file: no secrets, no control characters; a traceback keeps its lines, indented."""

    def format(self, record: logging.LogRecord) -> str:
        first, *rest = super().format(record).splitlines() or [""]
        return "\n".join([clean(first), *(f"    {clean(line)}" for line in rest)])


@contextmanager
def log_file(path: Path, place: str) -> Iterator[None]:
    """Write warnings and worse into a file while the context lasts; it is made with the first of them.

    Args:
        place: What people are told of it: ``counterdub.log in the output folder``.
    """
    root = logging.getLogger()
    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1, delay=True, encoding="utf-8")
    handler.setLevel(logging.WARNING)
    handler.setFormatter(LogFileFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    with _attaching:
        before = _place
        name_log_place(place)
        root.addHandler(handler)
    try:
        yield
    finally:
        with _attaching:
            name_log_place(before)
            root.removeHandler(handler)
        try:
            handler.close()
        except OSError as error:  # A full disk takes no lines either; what ended the run must not be hidden by that.
            log.warning("%s could not be written: %s", place, error.strerror)

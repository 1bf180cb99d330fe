"""Logs: one JSON object a line on servers, coloured text on a terminal. Secrets and line breaks from outside stay out.

set_up_logging("api")
with bound(job=job.id, title="film", stage="dubbing", task="dubbing/es/0001"):
    log.info("…")       # any logger of the standard library, libraries' too
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Literal, TextIO

import structlog

from shared.observability import tracing
from shared.observability.internal_errors import name_log_place
from shared.observability.redaction import redacted

Format = Literal["auto", "json", "text"]

LOUD = (
    "httpx",
    "httpx2",
    "httpcore2",
    "httpcore",
    "amqp",
    "kombu",
    "celery.redirected",
    "botocore",
    "aiobotocore",
    "alembic",
    "fsspec",
    "s3fs",
)
"""Libraries of which only warnings are of interest."""


def set_up_logging(
    process: str, *, level: str | None = None, form: Format | None = None, stream: TextIO | None = None
) -> None:
    """Send all logging of this process to ``stream`` (standard error). May be called again.

    Args:
        process: What this process is: ``api``, ``worker``.
        level: Of our own loggers; ``COUNTERDUB_LOG_LEVEL`` or INFO when not given.
        form: ``json``, ``text`` or ``auto`` (text on a terminal); ``COUNTERDUB_LOG_FORMAT`` or auto when not given.
    """
    out = stream or sys.stderr
    log_format = form or os.environ.get("COUNTERDUB_LOG_FORMAT", "auto")
    as_text = log_format == "text" or (log_format != "json" and out.isatty())
    name = os.environ.get("COUNTERDUB_PROCESS", process)

    def about(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {"process": name, "pid": os.getpid(), **tracing.ids(), **line}

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=not as_text),
        about,
        structlog.processors.format_exc_info,
        redact,
    ]
    last: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    last.append(text(out.isatty()) if as_text else structlog.processors.JSONRenderer(ensure_ascii=False))
    handler = logging.StreamHandler(out)
    foreign = [structlog.stdlib.ExtraAdder(), *shared]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=foreign, processors=last))
    name_log_place(f"the log of the {name}")
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level or os.environ.get("COUNTERDUB_LOG_LEVEL", "INFO").upper())
    for library in LOUD:
        logging.getLogger(library).setLevel(logging.WARNING)
    for library in ("uvicorn", "uvicorn.error", "uvicorn.access", "celery"):
        logging.getLogger(library).handlers = []
        logging.getLogger(library).propagate = True
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


@contextmanager
def bound(**facts: Any) -> Iterator[None]:
    """Every line logged inside carries ``facts`` (``job``, ``title``, ``stage``, ``task``). None is left out."""
    with structlog.contextvars.bound_contextvars(**{key: value for key, value in facts.items() if value is not None}):
        yield


def redact(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The whole line as it may be shown. What structlog keeps for itself (``_…``) is not shown."""
    # A traceback keeps its lines, indented: none of them can be taken for a line of the log.
    trace = "\n".join(f"    {redacted(part)}" for part in str(line.pop("exception", "")).splitlines())
    shown = {key: value if key.startswith("_") else redacted(value, key) for key, value in line.items()}
    return shown | ({"exception": trace} if trace else {})


def text(colours: bool) -> Any:
    """For people: time, level, what happened, then what it belongs to. Never the values of a traceback's variables."""
    return structlog.dev.ConsoleRenderer(
        colors=colours, pad_event_to=0, sort_keys=False, exception_formatter=structlog.dev.plain_traceback
    )

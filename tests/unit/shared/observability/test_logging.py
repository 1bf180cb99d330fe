"""Logs: what a line carries, and what it must never carry."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from shared.observability.logging import Format, bound, set_up_logging

log = logging.getLogger("services.somewhere")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging is the process's: give it back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def begun(form: Format = "json") -> io.StringIO:
    out = io.StringIO()
    set_up_logging("worker", level="INFO", form=form, stream=out)
    return out


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_carries_what_it_belongs_to() -> None:
    out = begun()
    with bound(job="job_1", title="film", stage="dubbing", task="dubbing/es/0001", language=None):
        log.info("line %s spoken", "u0003")
    log.warning("after", extra={"worker": "wrk_1", "token": "hunter2"})
    inside, after = lines(out)
    assert inside["event"] == "line u0003 spoken"
    assert inside["level"] == "info"
    assert inside["logger"] == "services.somewhere"
    assert inside["process"] == "worker"
    assert (inside["job"], inside["title"], inside["stage"], inside["task"]) == (
        "job_1",
        "film",
        "dubbing",
        "dubbing/es/0001",
    )
    assert "language" not in inside
    assert not {"job", "title", "stage", "task"} & set(after)
    assert (after["worker"], after["token"]) == ("wrk_1", "***")


def test_structlog_and_the_standard_library_write_the_same() -> None:
    out = begun()
    with bound(job="job_1"):
        structlog.get_logger("services.somewhere").info("said", amount=3)
    (line,) = lines(out)
    assert (line["event"], line["job"], line["amount"], line["logger"]) == ("said", "job_1", 3, "services.somewhere")


SECRETS = [
    "redis://:hunter2secret@127.0.0.1:6379/0",
    "postgresql+psycopg://me:hunter2secret@db/name",
    "Authorization: Bearer hunter2secret",
    "https://bucket.example/x?X-Amz-Signature=hunter2secret&x=1",
    "COUNTERDUB_API_KEY=hunter2secret",
    "{'password': 'hunter2secret'}",
    '{"webhook_secret": "hunter2secret"}',
    "whsec_hunter2secret",
    "cdk_hunter2secret",
]


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("secret", SECRETS)
def test_secrets_do_not_get_out(form: Format, secret: str) -> None:
    out = begun(form)
    log.info("connecting to %s", secret)
    with bound(source=secret):
        log.info("bound")
    structlog.get_logger().info("given", request={"inner": [secret]}, api_key="hunter2secret", token=["hunter2secret"])
    try:
        raise ValueError(secret)
    except ValueError:
        log.exception("failed")
    told = out.getvalue()
    assert "hunter2secret" not in told
    assert "***" in told
    assert "ValueError" in told


def test_what_is_no_secret_stays() -> None:
    out = begun()
    log.info("task dubbing/es/0001 took %.1f s, key 5f0c, 3 tokens, https://host.example/a?b=c", 1.5)
    assert lines(out)[0]["event"] == "task dubbing/es/0001 took 1.5 s, key 5f0c, 3 tokens, https://host.example/a?b=c"


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_name_cannot_forge_a_line(form: Format) -> None:
    out = begun(form)
    evil = "film\nERROR forged \x1b[2J\r\u2028end"
    log.info("reading %s", evil)
    with bound(title=evil):
        log.info("bound")
    try:
        raise ValueError(evil)
    except ValueError:
        log.exception("failed")
    told = out.getvalue()
    assert "\x1b" not in told
    assert "\u2028" not in told
    assert not any(line.startswith("ERROR forged") for line in told.splitlines())

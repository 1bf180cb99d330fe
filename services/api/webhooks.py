"""Telling callers' servers that a job has ended: signed (Standard Webhooks), tried again, to public places only."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx2
from sqlalchemy import Row, func, select, update
from standardwebhooks.webhooks import Webhook

from shared.core.errors import CounterdubError, UsageError
from shared.core.public_http import check_url, client
from shared.ledger.database import Database
from shared.ledger.tables import Delivery, Job, now
from shared.queue.service_settings import ServiceSettings

log = logging.getLogger(__name__)

SECRET_PREFIX = "whsec_"  # noqa: S105
DELAYS_S = (5, 30, 120, 600, 3600, 3 * 3600, 8 * 3600)
"""Between one attempt and the next; after the last comes one attempt more."""
JITTER = 0.2
TOTAL_S = 20.0
CLAIMED_S = 60.0
"""Whoever takes a message has so long to send it; then it is taken for killed."""
AT_ONCE = 64
SHARE = 4
"""Of those for the messages of one API key, and for those to one host: who does not answer delays nobody else."""
DUE_OF_A_KEY = 64
"""Messages of a key that are looked at, oldest first: a key with thousands must not hide the others'."""
GONE = 410


def check_webhook_url(url: str, settings: ServiceSettings) -> None:
    """Refuse addresses that would never be called. What a name leads to is looked at when it is called.

    Raises:
        UsageError: ``url_not_allowed``.
    """
    check_url(url, settings.private_hosts)


def signing_key(secret: str) -> bytes:
    """The bytes behind a secret: base64 behind ``whsec_``, as Standard Webhooks has it; of any other text, the text's.

    Raises:
        UsageError: ``bad_webhook_secret``.
    """
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not 24 <= len(key) <= 64:
        raise UsageError("Behind whsec_ there must be 24 to 64 bytes in base64.", code="bad_webhook_secret")
    return key


@dataclass(frozen=True)
class Message:
    """A claimed row of the table of deliveries."""

    id: str
    job_id: str
    attempt: int
    body: dict[str, Any]
    url: str
    secret: str | None
    key_id: str | None

    @property
    def host(self) -> str:
        return host_of(self.url)


def host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


async def deliverer(database: Database, settings: ServiceSettings, poll_s: float = 1.0) -> None:
    """Send what is due, for ever; any number of processes may do so. To be cancelled.

    A message is sent at least once: who receives it knows a repetition by its ``webhook-id``.
    """
    sending: dict[asyncio.Task[None], Message] = {}
    try:
        while True:
            try:
                room = AT_ONCE - len(sending)
                due = await asyncio.to_thread(claim, database, room, list(sending.values())) if room else []
            except CounterdubError as error:
                log.warning("webhooks wait: %s", error.code)
                due = []
            for message in due:
                task = asyncio.create_task(deliver(database, settings, message))
                sending[task] = message
                task.add_done_callback(sending.pop)
            if not due:
                await asyncio.sleep(poll_s)
    finally:
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)


def claim(database: Database, most: int, sending: Sequence[Message] = ()) -> list[Message]:
    """Take due messages, each for this process alone: the count of attempts is compared and set.

    Args:
        most: Messages to take.
        sending: Those that this process is sending already: they count in the shares of their keys and hosts.
    """
    claimed = []
    for row in shared_out(due(database), most, sending):
        with database.write() as session:
            same = Delivery.id == row.id, Delivery.attempts == row.attempts, Delivery.state == "waiting"
            taken = {"attempts": row.attempts + 1, "next_attempt": now() + timedelta(seconds=CLAIMED_S)}
            done: Any = session.execute(update(Delivery).where(*same).values(**taken))
        if done.rowcount == 1:
            url = row.webhook_url or ""
            claimed.append(Message(row.id, row.job_id, row.attempts + 1, row.body, url, row.webhook_secret, row.key_id))
    return claimed


def due(database: Database) -> list[Row[Any]]:
    """The messages of each key that have been due for longest; what each key has waited for longest comes first."""
    place = func.row_number().over(partition_by=Job.key_id, order_by=Delivery.next_attempt).label("place")
    waiting = Delivery.state == "waiting", Delivery.next_attempt <= now()
    ranked = (
        select(Delivery.id, Job.key_id, place).join(Job, Job.id == Delivery.job_id).where(*waiting).subquery("ranked")
    )
    fields = Delivery.id, Delivery.job_id, Delivery.attempts, Delivery.body
    wanted = (
        select(*fields, Job.webhook_url, Job.webhook_secret, Job.key_id)
        .join(ranked, ranked.c.id == Delivery.id)
        .join(Job, Job.id == Delivery.job_id)
        .where(ranked.c.place <= DUE_OF_A_KEY)
        .order_by(ranked.c.place, Delivery.next_attempt)
    )
    with database.read() as session:
        return list(session.execute(wanted))


def shared_out(rows: Sequence[Row[Any]], most: int, sending: Sequence[Message]) -> list[Row[Any]]:
    """As many of the messages as may be sent now."""
    keys = Counter(message.key_id for message in sending)
    hosts = Counter(message.host for message in sending)
    chosen: list[Row[Any]] = []
    for row in rows:
        host = host_of(row.webhook_url or "")
        if len(chosen) < most and keys[row.key_id] < SHARE and hosts[host] < SHARE:
            keys[row.key_id] += 1
            hosts[host] += 1
            chosen.append(row)
    return chosen


async def deliver(database: Database, settings: ServiceSettings, message: Message) -> None:
    """One attempt, and what follows from it."""
    status, why = await post(message, settings)
    try:
        state = await asyncio.to_thread(settle, database, message, status)
    except CounterdubError as error:
        log.warning("webhook %s of %s: outcome not kept: %s", message.id, message.job_id, error.code)
        return
    # The URL stays unsaid: its path and query may be secrets.
    level = logging.INFO if state == "sent" else logging.WARNING
    log.log(level, "webhook %s of %s: attempt %d: %s: %s", message.id, message.job_id, message.attempt, why, state)


async def post(message: Message, settings: ServiceSettings) -> tuple[int | None, str]:
    """The answer's status (None without one) and, for the log, what happened."""
    try:
        content = json.dumps(message.body, separators=(",", ":"))
        headers = signed(message, content)
        url = check_url(message.url, settings.private_hosts)
        # The answer's body is of no interest, however long it is.
        async with (
            asyncio.timeout(TOTAL_S),
            client(settings.private_hosts, TOTAL_S) as http,
            http.stream("POST", url, content=content.encode(), headers=headers) as response,
        ):
            return response.status_code, f"answered {response.status_code}"
    except CounterdubError as error:
        return None, error.code
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
        return None, type(error).__name__


def signed(message: Message, content: str) -> dict[str, str]:
    """Headers of Standard Webhooks; without a secret, unsigned."""
    at = now()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "counterdub",
        "webhook-id": message.id,
        "webhook-timestamp": str(int(at.timestamp())),
    }
    if message.secret:
        headers["webhook-signature"] = Webhook(signing_key(message.secret)).sign(message.id, at, content)
    return headers


def settle(database: Database, message: Message, status: int | None) -> str:
    """Book an attempt; returns the message's state."""
    changes: dict[str, Any] = {"last_status": status}
    if status is not None and 200 <= status < 300:
        changes["state"] = "sent"
    elif status == GONE or message.attempt > len(DELAYS_S):
        changes["state"] = "failed"
    else:
        delay = DELAYS_S[message.attempt - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
        changes["next_attempt"] = now() + timedelta(seconds=delay)
    with database.write() as session:
        mine = Delivery.id == message.id, Delivery.attempts == message.attempt
        session.execute(update(Delivery).where(*mine).values(**changes))
    return str(changes.get("state", "waiting"))

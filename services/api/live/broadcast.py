"""One look at the database a tick for everybody who listens to events.

The database is the truth and events of a job are numbered without a gap, so a listener needs no promise from here:
whoever missed something (a slow reader's oldest events are let go) sees it by the number and reads it from there.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from fastapi.sse import format_sse_event
from sqlalchemy import and_, or_, select
from starlette.concurrency import run_in_threadpool

from services.api.http.problems import Refused
from services.api.live.shared_reads import SharedReads
from shared.core.errors import StorageError
from shared.ledger.database import Database
from shared.ledger.tables import Event, Job

TICK_S = 0.25
KEPT = 256
"""Events kept for a listener who has not taken them yet."""
PAGE = 100
"""Events of one read. A reader who is far behind is handed as many at once."""
FULL_S = 10.0
"""A page that will not change any more is kept so long for others who catch up."""
JOBS_AT_ONCE = 200

LAST = tuple(f"{kind}_{state}" for kind in ("job", "training") for state in ("done", "failed", "cancelled"))
"""Kinds that a job's or training's events end with, unless it is asked for more."""

log = logging.getLogger(__name__)


class SentEvent(NamedTuple):
    """An event as it goes out."""

    seq: int
    text: bytes
    ends: bool
    """Nothing comes after it, as far as is known."""


class Stretch(NamedTuple):
    """Events that go out together."""

    seq: int
    """Number of the last of them; that before them, where there are none."""
    text: bytes
    ends: bool
    """Nothing comes after them, as far as is known."""
    full: bool
    """There may be more that are there already."""


class Listener:
    """Somebody's ear at one job: the latest events, the oldest let go when there are too many."""

    def __init__(self, latest: int) -> None:
        self.gone = False
        self._latest = latest
        self._waiting: deque[SentEvent] = deque(maxlen=KEPT)
        self._something = asyncio.Event()

    def tell(self, events: Sequence[SentEvent]) -> None:
        self._waiting.extend(events)
        self._latest = events[-1].seq
        self._something.set()

    def end(self) -> None:
        """The job does not exist any more, or the process ends."""
        self.gone = True
        self._something.set()

    def missed(self, reached: int) -> bool:
        """Whether the event behind ``reached`` has been, and is not kept here."""
        while self._waiting and self._waiting[0].seq <= reached:
            self._waiting.popleft()
        first = self._waiting[0].seq if self._waiting else self._latest + 1
        return first > reached + 1

    def take(self, reached: int) -> SentEvent | None:
        """The event behind ``reached``, if there is one."""
        return self._waiting.popleft() if self._waiting and self._waiting[0].seq == reached + 1 else None

    async def wait(self, seconds: float) -> bool:
        """Until something was told; False when nothing was for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._something.wait()
        except TimeoutError:
            return False
        self._something.clear()
        return True


class Channel:
    """A job somebody listens to. ``seen``: number of the latest event that was told."""

    def __init__(self, seen: int) -> None:
        self.seen = seen
        self.listeners: set[Listener] = set()


class Broadcast:
    """Looks for new events of all jobs listened to, in one query a tick however many listen."""

    def __init__(self, database: Database, tick_s: float = TICK_S) -> None:
        self._database = database
        self._tick_s = tick_s
        self._channels: dict[str, Channel] = {}
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        self._streams: Counter[str | None] = Counter()
        self.reads = SharedReads()

    @contextmanager
    def place(self, key_id: str | None, most: int) -> Iterator[None]:
        """One of the streams that a key may have open.

        Raises:
            Refused: ``too_many_streams`` (429).
        """
        if self._streams[key_id] >= most:
            raise Refused(
                429, "too_many_streams", f"You have {most} event streams open, which is the limit.", retryable=True
            )
        self._streams[key_id] += 1
        try:
            yield
        finally:
            self._streams[key_id] -= 1
            if not self._streams[key_id]:
                del self._streams[key_id]

    async def page(self, job_id: str, after: int) -> Stretch:
        """Up to :data:`PAGE` events after a number. Whoever catches up on the same job shares them."""
        # Pages begin at the same numbers for all, so that those who began elsewhere meet.
        most = PAGE - after % PAGE

        def settled(stretch: Stretch) -> float:
            return FULL_S if stretch.full and not stretch.ends else 0.0

        return await self.reads.get((job_id, after), lambda: page(self._database, job_id, after, most), settled)

    @contextmanager
    def listening(self, job_id: str, seen: int) -> Iterator[Listener]:
        """An ear of somebody who has every event up to ``seen``."""
        channel = self._channels.setdefault(job_id, Channel(seen))
        listener = Listener(channel.seen)
        listener.gone = self._ended
        channel.listeners.add(listener)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())
        try:
            yield listener
        finally:
            channel.listeners.discard(listener)
            if not channel.listeners and self._channels.get(job_id) is channel:
                del self._channels[job_id]

    @property
    def ended(self) -> bool:
        """Whether all streams are to end."""
        return self._ended

    def end_all(self) -> None:
        """End all streams: whoever listens comes back and goes on where they were."""
        self._ended = True
        for channel in self._channels.values():
            for listener in channel.listeners:
                listener.end()

    async def stop(self) -> None:
        """Look no more."""
        self.end_all()
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        while self._channels:
            try:
                await self._look()
            except StorageError as error:
                log.warning("events are late: %s", error.code)
            except Exception:
                log.exception("events are late")
            await asyncio.sleep(self._tick_s)

    async def _look(self) -> None:
        seen = {job_id: channel.seen for job_id, channel in self._channels.items()}
        latest = await run_in_threadpool(self._latest, list(seen))
        for job_id in seen.keys() - latest.keys():
            if channel := self._channels.pop(job_id, None):
                for listener in channel.listeners:
                    listener.end()
        behind = {job_id: seen[job_id] for job_id, count in latest.items() if count > seen[job_id]}
        while behind:
            batches = await run_in_threadpool(self._read, behind)
            for job_id, events in batches.items():
                if channel := self._channels.get(job_id):
                    channel.seen = events[-1].seq
                    for listener in channel.listeners:
                        listener.tell(events)
                if events[-1].seq < latest[job_id]:
                    behind[job_id] = events[-1].seq
                else:
                    del behind[job_id]
            if not batches:
                return

    def _latest(self, jobs: list[str]) -> dict[str, int]:
        """Number of the latest event of each job; a job that is not there any more is left out."""
        with self._database.read() as session:
            rows = session.execute(select(Job.id, Job.events).where(Job.id.in_(jobs)))
            return dict(rows.all())

    def _read(self, behind: Mapping[str, int]) -> dict[str, list[SentEvent]]:
        """The next events of some of the jobs."""
        some = list(behind.items())[:JOBS_AT_ONCE]
        wanted = or_(*(and_(Event.job_id == job_id, Event.seq > seq, Event.seq <= seq + PAGE) for job_id, seq in some))
        query = select(Event, Job.events).join(Job, Job.id == Event.job_id).where(wanted)
        events: dict[str, list[SentEvent]] = {}
        with self._database.read() as session:
            for event, latest in session.execute(query.order_by(Event.job_id, Event.seq)):
                events.setdefault(event.job_id, []).append(sent_event(event, latest))
        return events


def sent_event(event: Event, latest: int) -> SentEvent:
    """An event in the form that goes over the wire."""
    data = json.dumps(public(event), ensure_ascii=False)
    text = format_sse_event(data_str=data, event=event.kind, id=str(event.seq))
    return SentEvent(event.seq, text, event.kind in LAST and event.seq == latest)


def public(event: Event) -> dict[str, object]:
    return {"seq": event.seq, "at": event.at.isoformat(), "kind": event.kind, "data": event.data}


def page(database: Database, job_id: str, after: int, most: int) -> Stretch:
    """Up to ``most`` events after a number, from the database."""
    with database.read() as session:
        query = select(Event, Job.events).join(Job, Job.id == Event.job_id)
        query = query.where(Event.job_id == job_id, Event.seq > after).order_by(Event.seq).limit(most)
        events = [sent_event(event, latest) for event, latest in session.execute(query)]
    last = events[-1] if events else SentEvent(after, b"", False)
    return Stretch(last.seq, b"".join(event.text for event in events), last.ends, len(events) == most)

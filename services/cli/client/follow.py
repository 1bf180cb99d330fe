"""Following a job of a server to its end, however often the connection breaks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from services.cli.client.remote import Patience, Server, raise_problem
from services.cli.terminal.output import DONE, FAILED, INTERRUPTED, SOME_REJECTED
from shared.pipeline.events import Listener, RunEvent

ENDS = {"job_done": "done", "job_failed": "failed", "job_cancelled": "cancelled"}
SHOWN = ("task_started", "task_done", "task_failed", "title_done", "title_failed")


class Watch:
    """What has been heard of a job.

    Args:
        listener: Told what the in-process run would tell.
    """

    def __init__(self, listener: Listener) -> None:
        self.reached = 0
        """Number of the latest event."""
        self.state: str | None = None
        """How the job ended."""
        self.failed: list[dict[str, Any]] = []
        """What failed for good: ``title``, ``language`` and ``error``."""
        self._listener = listener
        self._begun: set[tuple[str, str]] = set()

    def hear(self, seq: int, kind: str, data: dict[str, Any]) -> None:
        """Take an event in; one that was heard before is left out."""
        if seq <= self.reached:
            return
        self.reached = seq
        self.state = ENDS.get(kind)
        if kind == "job_retried":
            self.failed.clear()
        if kind == "task_failed":
            if data.get("again"):
                return
            self.failed.append({key: data.get(key) for key in ("title", "language", "error")})
        task = (str(data.get("title", "")), str(data.get("task", "")))
        if kind == "task_started":
            # Begun again, after its worker was lost.
            if task in self._begun:
                return
            self._begun.add(task)
        if kind in SHOWN:
            fields = ("task", "stage", "language", "cached", "seconds", "engine_seconds", "error")
            given = {field: data.get(field) for field in fields}
            self._listener(RunEvent(kind, task[0], **given))  # type: ignore[arg-type]  # the server's JSON

    def exit_code(self, titles: int, titles_failed: int) -> int:
        """As for ``counterdub dub``."""
        if self.state == "cancelled":
            return INTERRUPTED
        if self.state == "failed" or (titles and titles_failed == titles):
            return FAILED
        return SOME_REJECTED if titles_failed or self.failed else DONE


def follow(server: Server, job_id: str, watch: Watch) -> None:
    """Until the job has ended.

    Raises:
        CounterdubError: What the server says; ``server_away`` when it stays away.
    """
    patience = Patience(server)

    def listen() -> bool:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(watch.reached)} if watch.reached else {})
        with server.http.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers) as response:
            raise_problem(response)
            if response.status_code == 204:
                return True
            for data in messages(response.iter_bytes()):
                patience.renew()
                if data:
                    event = json.loads(data)
                    watch.hear(event["seq"], event["kind"], event["data"])
        return watch.state is not None

    while not server.patiently(listen, patience):
        continue


def messages(blocks: Iterable[bytes]) -> Iterator[str]:
    """The data of server-sent events; empty for what only keeps the connection alive. One cut off is left out."""
    rest, data = b"", []
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            field, _, value = line.rstrip(b"\r").partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" ").decode())
            elif not line.strip():
                yield "\n".join(data)
                data = []

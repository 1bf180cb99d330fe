"""Whether the database takes writes, asked every few seconds at most."""

from __future__ import annotations

import threading
import time

from shared.core.errors import CounterdubError
from shared.ledger.database import Database
from shared.ledger.tables import Idempotency, now

PROBE = "readyz"
"""Owner and key of the row that is written: no API key has such an id."""
PROBE_S = 5.0


class WriteProbe:
    """Whether the database takes a write: one with a full disk, or one that stands by, answers every question."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._until = 0.0
        self._error: CounterdubError | None = None

    def check(self) -> None:
        """Write, unless that was done a moment ago.

        Raises:
            CounterdubError: As the latest write did.
        """
        with self._lock:
            if time.monotonic() >= self._until:
                self._error = None
                try:
                    with self._database.write() as session:
                        session.merge(Idempotency(owner=PROBE, key=PROBE, request_hash="", created=now()))
                except CounterdubError as error:
                    self._error = error
                self._until = time.monotonic() + PROBE_S
            if self._error is not None:
                raise self._error

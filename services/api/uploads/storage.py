"""Files of unfinished uploads on the disk: one a row, never longer than is known but for what is being written."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from services.api.dependencies import Services
from services.api.http.problems import Refused
from services.api.uploads import tus_headers
from shared.core.storage_errors import storage_errors
from shared.core.store import Blob, file_digest
from shared.ledger.database import Database
from shared.ledger.tables import Upload, now
from shared.queue.service_settings import ServiceSettings

LEFT = timedelta(hours=1)
"""An expired upload that somebody is still sending is not swept away under their hands."""

WHAT = "the upload"


def folder(settings: ServiceSettings) -> Path:
    place = settings.uploads()
    with storage_errors(WHAT):
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
    return place


def path_of(settings: ServiceSettings, upload_id: str) -> Path:
    """Ids are the server's own; no part of a name ever becomes a path."""
    return settings.uploads() / f"{upload_id}.part"


def known_offset(settings: ServiceSettings, upload: Upload) -> int:
    """Bytes that are safely here: those counted, unless the disk has lost some."""
    if upload.blob is not None:
        return upload.size
    try:
        return min(upload.offset, path_of(settings, upload.id).stat().st_size)
    except FileNotFoundError:
        return 0


class Writing:
    """One request's writing to an upload: holds the lock, cuts off what was never counted, counts what is safe.

    Attributes:
        offset: Bytes that are counted.
        unsafe: Bytes behind them that are written and not counted.

    Raises:
        Refused: ``unknown_upload``, ``wrong_offset`` (409), ``upload_busy`` (423).
        StorageError: ``disk_full`` and others.
    """

    def __init__(self, here: Services, upload_id: str, at: int) -> None:
        self._here, self.id, self.path = here, upload_id, path_of(here.settings, upload_id)
        self.unsafe = 0
        folder(here.settings)
        with storage_errors(WHAT):
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            self._lock()
            upload = self._row()
            self.name, self.size, self.offset = upload.name, upload.size, known_offset(here.settings, upload)
            if upload.blob is not None:
                raise tus_headers.conflict("The upload is finished.", upload.size)
            if at != self.offset:
                raise tus_headers.conflict(f"The next byte of this upload is {self.offset}.", self.offset)
            with storage_errors(WHAT):
                os.ftruncate(self._file, self.offset)
                os.lseek(self._file, self.offset, os.SEEK_SET)
            if self.offset != upload.offset:
                self._count(upload.offset, self.offset)
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # What was opened may have gone into the store before it was locked, and must not be written to there.
            same = os.path.samestat(os.fstat(self._file), self.path.stat())
        except (BlockingIOError, FileNotFoundError):
            same = False
        if not same:
            raise Refused(423, code="upload_busy", message="Another request is writing to this upload.", retryable=True)

    def _row(self) -> Upload:
        """Read with the lock held: nobody counts bytes behind our back."""
        with self._here.database.read() as session:
            upload = session.get(Upload, self.id)
        if upload is None:
            self.path.unlink(missing_ok=True)
            raise Refused(404, code="unknown_upload", message="The upload was deleted.")
        return upload

    def write(self, data: bytes) -> None:
        with storage_errors(WHAT):
            view = memoryview(data)
            while view:
                written = os.write(self._file, view)
                view = view[written:]
        self.unsafe += len(data)

    def save(self) -> None:
        """Bring what is written safely to the disk, then count it."""
        if self.unsafe:
            with storage_errors(WHAT):
                os.fsync(self._file)
            self._count(self.offset, self.offset + self.unsafe)
            self.offset, self.unsafe = self.offset + self.unsafe, 0

    def _count(self, before: int, after: int) -> None:
        with self._here.database.write() as session:
            row = Upload.id == self.id, Upload.offset == before
            counted: Any = session.execute(update(Upload).where(*row).values(offset=after))
            if counted.rowcount != 1:
                raise tus_headers.conflict("The upload was changed by another request.")

    def close(self) -> None:
        """Let go. What is not counted is dropped, so that refused bytes take no room."""
        if self.unsafe:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.offset)
        os.close(self._file)


def finish(here: Services, writing: Writing) -> None:
    """Book a complete file, then put it into the store: what a crash leaves in between, :func:`stored` does."""
    with storage_errors(WHAT):
        blob = Blob(writing.name, file_digest(writing.path), writing.size)
    with here.database.write() as session:
        row = session.get(Upload, writing.id)
        if row is None:
            raise Refused(404, code="unknown_upload", message="The upload was deleted.")
        row.blob, row.expires = asdict(blob), tus_headers.expiry(here.settings)
    move(here, writing.id, blob)


def stored(here: Services, upload_id: str, blob: Blob) -> Blob:
    """The file of a finished upload, in the store: moved there now if the process that booked it could not.

    Raises:
        StorageError: ``disk_full`` and others; the file stays where it is.
    """
    if path_of(here.settings, upload_id).exists():
        move(here, upload_id, blob)
    return blob


def move(here: Services, upload_id: str, blob: Blob) -> None:
    path = path_of(here.settings, upload_id)
    with storage_errors("the artifact store"):
        try:
            here.store.add(blob.name, path, move=True, sha256=blob.sha256)
        except FileNotFoundError:
            if not here.store.holds(blob):  # Else somebody moved it at the same time.
                raise
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            here.store.add(blob.name, path, sha256=blob.sha256)
    path.unlink(missing_ok=True)


def drop(settings: ServiceSettings, upload_id: str) -> None:
    path_of(settings, upload_id).unlink(missing_ok=True)


def sweep_uploads(database: Database, settings: ServiceSettings) -> int:
    """Forget expired uploads, and files whose upload is gone; returns how many rows went. Safe in several processes."""
    with database.write() as session:
        gone = list(session.scalars(select(Upload).where(Upload.expires < now() - LEFT)))
        for upload in gone:
            session.delete(upload)
    for upload in gone:
        drop(settings, upload.id)
    for path in settings.uploads().glob("upl_*.part"):
        with database.read() as session:
            if session.get(Upload, path.stem) is None:
                path.unlink(missing_ok=True)
    return len(gone)

"""What the operating system refuses, as errors that say what to do."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.core.errors import CounterdubError, StorageError

NEARLY_NOTHING = 2**20
"""Bytes of free space below which a failed write is taken for a full disk."""


IN_SERVICE = {
    "disk_full": "The service's disk is full. Free some space; finished work is kept, and retrying goes on from there.",
    "not_writable": "The service's store cannot be written to now. Finished work is kept; it is tried again.",
}
"""Code → what a service says of it."""


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn the operating system's refusals into errors that say what to do."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, what) from error


def storage_error(error: OSError, what: str) -> CounterdubError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            f"The disk is full while writing {what}. Free some space and run the same command again: "
            "finished work is kept.",
            code="disk_full",
            retryable=True,
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
        return StorageError(
            f"{what[0].upper()}{what[1:]} cannot be written: {os.strerror(error.errno)}. Choose another output folder.",
            code="not_writable",
        )
    return StorageError(f"Input/output error on {what}: {error.strerror or error}.", code="io_error", retryable=True)


def for_service(error: CounterdubError) -> CounterdubError:
    """The error as a service tells it.

    There is no command to run again and no output folder to choose, and a disk that is full or cannot be written to now
    may be well in a moment.
    """
    if error.code not in IN_SERVICE or error.details.get("part"):
        return error
    service_error = StorageError(
        IN_SERVICE[error.code], code=error.code, stage=error.stage, retryable=True, **error.details
    )
    service_error.__cause__ = error
    return service_error


def full(folder: Path) -> bool:
    """Whether the folder's disk is as good as full: libraries that write files often lose the system's own word."""
    return shutil.disk_usage(folder).free < NEARLY_NOTHING

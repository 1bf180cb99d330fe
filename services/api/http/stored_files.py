"""Finished files and the artifact store: a file's blob, its local copy, its bytes."""

from __future__ import annotations

from pathlib import Path

from services.api.http.problems import Refused, not_found
from shared.core.store import Blob, Store
from shared.ledger.tables import Artifact


def blob_of(file: Artifact) -> Blob:
    """Where a finished file's content is stored."""
    return Blob(file.name, file.sha256, file.size)


def local_copy(store: Store, file: Artifact | Blob) -> Path:
    """Path of a stored file on this machine, fetched where it is not there.

    Raises:
        Refused: ``artifact_lost`` (404).
    """
    try:
        return store.fetch(file if isinstance(file, Blob) else blob_of(file))
    except FileNotFoundError as error:
        raise lost_file() from error


def read_file(store: Store, file: Artifact) -> bytes:
    """A small file as a whole.

    Raises:
        Refused: ``artifact_lost`` (404).
    """
    return local_copy(store, file).read_bytes()


def lost_file(why: str = "The file is no longer in the store.") -> Refused:
    """The answer where the store no longer has a file that the database knows, or has it damaged."""
    return not_found(why, "artifact_lost")

"""What a language model made of a prompt's beginning, kept on disk: reading is most of a short film's translation.

A file holds the model's state behind the tokens of a beginning, 12 to 20 MB, as llama.cpp saves a slot. Put back it
is the state that reading gives, bit for bit, so translations do not depend on what was found. A file's name says what
made it and what it holds (SHA-256): one of another model, library or processor is not found, a damaged one not used.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import threading
from functools import lru_cache
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

FOLDER = "prompts"
KEPT = 48
"""Files in a folder, some 0.7 GB; the longest unused go first."""
TIMEOUT_S = 60.0


class PromptCache:
    """States of one model's slots in a folder; a folder that cannot be written keeps none.

    Args:
        folder: Made when the first state is kept.
        maker: All that a state depends on beside the prompt: weights, library, threads.
    """

    def __init__(self, folder: Path, maker: str) -> None:
        self.folder = folder
        self._maker = f"{maker}\n{processor()}"

    def restore(self, server: Any, key: str, slot: int, prompt: str) -> bool:
        """Put the state behind ``prompt`` into a slot; False when there is none, and the slot is as it was."""
        for path in self._found(prompt):
            try:
                if content_hash(path) != path.name.split(".")[1]:
                    raise OSError(f"{path.name} is damaged")
                ask(server, key, slot, "restore", path.name)
                os.utime(path)
            except OSError as error:
                log.warning("A kept prompt cannot be used and is read anew: %s", error)
                path.unlink(missing_ok=True)
            else:
                return True
        return False

    def keep(self, server: Any, key: str, slot: int, prompt: str) -> None:
        """Keep the state of a slot that holds ``prompt`` and at most a line behind it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            new = self.folder / f"{os.getpid()}-{threading.get_ident()}.new"
            ask(server, key, slot, "save", new.name)
            new.replace(self.folder / f"{self._name(prompt)}.{content_hash(new)}.state")
            for old in sorted(self.folder.glob("*.state"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
                old.unlink(missing_ok=True)
        except OSError as error:
            log.info("The read prompt is not kept for the next run: %s", error)

    def _found(self, prompt: str) -> list[Path]:
        return sorted(self.folder.glob(f"{self._name(prompt)}.*.state"))

    def _name(self, prompt: str) -> str:
        return hashlib.sha256(f"{self._maker}\n{prompt}".encode()).hexdigest()[:32]


def ask(server: Any, key: str, slot: int, action: str, name: str) -> None:
    """Have the server, which listens on this machine alone, save or restore a slot.

    Raises:
        OSError: It did not.
    """
    connection = HTTPConnection(server.listening_address.removeprefix("http://"), timeout=TIMEOUT_S)
    try:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        connection.request("POST", f"/slots/{slot}?action={action}", json.dumps({"filename": name}), headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != HTTPStatus.OK:
            raise OSError(f"The model cannot {action} its state: {body[:200].decode(errors='replace')}")
    except HTTPException as error:
        raise OSError(f"The model cannot {action} its state: {error}") from error
    finally:
        connection.close()


def content_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


@lru_cache
def processor() -> str:
    """What tells processors apart whose sums may differ in the last digits: architecture and instruction sets."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
    return f"{platform.machine()} {flags}"

"""The hub's models in the folder of models, and what is remembered of each: commit, sha256 and size of every file.

The first fetch is trusted; its record lies beside the folder (``hub/OWNER/NAME.json``) and outlives it. From then on
only the very same files are used or fetched. To trust another version, delete the record.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from shared.core.errors import EngineError
from shared.core.storage_errors import storage_errors
from shared.weights.folder import default_folder
from shared.weights.hub_models import hub_model

HUB = "hub"
MAIN = "main"

HubState = Literal["pinned", "trusted", "missing", "damaged"]

_hashed: set[tuple[str, str]] = set()
"""Folders whose files this process has hashed, by path and commit."""
_lock = threading.Lock()


class TrustedFile(NamedTuple):
    size: int
    sha256: str
    seconds: int = 0
    """Of its last change, when its hash was last known to fit."""


@dataclass(frozen=True)
class Trust:
    """What was fetched first of a repository."""

    repo: str
    commit: str
    asked: str
    """The revision that was asked for then."""
    since: str
    """The day, UTC."""
    files: Mapping[str, TrustedFile]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())


def hub_folder(repo: str) -> Path:
    """Where a repository's files are kept."""
    return default_folder() / HUB / repo


def read_trust(repo: str) -> Trust | None:
    """What is remembered of a repository.

    Raises:
        EngineError: ``weights_damaged`` when the record cannot be read.
    """
    try:
        stored = json.loads(_record(repo).read_text(encoding="utf-8"))
        files = {name: TrustedFile(*values) for name, values in stored.pop("files").items()}
        return Trust(files=files, **stored)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise EngineError(
            f"The record of the files of {repo} cannot be read ({HUB}/{repo}.json in the folder of models). Delete it "
            f"and run `counterdub models pull {repo}`.",
            code="weights_damaged",
            model=repo,
        ) from error


def write_trust(trust: Trust) -> None:
    """Remember it. Raises StorageError."""
    target = _record(trust.repo)
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}")
    with storage_errors("model weights"):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(asdict(trust), indent=1), encoding="utf-8")
        temporary.replace(target)


def trust_for(repo: str, revision: str | None = None) -> Trust | None:
    """The record, if it is of the revision that is meant: the asked one, else the pinned one, else whichever."""
    trust = read_trust(repo)
    asked = revision if revision not in (None, "", MAIN) else hub_model(repo).revision
    return trust if trust is not None and asked in (None, trust.commit, trust.asked) else None


def pulled(repo: str, revision: str | None = None) -> Trust | None:
    """The record of a repository whose files are all here; their content is not looked at."""
    trust = trust_for(repo, revision)
    if trust is None or not all((hub_folder(repo) / name).is_file() for name in trust.files):
        return None
    return trust


def pulled_folder(repo: str, revision: str | None = None) -> Path | None:
    """Folder of a repository that was pulled, its files as they were; None when it was not.

    Sizes and times are compared with the record; a file that was touched since is hashed, once a process.

    Raises:
        EngineError: ``weights_damaged``, naming the files.
    """
    trust = pulled(repo, revision)
    if trust is None:
        return None
    key = (str(hub_folder(repo)), trust.commit)
    with _lock:
        if key not in _hashed:
            if damaged := changed_files(trust):
                raise EngineError(
                    f"The files of {repo} are not those that were fetched first, on {trust.since} (differing: "
                    f"{', '.join(damaged[:3])}). Run `counterdub models pull {repo}` to have those again.",
                    code="weights_damaged",
                    model=repo,
                    files=damaged[:10],
                )
            _hashed.add(key)
    return hub_folder(repo)


def changed_files(trust: Trust, thorough: bool = False) -> list[str]:
    """Names of files whose content is not the recorded one; ``thorough`` hashes those too that nobody touched."""
    return [name for name, file in trust.files.items() if not _same(hub_folder(trust.repo) / name, file, thorough)]


def hub_state(repo: str, thorough: bool = False) -> tuple[HubState, Trust | None]:
    """How a repository's files stand: fetched at the pinned commit, trusted since a day, not here, or changed."""
    trust = pulled(repo)
    if trust is None:
        return "missing", None
    if changed_files(trust, thorough):
        return "damaged", trust
    return ("pinned" if hub_model(repo).revision == trust.commit else "trusted"), trust


def trusted_repositories() -> list[str]:
    """Names of all repositories of which there is a record."""
    return sorted(f"{path.parent.name}/{path.stem}" for path in (default_folder() / HUB).glob("*/[!.]*.json"))


def sha256_of(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _same(path: Path, file: TrustedFile, thorough: bool) -> bool:
    try:
        status = path.stat()
        if status.st_size != file.size:
            return False
        # Whole seconds: archives and image layers keep no more.
        if int(status.st_mtime) == file.seconds and not thorough:
            return True
        return sha256_of(path) == file.sha256
    except OSError:
        return False


def _record(repo: str) -> Path:
    folder = hub_folder(repo)
    return folder.with_name(f"{folder.name}.json")

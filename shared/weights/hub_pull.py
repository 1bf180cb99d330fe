"""Fetching models of the hub through its own library, once: the first fetch is recorded and enforced from then on."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from shared.core.errors import EngineError, StorageError
from shared.core.storage_errors import storage_error, storage_errors
from shared.weights.folder import default_folder
from shared.weights.hub_models import HubModel
from shared.weights.hub_trust import (
    HUB,
    MAIN,
    Trust,
    TrustedFile,
    hub_folder,
    sha256_of,
    trust_for,
    write_trust,
)

PATIENCE_S = 4.0

Progress = Callable[[str, int, int], None]
"""Called with the repository's name, bytes done and bytes in total."""


def pull_hub(model: HubModel, progress: Progress | None = None) -> Path:
    """Fetch what is missing of a repository and hold all of it against the record; returns its folder.

    Files that are here and fit are kept, so an interrupted pull goes on where it stopped. Safe while another process
    pulls.

    Raises:
        EngineError: ``weights_unavailable`` when the hub cannot be asked or has not the files, ``weights_damaged`` when
            what it gives is not what was fetched first, ``engine_missing`` without the hub's library.
        StorageError: ``disk_full``, ``not_writable``.
    """
    report = progress or (lambda name, done, total: None)
    folder = hub_folder(model.repo)
    with storage_errors("model weights"):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        trust = trust_for(model.repo)
        if trust is not None:
            missing = [name for name, file in trust.files.items() if not _here(folder / name, file)]
            if not missing:
                report(model.repo, trust.size, trust.size)
                _remember(trust)
                return folder
        with _asking(model):
            stated = _stated(model, trust)
        if trust is not None:
            _hold(trust, stated)
        _fetch(model, trust, stated, report)
    return folder


def stated_size(model: HubModel) -> int | None:
    """Bytes of what would be fetched, as the hub says within seconds; None where it does not."""
    try:
        return _stated(model, trust_for(model.repo), PATIENCE_S).size
    except Exception:  # whatever the library or its transport throws: the size stays unknown
        return None


class HubContents:
    """What the hub says of a repository at one commit: name → size and, of large files, sha256."""

    def __init__(self, commit: str, asked: str, files: Mapping[str, tuple[int, str | None]]) -> None:
        self.commit = commit
        self.asked = asked
        self.files = files
        self.size = sum(size for size, _ in files.values())


def _stated(model: HubModel, trust: Trust | None, patience: float | None = None) -> HubContents:
    from huggingface_hub import HfApi

    asked = trust.commit if trust is not None else model.revision or MAIN
    info = HfApi(endpoint=_endpoint()).model_info(model.repo, revision=asked, timeout=patience, files_metadata=True)
    siblings = {one.rfilename: one for one in info.siblings or ()}
    names = model.wanted(list(siblings)) if trust is None else [name for name in trust.files if name in siblings]
    if not names or not info.sha:
        raise FileNotFoundError(f"{model.repo} has none of the files that are looked for")
    if model.revision is not None and trust is None and info.sha != model.revision:
        raise FileNotFoundError(f"{model.repo} is at {info.sha}, not at {model.revision}")
    files = {name: (int(siblings[name].size or 0), _stated_hash(siblings[name])) for name in names}
    return HubContents(info.sha, trust.asked if trust is not None else asked, files)


def _stated_hash(sibling: Any) -> str | None:
    lfs = sibling.lfs
    return None if lfs is None else str(lfs["sha256"] if isinstance(lfs, Mapping) else lfs.sha256)


def _hold(trust: Trust, stated: HubContents) -> None:
    """Raises EngineError ``weights_damaged`` when the hub itself says that its files are others now."""
    other = [
        name
        for name, file in trust.files.items()
        if name not in stated.files or stated.files[name][1] not in (None, file.sha256)
    ]
    if other or stated.commit != trust.commit:
        raise _differing(trust, other or [stated.commit])


def _fetch(model: HubModel, trust: Trust | None, stated: HubContents, report: Progress) -> None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    meter = _Arrival(model.repo, stated.size, report)
    folder = hub_folder(model.repo)
    scratch = default_folder() / ".fetching" / HUB / model.repo
    _room_for(model, stated)
    with storage_errors("model weights"):
        scratch.mkdir(parents=True, exist_ok=True)
    files: dict[str, TrustedFile] = {}
    for name, (size, sha256) in stated.files.items():
        target = folder / name
        expected = trust.files[name] if trust is not None else None
        if expected is None or not _here(target, expected):
            with _asking(model):
                path = Path(
                    hf_hub_download(
                        model.repo,
                        name,
                        revision=stated.commit,
                        local_dir=scratch,
                        endpoint=_endpoint(),
                        tqdm_class=meter.bar(),
                    )
                )
            hashed = sha256_of(path)
            wanted = expected.sha256 if expected is not None else sha256
            if wanted not in (None, hashed):
                path.unlink(missing_ok=True)
                raise (
                    _differing(trust, [name])
                    if trust is not None
                    else _unavailable(model, f"{name} is not the file that the hub names (sha256 differs)")
                )
            with storage_errors("model weights"):
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
        else:
            hashed = expected.sha256
        files[name] = TrustedFile(target.stat().st_size, hashed)
        meter.placed(size)
    since = trust.since if trust is not None else datetime.now(UTC).date().isoformat()
    _remember(Trust(model.repo, stated.commit, stated.asked, since, files))
    shutil.rmtree(scratch, ignore_errors=True)


class _Arrival:
    """Bytes of one repository: those of complete files, and those of the next one as they arrive."""

    def __init__(self, repo: str, total: int, report: Progress) -> None:
        self._repo, self._total, self._report = repo, total, report
        self._placed = self._arrived = 0

    def placed(self, size: int) -> None:
        self._placed += size
        self._arrived = 0
        self._report(self._repo, self._placed, self._total)

    def arrived(self, size: float) -> None:
        self._arrived += int(size)
        self._report(self._repo, min(self._placed + self._arrived, self._total - 1), self._total)

    def bar(self) -> Any:
        """A bar as the hub's library makes them, which shows nothing and tells here."""
        from huggingface_hub.utils.tqdm import tqdm

        arrived = self.arrived

        class Told(tqdm):  # type: ignore[misc,unused-ignore]  # without its library: Any
            def update(self, n: float | None = 1) -> bool | None:
                arrived(n or 0)
                return None

        return Told


def _remember(trust: Trust) -> None:
    """Write the record with the times of the files as they are now: all of them fit."""
    folder = hub_folder(trust.repo)
    files = {name: file._replace(seconds=int((folder / name).stat().st_mtime)) for name, file in trust.files.items()}
    write_trust(Trust(trust.repo, trust.commit, trust.asked, trust.since, files))


def _here(path: Path, file: TrustedFile) -> bool:
    try:
        return path.stat().st_size == file.size and sha256_of(path) == file.sha256
    except OSError:
        return False


def _endpoint() -> str | None:
    """The hub to ask; the library reads the variable only when it is imported."""
    return os.environ.get("HF_ENDPOINT") or None


@contextmanager
def _asking(model: HubModel) -> Iterator[None]:
    """Around whatever asks the hub."""
    try:
        yield
    except ImportError as error:
        raise EngineError(
            f"“{model.repo}” is on a model hub, and the package “huggingface_hub” is not installed.",
            code="engine_missing",
            package="huggingface_hub",
        ) from error
    except StorageError:
        raise
    except Exception as error:  # the library throws its transport's errors too
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise storage_error(error, "model weights") from error
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise _unavailable(model, lines[0] if lines else type(error).__name__) from error


def _unavailable(model: HubModel, reason: str) -> EngineError:
    return EngineError(
        f"{model.repo} could not be fetched from the model hub ({reason}). Check the network and run "
        f"`counterdub models pull {model.repo}` again.",
        code="weights_unavailable",
        retryable=True,
        model=model.repo,
    )


def _differing(trust: Trust, what: list[str]) -> EngineError:
    return EngineError(
        f"The hub gives other files of {trust.repo} than were fetched first, on {trust.since} (differing: "
        f"{', '.join(what[:3])}); they are not taken. To trust them, delete {HUB}/{trust.repo}.json in the folder of "
        "models and pull again.",
        code="weights_damaged",
        model=trust.repo,
        files=what[:10],
    )


def _room_for(model: HubModel, stated: HubContents) -> None:
    free = shutil.disk_usage(default_folder()).free
    if free < stated.size:
        raise StorageError(
            f"The weights of {model.repo} need {stated.size / 1e9:.1f} GB and {free / 1e9:.1f} GB are free. Free some "
            "space, or name another folder in COUNTERDUB_MODELS.",
            code="disk_full",
            retryable=True,
        )

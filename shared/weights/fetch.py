"""Fetching weights: several models at once, source after source, each file taken by its hash."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from shared.core.errors import EngineError, StorageError
from shared.core.storage_errors import storage_errors
from shared.weights.clients import ClientError
from shared.weights.folder import State, WeightFolder, WrongContent, fits
from shared.weights.registry import Entry, WeightFile, find
from shared.weights.sources import Source, make_sources

Progress = Callable[[str, int, int], None]
"""Called with the model's name, bytes done and bytes in total; from several threads, one at a time."""

MODELS_AT_ONCE = 4
CALLS_AT_ONCE = 4


def pull(
    names: Iterable[str],
    progress: Progress | None = None,
    root: Path | None = None,
    entries: Mapping[str, Entry] | None = None,
) -> list[Path]:
    """Fetch what is missing of the named models and verify all of it; returns their folders.

    Files that fit are kept, so an interrupted pull goes on where it stopped. Safe while another process pulls.

    Raises:
        UsageError: ``unknown_model``.
        EngineError: ``weights_unavailable``: no source had a file that fits; says what each source answered.
        StorageError: ``disk_full``, ``not_writable``.
    """
    folder = WeightFolder(root, entries)
    wanted = [find(name, folder.entries) for name in dict.fromkeys(names)]
    report = serial(progress)
    with ThreadPoolExecutor(CALLS_AT_ONCE) as clients, ThreadPoolExecutor(MODELS_AT_ONCE) as pool:
        sources = make_sources(clients)
        # The largest first: it decides when the last one is done.
        jobs = {
            entry.name: pool.submit(_pull_entry, folder, entry, sources, report)
            for entry in sorted(wanted, key=lambda entry: -entry.size)
        }
        try:
            return [jobs[entry.name].result() for entry in wanted]
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            clients.shutdown(wait=False, cancel_futures=True)
            raise


def verify(
    names: Iterable[str] | None = None, root: Path | None = None, entries: Mapping[str, Entry] | None = None
) -> dict[str, State]:
    """Hash every file of the named models, of all that are here when None; nothing is fetched."""
    folder = WeightFolder(root, entries)
    if names is None:
        names = [name for name in folder.entries if (folder.root / name).is_dir()]
    return {name: folder.check(find(name, folder.entries)).state for name in names}


def _pull_entry(folder: WeightFolder, entry: Entry, sources: Sequence[Source], report: Progress) -> Path:
    home = folder.root / entry.name
    scratch = folder.root / ".fetching" / entry.name
    with folder.lock(entry):
        meter = _Meter(entry, report)
        missing = []
        for file in entry.files:
            if fits(home / file.path, file):
                meter.placed(file)
            else:
                missing.append(file)
        if missing:
            with storage_errors("model weights"):
                scratch.mkdir(parents=True, exist_ok=True)
            _room_for(missing, entry, folder.root)
            _fetch(folder, entry, missing, sources, scratch=scratch, meter=meter)
        with storage_errors("model weights"):
            shutil.rmtree(scratch, ignore_errors=True)
        folder.stamp(entry)
    return home


def _fetch(
    folder: WeightFolder,
    entry: Entry,
    missing: Sequence[WeightFile],
    sources: Sequence[Source],
    *,
    scratch: Path,
    meter: _Meter,
) -> None:
    answers = []
    left = {file.path: file for file in missing}

    def place(file: WeightFile, blocks: Iterable[bytes]) -> None:
        folder.place(entry, file, blocks)
        del left[file.path]
        meter.placed(file)

    for source in sources:
        offered = [file for file in left.values() if source.offers(file)]
        if not offered:
            continue
        try:
            source.fetch(entry, offered, scratch, place, meter.fetched)
        except WrongContent as error:
            answers.append(f"{source.name}: {error}")
            # What was downloaded is wrong: it must not be found again.
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True, exist_ok=True)
        except ClientError as error:
            answers.append(f"{source.name}: {error}")
    if left:
        reasons = "; ".join(answers) or "no source has them"
        raise EngineError(
            f"The weights of {entry.title} could not be fetched ({reasons}). Check the network and run "
            f"`counterdub models pull {entry.name}` again, or name a folder that has them in COUNTERDUB_MODELS_SOURCE.",
            code="weights_unavailable",
            retryable=True,
            model=entry.name,
            files=sorted(left)[:10],
        )


def _room_for(missing: Sequence[WeightFile], entry: Entry, root: Path) -> None:
    """Packages and files exist side by side for a while."""
    needed = 2 * sum(file.size for file in missing)
    free = shutil.disk_usage(root).free
    if free < needed:
        raise StorageError(
            f"The weights of {entry.title} need {needed / 1e9:.1f} GB while they are unpacked and {free / 1e9:.1f} GB "
            "are free. Free some space, or name another folder in COUNTERDUB_MODELS.",
            code="disk_full",
            retryable=True,
        )


class _Meter:
    """Bytes of one model: those of complete files, or those downloaded so far, whichever is more."""

    def __init__(self, entry: Entry, report: Progress) -> None:
        self._entry = entry
        self._report = report
        self._placed = 0
        self._fetched = 0

    def placed(self, file: WeightFile) -> None:
        self._placed += file.size
        self._tell()

    def fetched(self, size: int) -> None:
        self._fetched += size
        self._tell()

    def _tell(self) -> None:
        total = self._entry.size
        self._report(self._entry.name, max(self._placed, min(self._fetched, total - 1)), total)


def serial(progress: Progress | None) -> Progress:
    """What is told from several threads, told one at a time."""
    lock = Lock()

    def report(name: str, done: int, total: int) -> None:
        if progress is not None:
            with lock:
                progress(name, done, total)

    return report

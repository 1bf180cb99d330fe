"""The models of the hub that are known here: licence, pinned revision, which files are wanted (``hub.toml``)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import resources
from typing import Any

from shared.engines.protocols import Licence

FAMILY = "{}"
TRANSFORMERS = ("*.json", "*.txt", "*.model", "*.spm", "*.safetensors", "pytorch_model*.bin")
"""What transformers reads of a repository; other formats of the same weights lie beside it."""
UNSTATED = Licence("see its page on the hub", commercial_use=False)


@dataclass(frozen=True)
class HubModel:
    """One repository of a model hub."""

    repo: str
    title: str
    stage: str
    engine: str
    licence: Licence
    profiles: tuple[str, ...] = ()
    revision: str | None = None
    """The commit that is fetched; None: the hub's own the first time, the recorded one from then on."""
    size: int | None = None
    """Bytes of the wanted files; None where they are not known here."""
    files: tuple[str, ...] = TRANSFORMERS

    @property
    def family(self) -> bool:
        """Whether it stands for one model a language or pair, none of which is meant yet."""
        return FAMILY in self.repo

    def wanted(self, names: Sequence[str]) -> list[str]:
        """Of a repository's files those that are fetched; the same weights as pickle only where nothing else is."""
        chosen = [name for name in names if any(_fits(name, pattern) for pattern in self.files)]
        if self.files is TRANSFORMERS and any(name.endswith(".safetensors") for name in chosen):
            chosen = [name for name in chosen if not name.startswith("pytorch_model")]
        return sorted(chosen)


@lru_cache
def hub_catalog() -> Mapping[str, HubModel]:
    """Every known model and family by its name on the hub, in the order of the file."""
    text = (resources.files("shared.weights") / "hub.toml").read_text(encoding="utf-8")
    return {repo: _model(repo, table) for repo, table in tomllib.loads(text).items()}


def hub_names(profile: str) -> tuple[str, ...]:
    """The hub's models that a profile loads with its default settings."""
    return tuple(repo for repo, model in hub_catalog().items() if profile in model.profiles)


def hub_model(repo: str) -> HubModel:
    """What is known of a repository: by its name, by its family, else that it is one."""
    known = hub_catalog()
    if repo in known:
        return known[repo]
    for name, model in known.items():
        if model.family and fnmatchcase(repo, name.replace(FAMILY, "?*")):
            return replace(model, repo=repo)
    return HubModel(repo, repo.partition("/")[2], "", "", UNSTATED)


def _fits(name: str, pattern: str) -> bool:
    # A star does not reach into folders: repositories keep other formats there. No name leaves its folder.
    inside = ".." not in name.split("/") and "\\" not in name
    return inside and name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)


def _model(repo: str, table: Mapping[str, Any]) -> HubModel:
    return HubModel(
        repo,
        title=table["title"],
        stage=table["stage"],
        engine=table["engine"],
        licence=Licence(**table["licence"]),
        profiles=tuple(table["profiles"]),
        revision=table.get("revision"),
        size=table.get("bytes"),
        files=tuple(table["files"]) if "files" in table else TRANSFORMERS,
    )

"""Which models an engine's class reads with its options, and which of them are not on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from shared.core.errors import EngineError
from shared.engines.protocols import EngineOptions
from shared.weights.folder import WeightFolder
from shared.weights.hub_models import hub_model
from shared.weights.known_models import is_repository, known_model
from shared.weights.local import revision

Use = tuple[Any, EngineOptions]
"""An engine's class and its options."""


class NeededModel(NamedTuple):
    """A model that can be fetched."""

    name: str
    title: str
    licence: str
    size: int | None
    """Bytes; None where they are not known before the hub is asked."""


class Missing(NamedTuple):
    models: list[NeededModel]
    """Not on this machine, and can be fetched."""
    others: bool
    """Whether engines need more than that: files that nothing fetches."""


def needed_names(uses: Iterable[Use], languages: Sequence[str]) -> list[str]:
    """Names of all models that engines read for these languages, whether they are here or not."""
    names: dict[str, None] = {}
    for kind, options in uses:
        names.update(dict.fromkeys(kind.weights(options)))
        for language in languages:
            names.update(dict.fromkeys(repositories(kind, options, language)))
    return sorted(names, key=is_repository)


def missing_models(uses: Iterable[Use], languages: Sequence[str]) -> Missing:
    """What engines lack for these languages. Sizes and times of files are looked at; no network is asked."""
    folder = WeightFolder()
    names: dict[str, str] = {}
    others = False
    for kind, options in uses:
        for name in kind.weights(options):
            if name not in names and not usable(folder, name):
                names[name] = kind.licence.name
        absent = getattr(kind, "absent", lambda options, language: ())
        for language in languages:
            if absent(options, language):
                wanted = repositories(kind, options, language)
                names.update(dict.fromkeys(wanted, kind.licence.name))
                others = others or not wanted
    return Missing([described(name, names[name]) for name in sorted(names, key=is_repository)], others)


def repositories(kind: Any, options: EngineOptions, language: str) -> tuple[str, ...]:
    """Of a hub, as the engine's class names them; none of another revision than is fetched."""
    named = getattr(kind, "repositories", None)
    wanted: tuple[str, ...] = named(options, language) if named else ()
    asked = revision(options)
    return tuple(repo for repo in wanted if asked in ("main", hub_model(repo).revision))


def described(name: str, licence: str) -> NeededModel:
    """``licence``: of the engine, which holds where the model's own is not known."""
    model = known_model(name)
    own = model.licence.name if model.stage else licence
    return NeededModel(name, model.title, own, model.size)


def usable(folder: WeightFolder, name: str) -> bool:
    try:
        folder.path(name)
    except EngineError:
        return False
    return True

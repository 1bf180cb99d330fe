"""Models by name, whether the registry has every hash of theirs or a hub has them: what a profile loads, fetching."""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from shared.core.errors import UsageError
from shared.weights.fetch import Progress, pull, serial, verify
from shared.weights.folder import State
from shared.weights.hub_models import HubModel, hub_model, hub_names
from shared.weights.hub_pull import pull_hub
from shared.weights.hub_trust import hub_state, trusted_repositories
from shared.weights.registry import Entry, find, names

REPOSITORIES_AT_ONCE = 2
REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)


def is_repository(name: str) -> bool:
    """Whether a model is named as on a hub: ``OWNER/NAME``."""
    return "/" in name


def known_model(name: str) -> Entry | HubModel:
    """A model by its name.

    Raises:
        UsageError: ``unknown_model``, for what is neither in the registry nor ``OWNER/NAME``.
    """
    if not is_repository(name):
        return find(name)
    if not REPOSITORY.fullmatch(name):
        raise UsageError(f"“{name}” is no model of a hub: those are called OWNER/NAME.", code="unknown_model")
    return hub_model(name)


def profile_models(profile: str) -> tuple[str, ...]:
    """The models that a profile loads with its default settings, the registry's first."""
    return (*names(profile), *hub_names(profile))


def pull_models(wanted: Iterable[str], progress: Progress | None = None) -> list[str]:
    """Fetch what is missing of the named models and verify all of it; returns their names.

    Raises:
        UsageError: ``unknown_model``.
        EngineError: ``weights_unavailable``, ``weights_damaged``, ``engine_missing``.
        StorageError: ``disk_full``, ``not_writable``.
    """
    chosen = list(dict.fromkeys(wanted))
    models = [known_model(name) for name in chosen]
    report = serial(progress)
    if registered := [model.name for model in models if isinstance(model, Entry)]:
        pull(registered, report)
    repositories = [model for model in models if isinstance(model, HubModel)]
    with ThreadPoolExecutor(REPOSITORIES_AT_ONCE) as pool:
        jobs = [pool.submit(pull_hub, model, report) for model in repositories]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return chosen


def verify_models(wanted: Iterable[str] | None = None) -> dict[str, State]:
    """Hash every file of the named models, of all that are here when None; nothing is fetched."""
    if wanted is None:
        registered, repositories = None, trusted_repositories()
    else:
        named = list(dict.fromkeys(wanted))
        registered = [name for name in named if not is_repository(name)]
        repositories = [name for name in named if is_repository(name)]
    states = verify(registered)
    for repo in repositories:
        state, _ = hub_state(repo, thorough=True)
        states[repo] = state if state in ("missing", "damaged") else "ok"
    return states

"""Models that are not in the registry: a folder or file of the operator's, or a model hub's repository.

An engine's ``model`` setting is, in this order: a name of the registry, a path on this machine (with a slash in it: a
plain name is never looked for in the working folder), a hub's ``OWNER/NAME``.
A hub's repository is looked for in the folder of models first, where ``counterdub models pull`` puts it. Else the hub's
library looks into its own cache; it fetches only where ``extra["allow_download"]`` is true.
"""

from __future__ import annotations

from pathlib import Path

from shared.core.errors import EngineError
from shared.engines.protocols import EngineOptions, WeightFiles
from shared.weights.given import digest
from shared.weights.hub_trust import MAIN, pulled, pulled_folder
from shared.weights.registry import catalog


def registered_names(options: EngineOptions, default: str = "") -> tuple[str, ...]:
    """For ``Engine.weights``: the model's name if the registry has it."""
    model = options.model or default
    return (model,) if model in catalog() else ()


def located(options: EngineOptions, weights: WeightFiles, default: str = "") -> Path | str:
    """Path of the model's files, or ``OWNER/NAME`` for the hub's library.

    Raises:
        EngineError: ``weights_missing``, ``weights_damaged``.
    """
    model = options.model or default
    if model in catalog():
        return weights.path(model)
    if (path := place(model)) is not None:
        return path
    if is_hub_name(model):
        return pulled_folder(model, revision(options)) or model
    raise EngineError(
        f"The model “{model}” is neither in the registry nor a folder on this machine.", code="weights_missing"
    )


def place(model: str) -> Path | None:
    """The file or folder that a model is named by, if it is there."""
    path = Path(model).expanduser()
    return path if "/" in model and path.exists() else None


def is_hub_name(model: str) -> bool:
    return model.count("/") == 1 and not model.startswith((".", "/", "~"))


def revision(options: EngineOptions) -> str:
    """Of a hub's repository: ``extra["revision"]``, else its main line."""
    return str(options.extra.get("revision") or MAIN)


def may_download(options: EngineOptions) -> bool:
    return bool(options.extra.get("allow_download", False))


def local_digests(options: EngineOptions, default: str = "") -> dict[str, str]:
    """Name → hash of what is not in the registry, for the identity of an engine's results.

    The sha256 of a folder's files, or a hub model's commit; a hub model that is not here yet is named by its revision.
    """
    model = options.model or default
    if not model or model in catalog():
        return {}
    if (path := place(model)) is not None:
        return {path.name: digest(path)}
    if not is_hub_name(model):
        return {Path(model).name: "absent"}
    return {model: hub_commit(model, revision(options))}


def absent(options: EngineOptions, default: str = "") -> tuple[str, ...]:
    """What of a model is neither here nor may be fetched, in words; nothing for those of the registry."""
    model = options.model or default
    if not model or model in catalog() or place(model) is not None:
        return ()
    if not is_hub_name(model):
        return (f"the model folder “{Path(model).name}”",)
    if may_download(options):
        return ()
    asked = revision(options)
    if pulled(model, asked) is not None:
        return ()
    return () if hub_commit(model, asked) != asked else (f"“{model}” from the model hub",)


def repositories(options: EngineOptions, default: str = "") -> tuple[str, ...]:
    """The hub's repository that a model is read from; nothing for the registry's or a place of the operator's."""
    model = options.model or default
    return (model,) if model not in catalog() and place(model) is None and is_hub_name(model) else ()


def hub_commit(model: str, revision: str) -> str:
    """Commit of the copy in the folder of models or in the hub library's cache, else the revision as it is."""
    if (trust := pulled(model, revision)) is not None:
        return trust.commit
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return revision
    config = try_to_load_from_cache(model, "config.json", revision=revision)
    return Path(config).parent.name if isinstance(config, str) else revision

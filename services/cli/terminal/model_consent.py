"""Models that are not on this machine: listed with size and licence, asked for once, then fetched."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from services.cli.terminal.output import errors
from services.cli.terminal.tables import pull_with_bars
from shared.core import languages as codes
from shared.core.errors import EngineError
from shared.engines.requirements import lacks
from shared.pipeline.folder_commands import check_engines, used_engines
from shared.settings.models import Settings
from shared.weights.hub_models import hub_model
from shared.weights.hub_pull import stated_size
from shared.weights.known_models import is_repository
from shared.weights.needed_models import NeededModel, missing_models


def provide_models(settings: Settings, languages: Sequence[str], *, yes: bool, quiet: bool) -> None:
    """Have on this machine what the settings need for these languages, before any work.

    Nothing is fetched while something else is missing, a package or a file that nothing fetches: all is said at once.

    Args:
        yes: Fetch without asking.
        quiet: Print nothing, and do not ask.

    Raises:
        UsageError: ``unknown_language``, ``unknown_engine``, ``unsupported_language``.
        EngineError: ``weights_missing`` where the answer is no or nobody can be asked, naming the command;
            ``engine_missing``; those of :func:`shared.weights.known_models.pull_models`.
    """
    wanted = list(dict.fromkeys(codes.code(language) for language in languages))
    uses = used_engines(settings, wanted)
    missing = missing_models(uses, wanted)
    if not missing.models:
        return
    if missing.others or any(
        lack.code != "weights_missing" for kind, options in uses for lack in lacks(kind, options, wanted)
    ):
        if not quiet:
            errors.print(listing(missing.models), highlight=False, markup=False, soft_wrap=True)
        check_engines(settings, wanted)
    listed = listing([sized(model) for model in missing.models])
    if not yes:
        if quiet or not sys.stdin.isatty():
            raise refusal(missing.models, listed)
        errors.print(listed, highlight=False, markup=False, soft_wrap=True)
        if not typer.confirm("Fetch them?", default=True, err=True):
            raise refusal(missing.models, listed)
    elif not quiet:
        errors.print(listed, highlight=False, markup=False, soft_wrap=True)
    pull_with_bars([model.name for model in missing.models], quiet)


def sized(model: NeededModel) -> NeededModel:
    """With the size that the hub states, where it is not known here."""
    if model.size is not None or not is_repository(model.name):
        return model
    return model._replace(size=stated_size(hub_model(model.name)))


def listing(models: Sequence[NeededModel]) -> str:
    """One line a model, and the sum."""
    known = [model.size for model in models if model.size is not None]
    total = f"{sum(known) / 1e9:.2f} GB" + (" and more" if len(known) < len(models) else "")
    width = max(len(model.name) for model in models)
    lines = [f"  {model.name:<{width}}  {size_of(model):>12}  {model.licence}" for model in models]
    return "\n".join([f"Models that are not on this machine ({total}):", *lines])


def size_of(model: NeededModel) -> str:
    return "size unknown" if model.size is None else f"{model.size / 1e6:.1f} MB"


def refusal(models: Sequence[NeededModel], listed: str) -> EngineError:
    command = " ".join(["counterdub models pull", *(model.name for model in models)])
    return EngineError(
        f"{listed}\nSay --yes to fetch them, or run `{command}`.",
        code="weights_missing",
        models=[model._asdict() for model in models],
    )

"""What callers may ask of a recipe, and how it is said on the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from shared.core.errors import UsageError
from shared.settings.rules import check_caller, check_values
from trainer import recipe
from trainer.service.recipe_rules import RULES

KEY = re.compile(r"[A-Za-z0-9_|]{1,60}")


def checked(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A caller's settings over a recipe, as nested tables.

    Args:
        settings: Nested (``{"optimiser": {"steps": 100}}``), dotted (``{"optimiser.steps": 100}``) or both.

    Raises:
        UsageError: ``unknown_recipe``, ``bad_setting``.
    """
    known(name)
    tables: dict[str, Any] = {}
    for key, value in leaves(settings, ""):
        if (rule := RULES.get(key)) and rule.who != "caller":
            raise bad(key, "belongs to the service")
        inner = tables
        *path, last = key.split(".")
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise bad(key, "is given twice")
        inner[last] = value
    made = recipe.load_recipe(name, arguments(tables))
    check_values(made, RULES)
    check_caller(tables, made, RULES)
    return tables


def known(name: str) -> None:
    """Refuse what is no recipe of the package: a path, above all.

    Raises:
        UsageError: ``unknown_recipe``.
    """
    if name not in recipe.names():
        raise UsageError(f"There is no recipe “{name}” (known: {', '.join(recipe.names())}).", code="unknown_recipe")


def arguments(tables: Mapping[str, Any]) -> list[str]:
    """Nested settings as ``key=value`` of the command line."""
    return [f"{key}={toml(value, key)}" for key, value in leaves(tables, "")]


def leaves(tables: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for key, value in tables.items():
        name = f"{above}{key}"
        if not all(KEY.fullmatch(part) for part in key.split(".")):
            raise bad(name[:100], "is no name of a setting")
        if isinstance(value, Mapping):
            yield from leaves(value, f"{name}.")
        else:
            yield name, value


def toml(value: Any, key: str) -> str:
    """A value as TOML has it; what JSON says of text, numbers and lists is TOML too."""
    plain = isinstance(value, str | bool | int | float)
    if plain or (isinstance(value, list | tuple) and all(isinstance(item, str | int | float) for item in value)):
        # TOML knows no halves of characters, and wants this one control character escaped, too.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    raise bad(key, "must be text, a number, true, false or a list of them")


def bad(key: str, what: str) -> UsageError:
    return UsageError(f"Setting “{key}” {what}.", code="bad_setting", key=key)

"""Every field of a recipe has a rule for callers of the service, and every number finite bounds."""

from __future__ import annotations

import math
from typing import Any

import pytest

from shared.core.errors import UsageError
from shared.settings.rules import Number, check_values, leaves
from trainer import recipe
from trainer.service import recipe_orders
from trainer.service.recipe_rules import RULES

FIELDS = dict(leaves(recipe.Recipe()))


def test_every_field_has_a_rule() -> None:
    without_picture = {"model.video"}
    assert set(RULES) - without_picture == set(FIELDS), "say in trainer/service/recipe_rules.py who may set it"
    for key, value in FIELDS.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and key != "audio.channels":
            rule = RULES[key]
            assert isinstance(rule, Number) and -math.inf < rule.low < rule.high < math.inf, key


@pytest.mark.parametrize("name", recipe.names())
def test_recipes_of_the_package_are_within_bounds(name: str) -> None:
    check_values(recipe.load_recipe(name), RULES)


@pytest.mark.parametrize("key", [key for key, rule in RULES.items() if isinstance(rule, Number)])
@pytest.mark.parametrize("value", [10**20, -(10**20), 1e300, "nan"], ids=str)
def test_no_number_is_out_of_bounds(key: str, value: Any) -> None:
    with pytest.raises(UsageError) as error:
        recipe_orders.checked("tiny-en", {key: [value, value] if isinstance(FIELDS[key], tuple) else value})
    assert error.value.code == "bad_setting"

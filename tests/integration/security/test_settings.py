"""Every setting has a rule: bounds for all, and what callers of a service may say. Walks the whole model."""

from __future__ import annotations

import json
import math
import random
import types
import typing
from collections.abc import Iterator
from typing import Any, Union

import pytest
from pydantic import BaseModel

from services.api.schemas.submission import checked_settings
from shared.core.errors import CounterdubError, UsageError
from shared.settings.models import Settings, load_settings, settings_from, stored_settings
from shared.settings.rules import ChoiceRule, Glossary, Names, Number, Open, Rule, Switch, Text, leaves
from shared.settings.setting_rules import RULES

FIELDS = dict(leaves(Settings()))
PATHS = (
    *("/etc", "/etc/passwd", "~", "~root", "~/x", ".", "..", "../x", "./x", "x/../y", "C:\\x", "\\\\host\\share"),
    *("file:///etc", "http://169.254.169.254/", "-x", "x\ny", "x\x00", "\ud800", "a" * 100_000),
)
ODD = (math.nan, math.inf, -math.inf, "nan", "inf", "-Infinity", 10**40, -(10**40), 1e300, "1e999")


def kind(key: str) -> Any:
    """The annotation of a field, without None."""
    model: Any = Settings
    *above, last = key.split(".")
    for name in above:
        model = model.model_fields[name].annotation
    annotation = model.model_fields[last].annotation
    options = (
        typing.get_args(annotation) if typing.get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    )
    return next(option for option in options if option is not type(None))


def nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return typing.cast(dict[str, Any], value)


def numbers() -> Iterator[tuple[str, Number]]:
    for key, rule in RULES.items():
        if isinstance(rule, Number):
            yield key, rule


def test_every_field_has_a_rule_and_every_rule_a_field() -> None:
    assert set(FIELDS) == set(RULES), "say in shared/settings/setting_rules.py who may set it, and its bounds"


@pytest.mark.parametrize("key", RULES)
def test_the_rule_fits_the_field(key: str) -> None:
    rule, wanted = RULES[key], kind(key)
    if wanted is bool:
        assert isinstance(rule, Switch)
    elif wanted in (int, float):
        assert isinstance(rule, Number) and -math.inf < rule.low < rule.high < math.inf
    elif wanted is str:
        assert isinstance(rule, Rule) and not isinstance(rule, Number | Switch | Open) and type(rule) is not Rule
    elif typing.get_origin(wanted) is typing.Literal:
        assert isinstance(rule, ChoiceRule)
    else:
        assert isinstance(rule, Names | Glossary | Open), "a table or a list"
    assert rule.check(FIELDS[key]) is None, "the default"


@pytest.mark.parametrize("key", [key for key, _ in numbers()])
def test_numbers_are_finite_and_bounded(key: str) -> None:
    rule = RULES[key]
    assert isinstance(rule, Number)
    for value in (*ODD, rule.high * 1.5 + 1, rule.low - 1):
        with pytest.raises(UsageError) as error:
            settings_from("cpu", nested(key, value))
        assert (error.value.code, error.value.details["key"]) == ("bad_setting", key)
    with pytest.raises(UsageError):
        load_settings(overrides=[f"{key}=nan"])


@pytest.mark.parametrize("key", RULES)
@pytest.mark.parametrize("value", PATHS, ids=lambda value: repr(value)[:20])
def test_no_caller_names_a_path(key: str, value: str) -> None:
    rule = RULES[key]
    if type(rule) is Text or isinstance(rule, Glossary):
        return  # Words that are never looked up.
    given = value
    if isinstance(rule, Names):
        if type(rule.value) is Text:
            return
        given = {"S1": value} if isinstance(FIELDS[key], dict) else [value]  # type: ignore[assignment]
    with pytest.raises(CounterdubError) as error:
        checked_settings("cpu", nested(key, given))
    assert error.value.code == "bad_setting"


@pytest.mark.parametrize("key", [key for key, rule in RULES.items() if rule.who == "operator"])
def test_what_is_the_operators_is_not_a_callers(key: str) -> None:
    with pytest.raises(UsageError) as error:
        checked_settings("cpu", nested(key, FIELDS[key]))
    assert "belongs to the service" in error.value.message


@pytest.mark.parametrize(
    "sections",
    [
        {"dubbing": {"guard": {"recognizer_model": "/etc"}}},
        {"dubbing": {"guard": {"recognizer_model": "shared"}}},
        {"separation": {"model": "~"}},
        {"limits": {"max_seconds": "nan"}},
        {"ingest": {"chunk_seconds": 0}},
        {"ingest": {"chunk_seconds": 0.001}},
        {"report": {"spectrogram_width": 576_000}},
        {"dubbing": {"extra": {}}},
        {"dubbing": {"guard": {"fallback": "openai"}}},
        {"translation": {"by_language": {"es": "openai"}}},
        {"store": {}},
        {"profile": "gpu"},
    ],
    ids=str,
)
def test_what_callers_have_tried(sections: dict[str, Any]) -> None:
    if sections == {"store": {}}:
        assert checked_settings("cpu", sections) == settings_from("cpu", {})
        return
    with pytest.raises(UsageError) as error:
        checked_settings("cpu", sections)
    assert error.value.code == "bad_setting"


def test_what_a_caller_may_say() -> None:
    sections = {
        "translation": {"glossary": {"TCP/IP": "TCP/IP"}, "hypotheses": 4},
        "dubbing": {"voices": {"S1": "af_heart", "es:S2": "em_alex"}, "seed": 7},
        "transcription": {"model": "base", "language": "en"},
    }
    assert checked_settings("cpu", sections).dubbing.voices["es:S2"] == "em_alex"


def test_stored_settings_are_read_whatever_they_hold() -> None:
    data = Settings().model_dump(mode="json")
    data["ingest"] |= {"chunk_seconds": 0.001, "new": {"a": [1]}}
    data["limits"]["max_seconds"] = None
    data["dubbing"]["guard"]["max_error"] = {"what": 1}
    data["quality"] = 3
    data["novelty"] = True
    settings, unread = stored_settings(data)
    assert settings.ingest.chunk_seconds == 0.001, "bounds are for what is asked anew"
    assert unread == ("dubbing.guard.max_error", "ingest.new", "limits.max_seconds", "novelty", "quality")
    assert settings.quality == Settings().quality


def test_any_settings_are_taken_or_refused_with_a_code() -> None:
    """A fuzzer with a fixed seed: values of every kind at places that exist and that do not."""
    chance = random.Random(20260101)
    junk: tuple[Any, ...] = (
        *PATHS,
        *ODD,
        None,
        True,
        0,
        -1,
        0.5,
        [],
        {},
        [[]],
        {"": ""},
        {"a": {"b": {}}},
        "cpu",
        "es",
        [1, "a"],
    )
    keys = [*FIELDS, "dubbing", "dubbing.fit", "limits", "", "a.b", "model_fields", "__class__"]
    taken = 0
    for _ in range(4000):
        sections: dict[str, Any] = {}
        for _ in range(chance.randint(1, 3)):
            sections |= nested(chance.choice(keys), chance.choice(junk))
        try:
            settings = checked_settings(chance.choice(["cpu", "fastest", "gpu"]), sections)
        except CounterdubError as error:
            assert error.code in ("bad_setting", "unknown_engine", "licence_not_accepted"), (sections, error.code)
        else:
            taken += 1
            assert isinstance(settings, BaseModel) and json.dumps(settings.model_dump(mode="json"), allow_nan=False)
    assert taken > 20

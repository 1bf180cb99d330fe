"""What a value from outside may be: kinds of rules, each with bounds for everybody and what callers may say.

A table of such rules (:mod:`shared.settings.setting_rules`) names every field of the settings; others are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from shared.core.errors import UsageError
from shared.weights.registry import catalog

Who = Literal["caller", "operator"]
"""Who may set a field: callers of a service too, or only whoever runs it (and, at the command line, the user)."""

PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
"""A name that is no path, no address and no option: without slash or tilde, no dot or dash in front."""
SPOKEN = re.compile(r"\w[\w .:+'-]{0,99}")
LONGEST_TEXT = 4096
WHISPER = ("tiny", "tiny.en", "base", "base.en", "small", "small.en", "medium", "medium.en", "turbo")
LARGE = ("large", "large-v1", "large-v2", "large-v3", "large-v3-turbo")
PUBLISHED = frozenset((*WHISPER, *LARGE, "htdemucs", "htdemucs_ft", "mdx_extra", "mdx_extra_q"))
"""Models beside the registry's that engines know by a name of their own."""


@dataclass(frozen=True)
class Rule:
    """Of a field. ``check`` says what is wrong with a value, whoever gave it; ``check_caller`` with a caller's."""

    who: Who = "caller"

    def check(self, value: Any) -> str | None:
        return None

    def check_caller(self, value: Any) -> str | None:
        return None


@dataclass(frozen=True)
class Switch(Rule):
    """True or false."""


@dataclass(frozen=True)
class ChoiceRule(Rule):
    """One of the words that the model itself names."""


@dataclass(frozen=True)
class Number(Rule):
    """Between two bounds, both included; no ``nan``. For callers the bounds may be narrower."""

    low: float = 0.0
    high: float = 0.0
    caller_low: float | None = None
    caller_high: float | None = None

    def check(self, value: Any) -> str | None:
        return between(value, self.low, self.high)

    def check_caller(self, value: Any) -> str | None:
        low = self.low if self.caller_low is None else self.caller_low
        return between(value, low, self.high if self.caller_high is None else self.caller_high)


@dataclass(frozen=True)
class Numbers(Number):
    """A short list or table of numbers, each between two bounds."""

    def check(self, value: Any) -> str | None:
        items = list(value.values()) if isinstance(value, Mapping) else list(value)
        return "has too many values" if len(items) > 20 else first(between(item, self.low, self.high) for item in items)

    def check_caller(self, value: Any) -> str | None:
        return None


@dataclass(frozen=True)
class Name(Rule):
    """A word that something is called by: an engine, a device, a language."""

    def check(self, value: Any) -> str | None:
        return None if not value or PLAIN.fullmatch(value) else "must be a plain name"


@dataclass(frozen=True)
class EngineRule(Name):
    """An engine's name. Callers may not name one that the operator's account elsewhere pays for."""

    def check_caller(self, value: Any) -> str | None:
        return "belongs to the service" if value == "openai" else None


@dataclass(frozen=True)
class ModelRule(Rule):
    """A model: the operator's may be a folder or a hub's repository, a caller's is one that is known by its name."""

    def check(self, value: Any) -> str | None:
        return too_long(value)

    def check_caller(self, value: Any) -> str | None:
        return (
            None if not value or value in PUBLISHED or value in catalog() else "is not the name of a model known here"
        )


@dataclass(frozen=True)
class Text(Rule):
    """Words that are said or shown, and never looked up anywhere."""

    def check(self, value: Any) -> str | None:
        return too_long(value)


@dataclass(frozen=True)
class VoiceRule(Text):
    """A voice as its engine calls it, which may be with blanks in it; an operator's may be a file."""

    def check_caller(self, value: Any) -> str | None:
        return None if SPOKEN.fullmatch(value) else "must be a plain name"


@dataclass(frozen=True)
class Names(Rule):
    """A list of names, or a table of names by names."""

    most: int = 100
    value: Rule = Name()
    key: Rule = Name()

    def check(self, value: Any) -> str | None:
        return self._each(value, "check")

    def check_caller(self, value: Any) -> str | None:
        return self._each(value, "check_caller")

    def _each(self, value: Any, check: str) -> str | None:
        if len(value) > self.most:
            return f"has more than {self.most} entries"
        keys = first(getattr(self.key, check)(key) for key in value) if isinstance(value, Mapping) else None
        items = value.values() if isinstance(value, Mapping) else value
        return keys or first(getattr(self.value, check)(item) for item in items)


@dataclass(frozen=True)
class Glossary(Rule):
    """A table of words by words."""

    most: int = 1000

    def check(self, value: Any) -> str | None:
        if len(value) > self.most:
            return f"has more than {self.most} entries"
        return (
            "has an entry that is too long" if any(len(word) > 200 for pair in value.items() for word in pair) else None
        )


@dataclass(frozen=True)
class Open(Rule):
    """Options that the engine behind it reads: files, downloads, whatever it knows. Never a caller's."""

    who: Who = "operator"


def between(value: Any, low: float, high: float) -> str | None:
    # Not the other way round: nan is neither below nor above anything.
    return None if value is None or low <= value <= high else f"must be {low:g} to {high:g}"


def too_long(value: Any) -> str | None:
    return f"is longer than {LONGEST_TEXT} characters" if value and len(value) > LONGEST_TEXT else None


def first(objections: Iterator[str | None]) -> str | None:
    return next((wrong for wrong in objections if wrong), None)


def leaves(model: BaseModel, above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and value of every field that is no section of its own."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def check_values(model: BaseModel, rules: Mapping[str, Rule], what: str = "Setting") -> None:
    """Refuse values out of bounds.

    Raises:
        UsageError: ``bad_setting``, naming the key.
    """
    for key, value in leaves(model):
        # A field that nobody made a rule for has its default, or what the model itself allows.
        if (rule := rules.get(key)) and (wrong := rule.check(value)):
            raise UsageError(f"{what} “{key}” {wrong}.", code="bad_setting", key=key)


def check_caller(given: Mapping[str, Any], model: BaseModel, rules: Mapping[str, Rule], what: str = "Setting") -> None:
    """Refuse what a caller may not set, or not so.

    Args:
        given: The caller's own part, nested tables.
        model: What was made of it.

    Raises:
        UsageError: ``bad_setting``, naming the key.
    """
    values = dict(leaves(model))
    for key in named(given, values, ""):
        rule = rules.get(key)
        wrong = rule.check_caller(values[key]) if rule and rule.who == "caller" else "belongs to the service"
        if wrong:
            raise UsageError(f"{what} “{key}” {wrong}.", code="bad_setting", key=key)


def named(given: Mapping[str, Any], fields: Mapping[str, Any], above: str) -> Iterator[str]:
    """The fields that nested tables name."""
    for name, value in given.items():
        key = f"{above}{name}"
        if key in fields:
            yield key
        elif isinstance(value, Mapping):
            yield from named(value, fields, f"{key}.")

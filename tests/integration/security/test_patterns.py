"""No regular expression takes more than linear time: what it reads may be made to hold a process for hours.

Every pattern of the code is found by its syntax tree and fed texts that are made of its own characters. A time limit
ends what is exponential; what is quadratic shows in tens of thousands of characters.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import math
import random
import re
import signal
import string
import sys
import time
from collections.abc import Iterator
from re import _constants as ops
from re import _parser as parser
from types import FrameType
from typing import Any

import pytest

from tests.conftest import ROOT

FUNCTIONS = {"compile", "sub", "subn", "split", "match", "fullmatch", "search", "findall", "finditer"}
LENGTH = 30_000
SECONDS = 0.1
"""A linear pattern takes a few milliseconds for so many characters, a quadratic one half a second and more: what takes
longer is looked at more closely."""
ENDED = 2.0
"""Seconds after which a pattern is ended: it is exponential, or as good as that."""
LINEAR = 3.0
"""Twice the text takes a linear pattern twice as long, a quadratic one four times."""

MADE_ON_THE_SPOT = {
    # Made of a name or a term that is escaped, in the middle of bounded parts.
    # Signs and names out of a table, escaped, between bounded parts; test_spoken_form.py times them.
    "shared/core/spoken_form.py": "units, months, currencies, abbreviations",
    "services/translation/ranking.py": "before + re.escape(term) + after",
    "services/translation/sentences.py": "pattern",
    "trainer/evaluation/probes/listings.py": "film of a published list",
}
"""Files with a pattern that is known only where it is used → which one. Whoever adds one looks at it here."""


class TooSlow(Exception):
    pass


def patterns() -> list[tuple[str, str, int, str]]:
    """Place, pattern, flags and function of every call of ``re`` in the code."""
    found = []
    for path in sorted(itertools.chain(*((ROOT / part).rglob("*.py") for part in ("shared", "services", "trainer")))):
        name = path.relative_to(ROOT)
        tree = ast.parse(text := path.read_text(encoding="utf-8"))
        names: dict[str, Any] | None = None
        for call in ast.walk(tree):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.args):
                continue
            if not (
                isinstance(call.func.value, ast.Name) and call.func.value.id == "re" and call.func.attr in FUNCTIONS
            ):
                continue
            place = f"{name}:{call.lineno}"
            pattern: Any
            if isinstance(call.args[0], ast.Constant):
                pattern = call.args[0].value
            else:
                if names is None:
                    module = ".".join(name.with_suffix("").parts)
                    names = vars(importlib.import_module(module.removesuffix(".__init__")))
                try:
                    pattern = eval(compile(ast.Expression(call.args[0]), place, "eval"), dict(names))
                except NameError:
                    assert str(name) in MADE_ON_THE_SPOT, f"{place}: look at this pattern, then list it here"
                    continue
            if isinstance(pattern, bytes):
                pattern = pattern.decode("latin-1")
            flags = sum(
                {"re.I": re.I, "re.IGNORECASE": re.I, "re.DOTALL": re.S, "re.MULTILINE": re.M}.get(ast.unparse(item), 0)
                for item in [*call.args[1:], *(keyword.value for keyword in call.keywords)]
            )
            found.append((place, pattern, int(flags), used(call, text)))
    return found


def used(call: ast.Call, text: str) -> str:
    """How a pattern is used: ``match`` where it is only ever tried at the beginning of a text."""
    function = ast.unparse(call.func).removeprefix("re.")
    if function != "compile":
        return function
    line = text.splitlines()[call.lineno - 1]
    name = re.match(r"(\w+)\s*=\s*re\.compile", line)
    uses = set(re.findall(rf"\b{name[1]}\.(\w+)\(", text)) if name else {"search"}
    return "match" if uses and uses <= {"match", "fullmatch"} else "search"


def characters(parsed: Any) -> Iterator[str]:
    """One or two characters of every literal and class in a pattern."""
    for op, argument in parsed:
        if op in (ops.LITERAL, ops.NOT_LITERAL):
            yield chr(argument)
        elif op is ops.IN:
            for kind, value in argument:
                if kind is ops.LITERAL:
                    yield chr(value)
                elif kind is ops.RANGE:
                    yield chr(value[0])
                elif kind is ops.CATEGORY:
                    yield {ops.CATEGORY_SPACE: " ", ops.CATEGORY_DIGIT: "1", ops.CATEGORY_WORD: "a"}.get(value, ".")
        elif op is ops.ANY:
            yield "a"
        elif op is ops.BRANCH:
            for part in argument[1]:
                yield from characters(part)
        elif op in (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT):
            yield from characters(argument[2])
        elif op is ops.SUBPATTERN:
            yield from characters(argument[3])
        elif op is ops.ATOMIC_GROUP:
            yield from characters(argument)
        elif op in (ops.ASSERT, ops.ASSERT_NOT):
            yield from characters(argument[1])


def example(parsed: Any) -> Iterator[str]:
    """The shortest text that a pattern begins with, letter by letter: what leads to its later parts."""
    for op, argument in parsed:
        if op is ops.LITERAL:
            yield chr(argument)
        elif op in (ops.IN, ops.ANY, ops.NOT_LITERAL):
            yield next(characters([(op, argument)]), "a") if op is not ops.NOT_LITERAL else "a"
        elif op is ops.BRANCH:
            yield from example(argument[1][0])
        elif op in (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT):
            for _ in range(max(1, argument[0])):
                yield from example(argument[2])
        elif op is ops.SUBPATTERN:
            yield from example(argument[3])
        elif op is ops.ATOMIC_GROUP:
            yield from example(argument)


def attacks(pattern: str) -> Iterator[str]:
    """Long texts made of what the pattern is made of, none of which ends as it wants."""
    parsed = parser.parse(pattern)
    letters = list(dict.fromkeys([*characters(parsed), " ", "a"]))[:9]
    text = "".join(example(parsed))
    pieces = letters + [text[:end] for end in range(2, min(len(text), 12) + 1)]
    pumps = list(dict.fromkeys([*pieces, *map("".join, itertools.permutations(letters[:6], 2))]))
    heads = ["", *(text[:end] for end in range(1, min(len(text), 8)))]
    yield "".join(random.Random(0).choices(string.ascii_letters + " ", k=LENGTH))
    for pump, head in itertools.product(pumps, heads):
        yield head + pump * (LENGTH // len(pump)) + "\x00"


def apply(pattern: re.Pattern[str], function: str, text: str) -> None:
    if function in ("match", "fullmatch"):
        getattr(pattern, function)(text)
    else:
        pattern.sub("", text)


def seconds(pattern: re.Pattern[str], function: str, text: str) -> float:
    """Seconds of the processor that a pattern takes for a text, at most :data:`ENDED`."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, ENDED)
    began = time.process_time()
    try:
        apply(pattern, function, text)
    except TooSlow:
        return ENDED
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)
    return time.process_time() - began


def growth(pattern: str, flags: int, function: str) -> tuple[float, str]:
    """How often longer twice the text takes, and of which beginning; 0 where all texts take little."""
    compiled = re.compile(pattern, flags)
    for text in attacks(pattern):
        whole = seconds(compiled, function, text)
        if whole < SECONDS:
            continue
        if whole >= ENDED:
            return math.inf, text[:30]
        half = min(seconds(compiled, function, text[: len(text) // 2] + "\x00") for _ in range(2))
        if (ratio := min(whole, seconds(compiled, function, text)) / half) > LINEAR:
            return ratio, text[:30]
    return 0.0, ""


@pytest.mark.parametrize(("place", "pattern", "flags", "function"), patterns(), ids=lambda value: str(value)[:60])
def test_time_grows_with_the_text_and_not_faster(place: str, pattern: str, flags: int, function: str) -> None:
    ratio, text = growth(pattern, flags, function)
    assert not ratio, f"{place}: {pattern!r} takes {ratio:.1f} times longer for twice as many characters like {text!r}"


@pytest.mark.parametrize("pattern", [r"<v(?:\.[^\s>]+)*\s+([^>]+)>", r"</?[a-zA-Z][^>]*>", r"\(.+?\)", r"\s*;"])
def test_the_attacks_find_what_is_slow(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "LENGTH", 2 * LENGTH)  # Whatever the machine, too long for the limit.
    assert growth(pattern, 0, "search")[0] > LINEAR

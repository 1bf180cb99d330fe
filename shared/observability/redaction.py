"""Keep secrets and control characters out of what is logged or traced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"

SECRET_NAME = re.compile(
    r"(?i)pass(word|wd|phrase)?$|secret|token|authori[sz]ation|cookie|credential|signature"
    r"|(api|access|private)[-_ ]?key$"
)
"""Names whose values are hidden, however they look."""

PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # user:password@ of any URL
    (re.compile(r"(?P<keep>[a-z][a-z0-9+.-]{0,30}://)[^\s/@'\"]*@", re.I), rf"\g<keep>{HIDDEN}@"),
    (re.compile(r"(?P<keep>\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}", re.I), rf"\g<keep>{HIDDEN}"),
    # parameters of signed URLs, forms and headers
    (
        re.compile(
            r"(?P<keep>(?:signature|token|secret|password|credential|api[-_]?key|access[-_]?key)[\w-]{0,100}[\"']?\s*[=:]\s*[\"']?)"
            r"[^\s&\"',;}]+",
            re.I,
        ),
        rf"\g<keep>{HIDDEN}",
    ),
    # our own: API keys and webhook secrets
    (re.compile(r"\b(?P<keep>cdk_|whsec_)[\w+/=-]{8,}"), rf"\g<keep>{HIDDEN}"),
)

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Everything that moves a terminal's cursor or begins a line that was never logged."""


def clean(text: str) -> str:
    """``text`` without secrets, on one line: control characters are written as escapes."""
    for pattern, instead in PATTERNS:
        text = pattern.sub(instead, text)
    return CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def redacted(value: Any, name: str = "") -> Any:
    """``value`` as it may be shown: secrets hidden by the names of what holds them, and by how they look."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if SECRET_NAME.search(name):
        return HIDDEN
    if isinstance(value, Mapping):
        return {str(key): redacted(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted(item, name) for item in value]
    return clean(str(value))

"""docs/errors.md names every code that the sources can raise, and no other."""

from __future__ import annotations

import re

from shared.schemas.reasons import TEXTS, Reason
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
BUILT = {"weights_missing", "weights_damaged", "not_found"}
"""Codes put together from parts."""


RAISED = r'(?:code=|(?:Refused|problem)\(\s*\d{3},\s*)"([a-z_0-9]+)"'


def raised() -> set[str]:
    sources = [path for top in ("shared", "services", "trainer") for path in (ROOT / top).rglob("*.py")]
    return BUILT | {code for path in sources for code in re.findall(RAISED, path.read_text("utf-8"))}


def documented() -> set[str]:
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    return {code for cell in rows for code in re.findall(r"`([a-z_0-9]+)`", cell)}


def test_every_code_is_documented() -> None:
    assert not raised() - documented()


def test_no_documented_code_is_invented() -> None:
    assert not documented() - raised() - set(Reason)


def test_every_reason_is_documented_with_its_text() -> None:
    for reason, text in TEXTS.items():
        assert f"| `{reason}` | {text} |" in PAGE

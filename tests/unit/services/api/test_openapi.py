"""The OpenAPI document can be had without a server, and points at nothing that is not in it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.api.openapi import read_document


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return read_document()


def test_printed_whatever_the_environment_sets_and_nothing_is_left(document: dict[str, Any], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "services.api.openapi"]
    environment = {"COUNTERDUB_DATABASE_URL": "mysql://nowhere", "TMPDIR": str(tmp_path)}
    printed = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert json.loads(printed.stdout) == document
    assert list(tmp_path.iterdir()) == []


def references(part: Any) -> Iterator[str]:
    """Every ``$ref`` in a part of the document."""
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    named = set(references(document))
    assert "#/components/schemas/JobOut" in named
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert sorted(named - known) == []

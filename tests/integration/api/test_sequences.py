"""Requests one after the other, each with what earlier ones gave: no order of them brings the server down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.api.sequences import call_in_sequences
from tests.integration.api.test_openapi import schema_of
from tests.integration.queue.conftest import valkey_server

EXAMPLES, STEPS = 15, 15


@pytest.fixture
def schema(tmp_path: Path, results: dict[str, Path]) -> Iterator[Any]:
    with valkey_server(tmp_path / "valkey") as broker:
        yield from schema_of(tmp_path / "api", broker.port, results)


def test_no_sequence_ends_in_a_server_error(schema: Any) -> None:
    asked = call_in_sequences(schema, EXAMPLES, STEPS)
    assert len(asked) > EXAMPLES and min(asked) < 300, "something was asked, and something was answered"

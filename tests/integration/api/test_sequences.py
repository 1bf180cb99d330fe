"""Requests one after the other, each with what earlier ones gave: no order of them brings the server down."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import FlakyStrategyDefinition
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.checks import not_a_server_error

from tests.integration.api.test_openapi import schema_of
from tests.integration.queue.conftest import valkey_server

EXAMPLES, STEPS = 15, 15


@pytest.fixture
def schema(tmp_path: Path, results: dict[str, Path]) -> Iterator[Any]:
    with valkey_server(tmp_path / "valkey") as broker:
        yield from schema_of(tmp_path / "api", broker.port, results)


def test_no_sequence_ends_in_a_server_error(schema: Any) -> None:
    asked: list[int] = []

    class Sequence(schema.as_state_machine()):  # type: ignore[misc]  # made from the description
        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"base_url": "http://localhost", "headers": {"Tus-Resumable": "1.0.0"}}

        def validate_response(self, response: Any, case: Any, **more: Any) -> None:
            asked.append(response.status_code)
            case.validate_response(response, checks=[not_a_server_error])

    # The service remembers: asked the same once more it may answer otherwise, and then Hypothesis goes no further.
    with contextlib.suppress(FlakyStrategyDefinition):
        run_state_machine_as_test(
            Sequence,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
    assert len(asked) > EXAMPLES and min(asked) < 300, "something was asked, and something was answered"

"""Random sequences of calls, each with what earlier ones gave, made from the description of the API."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import FlakyStrategyDefinition
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.checks import not_a_server_error


def call_in_sequences(schema: Any, examples: int, steps: int) -> list[int]:
    """The same sequences each time; no call may end in a server error. Returns the status of every answer."""
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
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
    return asked

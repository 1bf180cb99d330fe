"""The description is right: what it lists exists, and nothing else is ever answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from shared.queue import trainings
from tests.integration.api.harness import make_api
from tests.integration.queue.conftest import valkey_server

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

OPERATIONS = 58
EXAMPLES = 25


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory, results: dict[str, Path]) -> Iterator[Any]:
    """The description of an API with a finished job, whose id replaces the invented ones now and then."""
    with valkey_server(tmp_path_factory.mktemp("valkey")) as broker:
        yield from schema_of(tmp_path_factory.mktemp("api"), broker.port, results)


def schema_of(folder: Path, port: int, results: dict[str, Path]) -> Iterator[Any]:
    api = make_api(folder, broker_url=f"redis://127.0.0.1:{port}/0")
    job = api.job(state="done", titles=("kitchen",))
    api.publish(job, results)
    training, _ = trainings.create_training(api.database, trainings.TrainingOrder("tiny-en", jobs=[job]))
    known = {"job_id": job, "title": "kitchen", "track": "es", "language": "es", "path": "pairs.parquet"}
    known["training_id"] = training
    schema: Any = schemathesis.openapi.from_asgi("/v1/openapi.json", api.app)

    @schema.hook  # type: ignore[untyped-decorator]  # the library's own is not known here
    def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
        if path_parameters and len(str(path_parameters)) % 3:
            return {**path_parameters, **{name: known[name] for name in path_parameters.keys() & known.keys()}}
        return path_parameters

    schema.known = known
    yield schema
    api.database.close()


@pytest.mark.parametrize("number", range(OPERATIONS))
def test_no_server_error_and_nothing_undocumented(schema: Any, number: int) -> None:
    operation = [found.ok() for found in schema.get_all_operations()][number]

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        response = case.call(base_url="http://localhost", headers={"Tus-Resumable": "1.0.0"})
        case.validate_response(response, checks=CHECKS)

    ask()


@pytest.mark.parametrize("path", ["pairs.parquet", "report.html", "kitchen/title.json", "kitchen/tracks/es.flac"])
def test_a_file_has_the_type_of_its_name(schema: Any, path: str) -> None:
    operation = schema["/v1/jobs/{job_id}/files/{path}"]["GET"]
    case = operation.Case(path_parameters={"job_id": schema.known["job_id"], "path": path})
    case.call_and_validate(base_url="http://localhost", checks=CHECKS)


def test_all_operations_were_asked(schema: Any) -> None:
    assert len(list(schema.get_all_operations())) == OPERATIONS


def test_every_operation_has_a_name_a_summary_and_its_errors(schema: Any) -> None:
    names = set()
    for path, operations in schema.raw_schema["paths"].items():
        for method, operation in operations.items():
            assert operation["operationId"] not in names, (method, path)
            names.add(operation["operationId"])
            assert operation.get("summary"), (method, path)
            if path.startswith("/v1/"):
                problems = [status for status, answer in operation["responses"].items() if status[0] in "45"]
                for status in problems:
                    assert "application/problem+json" in operation["responses"][status]["content"], (method, path)
                if method != "options":
                    assert {"401", "403"} <= set(problems), (method, path)
    assert "HTTPValidationError" not in str(schema.raw_schema)

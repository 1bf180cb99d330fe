"""Traces: one tree from the request to the workers, nothing secret in it, nothing at all when not wanted."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shared.core.errors import EngineError
from shared.observability import tracing

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


def test_a_worker_hangs_below_the_request(spans: InMemorySpanExporter) -> None:
    with tracing.span("POST /v1/jobs", PARENT):
        carried = tracing.traceparent()
    assert carried is not None
    assert tracing.ids() == {}
    with tracing.span("dubbing", carried, job="job_1", title="film", language=None):
        assert tracing.ids() == {"trace_id": "0af7651916cd43dd8448eb211c80319c"}
    request, work = spans.get_finished_spans()
    assert request.parent is not None
    assert work.parent is not None
    assert request.parent.span_id == 0xB7AD6B7169203331
    assert work.parent.span_id == request.context.span_id
    assert work.context.trace_id == request.context.trace_id
    assert dict(work.attributes or {}) == {"counterdub.job": "job_1", "counterdub.title": "film"}


def test_failures_carry_their_code_and_no_text(spans: InMemorySpanExporter) -> None:
    with pytest.raises(EngineError), tracing.span("dubbing", source="s3://key:hunter2secret@bucket/x"):
        raise EngineError("The file /home/somebody/film.mp4 failed.", code="engine_failed")
    (failed,) = spans.get_finished_spans()
    assert failed.status.description == "engine_failed"
    assert "somebody" not in failed.to_json()
    assert "hunter2secret" not in failed.to_json()


def test_without_a_collector_a_trace_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    assert not tracing.set_up_tracing("api")
    with tracing.span("dubbing", PARENT):
        assert tracing.traceparent() == PARENT
    assert tracing.traceparent() is None


@pytest.mark.parametrize("broken", ["", "nonsense", "00-0-0-00", PARENT + "\r\nx: y"])
def test_a_broken_traceparent_is_ignored(broken: str) -> None:
    with tracing.span("dubbing", broken):
        assert tracing.traceparent() in (None, PARENT)


def test_without_opentelemetry_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "trace", None)
    assert not tracing.set_up_tracing("api")
    with tracing.span("dubbing", PARENT, job="job_1"):
        assert tracing.traceparent() is None
        assert tracing.ids() == {}


PROGRAM = """
from shared.observability import tracing
assert tracing.set_up_tracing("worker")
with tracing.span("dubbing", "PARENT", job="job_1"):
    pass
"""


def test_spans_reach_a_collector() -> None:
    """The real exporter, in a process of its own: providers are set once a process."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    got: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        subprocess.run(
            [sys.executable, "-c", PROGRAM.replace("PARENT", PARENT)],
            env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}"},
            check=True,
            timeout=60,
        )
        collector.shutdown()
    ((path, body),) = got
    assert path == "/v1/traces"
    assert b"counterdub-worker" in body
    assert b"job_1" in body
    assert bytes.fromhex("0af7651916cd43dd8448eb211c80319c") in body

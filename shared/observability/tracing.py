"""Traces across API and workers. A job carries its ``traceparent``, so that what workers do hangs below the request.

Spans are sent only where ``OTEL_EXPORTER_OTLP_ENDPOINT`` names a collector and the exporter is installed; otherwise the
caller's trace is only passed on. Without OpenTelemetry nothing happens at all.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shared.core.errors import CounterdubError
from shared.observability.redaction import redacted

try:
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:  # the extra is not installed
    trace = None  # type: ignore[assignment]  # a module otherwise

log = logging.getLogger(__name__)


def set_up_tracing(service: str) -> bool:
    """Send this process's spans as ``counterdub-<service>``, if asked for. Gives whether they are sent.

    Call it in the process that works, after any fork: the sending thread does not survive one.
    """
    if trace is None or not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return False
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, but opentelemetry-exporter-otlp-proto-http is not installed")
        return False
    name = os.environ.get("OTEL_SERVICE_NAME", f"counterdub-{service}")
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return True


@contextmanager
def span(name: str, traceparent: str | None = None, **facts: Any) -> Iterator[None]:
    """A span around what happens inside, below ``traceparent`` (W3C) or the current span.

    Args:
        facts: Attributes, written as ``counterdub.<name>``; None is left out, secrets are hidden.
    """
    if trace is None:
        yield
        return
    above = TraceContextTextMapPropagator().extract({"traceparent": traceparent}) if traceparent else None
    attributes = {f"counterdub.{key}": plain(value, key) for key, value in facts.items() if value is not None}
    tracer = trace.get_tracer("counterdub")
    # The library would write the exception's text and stack into the span, paths and all.
    with tracer.start_as_current_span(
        name, above, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield
        except BaseException as error:
            code = error.code if isinstance(error, CounterdubError) else type(error).__name__
            current.set_status(trace.StatusCode.ERROR, code)
            raise


def traceparent() -> str | None:
    """The current span for others to hang theirs below: what belongs into ``job.traceparent``."""
    if trace is None:
        return None
    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


def ids() -> dict[str, str]:
    """``trace_id`` of the current span, for logs; empty outside of one."""
    if trace is None:
        return {}
    current = trace.get_current_span().get_span_context()
    return {"trace_id": f"{current.trace_id:032x}"} if current.is_valid else {}


def plain(value: Any, name: str) -> str | bool | int | float:
    shown = redacted(value, name)
    return shown if isinstance(shown, str | bool | int | float) else str(shown)

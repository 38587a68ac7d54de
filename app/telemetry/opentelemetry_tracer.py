"""The tracer of OpenTelemetry: a span for each request, batch and job, sent to a collector by OTLP over HTTP.

A batch has many requests, so its span belongs to no trace of theirs: it links to their spans.
"""

import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from threading import Thread
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, format_trace_id, get_current_span, use_span
from opentelemetry.trace.propagation import set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from typing_extensions import override

from app.telemetry.request_record import RequestRecord
from app.telemetry.tracer import PASSED_ON, Tracer

SERVER_ERROR: Final = 500
CLOSE_SECONDS: Final = 3.0
"""How long the last spans may take to be sent; a collector that does not answer must not delay the end of a process."""

_HEADERS: Final = {b"traceparent": "traceparent", b"tracestate": "tracestate"}


class OpenTelemetryTracer(Tracer):
    """Makes spans by a provider of the SDK."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("reserva", version("reserva"))
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def _current(self, span: Span, *, ends: bool) -> Generator[None]:
        """A block whose lines, jobs and messages belong to a span."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, set_span_in_context(span))
        token = PASSED_ON.set(carrier)
        try:
            with use_span(span, end_on_exit=ends):
                yield
        finally:
            PASSED_ON.reset(token)

    @override
    @contextmanager
    def request(self, record: RequestRecord, headers: Iterable[tuple[bytes, bytes]]) -> Generator[None]:
        """A block in the span of a request."""
        carrier = {_HEADERS[name]: value.decode("latin-1") for name, value in headers if name in _HEADERS}
        span = self._tracer.start_span("request", self._propagator.extract(carrier), SpanKind.SERVER)
        record.span = span
        record.trace_id = format_trace_id(span.get_span_context().trace_id)
        with self._current(span, ends=False):
            yield

    @override
    def answered(self, record: RequestRecord, route: str, method: str) -> None:
        """End the span of a request, with what is known of its answer."""
        span = record.span
        if not isinstance(span, Span):
            return
        span.update_name(f"{method} {route}")
        span.set_attributes(
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": record.status,
                "reserva.request_id": record.id,
            }
        )
        if record.problem is not None:
            span.set_attribute("reserva.problem", record.problem)
        if record.status >= SERVER_ERROR:
            span.set_status(StatusCode.ERROR)
        span.end()

    @override
    @contextmanager
    def batch(self, records: Sequence[RequestRecord], intents: int) -> Generator[None]:
        """A block in the span of a batch."""
        links = [Link(record.span.get_span_context()) for record in records if isinstance(record.span, Span)]
        span = self._tracer.start_span("batch", links=links, attributes={"reserva.intents": intents})
        with self._current(span, ends=True):
            yield

    @override
    def transaction(self, outcome: str) -> None:
        """Note a transaction in the span of its batch."""
        get_current_span().add_event("transaction", {"reserva.outcome": outcome})

    @override
    @contextmanager
    def job(self, name: str, carrier: Mapping[str, str]) -> Generator[None]:
        """A block in the span of a job."""
        span = self._tracer.start_span(name, self._propagator.extract(carrier), SpanKind.CONSUMER)
        with self._current(span, ends=True):
            yield

    @override
    def close(self) -> None:
        """Send what is left, for as long as that may take; the SDK by itself waits for as long as a request."""
        closing = Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)


def exporting_tracer() -> OpenTelemetryTracer:
    """A tracer that sends its spans as OpenTelemetry's variables say, under the name `reserva` unless they name it."""
    attributes = {"service.version": version("reserva")}
    if "OTEL_SERVICE_NAME" not in os.environ and "service.name=" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        attributes["service.name"] = "reserva"
    provider = TracerProvider(resource=Resource.create(attributes), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OpenTelemetryTracer(provider)

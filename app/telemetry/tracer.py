"""What the app asks of traces, without OpenTelemetry: it is an extra, and nothing is imported where it is not used."""

import os
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Protocol

import structlog

from app.telemetry.request_record import RequestRecord

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""OpenTelemetry's own variables; without one of them there are no traces."""

log = structlog.get_logger()

PASSED_ON: ContextVar[Mapping[str, str]] = ContextVar("trace_passed_on", default={})  # noqa: B039  # nobody changes it
"""The headers that continue the current trace elsewhere: `traceparent`, and `tracestate` if there is one."""


class Tracer(Protocol):
    """Makes the spans of a process."""

    @abstractmethod
    def request(self, record: RequestRecord, headers: Iterable[tuple[bytes, bytes]]) -> AbstractContextManager[None]:
        """A block in a request's span, which continues the trace that its headers name; `answered` ends the span."""

    @abstractmethod
    def answered(self, record: RequestRecord, route: str, method: str) -> None:
        """End the span of a request."""

    @abstractmethod
    def batch(self, records: Sequence[RequestRecord], intents: int) -> AbstractContextManager[None]:
        """A block in the span of a batch, with links to the requests in it."""

    @abstractmethod
    def transaction(self, outcome: str) -> None:
        """Note a transaction in the span of its batch."""

    @abstractmethod
    def job(self, name: str, carrier: Mapping[str, str]) -> AbstractContextManager[None]:
        """A block in the span of a job, which continues the trace that queued it."""

    @abstractmethod
    def close(self) -> None:
        """Send what is left; blocks for some seconds at most."""


def tracer_of_environment() -> Tracer | None:
    """The tracer that OpenTelemetry's variables ask for; None if they ask for none, or the extra is not installed."""
    if not any(os.environ.get(name) for name in ENDPOINTS) or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    try:
        from app.telemetry.opentelemetry_tracer import exporting_tracer  # noqa: PLC0415  # an extra, and takes time
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        log.warning("there are no traces, because the extra `reserva[otel]` is not installed")
        return None
    return exporting_tracer()

"""Observes each request: its line in the log, its id in all lines that are logged for it, its metrics, and its span.

A line has the template of the route, never the path: paths and queries can name customers. A stream of events, which
can last for hours, is noted when it begins: its length says nothing of how fast it was answered.
"""

from time import perf_counter
from typing import Final

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

from app import logs
from app.caller import Caller
from app.http.methods import client_method, scope_keys
from app.http.request import request_id
from app.telemetry import request_record
from app.telemetry.metrics import HttpMetrics
from app.telemetry.request_record import RequestRecord
from app.telemetry.tracer import Tracer

UNROUTED: Final = "unrouted"
"""Stands for the template of a request that no route takes: an unknown path, or a method that its path lacks."""

OTHER_METHOD: Final = "OTHER"
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})

_RECORD_KEY: Final = "reserva.record"
_LOGGER: Final = "reserva.requests"
_EVENTS: Final = b"text/event-stream"

_log = structlog.get_logger("reserva.http")


class RequestObserver:
    """ASGI middleware around everything else.

    Args:
        app: The application.
        metrics: Where requests are counted.
        slow_seconds: From which time on a request is slow; 0: none is.
        tracer: Makes their spans; None: there are no traces.
    """

    def __init__(
        self, app: ASGIApp, metrics: HttpMetrics, *, slow_seconds: float, tracer: Tracer | None = None
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._tracer = tracer
        self._slow_seconds = slow_seconds or float("inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and note it."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        record = RequestRecord(request_id(scope), perf_counter())
        scope_keys(scope)[_RECORD_KEY] = record

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                if _begins_stream(message):
                    self._complete(scope, record)
            elif message["type"] == "http.response.body" and not message["more_body"]:
                self._complete(scope, record)  # before its client has the answer, so that no count comes after it
            await send(message)

        begun = request_record.begin(record)
        try:
            if self._tracer is None:
                await self._app(scope, receive, send_on)
            else:
                with self._tracer.request(record, scope["headers"]):
                    await self._app(scope, receive, send_on)
        except Exception:
            if not record.status:  # the server answers 500
                record.status, record.problem = 500, "internal"
            raise
        finally:
            self._complete(scope, record)  # of an answer that broke off
            request_record.end(begun)

    def _complete(self, scope: Scope, record: RequestRecord) -> None:
        """Note the request, once; a fault of that does not change its answer."""
        if record.is_complete:
            return
        record.is_complete = True
        try:
            self._note(scope, record)
        except Exception:  # noqa: BLE001  # whatever it is, the client's answer is complete
            _log.exception("a request could not be noted", request_id=record.id)

    def _note(self, scope: Scope, record: RequestRecord) -> None:
        """Count the request, end its span, and write its line."""
        seconds = perf_counter() - record.began_at - record.long_poll_seconds
        route = route_of(scope)
        method = client_method(scope)
        if method not in _METHODS:
            method = OTHER_METHOD
        self._metrics.count(route, method, record.status, record.problem, seconds)
        if self._tracer is not None:
            self._tracer.answered(record, route, method)
        fields: dict[str, object] = {
            "route": route,
            "method": method,
            "status": record.status,
            "ms": _milliseconds(seconds),
            "request_id": record.id,
        }
        caller = scope.get("user")
        if isinstance(caller, Caller):
            fields["key"] = caller.prefix
        if record.problem is not None:
            fields["problem"] = record.problem
        if record.trace_id is not None:
            fields["trace_id"] = record.trace_id
        if seconds < self._slow_seconds:
            logs.write_line("info", _LOGGER, "request", fields)
        else:
            logs.write_line("warning", _LOGGER, "slow request", fields | _times(record))


def route_of(scope: Scope) -> str:
    """The template of the route of a request, for the log and for metrics."""
    route: str = scope_keys(scope).get("path_template", UNROUTED)
    return route


def note_problem(scope: Scope, name: str) -> None:
    """Note the problem that answers a request."""
    record: RequestRecord | None = scope_keys(scope).get(_RECORD_KEY)
    if record is not None:
        record.problem = name


def _begins_stream(start: HTTPResponseStartEvent) -> bool:
    """Whether an answer is a stream of events."""
    return any(
        name.lower() == b"content-type" and value.lower().startswith(_EVENTS) for name, value in start["headers"]
    )


def _times(record: RequestRecord) -> dict[str, object]:
    """What took the time of a request that went through the write path; the rest was spent outside of it."""
    return {
        "queue_ms": _milliseconds(record.queue_seconds),
        "transaction_ms": _milliseconds(record.transaction_seconds),
        "attempts": record.attempts,
        "lost": record.lost,
    }


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1_000, 1)

"""Traces: a span for each request, batch and job, `traceparent` taken and passed on; nothing where they are off."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from structlog.testing import capture_logs
from typing_extensions import override

from app.domain.instants import render
from app.job_queue import ALERT, Queue, deserialize
from app.outgoing.network import Network
from app.outgoing.receiver import Message, Receiver
from app.storage.client import Store
from app.telemetry import opentelemetry_tracer
from app.telemetry import tracer as module
from app.telemetry.opentelemetry_tracer import OpenTelemetryTracer, exporting_tracer
from app.telemetry.request_record import RequestRecord
from app.telemetry.tracer import ENDPOINTS, PASSED_ON, tracer_of_environment
from tests.support.alert_receiver import alert_receiver
from tests.support.http_client import serving
from tests.support.log_lines import logging_to_text
from tests.support.servers import ROOT
from tests.support.times import HOUR, NINE
from worker.traced import traced

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


class Spans:
    """The spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = OpenTelemetryTracer(provider)

    def all(self) -> Sequence[ReadableSpan]:
        """All of them."""
        return self._exporter.get_finished_spans()

    def named(self, *names: str) -> list[ReadableSpan]:
        """Those of these names."""
        return [span for span in self.all() if span.name in names]


@pytest.fixture
def spans() -> Spans:
    """None yet."""
    return Spans()


@pytest.fixture
async def client(store: Store, spans: Spans, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """HTTP on an app with traces, which has a room."""
    monkeypatch.setattr("app.main.tracer_of_environment", lambda: spans.tracer)
    async with serving(store) as client:
        assert (await client.post("/v1/resources", json={"id": "room", "name": "a room"})).status_code == 201
        yield client


async def book(client: httpx.AsyncClient, hour: int, **headers: str) -> httpx.Response:
    """Book an hour of the room."""
    start = NINE + hour * HOUR
    body = {"resource": "room", "startTime": render(start), "endTime": render(start + HOUR)}
    return await client.post("/v1/reservations", json=body, headers=headers)


def context(span: ReadableSpan) -> Any:
    """The ids of a span, which every span has."""
    return span.get_span_context()


@pytest.mark.servers("transactions", once=True)
async def test_a_request_continues_the_trace_of_its_caller(client: httpx.AsyncClient, spans: Spans) -> None:
    """Its span has the caller's as parent and says what was answered; the log names the trace."""
    with logging_to_text() as log:
        await book(client, 0, traceparent=TRACEPARENT)
        refused = await book(client, 0)
    first, second = spans.named("POST /v1/reservations")
    (batch, _) = spans.named("batch")[-2:]

    assert first.parent is not None
    assert (first.parent.trace_id, first.parent.span_id) == (int(TRACE, 16), int(PARENT, 16))
    assert first.kind is SpanKind.SERVER
    assert first.attributes is not None
    assert first.attributes["http.route"] == "/v1/reservations"
    assert first.attributes["http.response.status_code"] == 201
    assert second.parent is None
    assert second.attributes is not None
    assert second.attributes["reserva.problem"] == "conflict"
    assert second.attributes["reserva.request_id"] == refused.headers["X-Request-Id"]
    assert log.lines("request")[0]["trace_id"] == TRACE
    assert [link.context for link in batch.links] == [context(first)]


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": "planted"},
        {"traceparent": "planted" * 1_000},
        {"traceparent": TRACEPARENT, "tracestate": "planted="},
        {"traceparent": TRACEPARENT, "tracestate": "planted," * 2_000},
    ],
    ids=["malformed", "huge", "malformed-state", "huge-state"],
)
@pytest.mark.servers("transactions", once=True)
async def test_a_malformed_trace_is_ignored(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """The request is answered, and nothing of what its client sent is in the log."""
    with logging_to_text() as log:
        answer = await client.get("/v1/resources", headers=headers)

    assert answer.status_code == 200
    assert [line["event"] for line in log.lines()] == ["request"]
    assert "planted" not in log.text


@pytest.mark.servers("transactions", once=True)
async def test_a_batch_links_to_its_requests(client: httpx.AsyncClient, spans: Spans) -> None:
    """Each booking is linked to by a batch; a batch has as many links as intents, and an event for each transaction."""
    answers = await asyncio.gather(*(book(client, hour) for hour in range(6)))
    attributed = [(each, each.attributes or {}) for each in spans.all()]
    requests = {its.get("reserva.request_id"): context(each).span_id for each, its in attributed}
    booked = {requests[answer.headers["X-Request-Id"]] for answer in answers if answer.is_success}
    batches = spans.named("batch")
    linked = {link.context.span_id for batch in batches for link in batch.links}

    assert booked
    assert booked <= linked <= {*requests.values()}
    for batch in batches:
        assert batch.attributes is not None
        assert batch.attributes["reserva.intents"] == len(batch.links)
        assert [event.name for event in batch.events] == ["transaction"]
    events = [event.attributes or {} for batch in batches for event in batch.events]
    assert "committed" in {its["reserva.outcome"] for its in events}


async def test_it_is_passed_on_to_jobs_and_from_them_to_receivers(spans: Spans, redis_url: str) -> None:
    """A request, the job that it queues and the message that the job posts are one trace."""
    record, queue = RequestRecord("a", 0), Queue(redis_url)
    with spans.tracer.request(record, [(b"traceparent", TRACEPARENT.encode())]):
        assert await queue.put(ALERT, identity="one")
        spans.tracer.answered(record, "/v1/reconciliations", "POST")
    assert queue._redis is not None
    stored = await queue._redis.get("arq:job:one")
    await queue.close()
    carrier = deserialize(stored)["k"]

    async def post(ctx: dict[Any, Any]) -> None:
        async with alert_receiver() as receiver:
            await Receiver(receiver.url, (), Network(private=True)).post(Message("msg_1", "{}"))
            ctx["headers"] = receiver.requests[0].headers

    ctx: dict[Any, Any] = {"tracer": spans.tracer}
    await traced(post)(ctx, **carrier)
    (request,), (job,) = spans.named("POST /v1/reconciliations"), spans.named("post")

    assert carrier["traceparent"].split("-")[1:3] == [TRACE, f"{context(request).span_id:016x}"]
    assert job.parent is not None
    assert job.parent.span_id == context(request).span_id
    assert ctx["headers"]["traceparent"] == f"00-{TRACE}-{context(job).span_id:016x}-01"
    assert PASSED_ON.get() == {}


async def test_without_traces_nothing_is_passed_on() -> None:
    """A job from an app with traces runs in a worker without them."""
    seen: list[str] = []

    async def job(ctx: dict[Any, Any], identity: str) -> None:
        seen.append(identity)

    await traced(job)({}, "run", traceparent=TRACEPARENT)

    assert seen == ["run"]
    assert PASSED_ON.get() == {}


def test_it_is_off_unless_an_endpoint_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one, or where the SDK is disabled, there is no tracer, and the app imports neither SDK nor exporter."""
    for name in ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    assert tracer_of_environment() is None
    monkeypatch.setenv(ENDPOINTS[0], "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert tracer_of_environment() is None
    monkeypatch.delenv(ENDPOINTS[0])
    asked = "import sys, app.main; app.main.create_app(app.main.Settings()); print(*sys.modules)"
    command = [sys.executable, "-c", asked]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()

    assert "app.telemetry.tracer" in loaded
    assert {"app.telemetry.opentelemetry_tracer", "opentelemetry.sdk", "opentelemetry.exporter"}.isdisjoint(loaded)


def test_a_missing_extra_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an endpoint is named and the extra is not installed, the app starts with a warning."""
    monkeypatch.setenv(ENDPOINTS[0], "http://127.0.0.1:1")
    monkeypatch.delitem(sys.modules, "app.telemetry.opentelemetry_tracer")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.setattr(module, "log", structlog.get_logger())
    with capture_logs() as lines:
        assert tracer_of_environment() is None

    assert [line["log_level"] for line in lines] == ["warning"]


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """A collector: its address, and what it was sent."""
    received: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library's name
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        @override
        def log_message(self, format: str, *args: object) -> None:  # the library's name
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_collector_gets_them(collector: tuple[str, list[tuple[str, bytes]]], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left is sent at the end, by OTLP over HTTP, under the name of the service."""
    url, received = collector
    monkeypatch.setenv(ENDPOINTS[0], url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "desk")
    tracer = exporting_tracer()
    with tracer.job("a job", {}):
        pass
    tracer.close()

    ((path, body),) = received
    assert path == "/v1/traces"
    assert b"a job" in body
    assert b"desk" in body


def test_a_collector_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process ends before its last spans are sent, or given up by the SDK, if that takes too long."""
    with socket.create_server(("127.0.0.1", 0)) as collector:
        monkeypatch.setenv(ENDPOINTS[0], f"http://127.0.0.1:{collector.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "5")
        monkeypatch.setattr(opentelemetry_tracer, "CLOSE_SECONDS", 0.0)
        tracer = exporting_tracer()
        with tracer.job("a job", {}):
            pass
        tracer.close()

        assert caplog.records == []

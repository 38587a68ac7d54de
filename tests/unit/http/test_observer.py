"""What the observer of requests notes where an answer breaks off, goes on for long, or cannot be noted."""

import errno
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from typing_extensions import override

from app.http.observer import RequestObserver
from app.telemetry import request_record
from app.telemetry.metrics import HttpMetrics
from tests.support.log_lines import LogLines, logging_to_text
from tests.support.scraped import Scraped

ROUTE = "/v1/things/{thing_id}"


class FullDisk(HttpMetrics):
    """Cannot count."""

    @override
    def count(self, route: str, method: str, status: int, problem: str | None, seconds: float) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


class Exchange:
    """A request to an application behind the observer, what its client was sent, and what was counted."""

    def __init__(self, app: Any, *, metrics: type[HttpMetrics] = HttpMetrics, slow_seconds: float = 1e-9) -> None:
        self._registry = CollectorRegistry()
        self._observer = RequestObserver(app, metrics(self._registry), slow_seconds=slow_seconds)
        self.sent: list[str] = []

    async def run(self) -> None:
        """Send the request."""
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "path_template": ROUTE}

        async def send(message: Any) -> None:
            self.sent.append(message["type"].rpartition(".")[2])

        await self._observer(scope, None, send)  # type: ignore[arg-type]  # only what the observer reads of them

    def counted(self) -> dict[Any, int]:
        """The numbers of requests by status."""
        return Scraped(generate_latest(self._registry).decode()).by("reserva_http_request_seconds_count", "status")

    def problems(self) -> dict[Any, int]:
        """The numbers of problems."""
        return Scraped(generate_latest(self._registry).decode()).by("reserva_http_problems_total", "problem")


@pytest.fixture
def log() -> Iterator[LogLines]:
    """What is logged from here on."""
    with logging_to_text() as lines:
        yield lines


def start(content_type: bytes) -> Any:
    """The start of an answer."""
    return {"type": "http.response.start", "status": 200, "headers": [(b"Content-Type", content_type)]}


def part(*, more: bool) -> Any:
    """A part of an answer."""
    return {"type": "http.response.body", "body": b"", "more_body": more}


async def test_a_stream_of_events_is_noted_when_it_begins(log: LogLines) -> None:
    """Its length, which can be hours, is neither counted as its time nor makes another line."""
    noted: list[Any] = []

    async def app(_: Any, __: Any, send: Any) -> None:
        await send(start(b"text/event-stream; charset=utf-8"))
        noted.append(exchange.counted())
        noted.append([line["route"] for line in log.lines()])
        await send(part(more=True))
        await send(part(more=False))

    exchange = Exchange(app)
    await exchange.run()

    assert noted == [{"200": 1}, [ROUTE]]
    assert exchange.counted() == {"200": 1}
    assert len(log.lines()) == 1
    assert exchange.sent == ["start", "body", "body"]


async def test_another_answer_is_noted_when_it_is_complete() -> None:
    """One in parts as well."""
    noted: list[Any] = []

    async def app(_: Any, __: Any, send: Any) -> None:
        await send(start(b"application/json"))
        await send(part(more=True))
        noted.append(exchange.counted())
        await send(part(more=False))
        noted.append(exchange.counted())

    exchange = Exchange(app)
    await exchange.run()

    assert noted == [{}, {"200": 1}]


async def test_a_wait_that_the_client_asked_for_is_no_part_of_the_time(log: LogLines) -> None:
    """A long poll for half a minute is neither slow nor in the histogram with that."""

    async def app(_: Any, __: Any, send: Any) -> None:
        record = request_record.current()
        assert record is not None
        record.began_at -= 30.0
        record.long_poll_seconds += 30.0
        await send(start(b"application/json"))
        await send(part(more=False))

    exchange = Exchange(app, slow_seconds=29.0)
    await exchange.run()

    (line,) = log.lines()
    assert line["event"] == "request"
    assert line["ms"] < 29_000


async def test_what_the_server_has_to_answer_is_an_internal_error(log: LogLines) -> None:
    """An error that nothing handled is counted as the 500 that the client gets, so that alerts see it."""

    async def app(_: Any, __: Any, ___: Any) -> None:
        raise RuntimeError("unexpected")

    exchange = Exchange(app)
    with pytest.raises(RuntimeError, match="unexpected"):
        await exchange.run()

    assert exchange.counted() == {"500": 1}
    assert exchange.problems() == {"internal": 1}
    assert [(line["status"], line["problem"]) for line in log.lines()] == [(500, "internal")]


async def test_an_answer_that_breaks_off_keeps_its_status() -> None:
    """Its client had that status already."""

    async def app(_: Any, __: Any, send: Any) -> None:
        await send(start(b"application/json"))
        raise RuntimeError("broken off")

    exchange = Exchange(app)
    with pytest.raises(RuntimeError, match="broken off"):
        await exchange.run()

    assert exchange.counted() == {"200": 1}


async def test_an_answer_that_cannot_be_noted_is_sent(log: LogLines) -> None:
    """A fault of the observer is a line in the log, and nothing that a client notices."""

    async def app(_: Any, __: Any, send: Any) -> None:
        await send(start(b"application/json"))
        await send(part(more=False))

    exchange = Exchange(app, metrics=FullDisk)
    await exchange.run()

    assert exchange.sent == ["start", "body"]
    (line,) = log.lines()
    assert (line["event"], line["level"]) == ("a request could not be noted", "error")
    assert "No space left on device" in line["exception"]

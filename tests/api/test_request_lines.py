"""The lines of requests in the log: one each, with nothing in it of a person, and its id in all lines below."""

from collections.abc import Iterator
from typing import Any

import pytest
from structlog.dev import ConsoleRenderer

from app.settings import Settings
from tests.support.api_client import ApiClient, created, path_of, problem
from tests.support.http_client import serving
from tests.support.log_lines import LogLines, logging_to_text

LINES = ("request", "slow request")


@pytest.fixture
def log() -> Iterator[LogLines]:
    """What is logged from here on."""
    with logging_to_text() as lines:
        yield lines


def parts(line: dict[str, Any]) -> tuple[Any, ...]:
    """What a test can expect of a line."""
    return line["method"], line["route"], line["status"], line.get("problem")


async def test_each_request_has_one_line(api: ApiClient, log: LogLines) -> None:
    """Its route, method, status, problem, key and id, whatever became of it; its id is that of the answer."""
    await api.resource()
    booked = await api.booked()
    answers = [
        await api.get(path_of(booked)),
        await api.get("/v1/reservations", resource="room"),
        await api.get("/nowhere"),
        await api.request("DELETE", path_of(booked)),
        await api.request("HEAD", "/healthz"),
        await api.request("BREW", "/healthz"),
        await api.post({}, key="k" * 256),
        await api.client.get(path_of(booked), headers={"Authorization": "Bearer rsv_nobody_nothing"}),
    ]
    reservation = "/v1/reservations/{reservation_id}"

    lines = log.lines(*LINES)
    assert [parts(line) for line in lines] == [
        ("POST", "/v1/resources", 201, None),
        ("POST", "/v1/reservations", 201, None),
        ("GET", reservation, 200, None),
        ("GET", "/v1/reservations", 200, None),
        ("GET", "unrouted", 404, "not-found"),
        ("DELETE", "unrouted", 405, "method-not-allowed"),
        ("HEAD", "/healthz", 200, None),
        ("OTHER", "unrouted", 405, "method-not-allowed"),
        ("POST", "/v1/reservations", 422, "invalid"),
        ("GET", reservation, 401, "unauthenticated"),
    ]
    assert [line["request_id"] for line in lines[2:]] == [answer.headers["X-Request-Id"] for answer in answers]
    assert [line["key"] for line in lines[:4]] == [api.prefix] * 4
    assert [line for line in lines[4:8] + lines[9:] if "key" in line] == []
    assert all(line["ms"] >= 0 for line in lines)


async def test_a_line_has_nothing_of_a_person(api: ApiClient, log: LogLines) -> None:
    """Neither ids in paths nor queries, bodies and headers are in the log."""
    await api.add("customers", id="planted-id", name="planted-name", email="planted@example.com")
    await api.resource()
    await api.book(customer="planted-id", notes="planted-notes", key="planted-key")
    await api.get("/v1/customers/planted-id")
    await api.get("/v1/customers/planted-id/reservations")
    await api.get("/v1/customers", email="planted@example.com")
    await api.get("/v1/reservations", customer="planted-id", planted="planted")
    await api.get("/planted/planted")

    assert len(log.lines(*LINES)) == 8
    assert "planted" not in log.text


async def test_the_id_is_in_the_lines_below(api: ApiClient, log: LogLines) -> None:
    """A line of a handler names its request, one of a batch all requests of the batch, a line of nobody none."""
    await api.resource()
    await api.store.database["guards"].delete_one({"_id": "room"})
    body = {"resource": "room", "startTime": "2030-01-01T09:00:00Z", "endTime": "2030-01-01T10:00:00Z"}
    async with serving(api.store) as client:  # no other test has failed answers of it
        fresh = ApiClient(client, api.store)
        refused = await fresh.request("POST", "/v1/reservations", json=body, headers={"X-Request-Id": "the-id"})
        await fresh.resource("pool-member")

    problem(refused, "unavailable")
    assert {tuple(line["requests"]) for line in log.lines("guard missing")} == {("the-id",)}
    (line,) = log.lines("answers are unavailable")
    assert line["request_id"] == "the-id"


async def test_a_slow_request_says_what_took_its_time(api: ApiClient, log: LogLines) -> None:
    """A warning in place of the line, with the time in the queue and in transactions, attempts and lost conflicts."""
    settings = Settings().model_copy(update={"slow_request_ms": 1e-6})
    async with serving(api.store, settings=settings) as client:
        slow = ApiClient(client, api.store)
        await slow.resource()
        created(await slow.book())

    read, written = log.lines(*LINES)
    assert (written["event"], written["level"]) == ("slow request", "warning")
    assert written["attempts"] == 1
    assert written["lost"] == 0
    assert 0 <= written["queue_ms"] <= written["ms"]
    assert 0 < written["transaction_ms"] <= written["ms"]
    assert (read["attempts"], read["queue_ms"], read["transaction_ms"]) == (0, 0, 0)


async def test_slow_requests_alone_are_left_at_a_higher_level(api: ApiClient) -> None:
    """RESERVA_LOG_LEVEL=warning leaves slow requests; RESERVA_SLOW_REQUEST_MS=0 makes none slow."""
    for milliseconds, expected in ((1e-6, ["slow request"]), (0, [])):
        settings = Settings().model_copy(update={"slow_request_ms": milliseconds})
        with logging_to_text(log_level="warning") as log:
            async with serving(api.store, settings=settings) as client:
                await client.get("/healthz")

        assert [line["event"] for line in log.lines(*LINES)] == expected


async def test_the_console_has_the_same_line(api: ApiClient) -> None:
    """It looks as structlog's renderer makes the lines of everything else."""
    with logging_to_text("console") as log:
        await api.get("/healthz")
    (line,) = log.text.splitlines()
    values = dict(part.split("=") for part in line.split() if "=" in part)

    fields = {"event": "request", "level": "info", "logger": "reserva.requests", "timestamp": line.split()[0]}
    assert line == ConsoleRenderer(colors=False)(None, "info", fields | values)
    assert values["route"] == "/healthz"

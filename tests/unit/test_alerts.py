"""Alerts: what goes to the alert URL, how it is signed, and that nobody waits for it."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from bson import ObjectId
from structlog.testing import capture_logs

from app.reconciliation import alerts
from app.reconciliation.alerts import Alerts
from app.settings import Settings
from app.storage.client import Store
from app.storage.documents import Finding

NINE = datetime(2030, 1, 7, 9, tzinfo=UTC)


class Receiver:
    """An HTTP server that refuses what comes first, and keeps all that it was sent."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        self.got.append((headers, await reader.readexactly(int(headers["content-length"]))))
        status = "503 Busy" if len(self.got) <= self.refusals else "200 OK"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    """A receiver that refuses the first message; nobody waits long between two attempts."""
    monkeypatch.setattr(alerts, "LONGEST_WAIT_SECONDS", 0.01)
    receiver = Receiver(refusals=1)
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with server:
        yield receiver


def finding(resource: str = "room") -> Finding:
    """A finding of two reservations."""
    made: Finding = Finding.model_validate(
        {
            "_id": ObjectId(),
            "resource": resource,
            "from": NINE,
            "to": NINE + timedelta(hours=1),
            "peak": 2,
            "capacity": 1,
            "state": "open",
            "reservations": [ObjectId(), ObjectId()],
            "firstSeen": NINE,
            "lastSeen": NINE,
            "run": ObjectId(),
            "history": [],
        }
    )
    return made


async def test_a_message_is_signed_and_sent_until_it_is_taken(mock_store: Store, receiver: Receiver) -> None:
    """`{"text"}` with the ids, each attempt signed as Stripe signs; the log has the seed's line at once."""
    del mock_store  # documents need a database to be made at all
    found = finding()
    tell = Alerts(Settings(alert_url=receiver.url, alert_secret="whsec"))
    with capture_logs() as logged:
        tell([found])
        assert receiver.got == []
        await tell.aclose()

    first, second = found.reservations
    assert [each["event"] for each in logged] == [f"Conflict detected: {first} overlaps {second}"]
    assert logged[0]["finding"] == str(found.id)
    assert len(receiver.got) == 2
    for headers, body in receiver.got:
        text = json.loads(body)["text"]
        assert json.loads(body).keys() == {"text"}
        assert all(word in text for word in (str(found.id), str(first), str(second), "room", "2 of 1"))
        at, _, signature = headers["reserva-signature"].removeprefix("t=").partition(",v1=")
        assert signature == hmac.new(b"whsec", f"{at}.".encode() + body, hashlib.sha256).hexdigest()


async def test_many_findings_are_one_message(mock_store: Store, receiver: Receiver) -> None:
    """It names the first of them, and says how many more there are; without a secret there is no signature."""
    del mock_store
    receiver.refusals = 0
    tell = Alerts(Settings(alert_url=receiver.url))
    tell([finding(f"r{number:02}") for number in range(alerts.LINES + 3)])
    await tell.aclose()

    ((headers, body),) = receiver.got
    text = json.loads(body)["text"]
    assert "reserva-signature" not in headers
    assert f"r{alerts.LINES - 1:02}" in text
    assert f"r{alerts.LINES:02}" not in text
    assert text.endswith("… and 3 more")


async def test_a_receiver_that_cannot_be_reached_stops_nobody(
    mock_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says so, and that is all."""
    del mock_store
    monkeypatch.setattr(alerts, "LONGEST_WAIT_SECONDS", 0.01)
    tell = Alerts(Settings(alert_url="http://127.0.0.1:1/"))
    with capture_logs() as logged:
        tell([finding()])
        await tell.aclose()

    assert "was not told" in logged[-1]["event"]

"""The scripts of the guides, as they are printed, against the app."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from typing_extensions import override

from app.storage.client import Store
from tests.support.api_client import ApiClient, ok
from tests.support.http_client import serving
from tests.support.pages import BLOCK, OTHERS
from tests.support.servers import ROOT

pytestmark = pytest.mark.servers("transactions", "fast")

BOOKING_PAGE = OTHERS[ROOT / "docs" / "guides" / "booking-page.md"]
REQUESTS_MAX = 5
"""What the guide promises for each patient."""
PATIENT = {"name": "Mia", "email": "mia@example.org", "notes": "First visit", "reference": "WEB-1042"}


class Bridge(httpx.BaseTransport):
    """Carries the requests of a script in a thread to the app in the loop, and counts them."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.sent: list[str] = []
        self._client = client
        self._loop = asyncio.get_running_loop()

    @override
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.sent.append(f"{request.method} {request.url.path}")
        headers = {name: value for name, value in request.headers.items() if name != "host"}
        passed_on = self._client.request(request.method, str(request.url), headers=headers, content=request.read())
        answer = asyncio.run_coroutine_threadsafe(passed_on, self._loop).result()
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


class Script:
    """A guide's script, whose functions run in a thread."""

    def __init__(self, page: str, bridge: Bridge, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
        client = httpx.Client
        monkeypatch.setattr(httpx, "Client", lambda **more: client(transport=bridge, **more))
        monkeypatch.setenv("BASE", "http://test")
        monkeypatch.setenv("KEY", token)
        self._names: dict[str, Any] = {}
        for block in BLOCK.finditer(page):
            if block[2] == "python":
                exec(compile(block[3], "guide", "exec"), self._names)  # noqa: S102  # our own page, as it is printed

    async def run(self, name: str, *arguments: Any) -> Any:
        """Call one of its functions."""
        return await asyncio.to_thread(self._names[name], *arguments)


@pytest.fixture
async def clinic(store: Store) -> AsyncIterator[ApiClient]:
    """Two doctors, who are there on weekdays."""
    async with serving(store) as http:
        api = ApiClient(http, store)
        await api.service("visit", durationMinutes=30)
        hours = {"weekly": [{"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "12:00"}]}
        for doctor in ("ada", "grace"):
            await api.resource(doctor, services=["visit"], timezone="Europe/Berlin")
            path = f"/v1/resources/{doctor}/schedule"
            ok(await api.request("PUT", path, json=hours, headers={"If-Match": "*"}))
        yield api


def following(day: str) -> str:
    """The date after one."""
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


async def test_a_patient_books_in_five_requests(clinic: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the calendar to the confirmed appointment, with a key that may only write; a known patient needs four."""
    website = await clinic.with_scopes("reservations:write")
    bridge = Bridge(clinic.client)
    script = Script(BOOKING_PAGE, bridge, monkeypatch, website.token)

    booked = await script.run("book", "2030-01-01", "2030-02-01", following, "visitor-1", PATIENT | {"number": "P-7"})

    assert len(bridge.sent) == REQUESTS_MAX
    stored = await clinic.read(booked)
    assert (stored["status"], stored["customer"], stored["reference"]) == ("confirmed", "P-7", "WEB-1042")
    assert (stored["startTime"], stored["notes"], stored["version"]) == ("2030-01-01T08:00:00.000Z", "First visit", 2)
    assert ok(await clinic.get("/v1/customers/P-7"))["name"] == "Mia"

    bridge.sent.clear()
    (time,) = await script.run("soonest", "2030-01-01")
    held, _ = await script.run("hold", time["startTime"], "visitor-1")
    again = await script.run("confirm", held, "P-7", "Again", "WEB-1043")
    assert (len(bridge.sent), again["status"], again["customer"]) == (3, "confirmed", "P-7")
    assert {again["resource"], stored["resource"]} == {"ada", "grace"}


async def test_what_can_go_wrong_goes_as_it_says(clinic: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes second gets the next times, a confirmation is repeated, and a patient is registered once."""
    website = await clinic.with_scopes("reservations:write")
    script = Script(BOOKING_PAGE, Bridge(clinic.client), monkeypatch, website.token)
    (first, *_) = await script.run("times", "2030-01-01", "2030-01-02")
    held = [(await script.run("hold", first["startTime"], f"visitor-{number}"))[0] for number in range(2)]
    refused, others = await script.run("hold", first["startTime"], "visitor-2")

    assert (refused, others[0]) == (None, "2030-01-01T08:30:00.000Z")
    for _ in range(2):
        assert await script.run("register", "P-7", "Mia", "mia@example.org") == "P-7"
        answer = await script.run("confirm", held[0], "P-7", "x", "1")
        assert (answer["status"], answer["version"]) == ("confirmed", 2)
    await clinic.expire(held[1])
    with pytest.raises(RuntimeError, match="expired"):
        await script.run("confirm", held[1], "P-7", "x", "1")

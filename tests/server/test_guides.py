"""The scripts of the guides, as they are printed, against the app."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from typing_extensions import override

from app.domain.instants import render
from app.storage.client import Store
from tests.support.api_client import ApiClient, ok
from tests.support.http_client import serving
from tests.support.pages import BLOCK, OTHERS
from tests.support.servers import ROOT
from tests.support.times import HOUR

pytestmark = pytest.mark.servers("transactions", "fast")

GUIDES = ROOT / "docs" / "guides"
BOOKING_PAGE, FRONT_DESK, FLEET = (OTHERS[GUIDES / f"{name}.md"] for name in ("booking-page", "front-desk", "fleet"))
CLIENT = httpx.Client
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
        monkeypatch.setattr(httpx, "Client", lambda **more: CLIENT(transport=bridge, **more))
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


@pytest.fixture
async def coworking(store: Store) -> AsyncIterator[ApiClient]:
    """Two single desks and a table for six, and three customers."""
    async with serving(store) as http:
        api = ApiClient(http, store)
        service, table = (json.loads(body) for body in re.findall(r"\| `POST /v1/\w+` \| `(\{.*\})` \|", FRONT_DESK))
        await api.service(service.pop("id"), **service)
        for place, seats in (("desk-1", 1), ("desk-2", 1), ("table", 6)):
            await api.add("resources", **table | {"id": place, "maxGuests": seats})
        for name in ("ann", "bob", "eve"):
            await api.add("customers", id=name)
        yield api


async def test_a_front_desk_sees_its_day_in_one_request(coworking: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """With places, services and customers; people are seated where they fit, and asked about in one request each."""
    desk = await coworking.with_scopes("reservations:read", "reservations:write")
    bridge = Bridge(coworking.client)
    script = Script(FRONT_DESK, bridge, monkeypatch, desk.token)
    nine, noon = "2030-01-07T09:00", "2030-01-07T12:00"
    alone = await script.run("seat", nine, noon, 1, "ann")
    party = await script.run("seat", nine, noon, 4, "bob")
    assert (alone["resource"][:4], party["resource"]) == ("desk", "table")
    assert (alone["startTime"], alone["timezone"]) == ("2030-01-07T08:00:00.000Z", "Europe/Berlin")

    bridge.sent.clear()
    day = await script.run("day", "2030-01-07T00:00:00+01:00", "2030-01-08T00:00:00+01:00")
    assert bridge.sent == ["GET /v1/reservations"]
    assert sorted(each["customer"]["id"] for each in day) == ["ann", "bob"]
    assert {(each["resource"]["timezone"], each["service"]["id"]) for each in day} == {("Europe/Berlin", "seat")}

    bridge.sent.clear()
    with pytest.raises(Exception, match="are free"):
        await script.run("seat", "2030-01-07T10:00", noon, 2, "eve")
    reasons = await script.run("why_not", "2030-01-07T09:00:00Z", "2030-01-07T11:00:00Z", 2)
    assert {place: len(whys) for place, whys in reasons.items()} == {
        alone["resource"]: 2,
        ({"desk-1", "desk-2"} - {alone["resource"]}).pop(): 1,
        "table": 1,
    }
    moved = await script.run("move", alone, "2030-01-07T13:00")
    assert (moved["startTime"], moved["endTime"]) == ("2030-01-07T12:00:00.000Z", "2030-01-07T15:00:00.000Z")
    with pytest.raises(Exception, match="version 2"):
        await script.run("move", alone, "2030-01-07T14:00")
    assert len(bridge.sent) == 4


async def test_a_regular_is_seated_for_a_year_in_one_request(
    coworking: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At nine by the clock in summer and winter; weeks in which all places are taken are skipped and named."""
    desk = await coworking.with_scopes("reservations:read", "reservations:write")
    bridge = Bridge(coworking.client)
    script = Script(FRONT_DESK, bridge, monkeypatch, desk.token)
    for _ in range(3):
        await script.run("seat", "2030-02-04T08:00", "2030-02-04T18:00", 1, "eve")

    bridge.sent.clear()
    series = await script.run("every_week", "2030-01-07T09:00", "2030-01-07T12:00", 52, "ann")
    starts = [each["startTime"] for each in series["reservations"]]
    assert bridge.sent == ["POST /v1/series"]
    assert (len(starts), [each["localStart"] for each in series["skipped"]]) == (51, ["2030-02-04T09:00"])
    assert {start[11:16] for start in starts} == {"08:00", "07:00"}


async def test_a_front_desk_takes_its_notes_back(coworking: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who came and who did not, in one request each, and one more to take it back; a closed table is cleared by one."""
    desk = await coworking.with_scopes("reservations:read", "reservations:write", "reservations:admin")
    bridge = Bridge(coworking.client)
    script = Script(FRONT_DESK, bridge, monkeypatch, desk.token)
    booked = [await script.run("seat", "2030-01-07T09:00", "2030-01-07T12:00", 1, name) for name in ("ann", "bob")]
    with pytest.raises(Exception, match="It begins at"):
        await script.run("came", booked[0])
    for each in booked:
        await coworking.begin(each)

    bridge.sent.clear()
    came, away = await script.run("came", booked[0]), await script.run("stayed_away", booked[1])
    again = await script.run("take_back", away, "They came late")
    assert [came["status"], away["status"], again["status"]] == ["completed", "no-show", "confirmed"]
    assert len(bridge.sent) == 3

    span = ("2030-01-08T10:00", "2030-01-08T18:00", 1)
    seated = [await script.run("seat", *span, name) for name in ("ann", "eve")]
    for each in seated:
        ok(await coworking.edit(f"/v1/resources/{each['resource']}?force=true", active=False))
    bridge.sent.clear()
    with pytest.raises(Exception, match="are free"):
        await script.run("clear", seated, "Renovation")
    (moved,) = await script.run("clear", seated[:1], "Renovation")
    assert (moved["resource"], bridge.sent) == ("table", ["POST /v1/moves"] * 2)


async def test_a_rental_takes_three_requests(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a closed night, in the smallest vehicle that suffices; a known customer is found by its number."""
    async with serving(store) as http:
        owner = ApiClient(http, store)
        bridge = Bridge(http)
        setting_up = Script(FLEET, bridge, monkeypatch, owner.token)
        for _ in range(2):
            await setting_up.run("open_the_yard", {"car": 5, "van": 9})
        server = await owner.with_scopes("reservations:read", "reservations:write")
        script = Script(FLEET, bridge, monkeypatch, server.token)
        monday, tuesday = "2030-01-07T18:00:00+01:00", "2030-01-08T08:30:00+01:00"

        bridge.sent.clear()
        customer = await script.run("customer_of", "K-17", "Mia")
        held, _ = await script.run("hold", customer, monday, tuesday, 2)
        rental = await script.run("sign", held, "R-2030-1")
        assert len(bridge.sent) == 3
        assert (rental["resource"], rental["status"], rental["reference"]) == ("car", "confirmed", "R-2030-1")
        assert await script.run("customer_of", "K-17", "Mia") == customer

        with pytest.raises(RuntimeError, match="closed"):
            await script.run("hold", customer, monday, "2030-01-08T07:30:00+01:00", 2)
        family, _ = await script.run("hold", customer, monday, tuesday, 8)
        nobody, others = await script.run("hold", customer, monday, tuesday, 2)
        assert (family["resource"], nobody) == ("van", None)
        (first, *_) = await script.run("soonest", "2030-01-07", 14 * 60 + 30, 2)
        assert first["startTime"] == others[0]


async def test_a_rental_is_prolonged_on_the_road(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one request, as long as the vehicle is promised to nobody; it comes back in another."""
    async with serving(store) as http:
        owner = ApiClient(http, store)
        bridge = Bridge(http)
        script = Script(FLEET, bridge, monkeypatch, owner.token)
        await script.run("open_the_yard", {"car": 5})
        ok(await owner.request("PUT", "/v1/resources/car/schedule", json={}, headers={"If-Match": "*"}))
        customer = await script.run("customer_of", "K-17", "Mia")
        start = store.clock.now() + HOUR
        held, _ = await script.run("hold", customer, render(start), render(start + 4 * HOUR), 2)
        rental = await script.run("sign", held, "R-2030-1")
        await owner.overwrite(rental, startTime=start - 2 * HOUR, blockStart=start - 2 * HOUR)
        following, _ = await script.run("hold", customer, render(start + 6 * HOUR), render(start + 8 * HOUR), 2)

        bridge.sent.clear()
        assert await script.run("prolong", rental, render(start + 6 * HOUR)) is None
        longer = await script.run("prolong", rental, render(start + 5.5 * HOUR))
        assert (longer["endTime"], longer["version"]) == (render(start + 5.5 * HOUR), 3)
        assert (following["resource"], longer["resource"]) == ("car", "car")
        assert (await script.run("returned", longer))["status"] == "completed"
        assert len(bridge.sent) == 3

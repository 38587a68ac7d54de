"""The calendar as the server renders it, which is read without scripts."""

import re
from datetime import timedelta

import httpx
import pytest
from bson import ObjectId

from tests.support.api_client import ApiClient
from tests.support.times import NINE

CALENDAR = "/console/calendar"
DASH = "\N{EN DASH}"
HOURS = {"weekly": [{"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "08:00", "to": "20:00"}]}


async def test_what_a_day_shows(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """Each resource with its closed hours, its times off, and its bookings with their local times."""
    await api.add("customers", id="mia", name="Mia & Co")
    await api.resource(name="Attic", timezone="Europe/Berlin")
    await api.request("PUT", "/v1/resources/room/schedule", json=HOURS, headers={"If-Match": "*"})
    off = {"from": (NINE + timedelta(hours=3)).isoformat(), "to": (NINE + timedelta(hours=4)).isoformat()}
    await api.request("POST", "/v1/resources/room/time-off", json=off)
    await api.booked(NINE, customer="mia")
    await api.verb(await api.booked(NINE + timedelta(hours=1)), "cancel")

    shown = (await browser.get(CALENDAR, params={"date": NINE.date().isoformat()})).text.replace(DASH, "-")

    assert re.findall(r'<span class="hours">([^<]*)</span> <strong>([^<]*)', shown) == [("10:00-11:00", "Mia &amp; Co")]
    assert re.findall(r">(Closed [^<]*)<", shown) == ["Closed 00:00-08:00", "Closed 20:00-24:00"]
    assert re.findall(r">(Time off [^<]*)<", shown) == ["Time off 13:00-14:00"]


async def test_a_week_of_a_pool(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """Seven days, each with what is booked on any resource that offers the service, with the name of each."""
    await api.service()
    for name in ("Attic", "Cellar"):
        await api.resource(name.lower(), name=name, services=["cut"])
        await api.booked(resource=name.lower())
    await api.resource("yard")
    await api.booked(resource="yard")

    shown = (await browser.get(CALENDAR, params={"view": "week", "of": "service:cut", "date": str(NINE.date())})).text

    assert shown.count('class="column') == 7
    assert re.findall(r"</strong> <span>(\w+)</span>", shown) == ["Attic", "Cellar"]
    assert 'data-resources="attic cellar"' in shown


async def test_many_resources(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """A pool has all that offer its service, and each of a thousand resources can be chosen."""
    await api.service()
    await api.resource("a000", name="First", services=["cut"])
    (row,) = [each async for each in api.store.database["resources"].find()]
    more = [{**row, "_id": f"a{number:03}", "services": []} for number in range(1, 999)]
    await api.store.database["resources"].insert_many(more)
    await api.resource("b", name="Last", services=["cut"])
    await api.booked(resource="b")

    shown = (await browser.get(CALENDAR, params={"view": "week", "of": "service:cut", "date": str(NINE.date())})).text

    assert 'data-resources="a000 b"' in shown
    assert re.findall(r"</strong> <span>(\w+)</span>", shown) == ["Last"]
    assert shown.count('<option value="resource:') == 1_000


async def test_a_month(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """Whole weeks, with the first bookings of each day and how many more there are."""
    await api.resource(capacity=9)
    for _ in range(6):
        await api.booked()

    shown = (await browser.get(CALENDAR, params={"view": "month", "date": str(NINE.date())})).text

    assert shown.count("<td") % 7 == 0
    assert shown.count('class="chip') == shown.count('<time data-format="time" data-zone="UTC"') == 4
    assert "2 more" in shown


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"date": "2026-02-30"}, 422),
        ({"of": "resource:none"}, 404),
        ({"of": "room"}, 422),
        ({"view": "year"}, 422),
        ({"page": "-1"}, 422),
        ({"page": "99"}, 200),
        ({"of": "service:none"}, 200),
        ({"date": "1970-01-01"}, 200),
        ({"date": "2200-12-31", "view": "month"}, 200),
    ],
)
async def test_odd_questions(
    api: ApiClient, browser: httpx.AsyncClient, parameters: dict[str, str], status: int
) -> None:
    """What names nothing is refused as a page, and dates at the ends of the calendar are shown."""
    await api.resource()

    answer = await browser.get(CALENDAR, params=parameters)

    assert answer.status_code == status
    assert "<h1>" in answer.text


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'-alert(1)-'<b>"])
@pytest.mark.parametrize("view", ["day", "week", "month"])
async def test_texts_are_shown_as_text(api: ApiClient, browser: httpx.AsyncClient, view: str, text: str) -> None:
    """Markup in names and notes is shown as it was written."""
    await api.add("customers", id="mia", name=text)
    await api.service(name=text)
    await api.resource(name=text, services=["cut"])
    await api.booked(length=None, service="cut", customer="mia", notes=text)

    shown = (await browser.get(CALENDAR, params={"view": view, "date": str(NINE.date())})).text

    assert text not in shown
    assert shown.count("&lt;") >= 3 * text.count("<")


async def test_a_full_week(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """A view has fewer bytes than the pages of the API with the same bookings."""
    await api.add("customers", id="mia", name="Mia")
    await api.resource(capacity=200)
    made = await api.stored(await api.booked(customer="mia"))
    copies = [{**made, "_id": ObjectId(), "notes": f"number {number}"} for number in range(199)]
    await api.store.database["reservations"].insert_many(copies)

    answer = await api.get("/v1/reservations", resource="room", limit=200)
    shown = await browser.get(CALENDAR, params={"view": "week", "of": "resource:room", "date": str(NINE.date())})

    assert len(answer.json()["items"]) == shown.text.count('class="booking ') == 200
    assert len(shown.content) < len(answer.content)

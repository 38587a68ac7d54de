"""The page of a series as the server renders it."""

import re

import httpx
from bson import ObjectId

from tests.support.api_client import ApiClient, created
from tests.support.series_requests import post_series


async def test_what_a_series_shows(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """Its rule, and each reservation by the clock of its zone, with its status, its names and a link to its day."""
    await api.add("customers", id="mia", name="Mia & Co")
    await api.resource(name="Attic", timezone="Europe/Berlin")
    made = created(await post_series(api, rule="FREQ=DAILY;COUNT=1", customer="mia", localStart="2030-01-07T09:00"))
    await api.verb(made["reservations"][0], "cancel")

    shown = (await browser.get(f"/console/series/{made['id']}")).text

    (row,) = re.findall(r"<tbody>(.*)</tbody>", shown, re.DOTALL)
    cells = [each.strip() for each in re.sub(r"<[^>]*>", "|", row).split("|") if each.strip()]
    assert cells == ["2030-01-07", ",", "09:00", "\N{EN DASH}", "10:00", "Attic", "Mia &amp; Co", "Cancelled"]
    assert "date=2030-01-07&amp;of=resource%3Aroom" in row
    assert "FREQ=DAILY;COUNT=1" in shown


async def test_rows_of_other_programs(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """Whatever other programs have stored in a reservation of a series, its page shows what of it can be read."""
    await api.resource()
    made = created(await post_series(api, rule="FREQ=DAILY;COUNT=1"))
    fields = {"startTime": "soon", "resource": 7, "customer": ObjectId(), "status": 3}
    await api.store.database["reservations"].update_one({}, {"$set": fields, "$unset": {"endTime": 1}})

    answer = await browser.get(f"/console/series/{made['id']}")

    assert answer.status_code == 200
    assert "soon" in answer.text


async def test_a_series_that_there_is_not(browser: httpx.AsyncClient) -> None:
    """Its address is a page that says so."""
    assert (await browser.get(f"/console/series/{ObjectId()}")).status_code == 404

"""The pages of the catalogue as the server renders them, which are read without scripts."""

import re
from typing import Any

import httpx
import pytest

from app.catalogue.customer_schemas import CustomerPatch
from app.catalogue.schemas import ResourcePatch, ServicePatch
from app.console.catalogue_fields import FIELDS
from tests.support.api_client import ApiClient
from tests.support.http_client import create_key

CATALOGUE = "/console/catalogue"
MARKUP = '"><script>alert(1)</script>'


@pytest.mark.parametrize(
    ("kind", "patch"), [("resources", ResourcePatch), ("services", ServicePatch), ("customers", CustomerPatch)]
)
def test_every_field_can_be_edited(kind: Any, patch: Any) -> None:
    """The pages have all fields of the API's patches but metadata, which they show alone."""
    fields = {field.alias for field in patch.model_fields.values()} - {"metadata"}

    assert {each.name for each in FIELDS[kind]} == fields


async def test_hours(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """The week, the dates to come with hours of their own and the times off are there without scripts."""
    await api.resource(timezone="Europe/Berlin")
    hours = {
        "weekly": [
            {"days": ["mon", "fri"], "from": "13:00", "to": "17:00"},
            {"days": ["mon"], "from": "09:00", "to": "12:00"},
        ],
        "overrides": [{"date": "2199-12-24", "windows": []}, {"date": "1999-12-24", "windows": []}],
    }
    await api.request("PUT", "/v1/resources/room/schedule", json=hours, headers={"If-Match": "*"})
    for off in ({"from": "2199-07-07", "to": "2199-07-10"}, {"from": "1999-07-07", "to": "1999-07-10"}):
        await api.request("POST", "/v1/resources/room/time-off", json={**off, "reason": MARKUP})

    shown = (await browser.get(f"{CATALOGUE}/resources/room")).text.replace("\N{EN DASH}", "-")

    assert re.findall(r"<dt>(Monday|Sunday)</dt><dd>(.*?)</dd>", shown) == [
        ("Monday", "09:00-12:00, 13:00-17:00"),
        ("Sunday", '<span class="faint">closed</span>'),
    ]
    assert re.findall(r"<dt>(\d{4}-12-24)</dt>", shown) == ["2199-12-24"]
    assert re.findall(r">(\d{4}-07-\d\d)</time>", shown) == ["2199-07-07", "2199-07-09"]
    assert MARKUP not in shown


@pytest.mark.parametrize(
    "schedule",
    [
        {"weekly": 3},
        {"weekly": [3, {"days": "mon"}, {"days": ["mon", 4, "no"], "from": 9, "to": MARKUP}]},
        {"overrides": "x"},
        {"overrides": [None, {"date": 5}, {"date": "2199-01-01", "windows": 3}, {"date": "2199-01-02"}]},
        {},
    ],
    ids=str,
)
async def test_hours_of_other_programs(api: ApiClient, browser: httpx.AsyncClient, schedule: dict[str, Any]) -> None:
    """Whatever they have stored as hours, the page shows what can be read."""
    await api.resource()
    stored = {"schedule": schedule, "timeOff": schedule.get("weekly", [{"from": 3}, {"from": MARKUP, "to": "9"}])}
    await api.store.database["resources"].update_one({"_id": "room"}, {"$set": stored})

    shown = await browser.get(f"{CATALOGUE}/resources/room")

    assert shown.status_code == 200
    assert MARKUP not in shown.text


async def test_lists(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """Fifty objects by id, and the way to the next ones; customers are found by their address or external id."""
    for number in range(51):
        mail = {"email": f"c{number}@example.com", "externalId": f"X{number}"}
        await api.add("customers", id=f"c{number:02}", name=f"C{number}", **mail)
    first = (await browser.get(f"{CATALOGUE}/customers")).text
    (following,) = re.findall(r'rel="next" href="([^"]+)"', first)

    async def found(**query: str) -> list[str]:
        shown = (await browser.get(f"{CATALOGUE}/customers", params=query)).text
        return re.findall(r'href="/console/catalogue/customers/(c\d\d)"', shown)

    assert re.findall(r"customers/(c\d\d)", (await browser.get(following)).text) == ["c50"]
    assert await found(find="c7@example.com") == ["c07"]
    assert await found(find=" X9 ") == ["c09"]
    assert await found(find="nobody") == []


async def test_closures(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """They are listed when they are and with the names of what they close, a page at a time, names escaped."""
    for number in range(8):
        await api.resource(f"room{number}", name=f"Room {number}" if number else MARKUP)
    await api.service("yoga", name="Yoga")
    days = {"from": "2199-07-07", "to": "2199-07-10"}
    instants = {"from": "2199-08-01T10:00:00+02:00", "to": "2199-08-01T12:00:00+02:00"}
    await api.add("closures", id="c01", name=MARKUP, **days)
    resources = [f"room{number}" for number in range(8)]
    await api.add("closures", id="c02", name="Works", resources=resources, services=["yoga"], **instants)
    for number in range(3, 52):
        past = {"from": "1999-01-01", "to": "1999-01-02"}
        await api.add("closures", id=f"c{number:02}", name=f"C{number}", resources=["room1"], **past)

    first = (await browser.get(f"{CATALOGUE}/closures")).text
    (following,) = re.findall(r'rel="next" href="([^"]+)"', first)
    every, works, over = re.findall(r"<tr data-id=.*?</tr>", first, re.DOTALL)[:3]

    assert re.findall(r">(\d{4}-\d\d-\d\d)</time>", every) == ["2199-07-07", "2199-07-09"]
    assert "Everything, also what is made later" in every
    assert re.findall(r">([^<]+ UTC)</time>", works) == ["2199-08-01 08:00 UTC", "2199-08-01 10:00 UTC"]
    badges = re.findall(r'href="/console/catalogue/(\w+/\w+)">([^<]+)</a>', works)
    assert badges[1:] == [
        *((f"resources/room{number}", f"Room {number}") for number in range(1, 6)),
        ("services/yoga", "Yoga"),
    ]
    assert "and 2 more" in works
    assert [' class="over"' in each for each in (every, works, over)] == [False, False, True]
    assert MARKUP not in first
    assert 'id="new"' in first
    assert re.findall(r'data-id="(c\d\d)"', (await browser.get(following)).text) == ["c51"]


async def test_the_tabs(browser: httpx.AsyncClient) -> None:
    """Each list leads to the others, closures too, and says which one it is."""
    kinds = [*FIELDS, "closures"]

    for kind in kinds:
        shown = (await browser.get(f"{CATALOGUE}/{kind}")).text
        tabs = re.findall(r'<a href="/console/catalogue/(\w+)"( aria-current="true")?>', shown)

        assert [(each, bool(current)) for each, current in tabs] == [(each, each == kind) for each in kinds]


async def test_many_services(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """A resource shows each of its services by its name, and a thousand that it could offer."""
    await api.service("s")
    (row,) = [each async for each in api.store.database["services"].find()]
    more = [{**row, "_id": f"s{number:04}", "name": f"Service {number}"} for number in range(1_001)]
    await api.store.database["services"].insert_many(more)
    await api.resource(services=["s1000"])

    shown = (await browser.get(f"{CATALOGUE}/resources/room")).text

    assert shown.count("data-service=") == 1_001
    assert 'data-service="s0998"> Service 998' in shown
    assert 'data-service="s1000" checked> Service 1000' in shown


async def test_an_erased_customer(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """It can be looked at, and not edited."""
    await api.add("customers", id="mia", name="Mia")
    await api.request("POST", "/v1/customers/mia/erase")

    shown = (await browser.get(f"{CATALOGUE}/customers/mia")).text

    assert "Mia" not in shown
    assert 'id="save"' not in shown


async def test_keys_with_less(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """Any key reads all lists but customers, which need `reservations:read`; editing needs `catalogue:write`."""
    await api.resource()
    await api.add("customers", id="mia", name="Mia")
    await api.add("closures", name="Works", **{"from": "2199-07-07", "to": "2199-07-10"})
    key = (await create_key(api.store, "test", ["findings:review"])).token
    await browser.post("/console/sign-in", data={"key": key})

    resource = await browser.get(f"{CATALOGUE}/resources/room")
    closures = await browser.get(f"{CATALOGUE}/closures")
    statuses = [
        (await browser.get(f"{CATALOGUE}{path}", follow_redirects=True)).status_code
        for path in ("", "/services", "/customers", "/customers/mia", "/keys", "/resources/nothing", "/closures/one")
    ]

    assert "Editing needs a key with catalogue:write." in resource.text
    assert 'id="save"' not in resource.text
    assert "Works" in closures.text
    assert [each for each in ('id="new"', "data-do", "closures.js") if each in closures.text] == []
    assert statuses == [200, 200, 403, 403, 404, 404, 404]

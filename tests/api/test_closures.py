"""Closures over HTTP: what they close, whom they strand, how they are changed and deleted."""

from typing import Any

import httpx
import pytest

from app.catalogue import closures as module
from app.domain.instants import render
from tests.support.api_client import ApiClient, created, failed_rules, ok, problem
from tests.support.times import DAY, HOUR, NINE

PATH = "/v1/closures"
DAY_OFF: dict[str, Any] = {"name": "Stocktaking", "from": "2030-01-07", "to": "2030-01-08"}
"""The day of `NINE`."""


async def close(api: ApiClient, *, force: bool = False, **fields: Any) -> httpx.Response:
    """Try to make a closure of the day of `NINE`."""
    parameters = {"force": "true"} if force else {}
    return await api.request("POST", PATH, json=DAY_OFF | fields, params=parameters)


async def closed(api: ApiClient, **fields: Any) -> dict[str, Any]:
    """Make a closure."""
    return created(await close(api, **fields))


async def change(api: ApiClient, closure: dict[str, Any], **patch: Any) -> httpx.Response:
    """Merge a patch into it, whatever its version is."""
    return await api.edit(f"{PATH}/{closure['id']}", **patch)


async def blamed(api: ApiClient, **asked: Any) -> str | None:
    """The closure that refuses the room at nine; None if nothing does. Slots and bookings must say the same."""
    body = {"resource": "room", "startTime": render(NINE), "endTime": render(NINE + HOUR)} | asked
    explained = ok(await api.get("/v1/availability/explain", **body))
    failed = [check for check in explained["checks"] if not check["ok"]]
    hour = {"from": body["startTime"], "to": body["endTime"]}
    question = {"service": body["service"]} if "service" in body else {"minutes": 60}
    offered = ok(await api.get("/v1/availability", resource=body["resource"], **question, **hour))["items"]
    assert explained["bookable"] is bool(offered)
    answer = await api.post(body)
    if not failed:
        ok(await api.verb(created(answer), "cancel"))
        return None
    refused = problem(answer, "rule", "/startTime")
    assert refused["checks"] == explained["checks"]
    assert failed_rules(refused) == ["time-off"]
    closure: str = failed[0]["closure"]
    return closure


@pytest.fixture
async def api(api: ApiClient) -> ApiClient:
    """Two services; a room that offers one of them, a hall that offers the other one."""
    await api.service("cut")
    await api.service("dye")
    await api.resource(services=["cut"])
    await api.resource("hall", services=["dye"])
    return api


async def test_a_closure_of_all_closes_what_is_made_later_too(api: ApiClient) -> None:
    """Neither resources nor services: everything, from `from` to `to`, and the check names the closure."""
    made = await closed(api)
    await api.resource("new")

    assert {name: made[name] for name in DAY_OFF} == DAY_OFF
    assert made.keys() == {*DAY_OFF, "id", "version", "createdAt", "updatedAt", "history"}
    for room in ("room", "hall", "new"):
        assert await blamed(api, resource=room) == made["id"]
    await api.booked(NINE + DAY)
    await api.booked(NINE - DAY)


async def test_a_closure_closes_what_it_names_and_what_offers_its_services(api: ApiClient) -> None:
    """Both together; and what offers the service from now on, whatever it is booked for."""
    made = await closed(api, id="works", resources=["hall"], services=["cut"])

    assert made["id"] == "works"
    assert await blamed(api) == "works"
    assert await blamed(api, service="cut") == "works"
    assert await blamed(api, resource="hall") == "works"
    await api.resource("new")
    assert await blamed(api, resource="new") is None
    ok(await api.edit("/v1/resources/new", services=["cut"]))
    assert await blamed(api, resource="new") == "works"


async def test_local_dates_are_those_of_each_resource(api: ApiClient) -> None:
    """In Auckland it is open again when it still is closed in London; instants are the same everywhere."""
    ok(await api.edit("/v1/resources/hall", timezone="Pacific/Auckland"))
    made = await closed(api)
    noon = {"startTime": render(NINE + 6 * HOUR), "endTime": render(NINE + 7 * HOUR)}

    created(await api.post({"resource": "hall", **noon}))
    problem(await api.post({"resource": "room", **noon}), "rule")
    instants = {"from": render(NINE + DAY), "to": "2030-01-08T11:00:00+01:00"}
    moved = ok(await change(api, made, **instants))
    assert (moved["from"], moved["to"]) == ("2030-01-08T09:00:00.000Z", "2030-01-08T10:00:00.000Z")
    assert await blamed(api) is None


async def test_a_closure_is_refused_for_the_bookings_of_all_its_resources(api: ApiClient) -> None:
    """They are listed by start; nothing is written, and by force it is done and leaves them."""
    second = await api.booked(NINE + HOUR, resource="hall")
    first = await api.booked()
    await api.booked(NINE + DAY)
    reader = await api.with_scopes("catalogue:write")
    refused = problem(await close(api), "stranded-bookings")

    assert [each["id"] for each in refused["reservations"]] == [first["id"], second["id"]]
    assert refused["total"] == 2
    assert "reservations" not in problem(await close(reader), "stranded-bookings")
    assert ok(await api.get(PATH))["items"] == []
    assert await blamed(api, startTime=render(NINE + 2 * HOUR), endTime=render(NINE + 3 * HOUR)) is None
    await closed(api, force=True)
    assert (await api.read(first))["status"] == "confirmed"


async def test_what_had_time_off_already_is_not_stranded(api: ApiClient) -> None:
    """Nor what another closure closes, what has expired, or what is over."""
    room = {"from": "2030-01-07", "to": "2030-01-08"}
    await api.booked()
    await api.booked(resource="hall")
    await api.expire(await api.booked(NINE + 2 * HOUR, expiresInSeconds=60))
    created(await api.request("POST", "/v1/resources/room/time-off?force=true", json=room))
    await closed(api, force=True, resources=["hall"])

    await closed(api)


async def test_an_edit_strands_what_it_closes_beyond_what_was_closed(api: ApiClient) -> None:
    """Another day, other resources; while a shorter time, and another name, strand nothing."""
    early = await api.booked()
    made = await closed(api, **{"from": "2030-01-08", "to": "2030-01-10"})
    refused = problem(await change(api, made, **{"from": "2030-01-07"}), "stranded-bookings")

    assert [each["id"] for each in refused["reservations"]] == [early["id"]]
    assert await blamed(api, startTime=render(NINE + HOUR), endTime=render(NINE + 2 * HOUR)) is None
    renamed = ok(await change(api, made, name="Works"))
    narrowed = ok(await change(api, made, **{"from": "2030-01-09", "resources": ["hall"]}))
    assert [each["changed"] for each in narrowed["history"][1:]] == [["name"], ["from", "resources"]]
    assert (renamed["version"], narrowed["version"]) == (2, 3)
    assert "resources" not in ok(await change(api, made, resources=None))
    widened = ok(await api.edit(f"{PATH}/{made['id']}?force=true", **{"from": "2030-01-07"}))
    assert await blamed(api, startTime=render(NINE + HOUR), endTime=render(NINE + 2 * HOUR)) == widened["id"]


async def test_deleted_it_closes_nothing(api: ApiClient) -> None:
    """With the version that was read, or any; then it is not there."""
    made = await closed(api)
    path = f"{PATH}/{made['id']}"

    problem(await api.request("DELETE", path, headers={"If-Match": '"2"'}), "stale")
    assert (await api.request("DELETE", path, headers={"If-Match": '"1"'})).status_code == 204
    assert await blamed(api) is None
    problem(await api.request("DELETE", path), "not-found")
    problem(await api.get(path), "not-found")
    problem(await change(api, made, name="x"), "not-found")


async def test_edits_that_begin_to_be_closed_strand(api: ApiClient) -> None:
    """A resource that moves to another zone, or offers a service that is closed, keeps its bookings in mind."""
    await api.booked(NINE - 12 * HOUR)
    await api.booked(resource="hall")
    await closed(api, resources=["room"])
    await closed(api, services=["cut"])

    problem(await api.edit("/v1/resources/room", timezone="Pacific/Auckland"), "stranded-bookings")
    problem(await api.edit("/v1/resources/hall", services=["cut", "dye"]), "stranded-bookings")


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"to": "2030-01-07"}, "/to"),
        ({"to": "2030-01-08T00:00:00Z"}, "/to"),
        ({"from": "soon"}, "/from"),
        ({"from": None}, "/from"),
        ({"name": ""}, "/name"),
        ({"resources": []}, "/resources"),
        ({"resources": ["room", "room"]}, "/resources"),
        ({"resources": ["nowhere"]}, "/resources/0"),
        ({"services": ["cut", "wash"]}, "/services/1"),
        ({"id": "any"}, "/id"),
        ({"reason": "none"}, "/reason"),
        ({"resources": [f"r{n}" for n in range(1_001)]}, "/resources"),
    ],
)
async def test_what_cannot_be_is_refused(api: ApiClient, fields: dict[str, Any], pointer: str) -> None:
    """With the field to blame; nothing is written."""
    problem(await close(api, **fields), "invalid", pointer)
    assert ok(await api.get(PATH))["items"] == []


async def test_patches_are_judged_as_a_whole(api: ApiClient) -> None:
    """No sequence of patches makes what a POST could not; a version that is not current is stale."""
    made = await closed(api, id="works")

    problem(await change(api, made, to="2030-01-01"), "invalid", "/to")
    problem(await change(api, made, to=None), "invalid", "/to")
    problem(await change(api, made, services=["wash"]), "invalid", "/services/0")
    problem(await api.request("PATCH", f"{PATH}/works", json={"name": "x"}), "precondition-required")
    problem(await api.request("PATCH", f"{PATH}/works", json={"name": "x"}, headers={"If-Match": '"9"'}), "stale")
    assert ok(await change(api, made, to=made["to"]))["version"] == 1
    problem(await close(api, id="works"), "exists")


async def test_the_number_of_closures_is_limited(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process has them all in memory, with the ids that they name."""
    monkeypatch.setattr(module, "CLOSURES_MAX", 2)
    monkeypatch.setattr(module, "NAMED_IN_ALL_MAX", 3)
    made = await closed(api, resources=["room", "hall"])

    assert "together" in problem(await close(api, resources=["room", "hall"]), "invalid")["detail"]
    ok(await change(api, made, services=["cut"]))
    await closed(api)
    assert "at most 2 closures" in problem(await close(api), "invalid")["detail"]


async def test_closures_are_listed_to_every_key(api: ApiClient) -> None:
    """By id, page by page; only `catalogue:write` changes them, and the key of a customer sees no history."""
    for name in ("b", "a", "c"):
        await closed(api, id=name)
    await api.add("customers", id="ann")
    bound = await api.with_scopes("reservations:read", customer="ann")
    first = ok(await bound.get(PATH, limit=2))

    assert [each["id"] for each in first["items"]] == ["a", "b"]
    assert await bound.ids(PATH, cursor=first["next"]) == ["c"]
    assert "history" not in ok(await bound.get(f"{PATH}/a"))
    problem(await close(bound), "forbidden")
    problem(await change(bound, {"id": "a"}, name="x"), "forbidden")
    problem(await bound.request("DELETE", f"{PATH}/a"), "forbidden")


async def test_force_lifts_a_closure_for_a_booking(api: ApiClient) -> None:
    """As it lifts a time off, with `reservations:admin`."""
    await closed(api)

    body = {"resource": "room", "startTime": render(NINE), "endTime": render(NINE + HOUR)}
    problem(await api.post(body), "rule")
    created(await api.post(body, force="true"))

"""Resources, services and customers."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.storage.client import Store
from tests.support.api_client import pointers, problem
from tests.support.http_client import make_key, serving

KINDS = ("resources", "services", "customers")
FIXED: dict[str, Any] = {"name": "Haircut", "durationType": "fixed", "durationMinutes": 30}
SMALLEST: dict[str, dict[str, Any]] = {"resources": {"name": "Room"}, "services": FIXED, "customers": {"name": "Ada"}}


@pytest.fixture
async def client(mock_store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key that may do everything."""
    async with serving(mock_store) as client:
        yield client


async def add(client: httpx.AsyncClient, kind: str, **fields: Any) -> httpx.Response:
    """Add an object that must be taken."""
    answer = await client.post(f"/v1/{kind}", json=SMALLEST[kind] | fields)
    assert answer.status_code == 201, answer.text
    return answer


async def edit(client: httpx.AsyncClient, path: str, if_match: str = "*", **fields: Any) -> httpx.Response:
    """Patch an object."""
    return await client.patch(path, json=fields, headers={"If-Match": if_match})


async def test_a_resource_shows_its_defaults(client: httpx.AsyncClient) -> None:
    """Defaults are shown, what is unset is left out, times and version are there."""
    body = (await add(client, "resources", id="room-1")).json()

    (entry,) = body.pop("history")
    assert body.pop("createdAt") == body.pop("updatedAt") == entry["at"]
    assert body == {
        "id": "room-1",
        "name": "Room",
        "version": 1,
        "timezone": "UTC",
        "capacity": 1,
        "capacityMode": "reservations",
        "services": [],
        "serviceOnly": False,
        "active": True,
    }


async def test_a_service_shows_its_lengths(client: httpx.AsyncClient) -> None:
    """Lengths are 0 by default; lengths with another default are left out."""
    body = (await add(client, "services", id="cut")).json()

    (entry,) = body.pop("history")
    assert body.pop("createdAt") == body.pop("updatedAt") == entry["at"]
    assert body == FIXED | {
        "id": "cut",
        "version": 1,
        "bufferBeforeMinutes": 0,
        "bufferAfterMinutes": 0,
        "minimumNoticeMinutes": 0,
        "cancellationNoticeMinutes": 0,
        "approval": False,
        "active": True,
        "hours": "throughout",
        "assignment": "even",
    }


@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_made_can_be_read_where_it_says(client: httpx.AsyncClient, kind: str) -> None:
    """201 with Location and ETag; the same object there and in the list."""
    made = await add(client, kind)
    read = await client.get(made.headers["location"])

    assert made.headers["location"] == f"/v1/{kind}/{made.json()['id']}"
    assert read.json() == made.json()
    assert made.headers["etag"] == read.headers["etag"] == '"1"'
    assert (await client.get(f"/v1/{kind}")).json() == {"items": [made.json()]}


@pytest.mark.parametrize("kind", KINDS)
async def test_an_id_is_taken_once(client: httpx.AsyncClient, kind: str) -> None:
    """The caller's own, of one to 64 safe characters; a second of it is refused and changes nothing."""
    for identity in ("a", "Z.9_-", "x" * 64):
        assert (await add(client, kind, id=identity)).json()["id"] == identity
    answer = await client.post(f"/v1/{kind}", json=SMALLEST[kind] | {"id": "a", "name": "Other"})

    assert "'a'" in problem(answer, "exists")["detail"]
    assert (await client.get(f"/v1/{kind}/a")).json()["name"] == SMALLEST[kind]["name"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("identity", ["any", ".", "..", "", "x" * 65, "a b", "a/b", "ä", "a\n", 7])
async def test_other_ids_are_invalid(client: httpx.AsyncClient, kind: str, identity: object) -> None:
    """`any` stands for whichever is free; `.` and `..` mean other things in a path."""
    assert pointers(await client.post(f"/v1/{kind}", json=SMALLEST[kind] | {"id": identity})) == ["/id"]


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_of_an_id_is_not_found(client: httpx.AsyncClient, kind: str) -> None:
    """Read or changed, possible or impossible."""
    for identity in ("nobody", "any", "x" * 100, "%00", "%F0%9F%98%80"):
        problem(await client.get(f"/v1/{kind}/{identity}"), "not-found")
        problem(await edit(client, f"/v1/{kind}/{identity}", name="x"), "not-found")


METADATA: list[tuple[str, Any]] = [
    ("a.b", 1),
    ("$a", 1),
    ("", 1),
    ("x" * 41, 1),
    ("a", "x" * 501),
    ("a", []),
    ("a", {}),
    ("a", 10**400),
    ("a", "\0"),
]
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("resources", {"name": ""}, "/name"),
    ("resources", {"name": "x" * 201}, "/name"),
    ("resources", {"timezone": "Mars/Olympus"}, "/timezone"),
    ("resources", {"timezone": "../../etc/passwd"}, "/timezone"),
    ("resources", {"timezone": "europe/berlin"}, "/timezone"),
    ("resources", {"timezone": "Factory"}, "/timezone"),
    ("resources", {"timezone": "localtime"}, "/timezone"),
    ("resources", {"capacity": 0}, "/capacity"),
    ("resources", {"capacity": 10_001}, "/capacity"),
    ("resources", {"capacity": True}, "/capacity"),
    ("resources", {"capacityMode": "per-guest"}, "/capacityMode"),
    *(("resources", {"maxGuests": size}, "/maxGuests") for size in (0, -1, 10_001, 10**400, 1.5, "4", True)),
    *(("resources", {"serviceOnly": flag}, "/serviceOnly") for flag in (0, "true")),
    ("resources", {"serviceOnly": []}, "/serviceOnly"),
    ("resources", {"services": "cut"}, "/services"),
    ("resources", {"services": ["cut"]}, "/services/0"),
    ("resources", {"schedule": {}}, "/schedule"),
    ("resources", {"timeOff": []}, "/timeOff"),
    ("resources", {"version": 1}, "/version"),
    ("services", {"durationMinutes": 0}, "/durationMinutes"),
    ("services", {"durationMinutes": 366 * 1440 + 1}, "/durationMinutes"),
    ("services", {"durationMinutes": 7.5}, "/durationMinutes"),
    ("services", {"durationType": "any"}, "/durationType"),
    ("services", {"bufferBeforeMinutes": -1}, "/bufferBeforeMinutes"),
    ("services", {"slotIntervalMinutes": 0}, "/slotIntervalMinutes"),
    ("services", {"minimumNoticeMinutes": -1}, "/minimumNoticeMinutes"),
    ("services", {"horizonDays": -1}, "/horizonDays"),
    ("services", {"approval": "no"}, "/approval"),
    ("services", {"assignment": "last"}, "/assignment"),
    ("customers", {"email": "nobody"}, "/email"),
    ("customers", {"phone": ""}, "/phone"),
    ("customers", {"externalId": "x" * 201}, "/externalId"),
    *((kind, {"description": text}, "/description") for kind in KINDS for text in ("x" * 2_001, 7, "\0")),
    *((kind, {"metadata": {key: value}}, f"/metadata/{key}") for kind in KINDS for key, value in METADATA),
    *((kind, {"metadata": []}, "/metadata") for kind in KINDS),
    *((kind, {"metadata": {f"k{number}": 1 for number in range(21)}}, "/metadata") for kind in KINDS),
]


@pytest.mark.parametrize(("kind", "fields", "pointer"), BAD)
async def test_bounds_hold_for_adding_and_editing(
    client: httpx.AsyncClient, kind: str, fields: dict[str, Any], pointer: str
) -> None:
    """The field is named and nothing is changed, by adding and by editing alike."""
    made = await add(client, kind, id="there")
    assert pointers(await client.post(f"/v1/{kind}", json=SMALLEST[kind] | fields)) == [pointer]
    assert pointers(await edit(client, f"/v1/{kind}/there", **fields)) == [pointer]
    assert (await client.get(f"/v1/{kind}")).json() == {"items": [made.json()]}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_name_is_required(client: httpx.AsyncClient, kind: str) -> None:
    """Left out of a new object, or unset in a patch."""
    fields = {name: value for name, value in SMALLEST[kind].items() if name != "name"}
    assert pointers(await client.post(f"/v1/{kind}", json=fields)) == ["/name"]
    assert pointers(await edit(client, (await add(client, kind)).headers["location"], name=None)) == ["/name"]


async def test_an_id_cannot_be_edited(client: httpx.AsyncClient) -> None:
    """It is no field of a patch."""
    path = (await add(client, "resources")).headers["location"]

    assert pointers(await edit(client, path, id="other")) == ["/id"]


FITTING: list[dict[str, Any]] = [
    {"durationType": "fixed", "durationMinutes": 1},
    {"durationType": "flexible", "minMinutes": 30, "maxMinutes": 30},
    {"durationType": "flexible", "minMinutes": 30, "maxMinutes": 100, "stepMinutes": 15, "slotIntervalMinutes": 10},
    {"durationType": "full-day"},
    {"durationType": "full-day", "maxDays": 366, "horizonDays": 0},
]
UNFITTING: list[tuple[dict[str, Any], list[str]]] = [
    ({"durationType": "fixed"}, ["/durationMinutes"]),
    ({"durationType": "fixed", "durationMinutes": 30, "maxDays": 2}, ["/maxDays"]),
    ({"durationType": "fixed", "durationMinutes": 30, "stepMinutes": 5}, ["/stepMinutes"]),
    ({"durationType": "flexible"}, ["/maxMinutes", "/minMinutes"]),
    ({"durationType": "flexible", "minMinutes": 30, "maxMinutes": 29}, ["/maxMinutes"]),
    ({"durationType": "flexible", "minMinutes": 5, "maxMinutes": 9, "durationMinutes": 7}, ["/durationMinutes"]),
    ({"durationType": "full-day", "maxDays": 0}, ["/maxDays"]),
    ({"durationType": "full-day", "durationMinutes": 1440}, ["/durationMinutes"]),
    ({"durationType": "full-day", "minMinutes": 5}, ["/minMinutes"]),
]


@pytest.mark.parametrize("fields", FITTING)
async def test_each_type_has_its_lengths(client: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    """They come back as they were given."""
    body = (await client.post("/v1/services", json={"name": "x"} | fields)).json()

    assert {name: body[name] for name in fields} == fields


@pytest.mark.parametrize(("fields", "blamed"), UNFITTING)
async def test_lengths_of_another_type_are_refused(
    client: httpx.AsyncClient, fields: dict[str, Any], blamed: list[str]
) -> None:
    """Missing ones and foreign ones are both named."""
    assert pointers(await client.post("/v1/services", json={"name": "x"} | fields)) == blamed


async def test_a_type_changes_with_its_lengths(client: httpx.AsyncClient) -> None:
    """A patch is judged by its result: what the new type does not have is unset in the same patch."""
    path = (await add(client, "services")).headers["location"]
    flexible: dict[str, Any] = {"durationType": "flexible", "minMinutes": 10, "maxMinutes": 60}

    assert pointers(await edit(client, path, **flexible)) == ["/durationMinutes"]
    body = (await edit(client, path, **flexible, durationMinutes=None)).json()
    assert body["durationType"] == "flexible"
    assert "durationMinutes" not in body


async def test_a_patch_merges(client: httpx.AsyncClient) -> None:
    """What is left out stays, arrays are replaced, null unsets to the default."""
    for identity in ("a", "b"):
        await add(client, "services", id=identity)
    fields: dict[str, Any] = {"capacity": 5, "services": ["a", "b"], "timezone": "Europe/Berlin"}
    made = (await add(client, "resources", **fields, maxGuests=4, serviceOnly=True)).json()
    path = f"/v1/resources/{made['id']}"

    first = (await edit(client, path, services=["b"], active=False)).json()
    changed = {name: first[name] for name in ("updatedAt", "history")}
    assert first == made | {"services": ["b"], "active": False, "version": 2} | changed
    unset: dict[str, Any] = dict.fromkeys((*fields, "active", "maxGuests", "serviceOnly"))
    second = (await edit(client, path, **unset)).json()
    assert made.pop("maxGuests") == 4
    fresh = {"services": [], "capacity": 1, "timezone": "UTC", "active": True, "serviceOnly": False}
    changed = {name: second[name] for name in ("updatedAt", "history")}
    assert second == made | fresh | {"version": 3} | changed
    assert (await client.get(path)).json() == second


async def test_what_a_customer_unsets_is_gone(client: httpx.AsyncClient, mock_store: Store) -> None:
    """Left out of the answer and of the document, where a null would be indexed."""
    path = (await add(client, "customers", id="ada", email="ada@example.org", externalId="7")).headers["location"]
    body = (await edit(client, path, email=None, externalId=None, phone="1")).json()
    stored = await mock_store.database["customers"].find_one({"_id": "ada"})

    assert stored is not None
    for fields in (body, stored):
        assert fields["phone"] == "1"
        assert not {"email", "externalId"} & fields.keys()


@pytest.mark.parametrize("kind", KINDS)
async def test_descriptions_and_metadata_are_the_callers(client: httpx.AsyncClient, kind: str) -> None:
    """They are shown as they were given, metadata merge by key, and what is unset is gone."""
    given = {"description": "Ground floor, left.\n", "metadata": {"floor": 0, "quiet": True, "code": "é"}}
    path = (await add(client, kind, **given)).headers["location"]
    shown = (await client.get(path)).json()
    assert {name: shown[name] for name in given} == given

    merged = (await edit(client, path, metadata={"floor": None, "quiet": 1, "new": 0.5})).json()
    assert merged["metadata"] == {"quiet": 1, "code": "é", "new": 0.5}
    assert merged["metadata"]["quiet"] is not True
    assert (merged["version"], merged["description"]) == (2, given["description"])
    assert (await edit(client, path, metadata={"new": 0.5, "absent": None})).json()["version"] == 2
    many = {f"k{number}": 1 for number in range(18)}
    assert pointers(await edit(client, path, metadata=many)) == ["/metadata"]
    assert len((await edit(client, path, metadata=many | {"new": None})).json()["metadata"]) == 20

    bare = (await edit(client, path, description=None, metadata=dict.fromkeys([*many, "quiet", "code"]))).json()
    assert not {"description", "metadata"} & bare.keys()
    assert not {"description", "metadata"} & (await client.get(path)).json().keys()


@pytest.mark.parametrize("kind", KINDS)
async def test_versions_keep_edits_apart(client: httpx.AsyncClient, kind: str) -> None:
    """428 without If-Match, 412 with an old one; the right one counts on and gives the next ETag."""
    path = (await add(client, kind)).headers["location"]
    problem(await client.patch(path, json={"name": "b"}), "precondition-required")

    edited = await edit(client, path, '"1"', name="b")
    assert (edited.json()["version"], edited.headers["etag"]) == (2, '"2"')
    assert edited.json()["updatedAt"] >= edited.json()["createdAt"]
    problem(await edit(client, path, '"1"', name="c"), "stale")
    problem(await edit(client, path, '"1", "3"', name="c"), "stale")
    problem(await edit(client, path, "2", name="c"), "invalid")
    assert (await edit(client, path, '"1", "2"', name="c")).json()["version"] == 3
    assert (await edit(client, path, "*", name="d")).json()["version"] == 4


@pytest.mark.parametrize("kind", KINDS)
async def test_a_patch_that_changes_nothing_is_no_change(client: httpx.AsyncClient, kind: str) -> None:
    """The version stays; an old If-Match is stale all the same."""
    made = await add(client, kind)
    path = made.headers["location"]

    for fields in ({}, {"name": made.json()["name"]}):
        same = await edit(client, path, '"1"', **fields)
        assert (same.json(), same.headers["etag"]) == (made.json(), '"1"')
    problem(await edit(client, path, '"2"'), "stale")


async def test_a_resource_names_services_that_exist(client: httpx.AsyncClient) -> None:
    """Each unknown one is named where it stands, each known one once."""
    await add(client, "services", id="cut")
    answer = await client.post("/v1/resources", json={"name": "x", "services": ["nope", "cut", "none"]})

    assert pointers(answer) == ["/services/0", "/services/2"]
    assert pointers(await client.post("/v1/resources", json={"name": "x", "services": ["cut", "cut"]})) == ["/services"]


async def test_guards_stand_before_what_they_guard(client: httpx.AsyncClient, mock_store: Store) -> None:
    """A resource can be booked, and a service offered, from the moment that it can be seen."""
    await add(client, "services", id="cut")
    await add(client, "resources", id="room", services=["cut"])
    guards = {row["_id"]: row async for row in mock_store.database["guards"].find()}

    assert set(guards) == {"room", "service:cut", "pool:cut"}
    assert (guards["room"]["reachBack"], guards["room"]["seq"]) == (guards["room"]["reachAhead"], 0)
    assert all(guards[each]["rules"] for each in ("room", "service:cut"))


async def test_an_edit_changes_the_rules_of_its_guard(client: httpx.AsyncClient, mock_store: Store) -> None:
    """So that every process forgets what it remembered; customers have none."""
    await add(client, "services", id="cut")
    await add(client, "resources", id="room")
    guarded = {"_id": {"$in": ["room", "service:cut"]}}
    before = {row["_id"]: row["rules"] async for row in mock_store.database["guards"].find(guarded)}
    await edit(client, "/v1/services/cut", name="x")
    await edit(client, "/v1/resources/room", name="x")
    after = {row["_id"]: row["rules"] async for row in mock_store.database["guards"].find(guarded)}

    assert before.keys() == after.keys() == {"room", "service:cut"}
    assert not before.items() & after.items()


@pytest.mark.parametrize("kind", KINDS)
async def test_lists_come_in_pages_by_id(client: httpx.AsyncClient, kind: str) -> None:
    """Each object is listed once, whatever is added after or before the cursor meanwhile."""
    ids = ["b", "d", "f", "h", "j"]
    for identity in ids:
        await add(client, kind, id=identity)
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(f"/v1/{kind}", params=params)).json()
        seen += [item["id"] for item in page["items"]]
        if len(seen) == 2:
            await add(client, kind, id="a")
        cursor = page.get("next")
        if cursor is None:
            break

    assert seen == ids
    assert "?cursor" in pointers(await client.get(f"/v1/{kind}", params={"cursor": "next"}))


async def found(client: httpx.AsyncClient, kind: str, **filters: Any) -> list[str]:
    """The ids that a list has, read in pages of one."""
    seen, cursor = [], None
    while True:
        page = (
            await client.get(f"/v1/{kind}", params=filters | {"limit": 1} | ({"cursor": cursor} if cursor else {}))
        ).json()
        seen += [item["id"] for item in page["items"]]
        if (cursor := page.get("next")) is None:
            return seen


async def test_customers_are_found_by_what_other_systems_know(client: httpx.AsyncClient) -> None:
    """By external id and address, exactly and several at a time, in pages as well; resources have no such filter."""
    for index in range(4):
        email = "shared@example.org" if index % 2 else "Own@example.org"
        await add(client, "customers", id=f"c{index}", externalId=f"crm-{index}", email=email)

    assert await found(client, "customers", externalId="crm-1") == ["c1"]
    assert await found(client, "customers", externalId=["crm-3", "crm-0", "crm"]) == ["c0", "c3"]
    assert await found(client, "customers", email="shared@example.org") == ["c1", "c3"]
    assert await found(client, "customers", email=["shared@example.org", "own@example.org"]) == ["c1", "c3"]
    assert await found(client, "customers", email="Own@example.org", externalId=["crm-1", "crm-2"]) == ["c2"]
    assert await found(client, "customers", externalId="") == []
    many = {"externalId": ["x"] * 100, "email": ["y"] * 101}
    assert pointers(await client.get("/v1/customers", params=many)) == ["?email"]
    assert pointers(await client.get("/v1/resources", params={"externalId": "crm-1"})) == ["?externalId"]


async def test_what_can_be_booked_is_found_by_service_and_state(client: httpx.AsyncClient) -> None:
    """Resources by any of some services, these and services by whether they can be booked anew."""
    for service in ("cut", "dye"):
        await add(client, "services", id=service)
    for name, services, active in (("a", ["cut"], True), ("b", ["cut", "dye"], False), ("c", ["dye"], True)):
        await add(client, "resources", id=name, services=services, active=active)
    await edit(client, "/v1/services/dye", active=False)

    assert await found(client, "resources", service="cut") == ["a", "b"]
    assert await found(client, "resources", service=["cut", "dye"], active="true") == ["a", "c"]
    assert await found(client, "resources", service="dye", active="false") == ["b"]
    assert await found(client, "resources", service="nothing") == []
    assert await found(client, "services", active="true") == ["cut"]
    assert await found(client, "services", active="false") == ["dye"]
    for kind, query in (
        ("resources", {"active": "maybe"}),
        ("services", {"active": ""}),
        ("services", {"active": "Null"}),
        ("customers", {"active": "true"}),
    ):
        assert pointers(await client.get(f"/v1/{kind}", params=query)) == ["?active"]
    assert pointers(await client.get("/v1/resources", params={"service": ["s"] * 201})) == ["?service"]


async def test_an_external_id_is_of_one_customer(client: httpx.AsyncClient) -> None:
    """A second one is refused at the field, whether it is added or edited, until the first has lost it."""
    first = (await add(client, "customers", id="a", externalId="crm-1")).headers["location"]
    second = (await add(client, "customers", id="b")).headers["location"]
    for taken in (
        await client.post("/v1/customers", json={"name": "c", "externalId": "crm-1"}),
        await edit(client, second, externalId="crm-1"),
    ):
        problem(taken, "exists", "/externalId")
    answer = await client.post("/v1/customers", json={"name": "c", "id": "a", "externalId": "crm-1"})
    assert "'a'" in problem(answer, "exists")["detail"]
    assert await found(client, "customers") == ["a", "b"]

    assert (await edit(client, first, externalId="crm-1")).json()["version"] == 1
    await edit(client, first, externalId=None)
    assert (await edit(client, second, externalId="crm-1")).json()["externalId"] == "crm-1"
    assert (await client.post(f"{second}/erase")).status_code == 200
    await add(client, "customers", externalId="crm-1")


async def test_nothing_is_deleted(client: httpx.AsyncClient) -> None:
    """Resources and services are deactivated instead."""
    path = (await add(client, "resources")).headers["location"]

    problem(await client.delete(path), "method-not-allowed")
    assert (await edit(client, path, active=False)).json()["active"] is False


async def book(client: httpx.AsyncClient, day: int, **fields: Any) -> dict[str, Any]:
    """Book nine to ten on a day far ahead."""
    times = {"startTime": f"2100-01-{day:02}T09:00:00Z", "endTime": f"2100-01-{day:02}T10:00:00Z"}
    answer = await client.post("/v1/reservations", json={"resource": "room"} | times | fields)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_an_edit_that_strands_bookings_lists_them(client: httpx.AsyncClient) -> None:
    """The refusal lists the bookings without room, for keys that may read reservations; force leaves the bookings."""
    await add(client, "resources", id="room", capacity=2)
    await add(client, "customers", id="ada")
    stranded = [await book(client, 5), await book(client, 5, customer="ada")]
    await book(client, 6)

    refusal = problem(await edit(client, "/v1/resources/room", capacity=1), "stranded-bookings")
    assert refusal["total"] == 2
    assert sorted(refusal["reservations"], key=lambda each: each["id"]) == sorted(
        [
            {
                name: each[name]
                for name in ("id", "version", "customer", "startTime", "endTime", "status")
                if name in each
            }
            for each in stranded
        ],
        key=lambda each: each["id"],
    )
    assert (await client.get("/v1/resources/room")).json()["capacity"] == 2
    forced = await client.patch("/v1/resources/room?force=true", json={"capacity": 1}, headers={"If-Match": "*"})
    assert forced.json()["capacity"] == 1


async def test_who_may_not_read_reservations_learns_only_how_many(client: httpx.AsyncClient, mock_store: Store) -> None:
    """The scope for the catalogue alone shows no bookings."""
    await add(client, "resources", id="room")
    await book(client, 5)
    client.headers["Authorization"] = f"Bearer {await make_key(mock_store, 'catalogue:write')}"
    refusal = problem(await edit(client, "/v1/resources/room", capacityMode="guests"), "stranded-bookings")

    assert refusal["total"] == 1
    assert "reservations" not in refusal


async def test_what_units_mean_stays_while_bookings_are_to_come(client: httpx.AsyncClient) -> None:
    """Even by force."""
    await add(client, "resources", id="room")
    await book(client, 5)
    answer = await client.patch(
        "/v1/resources/room?force=true", json={"capacityMode": "guests"}, headers={"If-Match": "*"}
    )

    problem(answer, "stranded-bookings")

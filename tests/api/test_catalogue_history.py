"""Who changed the catalogue: the history of resources and services."""

from typing import Any

import pytest
from bson import ObjectId

from app.domain.ids import ResourceId
from app.importing.catalogue_ids import CatalogueIds
from app.storage.documents import CHANGES_MAX
from tests.support.api_client import ApiClient, created, ok
from tests.support.times import NINE

HALL = "/v1/resources/hall"
CUT = "/v1/services/cut"
AWAY = {"from": "2035-08-01", "to": "2035-08-15", "reason": "Renovation"}


def lines(shown: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Who changed what, the oldest first."""
    return [(entry["by"], entry["changed"]) for entry in shown["history"]]


@pytest.fixture
async def editor(api: ApiClient) -> ApiClient:
    """Another key, which edits a hall and a service that the first one has made."""
    await api.service()
    await api.resource("hall", capacity=3)
    return await api.with_scopes("catalogue:write")


async def test_each_change_has_its_line(api: ApiClient, editor: ApiClient) -> None:
    """With the key that made it, its instant and its fields; an edit that changes nothing has none."""
    ok(await editor.edit(HALL, capacity=2, services=["cut"], name="a name"))
    same = ok(await api.edit(HALL, capacity=2))
    ok(await api.edit(HALL, active=False))
    shown = ok(await api.get(HALL))

    assert [(by, set(changed)) for by, changed in lines(shown)] == [
        (api.prefix, {"name", "capacity"}),
        (editor.prefix, {"capacity", "services"}),
        (api.prefix, {"active"}),
    ]
    assert shown["history"][-1]["at"] == shown["updatedAt"]
    assert shown["history"][:-1] == same["history"]
    assert len(shown["history"]) == shown["version"]


async def test_hours_are_in_the_history_of_their_resource(api: ApiClient, editor: ApiClient) -> None:
    """They share its version, and so its history, as `schedule` and `timeOff`; no reason of a time off is in it."""
    opened = {"weekly": [{"days": ["mon"], "from": "09:00", "to": "17:00"}]}
    ok(await editor.request("PUT", f"{HALL}/schedule", json=opened, headers={"If-Match": "*"}))
    away = created(await api.request("POST", f"{HALL}/time-off", json=AWAY))
    deleted = await editor.request("DELETE", f"{HALL}/time-off/{away['id']}")
    assert deleted.status_code == 204
    shown = ok(await api.get(HALL))

    assert lines(shown)[1:] == [
        (editor.prefix, ["schedule"]),
        (api.prefix, ["timeOff"]),
        (editor.prefix, ["timeOff"]),
    ]
    assert "Renovation" not in str(shown)
    assert len(shown["history"]) == shown["version"] == int(deleted.headers["ETag"].strip('"'))


async def test_services_too(api: ApiClient, editor: ApiClient) -> None:
    """By the names of the wire, also where a field is unset."""
    ok(await editor.edit(CUT, bufferAfterMinutes=10, horizonDays=30))
    edited = ok(await api.edit(CUT, horizonDays=None, approval=True))

    assert [(by, set(changed)) for by, changed in lines(edited)] == [
        (api.prefix, {"name", "durationType", "durationMinutes"}),
        (editor.prefix, {"bufferAfterMinutes", "horizonDays"}),
        (api.prefix, {"horizonDays", "approval"}),
    ]
    assert ok(await api.get(CUT)) == edited


@pytest.mark.parametrize("path", [HALL, CUT])
async def test_the_last_fifty_stay(api: ApiClient, editor: ApiClient, path: str) -> None:
    """The oldest went for the newest."""
    for number in range(CHANGES_MAX + 1):
        edited = ok(await editor.edit(path, name=f"name {number}"))

    assert edited["version"] == CHANGES_MAX + 2
    assert lines(edited) == [(editor.prefix, ["name"])] * CHANGES_MAX
    assert ok(await api.get(path)) == edited


async def test_who_sees_it(api: ApiClient, editor: ApiClient) -> None:
    """Every key that reads the catalogue, but for those that are bound to a customer; in lists as well."""
    await api.add("customers", id="ann")
    for reader in (editor, await api.with_scopes("findings:review")):
        assert "history" in ok(await reader.get(HALL))
    bound = await api.with_scopes("reservations:read", customer="ann")
    for path in (HALL, CUT):
        assert ok(await bound.get(path)).keys() == ok(await api.get(path)).keys() - {"history"}
    for path in ("/v1/resources", "/v1/services"):
        assert [lines(each) for each in ok(await editor.get(path))["items"]] != []
        assert not [each for each in ok(await bound.get(path))["items"] if "history" in each]


async def test_no_customer_has_one(api: ApiClient) -> None:
    """What is personal is not kept in a history."""
    await api.add("customers", id="ann")

    assert "history" not in ok(await api.edit("/v1/customers/ann", phone="1"))


@pytest.mark.parametrize("stored", [None, "x", 7, {"at": 1}, [1, {"by": "x"}, None], [{"at": NINE, "by": 3}]])
@pytest.mark.parametrize("kind", ["resources", "services"])
async def test_other_histories_are_none(api: ApiClient, editor: ApiClient, kind: str, stored: object) -> None:
    """Objects of other programs have none, or something else there: they are read, listed, booked and edited."""
    path = HALL if kind == "resources" else CUT
    change = {"$unset": {"history": ""}} if stored is None else {"$set": {"history": stored}}
    await api.store.database[kind].update_many({}, change)

    assert "history" not in ok(await api.get(path))
    assert len(ok(await api.get(f"/v1/{kind}"))["items"]) == 1
    created(await api.book(resource="hall"))
    assert lines(ok(await editor.edit(path, name="mine"))) == [(editor.prefix, ["name"])]


async def test_what_is_readable_of_another_history_stays(api: ApiClient, editor: ApiClient) -> None:
    """An entry that this version cannot read is no reason to lose the others."""
    mine = {"at": NINE, "by": "someone", "changed": ["name"]}
    await api.store.database["resources"].update_many({}, {"$set": {"history": [7, mine | {"more": ObjectId()}, None]}})

    assert lines(ok(await editor.edit(HALL, name="mine"))) == [("someone", ["name"]), (editor.prefix, ["name"])]


async def test_an_import_is_named(api: ApiClient) -> None:
    """What it creates begins with its word."""
    ids = CatalogueIds(api.store, create=True)
    await ids.resolve([ResourceId("desk")], [])

    assert lines(ok(await api.get("/v1/resources/desk"))) == [("import", ["name"])]

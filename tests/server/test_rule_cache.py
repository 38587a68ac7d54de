"""The cache of parsed rules: how long an entry is valid, and that no invalid one is used."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from typing_extensions import override

from app.domain.ids import ResourceId
from app.domain.instants import render
from app.domain.rules import ResourceRules
from app.errors import Problem
from app.storage.client import Store
from app.storage.documents import RulesId
from app.storage.pools import join_pools, pool_row
from app.storage.rule_cache import PORTION, RuleCache, RuleReader
from app.storage.stored_rules import resource_rules_of
from app.storage.versioned_cache import VersionedCache
from app.work import WorkPool
from tests.support.api_client import ApiClient, created, ok, problem
from tests.support.command_log import CommandLog, logged_store
from tests.support.http_client import serving
from tests.support.ids import CUT_ID, ROOM_ID
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.usefixtures("mock_store")  # without a database there are no documents
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
Row = Mapping[str, Any]


def row(identity: str = "room", version: int = 1, **fields: Any) -> dict[str, Any]:
    """A stored resource."""
    times = {"createdAt": NEW_YEAR, "updatedAt": NEW_YEAR}
    return {"_id": identity, "name": identity, "version": version, **times, **fields}


def guards(rules: str, *identities: str) -> dict[str, RulesId]:
    """Guards that all carry this id."""
    return {identity: RulesId(rules=rules) for identity in identities or ("room",)}


class Parsed:
    """Counts what is parsed."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def __call__(self, stored: Row) -> ResourceRules:
        """Parse."""
        self.ids.append(stored["_id"])
        return resource_rules_of(stored)

    def taken(self) -> list[str]:
        """The ids that were parsed since the last call."""
        ids, self.ids = self.ids, []
        return ids


def rooms(parse: Parsed, *, atomic: bool = True, limit: int = 100) -> VersionedCache[ResourceId, ResourceRules]:
    """A cache of resources that counts."""
    return VersionedCache("resources", parse, str, atomic=atomic, limit=limit)


def put(cache: VersionedCache[ResourceId, ResourceRules], stored: Row, rules: str = "r1") -> ResourceRules:
    """Keep a resource as it was read under the guard's id."""
    return cache.put(stored, cache.stamp(guards(rules, stored["_id"]), stored))


def known(cache: VersionedCache[ResourceId, ResourceRules], rules: str, rows: Iterable[Row]) -> set[str]:
    """The ids that need not be read."""
    rows = [*rows]
    return set(cache.valid(guards(rules, *[each["_id"] for each in rows]), rows))


def test_with_transactions_the_id_of_the_guard_decides() -> None:
    """The same id, the same rules, whatever else is known of the object; another id, none."""
    cache = rooms(Parsed())
    put(cache, row(capacity=3))

    assert cache.valid(guards("r1"), [{"_id": "room"}])[ROOM_ID].capacity == 3
    assert known(cache, "r2", [{"_id": "room"}]) == set()


def test_without_transactions_the_version_decides_as_well() -> None:
    """An edit whose second write got lost left the guard's id as it was."""
    cache = rooms(Parsed(), atomic=False)
    put(cache, row())

    assert known(cache, "r1", [row()]) == {"room"}
    assert known(cache, "r1", [row(version=2)]) == set()
    assert known(cache, "r2", [row()]) == set()


def test_a_resource_without_a_guard_is_not_cached() -> None:
    """Nothing would say when it changes."""
    cache = rooms(Parsed())
    cache.put(row(), cache.stamp({}, row()))

    assert known(cache, "r1", [row()]) == set()


def test_long_schedules_take_more_of_the_room() -> None:
    """Overrides and times off count; the oldest make room, and the newest stays whatever its size."""
    days = [{"date": (date(2026, 1, 1) + timedelta(days=n)).isoformat(), "windows": []} for n in range(60)]
    cache = rooms(Parsed())
    for name in ("a", "b", "c"):
        put(cache, row(name))
    put(cache, row("long", schedule={"overrides": days}))
    assert known(cache, "r1", [row(name) for name in ("a", "b", "c", "long")]) == {"a", "b", "c", "long"}

    off = [{"id": str(n), "from": "2026-01-01", "to": "2026-01-02"} for n in range(98)]
    put(cache, row("away", timeOff=off))
    assert known(cache, "r1", [row(name) for name in ("a", "b", "c", "long", "away")]) == {"away"}
    put(cache, row("away", timeOff=off * 2))
    assert known(cache, "r1", [row("away")]) == {"away"}


@pytest.fixture
def database(mock_store: Store) -> Any:
    """A database of mongomock."""
    return mock_store.database


async def edit(database: Any, **fields: Any) -> None:
    """What an edit in a transaction leaves."""
    await database["resources"].update_one({"_id": "room"}, {"$set": fields, "$inc": {"version": 1}})
    await database["guards"].update_one({"_id": "room"}, {"$set": {"rules": f"r{fields['capacity']}"}})


class Between(RuleReader):
    """Another process edits the resource after its guard was read and before it is."""

    @override
    async def _load(self, *arguments: Any) -> Any:
        if arguments[0].collection == "resources":
            await edit(self._database, capacity=2)
        return await super()._load(*arguments)


async def test_what_an_edit_in_between_gave_is_not_cached(database: Any) -> None:
    """It is newer than the guard that was read before it: under that guard's id it would be wrong for ever."""
    await database["resources"].insert_one(row())
    await database["guards"].insert_one({"_id": "room", "rules": "r1"})
    cache, work = RuleCache(), WorkPool()
    rules = await Between(database, cache, work).read([ROOM_ID])

    assert rules.resources[ROOM_ID].capacity == 2
    assert cache.resources.valid(guards("r1"), [row()]) == {}
    await database["resources"].update_one({"_id": "room"}, {"$set": {"capacity": 1}})
    await database["guards"].update_one({"_id": "room"}, {"$set": {"rules": "r1"}})
    assert (await RuleReader(database, cache, work).read([ROOM_ID])).resources[ROOM_ID].capacity == 1
    work.close()


async def test_absence_is_never_cached(database: Any) -> None:
    """A guard whose resource is not there yet; then it is."""
    await database["guards"].insert_one({"_id": "room", "rules": "r1"})
    work = WorkPool()
    reader = RuleReader(database, RuleCache(), work)

    assert (await reader.read([ROOM_ID, ResourceId("nowhere")])).resources == {}
    await database["resources"].insert_one(row(capacity=7))
    assert (await reader.read([ROOM_ID, ResourceId("nowhere")])).resources[ROOM_ID].capacity == 7
    work.close()


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.promise("questions")
async def test_only_what_was_edited_is_parsed_again(database: Any, *, atomic: bool) -> None:
    """Of a pool of five, the one; and after that, nothing."""
    names = [ResourceId(name) for name in ("a", "b", "c", "d", "room")]
    await database["resources"].insert_many([row(name) for name in names])
    await database["guards"].insert_many([{"_id": name, "rules": "r1"} for name in names])
    cache, work, parse = RuleCache(atomic=atomic), WorkPool(), Parsed()
    cache.resources = rooms(parse, atomic=atomic)
    reader = RuleReader(database, cache, work)

    for expected in (names, [], []):
        assert set((await reader.read(names)).resources) == set(names)
        assert parse.taken() == expected
    await edit(database, capacity=2)
    for expected in ([ROOM_ID], []):
        assert (await reader.read(names)).resources[ROOM_ID].capacity == 2
        assert parse.taken() == expected
    work.close()


async def test_an_edit_that_lost_its_second_write_is_obeyed(
    mock_app_client: httpx.AsyncClient, mock_store: Store
) -> None:
    """Without transactions a new capacity may stand without a new id at the guard; no booking uses the old one."""
    api = ApiClient(mock_app_client, mock_store)
    await api.resource(capacity=2)
    await api.booked()
    change = {"$set": {"capacity": 1}, "$inc": {"version": 1}}
    await mock_store.database["resources"].update_one({"_id": "room"}, change)

    problem(await api.book(), "conflict")
    hour = {"from": render(NINE), "to": render(NINE + HOUR)}
    assert ok(await api.get("/v1/availability", resource="room", minutes=60, **hour))["items"] == []


YEAR = [{"date": (date(2030, 1, 8) + timedelta(days=n)).isoformat(), "windows": []} for n in range(365)]
"""Closed but for the Monday."""


def whole_resources(commands: CommandLog) -> int:
    """How many finds of whole resources, but for what rules do not need, were sent since the last call."""
    finds = [command for name, command in commands.take() if name == "find" and command["find"] == "resources"]
    return sum(not any((command.get("projection") or {}).values()) for command in finds)


@pytest.mark.servers("wire", "transactions")
async def test_a_schedule_is_read_once_for_all_who_ask(database_url: str) -> None:
    """Availability, explanations, bookings and refusals have it from one read, and after an edit elsewhere from one."""
    async with logged_store(database_url) as (store, commands), serving(store) as one, serving(store) as two:
        editor, api = ApiClient(one, store), ApiClient(two, store)
        await editor.service()
        for name in ("a", "b"):
            await editor.resource(name, services=["cut"])
        for overrides in (YEAR, YEAR[:364]):
            for name in ("a", "b"):
                path = f"/v1/resources/{name}/schedule"
                ok(await editor.request("PUT", path, json={"overrides": overrides}, headers={"If-Match": "*"}))
            commands.take()
            for _ in range(2):
                ok(await api.get("/v1/availability", service="cut", **{"from": "2030-01-07", "to": "2030-01-14"}))
                ok(await api.get("/v1/availability/explain", service="cut", resource="a", startTime=render(NINE)))
            booked = [created(await api.post({"service": "cut", "startTime": render(NINE)})) for _ in range(2)]
            problem(await api.post({"service": "cut", "startTime": render(NINE)}), "conflict")
            assert whole_resources(commands) == 1
            for each in booked:
                ok(await api.verb(each, "cancel"))


@pytest.mark.servers("transactions")
async def test_an_edit_by_another_process_is_seen_by_the_next_read(store: Store) -> None:
    """Each process has a cache of its own; what one edits, the other asks for anew."""
    async with serving(store) as one, serving(store) as two:
        editor, reader = ApiClient(one, store), ApiClient(two, store)
        await editor.service()
        await editor.resource("room", services=["cut"], capacity=1)
        asked = {"service": "cut", "from": render(NINE), "to": render(NINE + HOUR)}
        for capacity in (1, 5, 3):
            ok(await editor.edit("/v1/resources/room", capacity=capacity))
            assert [item["remaining"] for item in ok(await reader.get("/v1/availability", **asked))["items"]] == [
                capacity
            ]
        ok(await editor.edit("/v1/services/cut", durationMinutes=30, slotIntervalMinutes=30))
        assert len(ok(await reader.get("/v1/availability", **asked))["items"]) == 2
        problem(await reader.get("/v1/availability", **asked | {"resource": "later"}), "invalid", "?resource")
        await editor.resource("later", services=["cut"])
        assert len(ok(await reader.get("/v1/availability", **asked | {"resource": "later"}))["items"]) == 2


@pytest.mark.servers("wire", "transactions")
async def test_the_catalogue_reads_what_it_shows(database_url: str) -> None:
    """Neither a list nor a resource brings its hours along, a schedule brings no times off, and they no schedule."""
    async with logged_store(database_url) as (store, commands), serving(store) as http:
        api = ApiClient(http, store)
        await api.resource()
        path = "/v1/resources/room"
        schedule = {"weekly": [{"days": ["mon"], "from": "09:00", "to": "17:00"}], "overrides": YEAR}
        ok(await api.request("PUT", f"{path}/schedule", json=schedule, headers={"If-Match": "*"}))
        off = created(await api.request("POST", f"{path}/time-off", json={"from": "2030-01-07", "to": "2030-01-09"}))
        for question, unread in (
            ("/v1/resources", {"schedule": 0, "timeOff": 0}),
            (path, {"schedule": 0, "timeOff": 0}),
            (f"{path}/schedule", None),
            (f"{path}/time-off", {"schedule": 0}),
            (f"{path}/time-off/{off['id']}", {"schedule": 0}),
        ):
            commands.take()
            answer = ok(await api.get(question))
            [command] = [sent for name, sent in commands.take() if name == "find" and sent["find"] == "resources"]
            assert command["projection"] == (unread or {"schedule": 1, "version": 1})
            if question.endswith("schedule"):
                assert answer == schedule


LONG = 2 * PORTION + 1
"""Resources that are read in three portions."""


async def furnish_long(database: Any) -> list[ResourceId]:
    """Resources with a year of overrides each, with their guards."""
    names = [ResourceId(f"r{number}") for number in range(LONG)]
    await database["resources"].insert_many([row(name, schedule={"overrides": YEAR}) for name in names])
    await database["guards"].insert_many([{"_id": name, "rules": "r1"} for name in names])
    return names


async def test_what_was_parsed_in_time_is_cached(database: Any) -> None:
    """A read of more than can be parsed in time is `overloaded`; each repetition gets further, to the end."""
    names = await furnish_long(database)
    cache, work, parse = RuleCache(), WorkPool(), Parsed()
    cache.resources = rooms(parse, limit=1_000_000)
    reader = RuleReader(database, cache, work, clock=lambda: float(len(parse.ids)))

    for parsed in (PORTION, 2 * PORTION):
        with pytest.raises(Problem) as refused:
            await reader.read(names, until=len(parse.ids) + 0.5)
        assert refused.value.name == "overloaded"
        assert len(parse.ids) == parsed
    assert set((await reader.read(names, until=len(parse.ids) + 0.5)).resources) == set(names)
    assert sorted(parse.ids) == names
    work.close()


@pytest.mark.promise("questions")
async def test_two_who_ask_at_once_parse_each_once(database: Any) -> None:
    """Two requests for a pool that is not cached yet parse each of its resources once."""
    names = await furnish_long(database)
    cache, work, parse = RuleCache(), WorkPool(), Parsed()
    cache.resources = rooms(parse, limit=1_000_000)
    reader = RuleReader(database, cache, work)

    for answer in await asyncio.gather(reader.read(names), reader.read(names)):
        assert set(answer.resources) == set(names)
    assert sorted(parse.ids) == names
    work.close()


@pytest.mark.servers("wire", "transactions")
async def test_a_group_looks_its_pool_up_once(database_url: str) -> None:
    """Twenty members that go anywhere in one pool: one read of who is in it, and none of the resources themselves."""
    async with logged_store(database_url) as (store, commands), serving(store) as http:
        api = ApiClient(http, store)
        await api.service()
        await api.resource("a", services=["cut"], capacity=30)
        created(await api.post({"service": "cut", "startTime": render(NINE)}))
        commands.take()
        members = [{"service": "cut", "resource": "any", "startTime": render(NINE)}] * 20
        created(await api.request("POST", "/v1/groups", json={"reservations": members}))

        finds = [command for name, command in commands.take() if name == "find"]
        assert [find for find in finds if find["find"] == "resources"] == []
        assert [find["filter"] for find in finds].count({"_id": pool_row(CUT_ID)}) == 1


@pytest.mark.servers("any")
async def test_who_joins_a_pool_is_booked_by_the_next_request(store: Store) -> None:
    """Whether made, edited or activated by another process; and who leaves is not, nor one whose making broke off."""
    async with serving(store) as one, serving(store) as two:
        editor, booker = ApiClient(one, store), ApiClient(two, store)
        await editor.service()
        await editor.resource("first", services=["cut"])
        await editor.resource("second")
        await join_pools(store, ResourceId("unborn"), [CUT_ID])

        async def booked() -> str:
            answer = await booker.post({"service": "cut", "resource": "any", "startTime": render(NINE)})
            return str(created(answer)["resource"])

        assert await booked() == "first"
        problem(await booker.post({"service": "cut", "resource": "any", "startTime": render(NINE)}), "conflict")
        ok(await editor.edit("/v1/resources/second", services=["cut"]))
        assert await booked() == "second"
        await editor.resource("third", services=["cut"], active=False)
        problem(await booker.post({"service": "cut", "resource": "any", "startTime": render(NINE)}), "conflict")
        ok(await editor.edit("/v1/resources/third", active=True))
        assert await booked() == "third"
        for name in ("first", "second", "third"):
            ok(await editor.edit(f"/v1/resources/{name}?force=true", services=[]))
        problem(await booker.post({"service": "cut", "resource": "any", "startTime": render(NINE)}), "invalid")

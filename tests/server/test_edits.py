"""Edits of a resource with everything it may have: what they read, parse, judge and copy, counted."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from bson import ObjectId

from app.booking import snapshot, stranding_survey
from app.booking.edit import Plan
from app.catalogue import planning, schedules
from app.domain import stranding
from app.domain.instants import render
from app.http import deadlines
from app.storage import stored_rules
from app.storage.client import Store
from app.storage.documents import Resource
from tests.support.api_client import ApiClient, booking_body, created, ok, problem
from tests.support.command_log import CommandLog, logged_store
from tests.support.http_client import serving
from tests.support.times import HOUR

pytestmark = pytest.mark.servers("fast")

BOOKINGS = 5_000
OVERRIDES = 3_660
TIMES_OFF = 1_000
ROOM = "/v1/resources/room"
FIRST = datetime(2030, 1, 1, 10, tzinfo=UTC)
LONG_AGO = FIRST.replace(year=2020)
OPEN = [{"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "08:00", "to": "20:00"}]


class Counts:
    """How often each function was called since the counts were last taken."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self._counts: dict[str, int] = {}

    def of(self, name: str, owner: Any, attribute: str) -> None:
        """Count the calls of a function under a name."""
        function: Callable[..., Any] = getattr(owner, attribute)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self._counts[name] = self._counts.get(name, 0) + 1
            return function(*args, **kwargs)

        self._patch.setattr(owner, attribute, counted)

    def taken(self) -> dict[str, int]:
        """The counts that are not zero."""
        counts, self._counts = self._counts, {}
        return counts


class CountedApi(NamedTuple):
    """A client with a room, the commands to the database, and the calls in the process."""

    api: ApiClient
    commands: CommandLog
    counts: Counts

    async def edit(self, **patch: Any) -> None:
        """Merge a patch into the room."""
        ok(await self.api.edit(ROOM, **patch))

    async def put(self, **schedule: Any) -> None:
        """Give the room a schedule."""
        ok(await self.api.request("PUT", f"{ROOM}/schedule", json=schedule, headers={"If-Match": "*"}))

    def asked_of(self, collection: str) -> list[Any]:
        """The reads of a collection since the commands were last taken."""
        return [each for name, each in self.commands.take() if name == "find" and each["find"] == collection]


@pytest.fixture
async def counted(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CountedApi]:
    """A room that is open in the daytime, with a service, and counters."""
    async with logged_store(database_url) as (store, commands), serving(store) as http:
        api = ApiClient(http, store)
        await api.service()
        await api.service("dye")
        await api.resource(capacity=9_000, services=["cut"])
        for module, name in ((stranding_survey, "READ_SECONDS"), (deadlines, "WRITE_SECONDS")):
            monkeypatch.setattr(module, name, 60.0)  # here it counts what is done, not how long it takes
        counts = Counts(monkeypatch)
        for reader in (stored_rules, schedules):
            counts.of("parsed", reader, "stored_schedule")
        counts.of("dumped", Resource, "to_mongo")
        counts.of("known before", stranding_survey, "occupancies_of")
        counts.of("read under the guard", snapshot, "occupancies_of")
        counts.of("judged", stranding, "_is_newly_closed")
        counted = CountedApi(api, commands, counts)
        await counted.put(weekly=OPEN)
        yield counted


async def fill(store: Store, count: int) -> None:
    """Insert bookings of an hour, ten a day."""
    row = await store.database["reservations"].find_one({})
    assert row is not None
    reservations = store.database["reservations"]
    for first in range(0, count, 5_000):
        rows = []
        for number in range(first, min(first + 5_000, count)):
            start = FIRST + timedelta(days=number // 10)
            times = {"startTime": start, "blockStart": start, "endTime": start + HOUR, "blockEnd": start + HOUR}
            rows.append(row | {"_id": ObjectId()} | times)
        await reservations.insert_many(rows)


@pytest.fixture
async def full(counted: CountedApi) -> CountedApi:
    """The same with 5,000 bookings to come."""
    created(await counted.api.book(FIRST))
    await fill(counted.api.store, BOOKINGS - 1)
    await counted.api.store.database["reservations"].update_many({}, {"$set": {"updatedAt": LONG_AGO}})
    counted.counts.taken()
    counted.commands.take()
    return counted


async def test_an_edit_that_can_strand_no_booking_reads_none(full: CountedApi) -> None:
    """An edit of the name, or to more capacity, services or hours, reads none of 5,000 bookings."""
    longer = [{**OPEN[0], "from": "07:00", "to": "22:00"}]
    await full.edit(name="another")
    await full.edit(capacity=10_000)
    await full.edit(services=["cut", "dye"])
    await full.put(weekly=longer)
    await full.put(weekly=longer, overrides=[{"date": "2030-01-05", "windows": [{"from": "06:00", "to": "23:00"}]}])

    assert full.asked_of("reservations") == []
    assert not full.counts.taken().keys() & {"known before", "read under the guard", "judged"}


async def test_a_day_off_reads_its_day(full: CountedApi) -> None:
    """Of 5,000 bookings only the ones around the closed day are read, before the transaction and not in it."""
    answer = await full.api.request("POST", f"{ROOM}/time-off", json={"from": "2031-01-05", "to": "2031-01-06"})
    assert problem(answer, "stranded-bookings")["total"] == 10
    created(await full.api.request("POST", f"{ROOM}/time-off", json={"from": "2029-01-05", "to": "2029-01-06"}))
    counts = full.counts.taken()

    assert counts.pop("known before") <= 30
    assert "read under the guard" not in counts
    assert "parsed" not in counts
    assert all("startTransaction" not in each for each in full.asked_of("reservations"))


async def test_shorter_hours_are_judged_in_one_pass(full: CountedApi) -> None:
    """Every booking to come is judged once, outside the transaction, and only the stranded ones are listed."""
    shorter = [{**OPEN[0], "from": "09:00"}]
    await full.put(weekly=shorter)

    assert full.counts.taken() == {"parsed": 1, "known before": BOOKINGS, "judged": BOOKINGS}
    late = [{**OPEN[0], "from": "10:30"}]
    answer = await full.api.request("PUT", f"{ROOM}/schedule", json={"weekly": late}, headers={"If-Match": "*"})
    body = problem(answer, "stranded-bookings")
    assert (body["total"], len(body["reservations"])) == (BOOKINGS, 100)
    assert body["reservations"] == sorted(body["reservations"], key=lambda each: each["startTime"])
    assert full.counts.taken() == {"parsed": 1, "known before": BOOKINGS, "judged": BOOKINGS}


async def test_less_capacity_is_judged_in_one_pass(full: CountedApi) -> None:
    """Without a new booking the transaction judges no booking again."""
    full.counts.of("passes", Plan, "stranded_among")
    await full.edit(capacity=8_000)

    assert full.counts.taken() == {"known before": BOOKINGS, "passes": 1}


async def test_release_for_good_lists_all_and_is_forced_without_reads(full: CountedApi) -> None:
    """The refusal has the true total and lists a hundred; a forced edit reads no bookings."""
    body = problem(await full.api.edit(ROOM, active=False), "stranded-bookings")
    assert (body["total"], len(body["reservations"])) == (BOOKINGS, 100)
    full.counts.taken()
    full.commands.take()
    forced = await full.api.request(
        "PATCH", ROOM, json={"active": False}, headers={"If-Match": "*"}, params={"force": "true"}
    )

    assert ok(forced)["active"] is False
    assert full.asked_of("reservations") == []
    again = await full.api.request(
        "PATCH", ROOM, json={"capacityMode": "guests"}, headers={"If-Match": "*"}, params={"force": "true"}
    )
    assert problem(again, "stranded-bookings")["total"] == BOOKINGS


@pytest.mark.promise("stranding")
async def test_a_transaction_reads_only_bookings_since_the_survey(
    full: CountedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction reads only the booking made since the survey, and none of the 5,000 before it."""
    booked = False
    read = stranding_survey.read_blocking_rows

    async def come_in_between(*args: Any) -> list[Mapping[str, Any]]:
        nonlocal booked
        rows = await read(*args)
        if not booked:
            booked = True
            created(await full.api.book(FIRST + timedelta(days=1, hours=3)))
            full.counts.taken()
        return rows

    monkeypatch.setattr(planning, "read_blocking_rows", come_in_between)
    await full.put(weekly=[{**OPEN[0], "from": "09:00"}])
    counts = full.counts.taken()

    assert (counts["known before"], counts["read under the guard"]) == (BOOKINGS, 1)


def long_schedule(last: str = "17:00") -> dict[str, Any]:
    """As many overrides as there may be."""
    first = date(2030, 1, 1)
    days = [(first + timedelta(days=number)).isoformat() for number in range(OVERRIDES)]
    return {"weekly": OPEN, "overrides": [{"date": day, "windows": [{"from": "09:00", "to": last}]} for day in days]}


@pytest.fixture
async def long(counted: CountedApi) -> CountedApi:
    """A room with 3,660 overrides and all but two of the times off that it may have."""
    await counted.put(**long_schedule())
    off = [{"id": str(ObjectId()), "from": "2020-01-01", "to": "2020-01-02"} for _ in range(TIMES_OFF - 2)]
    stored = counted.api.store.database
    await stored["resources"].update_one({"_id": "room"}, {"$set": {"timeOff": off}, "$inc": {"version": 1}})
    await stored["guards"].update_one({"_id": "room"}, {"$set": {"rules": "another"}})
    created(await counted.api.book(FIRST))
    counted.counts.taken()
    counted.commands.take()
    return counted


async def test_a_long_schedule_is_parsed_once_when_it_is_put(long: CountedApi) -> None:
    """3,660 overrides are parsed when they come, and neither by the transaction nor by the booking after it."""
    await long.put(**long_schedule("18:00"))
    created(await long.api.book(FIRST + timedelta(days=1)))

    assert long.counts.taken()["parsed"] == 1


async def test_what_leaves_a_long_schedule_alone_does_not_touch_it(long: CountedApi) -> None:
    """Other edits neither read, nor parse, nor copy, nor write the schedule, and a time off is added to the others."""
    created(await long.api.request("POST", f"{ROOM}/time-off", json={"from": "2031-05-01", "to": "2031-05-02"}))
    off = created(await long.api.request("POST", f"{ROOM}/time-off", json={"from": "2031-06-01", "to": "2031-06-02"}))
    assert (await long.api.request("DELETE", f"{ROOM}/time-off/{off['id']}")).status_code == 204
    await long.edit(name="another", services=[])
    await long.edit(capacity=7)
    created(await long.api.book(FIRST + timedelta(days=1)))
    commands = long.commands.take()
    finds = [each for name, each in commands if name == "find" and each["find"] == "resources"]
    updates = [each["updates"] for name, each in commands if name == "update" and each["update"] == "resources"]
    writes = [each["u"] for some in updates for each in some]

    assert long.counts.taken().keys() <= {"known before"}
    assert len(writes) == 5
    assert all(each.get("projection") in ({"schedule": 0, "timeOff": 0}, {"version": 1}) for each in finds)
    assert not any({"schedule", "timeOff"} & write.get("$set", {}).keys() for write in writes)
    assert len(ok(await long.api.get(f"{ROOM}/time-off", limit=200))["items"]) == 200


async def test_a_booking_on_a_long_schedule_obeys_its_last_edit(long: CountedApi) -> None:
    """A booking on a day off is refused, and accepted once the day off is removed."""
    day = render(FIRST.replace(year=2031, month=5))[:10]
    after = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
    wish = booking_body(FIRST.replace(year=2031, month=5))
    off = created(await long.api.request("POST", f"{ROOM}/time-off", json={"from": day, "to": after}))
    problem(await long.api.post(wish), "rule")
    assert (await long.api.request("DELETE", f"{ROOM}/time-off/{off['id']}")).status_code == 204

    created(await long.api.post(wish))


async def test_edits_that_come_at_once_are_planned_once_each(counted: CountedApi) -> None:
    """Concurrent edits are all done, and none is planned twice."""
    counted.counts.of("planned", planning.Planner, "plan")
    before = ok(await counted.api.get(ROOM))["version"]
    await asyncio.gather(*(counted.edit(capacity=9_001 + number) for number in range(30)))

    assert counted.counts.taken()["planned"] == 30
    assert ok(await counted.api.get(ROOM))["version"] == before + 30

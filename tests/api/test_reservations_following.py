"""Following the changes of reservations: `updatedSince`, and continuing from `next`."""

import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.booking.timestamps import COMMIT_SECONDS, FOLLOWER_LAG_SECONDS, FRESH_SECONDS, SKEW_SECONDS
from app.domain.instants import render, to_millis
from tests.support.api_client import RESERVATIONS, ApiClient, ok, problem
from tests.support.times import HOUR

SECOND = timedelta(seconds=1)
INSTANT = timedelta(milliseconds=1)
LONG_AGO = "2020-01-01T00:00:00Z"


@pytest.fixture
async def api(api: ApiClient) -> ApiClient:
    """Two rooms that take many, two customers."""
    for name in ("room", "hall"):
        await api.resource(name, capacity=1_000)
    for name in ("ann", "bob"):
        await api.add("customers", id=name)
    return api


class Time:
    """The database's clock in the hands of a test."""

    def __init__(self, api: ApiClient, patch: pytest.MonkeyPatch) -> None:
        self.now = api.store.clock.now()
        patch.setattr(api.store.clock, "millis", lambda: to_millis(self.now))


@pytest.fixture
def time(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> Time:
    """A clock that stands still until it is moved."""
    return Time(api, monkeypatch)


class Follower:
    """A client that reads page after page and goes on from `next`, each time with the same filters."""

    def __init__(self, api: ApiClient, **filters: Any) -> None:
        self.api = api
        self.filters = {"updatedSince": LONG_AGO} | filters
        self.versions: dict[str, int] = {}
        self.seen = 0

    async def poll(self, limit: int = 50) -> list[str]:
        """One page; the ids on it."""
        page = ok(await self.api.get(RESERVATIONS, limit=limit, **self.filters))
        self.filters["cursor"] = page["next"]
        for item in page["items"]:
            assert self.versions.get(item["id"], 0) < item["version"], "shown twice, or in the wrong order"
            self.versions[item["id"]] = item["version"]
        self.seen += len(page["items"])
        return [item["id"] for item in page["items"]]


async def booked_ago(api: ApiClient, time: Time, seconds: float, **fields: Any) -> str:
    """The id of a reservation that was changed so many seconds ago."""
    reservation = await api.booked(**fields)
    await api.overwrite(reservation, updatedAt=time.now - seconds * SECOND)
    identity: str = reservation["id"]
    return identity


async def test_the_last_ten_seconds_are_not_listed(api: ApiClient, time: Time) -> None:
    """What was changed less than ten seconds ago is not shown yet, what lies that long back is."""
    old = await booked_ago(api, time, 10)
    young = await booked_ago(api, time, 9.999)
    follower = Follower(api)

    assert await follower.poll() == [old]
    assert await follower.poll() == []
    time.now += INSTANT
    assert await follower.poll() == [young]


async def test_every_page_has_a_next(api: ApiClient, time: Time) -> None:
    """A full, a last and an empty page each have the cursor to go on from, and no reservation is listed twice."""
    follower = Follower(api)
    assert await follower.poll() == []
    ids = [await booked_ago(api, time, 5 - index) for index in range(5)]
    time.now += 20 * SECOND

    assert [await follower.poll(limit=2) for _ in range(4)] == [ids[:2], ids[2:4], ids[4:], []]
    late = await booked_ago(api, time, 0)
    time.now += 20 * SECOND
    assert await follower.poll(limit=2) == [late]


async def test_changes_of_one_instant_are_split_over_pages(api: ApiClient, time: Time) -> None:
    """A batch bears one stamp; its reservations go by id, whatever the size of a page."""
    ids = sorted([await booked_ago(api, time, 60) for _ in range(7)])
    follower = Follower(api)

    assert [await follower.poll(limit=3) for _ in range(4)] == [ids[:3], ids[3:6], ids[6:], []]


async def test_filters_move_on_with_what_they_leave_out(api: ApiClient, time: Time) -> None:
    """A page on which nothing matches leads past all that was read, and the filters hold on every page."""
    ids = [await booked_ago(api, time, 60 - index, resource="hall", customer="bob") for index in range(3)]
    narrow, wide = Follower(api, resource="room", customer="ann", status="confirmed"), Follower(api, resource="hall")

    assert await narrow.poll() == []
    assert [await wide.poll(limit=2), await wide.poll(limit=2)] == [ids[:2], ids[2:]]
    time.now += 60 * SECOND
    mine = await booked_ago(api, time, 30, customer="ann")
    await booked_ago(api, time, 30, customer="bob")
    assert await narrow.poll() == [mine]


async def test_a_bound_key_follows_its_own(api: ApiClient, time: Time) -> None:
    """Whose key is bound to a customer goes on past all the others' changes, and sees none of them."""
    anns = await api.with_scopes("reservations:read", "reservations:write", customer="ann")
    follower = Follower(anns)
    await booked_ago(api, time, 60, customer="bob")
    first = await booked_ago(api, time, 50, customer="ann")

    assert await follower.poll() == [first]
    time.now += 60 * SECOND
    await booked_ago(api, time, 30, customer="bob")
    assert await follower.poll() == []
    second = await booked_ago(api, time, 25, customer="ann")
    time.now += 60 * SECOND
    third = await booked_ago(api, time, 30, customer="ann")
    assert await follower.poll() == [third]
    assert second not in follower.versions, "it was put behind what had been shown already, which no writer does"


async def test_a_next_alone_goes_on_too(api: ApiClient, time: Time) -> None:
    """The cursor knows what list it is of: without `updatedSince` it goes on by change, and never by start."""
    ids = [await booked_ago(api, time, 60 - index) for index in range(3)]
    page = ok(await api.get(RESERVATIONS, updatedSince=LONG_AGO, limit=1))

    assert await api.ids(cursor=page["next"]) == ids[1:]
    assert "next" in ok(await api.get(RESERVATIONS, cursor=page["next"]))


async def test_a_cursor_of_the_other_order_is_refused(api: ApiClient, time: Time) -> None:
    """A position by start says nothing about changes."""
    for _ in range(2):
        await booked_ago(api, time, 60)
    by_start = ok(await api.get(RESERVATIONS, limit=1))["next"]

    problem(await api.get(RESERVATIONS, updatedSince=LONG_AGO, cursor=by_start), "invalid", "?cursor")
    by_change = ok(await api.get(RESERVATIONS, updatedSince=LONG_AGO))["next"]
    problem(await api.get("/v1/customers/ann/reservations", cursor=by_change), "invalid", "?cursor")


async def test_since_an_instant_to_come(api: ApiClient, time: Time) -> None:
    """Nothing yet, and later exactly what was changed from then on."""
    follower = Follower(api, updatedSince=render(time.now + HOUR))
    assert await follower.poll() == []
    before, after = [await booked_ago(api, time, 0) for _ in range(2)]
    await api.store.database["reservations"].update_many({}, {"$set": {"updatedAt": time.now + HOUR - INSTANT}})
    await api.overwrite({"id": after}, updatedAt=time.now + HOUR)
    time.now += 2 * HOUR

    assert await follower.poll() == [after]
    assert before not in follower.versions


async def test_a_clock_that_is_behind_does_not_turn_a_reader_back(api: ApiClient, time: Time) -> None:
    """Another process that knows the clock a little worse shows nothing twice, and skips nothing."""
    first = await booked_ago(api, time, 10)
    follower = Follower(api)
    assert await follower.poll() == [first]
    time.now -= 3 * SECOND
    assert await follower.poll() == []
    time.now += 2 * SECOND
    second = await booked_ago(api, time, 8)
    time.now += 30 * SECOND

    assert await follower.poll() == [second]


def test_no_writer_may_be_later_than_followers_wait() -> None:
    """The longest delay of a stamp, with the worst error of the clock, is shorter than the margin of the list."""
    assert COMMIT_SECONDS < FRESH_SECONDS
    assert FRESH_SECONDS + SKEW_SECONDS < FOLLOWER_LAG_SECONDS


class World:
    """Writers that stamp now and are seen later, and a follower that polls when it likes."""

    def __init__(self, api: ApiClient, time: Time, seed: int, longest: float) -> None:
        self.api, self.time = api, time
        self.chance = random.Random(seed)
        self.longest = longest
        self.end = time.now + 300 * SECOND
        self.pending: list[tuple[datetime, str, datetime]] = []
        self.versions: dict[str, int] = {}

    async def pass_by(self, ids: list[str], follower: Follower) -> None:
        """Five minutes in which each reservation is changed now and then."""
        while self.time.now < self.end:
            self.time.now += self.chance.randrange(1, 1_500) * INSTANT
            for identity in self.chance.sample(ids, k=2):
                if all(identity != waiting for _, waiting, _ in self.pending):
                    seen = self.time.now + self.chance.random() * self.longest * SECOND
                    self.pending.append((seen, identity, self.time.now))
            await self.show()
            if self.chance.random() < 0.3:
                await follower.poll(limit=self.chance.choice((1, 3, 50)))
        self.time.now += 60 * SECOND
        await self.show()
        self.time.now += 60 * SECOND
        while await follower.poll():
            pass

    async def show(self) -> None:
        """Let the reservations be listed whose stamps are older than the margin."""
        shown = [each for each in self.pending if each[0] <= self.time.now]
        self.pending = [each for each in self.pending if each not in shown]
        for _, identity, stamp in shown:
            self.versions[identity] += 1
            await self.api.overwrite({"id": identity}, updatedAt=stamp, version=self.versions[identity])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.promise("following")
async def test_a_follower_among_writers_misses_nothing(api: ApiClient, time: Time, seed: int) -> None:
    """However stamps and their showing cross, the last version of each reservation is seen, each version once."""
    reservations = [await api.booked() for _ in range(8)]
    world = World(api, time, seed, longest=FRESH_SECONDS + SKEW_SECONDS)
    for each in reservations:
        world.versions[each["id"]] = 1
        await api.overwrite(each, updatedAt=time.now)
    follower = Follower(api)
    await world.pass_by([*world.versions], follower)

    assert follower.versions == world.versions
    assert follower.seen > 2 * len(reservations)


async def test_later_writers_would_be_missed(api: ApiClient, time: Time) -> None:
    """The same world with stamps that are shown up to a minute late loses some: the test above can fail."""
    reservations = [await api.booked() for _ in range(8)]
    world = World(api, time, 0, longest=60)
    for each in reservations:
        world.versions[each["id"]] = 1
        await api.overwrite(each, updatedAt=time.now)
    follower = Follower(api)
    await world.pass_by([*world.versions], follower)

    assert follower.versions != world.versions

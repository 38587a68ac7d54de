"""How late a stamp may become visible: writers paused between their stamp and their commit, and followers."""

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from app.booking import expiry
from app.booking.batch import WriteConflict
from app.booking.committer import Committer
from app.booking.outcomes import Accepted
from app.booking.timestamps import COMMIT_SECONDS, FRESH_SECONDS, SKEW_SECONDS, Age
from app.booking.transaction import attempt
from app.caller import Caller
from app.domain.instants import EARLIEST, SECOND, Millis
from app.reservations.queries import Filters, list_reservations
from app.storage import guard_steps
from app.storage.client import Store
from app.storage.steps import COMMIT, Step
from tests.support.step_driver import (
    StepDriver,
    add_resource,
    book_accepted,
    booking_of,
    optimistic_batch,
    running_booking_service,
)
from tests.support.times import HOUR, NINE

EVERYBODY = Caller("test", frozenset({"admin"}))
LONG_AGO = NINE.replace(year=2020)


class Follower:
    """A reader of all changes, page after page, at the store itself."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.cursor: str | None = None

    async def poll(self) -> list[ObjectId]:
        """The ids of reservations changed since the last poll."""
        filters = Filters(updated_since=LONG_AGO)
        found, self.cursor = await list_reservations(self.store, filters, EVERYBODY, 50, self.cursor)
        return [each["_id"] for each in found]


def passes(store: Store, patch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the readers' clock go ahead."""
    millis = store.clock.millis
    patch.setattr(store.clock, "millis", lambda: millis() + int(seconds * SECOND))


def stamped_ago(store: Store, patch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let a transaction take its guards, and its stamp, so long before it goes on."""
    at = store.clock.now() - timedelta(seconds=seconds)
    patch.setattr(guard_steps, "BUMP", {"$inc": {"seq": 1}, "$set": {"at": at}})


@pytest.mark.servers("transactions")
@pytest.mark.promise("following")
async def test_a_writer_that_pauses_too_long_does_not_commit(store: Store) -> None:
    """A batch stamped too long ago conflicts and writes nothing: a follower may have passed that instant."""
    await add_resource(store)
    for name in ("occupants.read", "reservations.insert"):
        driver = StepDriver(store, [booking_of()])
        while driver.next.name != name:
            await driver.advance()
        driver.paused_seconds = COMMIT_SECONDS + 0.1

        with pytest.raises(WriteConflict):
            await driver.finish()

        assert "commit" not in driver.done
        await driver.close()
    assert await store.database["reservations"].count_documents({}) == 0
    assert isinstance((await book_accepted(store)).id, ObjectId)


@pytest.mark.servers("transactions")
@pytest.mark.promise("following")
async def test_what_is_seen_too_late_is_stamped_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Followers also see the booking of a process that pauses at its commit for longer than they wait."""
    await add_resource(store)
    follower = Follower(store)
    stamped_ago(store, monkeypatch, 30)
    driver = StepDriver(store, [booking_of()])
    await driver.until("outbox.insert")
    assert driver.next is COMMIT
    driver.paused_seconds = FRESH_SECONDS + 0.1
    assert await follower.poll() == []
    (outcome,) = await driver.finish()
    await driver.close()

    assert isinstance(outcome, Accepted)
    assert await follower.poll() == [], "a row just stamped is not listed yet"
    passes(store, monkeypatch, 20)
    assert await follower.poll() == [outcome.value.id]


@pytest.mark.servers("transactions")
async def test_what_is_seen_in_time_keeps_its_stamp(store: Store) -> None:
    """A commit that took its time, but less than followers wait, needs no second stamp."""
    await add_resource(store)
    driver = StepDriver(store, [booking_of()])
    await driver.until("outbox.insert")
    driver.paused_seconds = FRESH_SECONDS
    (outcome,) = await driver.finish()
    await driver.close()

    assert isinstance(outcome, Accepted)
    assert "reservations.stamp" not in driver.done
    row = await store.database["reservations"].find_one({"_id": outcome.value.id})
    assert row is not None
    assert row["updatedAt"] == outcome.value.updated_at


@pytest.mark.servers("transactions")
async def test_an_expired_hold_in_the_place_is_stamped_anew_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Followers see every row that a late batch wrote, also the hold that it expired."""
    await add_resource(store)
    hold = await book_accepted(store, hold_seconds=60)
    past = {"$set": {"expiresAt": store.clock.now() - HOUR, "updatedAt": LONG_AGO}}
    await store.database["reservations"].update_one({"_id": hold.id}, past)
    follower = Follower(store)
    assert await follower.poll() == [hold.id]
    stamped_ago(store, monkeypatch, 30)
    driver = StepDriver(store, [booking_of()])
    await driver.until("outbox.insert")
    driver.paused_seconds = 60
    (outcome,) = await driver.finish()
    await driver.close()
    passes(store, monkeypatch, 20)

    assert isinstance(outcome, Accepted)
    assert set(await follower.poll()) == {hold.id, outcome.value.id}


@pytest.mark.servers("transactions")
async def test_a_pool_is_not_stamped_by_a_clock_that_is_behind(store: Store) -> None:
    """Of a pool only the chosen guard is taken, after the stamp: a process that knows the clock badly goes again."""
    await add_resource(store)
    wish: dict[str, Any] = {"resource": None, "pool": ("room",)}
    late = Millis(store.clock.millis() - int(SKEW_SECONDS * SECOND) - SECOND)
    driver = StepDriver(store, [booking_of(**wish)], clock=late)
    with pytest.raises(WriteConflict):
        await driver.finish()
    await driver.close()

    assert await store.database["reservations"].count_documents({}) == 0
    driver = StepDriver(store, [booking_of(**wish)], clock=store.clock.millis())
    (outcome,) = await driver.finish()
    await driver.close()
    assert isinstance(outcome, Accepted)


@pytest.mark.servers("any")
async def test_plain_changes_are_stamped_by_the_database(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancellation, a completion and what the worker tidies bear the moment at which the database applied them."""
    now = store.clock.now()
    past = {"resource": "room", "version": 1, "history": [], "startTime": now - 9 * HOUR, "endTime": now - 8 * HOUR}
    fields = {"blockStart": past["startTime"], "blockEnd": past["endTime"], "timezone": "UTC", "key": "test"}
    stamps = {"createdAt": LONG_AGO, "updatedAt": LONG_AGO}
    await add_resource(store)
    rows: list[dict[str, Any]] = [{**past, **fields, **stamps, "status": "confirmed"} for _ in range(2)]
    rows.append({**rows[0], "status": "pending", "expiresAt": now - 8 * HOUR})
    rows = [row | {"_id": ObjectId()} for row in rows]
    await store.database["reservations"].insert_many(rows)
    passes(store, monkeypatch, -4 * 3_600)  # what this process knows of the clock is no matter

    async with running_booking_service(store) as booking:
        closed = await booking.close(rows[0]["_id"], "cancelled", by="test")
        assert await expiry.complete_ended(store, booking.committer, 1) == 1
        assert await expiry.expire_lapsed(store, booking.committer) == 1
    stored = await store.database["reservations"].find().to_list(None)

    assert sorted(row["status"] for row in stored) == ["cancelled", "completed", "expired"]
    assert min(row["updatedAt"] for row in stored) >= now - HOUR
    assert closed.updated_at == next(row["updatedAt"] for row in stored if row["_id"] == closed.id)


@pytest.mark.servers("any")
async def test_without_transactions_a_late_writer_writes_nothing(store: Store) -> None:
    """In optimistic mode what is written is seen at once, so what is old by then is judged again."""
    await add_resource(store)
    paused = 0.0
    body = attempt(optimistic_batch(booking_of(), age=Age(lambda: paused)))
    step = next(body)
    with pytest.raises(WriteConflict):  # noqa: PT012  # the body goes on step by step
        while True:
            result = await _done(store, step)
            paused = COMMIT_SECONDS + 1 if step.name == "occupants.read" else paused
            step = body.send(result)

    assert await store.database["reservations"].count_documents({}) == 0


async def _done(store: Store, step: Step) -> Any:
    """The result of a step without a transaction."""
    if not step.method:
        return None
    result = getattr(store.database[step.collection], step.method)(*step.arguments, **step.options)
    return await (result.to_list(None) if step.method == "find" else result)


class Budgeted:
    """A driver that only notes how long a batch may take."""

    atomic = True

    def __init__(self) -> None:
        self.budgets: list[float] = []

    async def run(self, slot: int, body: Any, budget_seconds: float) -> Any:
        """Refuse, after noting it."""
        del slot, body
        self.budgets.append(budget_seconds)
        return [WriteConflict().problem]

    async def close(self) -> None:
        """Do nothing: the driver has no resources."""


async def test_no_batch_may_take_longer_than_its_stamp_holds() -> None:
    """An import's row may wait a minute for its turn, but its transaction has the same time limit as any other."""
    driver = Budgeted()
    committer = Committer(driver, 16, clock=lambda: EARLIEST)
    with pytest.raises(Exception, match="nothing was done"):
        await committer.submit(booking_of(deadline_seconds=60.0))
    await committer.drain()

    (budget,) = driver.budgets
    assert budget <= COMMIT_SECONDS

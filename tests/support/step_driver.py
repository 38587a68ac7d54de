"""Bookers that a test moves step by step, so that a race happens because it was arranged, not by luck."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.errors import AutoReconnect

from app.booking import Book, BookingService
from app.booking.batch import Batch, Outcome
from app.booking.edit import EditResource
from app.booking.idempotency import Token
from app.booking.intents import AnyIntent
from app.booking.outcomes import Accepted
from app.booking.session_driver import SessionDriver
from app.booking.timestamps import Age
from app.booking.transaction import attempt
from app.catalogue.changes import Wanted
from app.catalogue.planning import Planner
from app.domain.ids import ResourceId
from app.domain.instants import EARLIEST, Millis
from app.storage.catalogue_updates import Changes
from app.storage.client import Store
from app.storage.conflict_lookup import BRANCHES_MAX
from app.storage.documents import Reservation, Resource, StoredAnswer
from app.storage.guards import make_guard
from app.storage.rule_cache import RuleCache, RuleReader
from app.storage.steps import ABORT, Step
from app.work import WorkPool
from tests.support.ids import ROOM_ID
from tests.support.times import HOUR, NINE

BUDGET_SECONDS = 30.0


async def planned_edit(store: Store, changes: Changes, *, force: bool = False) -> EditResource:
    """An edit of the room, planned for what is stored and booked now.

    Raises:
        Stranded: it would strand a reservation.
    """
    work = WorkPool()
    planner = Planner(store, RuleReader(store.database, RuleCache(atomic=store.mode == "strict"), work), work)
    try:
        basis = await planner.basis(ROOM_ID, frozenset())
        assert basis is not None
        plan = await planner.plan(basis, Wanted(lambda *_: changes), by="test", force=force)
        assert plan is not None
        return EditResource(identity=ROOM_ID, plan=plan, by="test")
    finally:
        work.close()


async def add_resource(store: Store, name: str = "room", **fields: Any) -> Resource:
    """A resource with its guard, as the catalogue makes them."""
    identity = ResourceId(name)
    await make_guard(store, identity)
    now = store.clock.now()
    resource = Resource(id=identity, name=name, created_at=now, updated_at=now, **fields)
    await store.database["resources"].insert_one(resource.to_mongo())
    return resource


def booking_of(start: datetime = NINE, length: timedelta = HOUR, **fields: Any) -> Book:
    """A wish for an hour of the room."""
    wanted: dict[str, Any] = {"by": "test", "resource": "room", "start": start, "end": start + length}
    return Book(**(wanted | fields))


def keyed_booking_of(**fields: Any) -> Book:
    """A booking of the room under one Idempotency-Key, the same for all."""

    def render(made: Reservation) -> StoredAnswer:
        return StoredAnswer(request_hash="same", status=201, headers={}, body=str(made.id))

    return booking_of(token=Token("key", "same", render), **fields)


async def stored_guard(store: Store, resource: str = "room") -> dict[str, Any]:
    """The guard of a resource as it is stored."""
    guard: dict[str, Any] | None = await store.database["guards"].find_one({"_id": resource})
    assert guard is not None
    return guard


def optimistic_batch(*intents: AnyIntent, clock: Millis = EARLIEST, age: Age | None = None) -> Batch:
    """A batch without a transaction, of a process that knows no rules yet."""
    return Batch(intents, RuleCache(atomic=False), 1, clock, ObjectId(), atomic=False, age=age or Age())


class StepDriver:
    """A process that books: a driver of its own, a body that stands before its next step.

    `paused_seconds` is how long it takes itself to have stood still.
    """

    def __init__(
        self,
        store: Store,
        intents: Sequence[AnyIntent],
        rules: RuleCache | None = None,
        *,
        clock: Millis | None = None,
        keys_first: bool = False,
    ) -> None:
        self.driver = SessionDriver(store.client.delegate, store.database.name, 1)
        self.paused_seconds = 0.0
        self.batch = Batch(
            intents,
            rules or RuleCache(),
            BRANCHES_MAX if store.shape == "or" else 1,
            clock=store.clock.millis() if clock is None else clock,
            owner=ObjectId(),
            keys_first=keys_first,
            age=Age(lambda: self.paused_seconds),
        )
        self.body = attempt(self.batch)
        self.outcomes: list[Outcome] | None = None
        self.done: list[str] = []
        self.next: Step = next(self.body)

    async def advance(self) -> bool:
        """Do the next step; whether there is another. An error of the database goes into the body, as it does live."""
        until = time.monotonic() + BUDGET_SECONDS
        name = self.next.name
        try:
            try:
                result = await asyncio.to_thread(self.driver.perform, self.next, 0, until)
            except Exception as error:  # noqa: BLE001  # the body decides which ones it knows
                self.next = self.body.throw(error)
            else:
                self.done.append(name)
                self.next = self.body.send(result)
        except StopIteration as end:
            self.outcomes = end.value
            return False
        except BaseException:
            if self.driver.sessions[0].in_transaction:
                self.driver.perform(ABORT, 0, until)
            raise
        return True

    async def until(self, name: str) -> None:
        """Stop right after the step of that name."""
        while name not in self.done:
            assert await self.advance(), f"it ended before {name}"

    async def finish(self) -> list[Outcome]:
        """Go on to the end.

        Raises:
            Lost: another writer was first.
        """
        while await self.advance():
            pass
        assert self.outcomes is not None
        return self.outcomes

    async def abandon(self) -> None:
        """Leave without a commit."""
        if self.driver.sessions[0].in_transaction:
            self.driver.perform(ABORT, 0, time.monotonic() + BUDGET_SECONDS)
        await self.close()

    async def close(self) -> None:
        """Give the session back."""
        await self.driver.close()


async def run_batch(store: Store, *intents: AnyIntent, rules: RuleCache | None = None) -> list[Outcome]:
    """One batch from beginning to end."""
    driver = StepDriver(store, intents, rules)
    try:
        return await driver.finish()
    finally:
        await driver.close()


async def book_accepted(store: Store, **fields: Any) -> Any:
    """Book and be accepted."""
    (outcome,) = await run_batch(store, booking_of(**fields))
    assert isinstance(outcome, Accepted), outcome
    return outcome.value


async def add_service(store: Store, **fields: Any) -> None:
    """A service of an hour, `cut`, with its row among the guards."""
    await store.database["guards"].insert_one({"_id": "service:cut", "rules": "1"})
    now = store.clock.now()
    service = {"_id": "cut", "name": "cut", "version": 1, "createdAt": now, "updatedAt": now}
    await store.database["services"].insert_one(service | {"durationType": "fixed", "durationMinutes": 60} | fields)


async def book_hold(store: Store, expires: timedelta) -> ObjectId:
    """A hold of nine o'clock that ends at that distance from now."""
    hold = await book_accepted(store, hold_seconds=600)
    until = {"$set": {"expiresAt": store.clock.now() + expires}}
    await store.database["reservations"].update_one({"_id": hold.id}, until)
    identity: ObjectId = hold.id
    return identity


def accepted(outcomes: Sequence[Outcome]) -> list[bool]:
    """Who was accepted."""
    return [isinstance(outcome, Accepted) for outcome in outcomes]


def lost_commit_answer() -> AutoReconnect:
    """The error of the driver when the connection broke before the answer."""
    error = AutoReconnect("connection closed")
    error._add_error_label("UnknownTransactionCommitResult")
    return error


class FailingStepDriver(StepDriver):
    """An driver whose steps of some names fail, after or instead of being done."""

    def fail(self, name: str, error: Exception, *, done: bool) -> None:
        """From now on steps of that name end with the error."""
        perform = self.driver.perform

        def failing(step: Step, slot: int, until: float) -> Any:
            if step.name == name:
                if done:
                    perform(step, slot, until)
                raise error
            return perform(step, slot, until)

        self.driver.perform = failing  # type: ignore[method-assign]  # that is the fault


@asynccontextmanager
async def running_booking_service(store: Store) -> AsyncIterator[BookingService]:
    """The write path of a process."""
    booking = BookingService(store)
    await booking.start()
    try:
        yield booking
    finally:
        await booking.stop()

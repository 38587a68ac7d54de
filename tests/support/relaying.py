"""Writers of events and placings of them that a test moves step by step, in transactions or without."""

import asyncio
import time
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.errors import PyMongoError

from app.booking.plain_driver import PlainDriver
from app.booking.session_driver import SessionDriver
from app.cluster.reaper import kill_sessions
from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.event_log import RELAY, EventLog
from app.storage.event_placing import Placing, place_events
from app.storage.leases import Grant, LeaseStore, new_owner
from app.storage.outbox import event_key, insert_events
from app.storage.steps import ABORT, BEGIN, COMMIT, Execution, Steps, update
from tests.support.times import NINE

BUDGET_SECONDS = 30.0
MOST = 100


class Walk:
    """A body on its way through its steps, in a process of its own."""

    def __init__(self, store: Store, body: Steps[Any]) -> None:
        self._plain = PlainDriver(store)
        self._sessions: SessionDriver | None = None
        if store.mode == "strict":
            self._sessions = SessionDriver(store.client.delegate, store.database.name, 1)
        self._execution: Execution[Any] = Execution(body)
        self.error: Exception | None = None

    @property
    def value(self) -> Any:
        """What the body returned."""
        return self._execution.value

    @property
    def next(self) -> str | None:
        """The name of the step that it stands before; None at the end."""
        return None if self._execution.step is None or self.error is not None else self._execution.step.name

    async def advance(self) -> bool:
        """Do the next step; whether there is another. What the body raises is its `error`."""
        step = self._execution.step
        if step is None or self.error is not None:
            return False
        until = time.monotonic() + BUDGET_SECONDS
        try:
            try:
                if self._sessions is None:
                    result = await self._plain._perform(step, until)
                else:
                    result = await asyncio.to_thread(self._sessions.perform, step, 0, until)
            except PyMongoError as error:
                self._execution.fail(error)
            else:
                self._execution.succeed(result)
        except Exception as error:  # noqa: BLE001  # a test looks at it
            self.error = error
            await self._abort()
        return self.next is not None

    async def before(self, name: str) -> None:
        """Go on until the step of that name is the next."""
        while self.next != name:
            assert await self.advance(), f"it ended before {name}: {self.error}"

    async def finish(self) -> Any:
        """Go on to the end.

        Raises:
            Exception: what the body raised.
        """
        while await self.advance():
            pass
        if self.error is not None:
            raise self.error
        return self.value

    async def kill(self) -> None:
        """End as a killed process does, once another one has freed what it had locked."""
        await self._abort()
        await self.close()

    async def be_reaped(self, store: Store) -> None:
        """Let the server end the session, as another process lets it that takes this one for dead."""
        if self._sessions is not None:
            await kill_sessions(store, self._sessions.session_ids())

    async def _abort(self) -> None:
        if self._sessions is not None and self._sessions.sessions[0].in_transaction:
            await asyncio.to_thread(self._sessions.perform, ABORT, 0, time.monotonic() + BUDGET_SECONDS)

    async def close(self) -> None:
        """Give the session back."""
        if self._sessions is not None:
            await self._sessions.close()


def event_document(subject: Any, version: int, *, at: datetime = NINE, **fields: Any) -> BsonDocument:
    """An event as the write path puts it into the outbox."""
    document = {"_id": event_key(subject, version, ObjectId()), "subject": subject, "version": version}
    return document | {"type": "reservation.changed", "resource": "room", "at": at, "by": "test"} | fields


async def add_events(store: Store, *events: BsonDocument) -> None:
    """Put events into the outbox."""
    await store.database["outbox"].insert_many(events)


def writing(reservation: ObjectId, version: int, at: datetime = NINE) -> Steps[None]:
    """The body of a change of a reservation, as the write path makes it: the change and its event together."""
    yield BEGIN
    now = {"_id": reservation, "version": version - 1}
    changed = yield update("reservations.update", "reservations", now, {"$inc": {"version": 1}})
    if not changed.matched_count:
        yield ABORT
        raise LookupError("another change was first")
    yield insert_events([event_document(reservation, version, at=at)])
    yield COMMIT


async def new_grant(store: Store, **options: Any) -> Grant:
    """The right to place for a new owner; whoever had it has lost it."""
    await store.database["leases"].update_one({"_id": RELAY}, {"$unset": {"owner": ""}})
    grant = await LeaseStore(store).acquire(new_owner(), RELAY, **options)
    assert grant is not None
    return grant


def placing(store: Store, grant: Grant, most: int = MOST) -> Walk:
    """A placing that stands before its first step."""
    with_repeated = store.mode != "strict"  # as the relay does once the outbox was empty
    return Walk(store, place_events(grant, store.clock.now(), most, with_repeated=with_repeated))


async def place_all(store: Store, most: int = MOST) -> Placing:
    """Place all that waits, as a new owner."""
    grant = await new_grant(store)
    while True:
        walk = placing(store, grant, most)
        placed: Placing = await walk.finish()
        await walk.close()
        if not placed.more:
            return placed


async def logged(store: Store) -> list[tuple[int, Any, int]]:
    """The place, the subject and the version of each event that readers see."""
    log = EventLog(store)
    floor, last = await log.bounds()
    return [(each.id, each.subject, each.version) async for each in log.read(floor, last, 10_000)]


def later(minutes: int) -> datetime:
    """Nine o'clock and so many minutes."""
    return NINE + timedelta(minutes=minutes)

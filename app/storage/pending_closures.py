"""The store of closures, and how one comes to be while bookings go on.

Closures close many resources, whose guards are too many for one transaction. So a closure is first *pending*: from that
commit on, every transaction that begins refuses what it closes. Then the guards of all resources that it may close are
changed, one by one: a transaction that began before has committed by then, or will fail because its guard has changed.
So a survey that begins after that sees every booking that did not see the closure, of resources made meanwhile too, and
the closure is settled, or withdrawn because of what the survey found.

What is pending may be withdrawn. So it excuses no other closure and no edit from telling of a booking that both meet.

Every change of what is closed gives their row among the guards another `rules` id, under which they are cached.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from bson import ObjectId
from pymongo.errors import DuplicateKeyError, PyMongoError

from app.domain.ids import ResourceId
from app.outages import is_outage
from app.storage.bson_types import Filter
from app.storage.client import Store
from app.storage.documents import CLOSURES_ROW, Closure, PendingClosure
from app.storage.errors import ValueTaken
from app.storage.guard_steps import BUMP, GUARDS, rules_update
from app.storage.guards import new_rules
from app.storage.steps import by_ids
from app.storage.stored_closures import PENDING
from app.storage.transactions import Session, is_transient, transaction, write_together

FENCED_AT_ONCE = 100
"""Guards that one transaction changes, if it finds all of them free."""
PENDING_SECONDS = 15
"""After so long the request of a pending closure has ended."""


@dataclass(frozen=True, slots=True)
class PendingClosures:
    """The pending closures of one database."""

    store: Store

    async def propose(self, closure: Closure, attempt: ObjectId) -> None:
        """Let a closure be pending: new bookings obey it.

        Raises:
            ValueTaken: another request is making or changing it.
            VersionConflict: others change closures all the time.
        """
        until = self.store.clock.now() + timedelta(seconds=PENDING_SECONDS)
        extent = closure.model_dump(include={"from_", "to", "resources", "services"})
        fields = extent | {"id": closure.id, "attempt": attempt, "until": until}
        pending = PendingClosure.model_validate(fields).to_mongo()
        row = {"$setOnInsert": {"rules": new_rules()}}
        await self.store.database[GUARDS].update_one({"_id": CLOSURES_ROW}, row, upsert=True)

        async def write(session: Session) -> None:
            await delete_pending(self.store, {"_id": closure.id, "until": {"$lt": self.store.clock.now()}}, session)
            await self.store.database[PENDING].insert_one(pending, session=session)
            await change_stamp(self.store, session)

        try:
            await write_together(self.store, write)
        except DuplicateKeyError:
            raise ValueTaken from None

    async def fence(self, resources: Iterable[ResourceId] | None) -> None:
        """Change the guards of these resources, or of all: see above.

        Many at once, and those that a booking has locked one by one, each as soon as it is free: one transaction of a
        thousand guards would hardly ever find all of them free. A plain write would wait for them, but the server of
        the trial lets the transaction that it waits for write no more meanwhile.

        Raises:
            VersionConflict: a guard is never free.
        """
        guards = self.store.database[GUARDS]
        if resources is None:
            resources = [row["_id"] async for row in guards.find({"reachBack": {"$exists": True}}, {"_id": 1})]
        names = sorted(resources)
        waiting = deque(names[first : first + FENCED_AT_ONCE] for first in range(0, len(names), FENCED_AT_ONCE))
        while waiting:
            some = waiting.popleft()
            if len(some) > 1 and not await self._bump_at_once(some):
                waiting.extend((some[: len(some) // 2], some[len(some) // 2 :]))
            elif len(some) == 1:
                await write_together(self.store, partial(self._bump, some))

    async def withdraw(self, attempt: ObjectId) -> None:
        """Remove a pending closure, if it is still there."""
        await self._remove_pending({"attempt": attempt})

    async def withdraw_abandoned(self) -> int:
        """Remove the pending closures whose requests have died. Returns how many."""
        return await self._remove_pending({"until": {"$lt": self.store.clock.now()}})

    async def _bump_at_once(self, names: Sequence[ResourceId]) -> bool:
        """Change guards; False where one of them is locked, and none was changed."""
        if self.store.mode != "strict":
            await self._bump(names, None)
            return True
        try:
            async with transaction(self.store) as session:
                await self._bump(names, session)
        except PyMongoError as error:
            if not is_transient(error) or is_outage(error):
                raise
            return False
        return True

    async def _bump(self, names: Sequence[ResourceId], session: Session) -> None:
        await self.store.database[GUARDS].update_many(by_ids(names), BUMP, session=session)

    async def _remove_pending(self, which: Filter) -> int:
        async def write(session: Session) -> int:
            removed = await delete_pending(self.store, which, session)
            if removed:
                await change_stamp(self.store, session)
            return removed

        return await write_together(self.store, write)


async def delete_pending(store: Store, which: Filter, session: Session) -> int:
    """Delete pending closures. Returns how many."""
    return (await store.database[PENDING].delete_many(which, session=session)).deleted_count


async def change_stamp(store: Store, session: Session) -> None:
    """Give the row of all closures another id, so that every process reads them again."""
    await store.database[GUARDS].update_one({"_id": CLOSURES_ROW}, rules_update(new_rules()), session=session)

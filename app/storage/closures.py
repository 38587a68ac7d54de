"""The store of closures; how one comes to be while bookings go on is in `app.storage.pending_closures`."""

from dataclasses import dataclass

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from app.deadline import sending
from app.domain.closures import Closures
from app.storage.client import Store
from app.storage.documents import Closure
from app.storage.errors import ValueTaken, VersionConflict
from app.storage.pending_closures import change_stamp, delete_pending
from app.storage.stored_closures import CLOSURES, PENDING, closures_of, read_closures
from app.storage.transactions import Session, write_together


class AttemptLost(Exception):  # noqa: N818  # an event that its caller answers, no fault
    """The pending closure was removed meanwhile, as one whose request had died."""


@dataclass(frozen=True, slots=True)
class ClosureStore:
    """The closures of one database."""

    store: Store

    async def find_all(self) -> Closures:
        """All of them, the pending ones too."""
        return closures_of(*await read_closures(self.store.database))

    async def count(self, *, without: str) -> tuple[int, int]:
        """How many other closures there are, and how many resources and services they name together."""
        others = {"_id": {"$ne": without}}
        rows = await self.store.database[CLOSURES].find(others, {"resources": 1, "services": 1}).to_list(None)
        named = [row.get(name) for row in rows for name in ("resources", "services")]
        return len(rows), sum(len(each) for each in named if isinstance(each, list))

    async def settle(self, closure: Closure, attempt: ObjectId, before: int | None) -> None:
        """Write a closure that was pending; `before` is the version that it changes, None for a new one.

        Raises:
            AttemptLost: it is not pending any more; nothing was written.
            ValueTaken: there is one of its id already.
            VersionConflict: it has another version, or others change closures all the time.
        """
        sending()
        try:
            await write_together(self.store, lambda session: self._settle(closure, attempt, before, session))
        except DuplicateKeyError:
            raise ValueTaken from None

    async def rewrite(self, closure: Closure, before: int) -> None:
        """Write a closure that closes what it did.

        Raises:
            VersionConflict: it has another version.
        """
        sending()
        which = {"_id": closure.id, "version": before}
        if not (await self.store.database[CLOSURES].replace_one(which, closure.to_mongo())).matched_count:
            raise VersionConflict

    async def delete(self, identity: str, version: int) -> bool:
        """Delete a closure, if it still has this version; whether it was so.

        Raises:
            VersionConflict: others change closures all the time.
        """
        sending()

        async def write(session: Session) -> bool:
            which = {"_id": identity, "version": version}
            deleted = await self.store.database[CLOSURES].delete_one(which, session=session)
            if deleted.deleted_count:
                await change_stamp(self.store, session)
            return bool(deleted.deleted_count)

        return await write_together(self.store, write)

    async def _settle(self, closure: Closure, attempt: ObjectId, before: int | None, session: Session) -> None:
        pending = {"_id": closure.id, "attempt": attempt}
        if await self.store.database[PENDING].find_one(pending, session=session) is None:
            raise AttemptLost
        closures, stored = self.store.database[CLOSURES], closure.to_mongo()
        if before is None:
            await closures.insert_one(stored, session=session)
        else:
            which = {"_id": closure.id, "version": before}
            if not (await closures.replace_one(which, stored, session=session)).matched_count:
                raise VersionConflict
        await delete_pending(self.store, pending, session)
        await change_stamp(self.store, session)

"""Leases: one run at a time, whoever wants to run one, and one sender of alerts.

A lease is one document with an epoch that counts its holders. Whatever a run writes about findings, it writes under
its epoch; a process that was paused until it was given up finds the epoch gone on, and writes nothing.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo import ReadPreference, ReturnDocument
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from app.reconciliation.run_store import DEAD_SECONDS, LostRun
from app.storage.client import Store
from app.storage.guards import insert_new

LEASES = "leases"
ID = "reconciliation"
"""Of those who run; other leases have names of their own."""
COMMITS = 20
"""How often a commit whose answer was lost is asked for again."""

Session: TypeAlias = AsyncIOMotorClientSession | None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do what it is for, as long as nobody else has got it."""

    epoch: int
    owner: str
    name: str = ID


async def acquire(store: Store, owner: str, name: str = ID) -> Lease | None:
    """Take the lease if it is free or its holder fell silent; None while somebody has it."""
    now = store.clock.now()
    free = [{"owner": {"$exists": False}}, {"beatAt": {"$lt": now - timedelta(seconds=DEAD_SECONDS)}}]
    wanted = {"_id": name, "$or": free}
    change = {"$inc": {"epoch": 1}, "$set": {"owner": owner, "beatAt": now}}
    leases = store.database[LEASES]
    taken = await leases.find_one_and_update(wanted, change, return_document=ReturnDocument.AFTER)
    if taken is None and await leases.find_one({"_id": name}) is None:
        await insert_new(store, LEASES, [{"_id": name, "epoch": 0}])
        taken = await leases.find_one_and_update(wanted, change, return_document=ReturnDocument.AFTER)
    return None if taken is None else Lease(taken["epoch"], owner, name)


async def renew(store: Store, lease: Lease, session: Session = None, **fields: Any) -> None:
    """Say that its holder lives; first in every transaction that writes findings, so that only the holder commits.

    Args:
        store: The database.
        lease: What its holder got.
        session: That of the transaction.
        fields: What else its document is to say from now on.

    Raises:
        LostRun: somebody else has it.
    """
    change = {"$set": {"beatAt": store.clock.now(), **fields}, "$inc": {"proofs": 1}}
    result = await store.database[LEASES].update_one(_held(lease), change, session=session)
    if not result.matched_count:
        raise LostRun(f"Another process has the lease {lease.name!r} by now.")


async def under(store: Store, lease: Lease, work: Callable[[Session], Awaitable[None]]) -> None:
    """Write something as the one who has the lease: all or nothing, where there are transactions.

    Raises:
        LostRun: somebody else has it; nothing was written then.
        pymongo.errors.PyMongoError: the database failed, or somebody else wrote the same (`TransientTransactionError`).
    """
    if store.mode != "strict":
        await renew(store, lease)
        await work(None)
        return
    async with await store.client.start_session() as session:
        session.start_transaction(ReadConcern("snapshot"), WriteConcern("majority", j=True), ReadPreference.PRIMARY)
        try:
            await renew(store, lease, session)
            await work(session)
        except BaseException:
            await session.abort_transaction()
            raise
        await _commit(session)


async def _commit(session: AsyncIOMotorClientSession) -> None:
    """Commit, and where the answer is lost ask again: the server knows a transaction that it has committed."""
    for left in reversed(range(COMMITS)):
        try:
            await session.commit_transaction()
        except PyMongoError as error:
            if not left or not error.has_error_label("UnknownTransactionCommitResult"):
                raise
        else:
            return


async def release(store: Store, lease: Lease) -> None:
    """Give it back; nothing happens if it is somebody else's by now."""
    await store.database[LEASES].update_one(_held(lease), {"$unset": {"owner": "", "beatAt": ""}})


def _held(lease: Lease) -> dict[str, object]:
    return {"_id": lease.name, "epoch": lease.epoch, "owner": lease.owner}

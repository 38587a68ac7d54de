"""The lease: one run at a time, whoever wants to run one.

A lease is one document with an epoch that counts its holders. Whatever a run writes about findings, it writes under
its epoch; a process that was paused until it was given up finds the epoch gone on, and writes nothing.
"""

from dataclasses import dataclass
from datetime import timedelta

from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo import ReturnDocument

from app.reconciliation.runs import DEAD_SECONDS, LostRun
from app.storage.client import Store
from app.storage.guards import insert_new

LEASES = "leases"
ID = "reconciliation"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run, as long as nobody else has got it."""

    epoch: int
    owner: str


async def acquire(store: Store, owner: str) -> Lease | None:
    """Take the lease if it is free or its holder fell silent; None while somebody has it."""
    now = store.clock.now()
    free = [{"owner": {"$exists": False}}, {"beatAt": {"$lt": now - timedelta(seconds=DEAD_SECONDS)}}]
    wanted = {"_id": ID, "$or": free}
    change = {"$inc": {"epoch": 1}, "$set": {"owner": owner, "beatAt": now}}
    leases = store.database[LEASES]
    taken = await leases.find_one_and_update(wanted, change, return_document=ReturnDocument.AFTER)
    if taken is None and await leases.find_one({"_id": ID}) is None:
        await insert_new(store, LEASES, [{"_id": ID, "epoch": 0}])
        taken = await leases.find_one_and_update(wanted, change, return_document=ReturnDocument.AFTER)
    return None if taken is None else Lease(taken["epoch"], owner)


async def prove(store: Store, lease: Lease, session: AsyncIOMotorClientSession | None = None) -> None:
    """Say that its holder lives; first in every transaction that writes findings, so that only the holder commits.

    Raises:
        LostRun: somebody else has it.
    """
    result = await store.database[LEASES].update_one(
        _held(lease), {"$set": {"beatAt": store.clock.now()}, "$inc": {"proofs": 1}}, session=session
    )
    if not result.matched_count:
        raise LostRun("Another process reconciles by now.")


async def release(store: Store, lease: Lease) -> None:
    """Give it back; nothing happens if it is somebody else's by now."""
    await store.database[LEASES].update_one(_held(lease), {"$unset": {"owner": "", "beatAt": ""}})


def _held(lease: Lease) -> dict[str, object]:
    return {"_id": ID, "epoch": lease.epoch, "owner": lease.owner}

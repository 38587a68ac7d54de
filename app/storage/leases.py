"""Leases: one process at a time reconciles, one sends alerts, and one places events.

A lease is one document with an epoch that counts its owners. What a run writes about findings, it writes under its
epoch: a process that was paused until another one took the lease over finds a later epoch, and writes nothing.
"""

import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_hex

from pymongo import ReturnDocument

from app.storage.bulk_inserts import insert_new
from app.storage.client import Store
from app.storage.documents import Delivery, Lease
from app.storage.transactions import Session, transaction

RECONCILIATION = "reconciliation"
ALERTS = "alerts"
WEBHOOKS = "webhooks"
"""The names of the leases."""

DEAD_SECONDS = 30.0
"""Silence after which the owner of a lease or a run counts as dead: ten beats of a run, and half of the minute within
which another process must take over."""

OWNER = f"{socket.gethostname()}:{os.getpid()}"
"""This process as the owner of leases and runs, and in the heartbeats of workers."""

_COLLECTION = Lease.Settings.name


def new_owner() -> str:
    """A name for one owner of a lease: two owners in one process have different names."""
    return f"{OWNER}:{token_hex(4)}"


class OwnershipLost(Exception):  # noqa: N818 -- an event, no fault of the process that hears of it
    """Another process has the lease or the run by now: this one was silent for too long and counted as dead."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to do what a lease is for, as long as no other process has acquired it."""

    epoch: int
    owner: str
    name: str = RECONCILIATION


@dataclass(frozen=True, slots=True)
class LeaseStore:
    """The leases of a database. Its updates are guarded by owner and epoch, which Beanie's `save` is not."""

    store: Store

    async def acquire(
        self, owner: str, name: str = RECONCILIATION, *, dead_seconds: float = DEAD_SECONDS
    ) -> Grant | None:
        """Take the lease if it is free or its owner was silent for so long; None while another process has it.

        A beat as far in the future is of before the clock was set back: an owner that lives would have beaten since.
        """
        now, silence = self.store.clock.now(), timedelta(seconds=dead_seconds)
        free = [
            {"owner": {"$exists": False}},
            {"beatAt": {"$lt": now - silence}},
            {"beatAt": {"$gt": now + silence}},
        ]
        wanted = {"_id": name, "$or": free}
        change = {"$inc": {"epoch": 1}, "$set": {"owner": owner, "beatAt": now}}
        leases = self.store.database[_COLLECTION]
        taken = await leases.find_one_and_update(wanted, change, return_document=ReturnDocument.AFTER)
        if taken is None and await self._find(name) is None:
            await insert_new(self.store, _COLLECTION, [{"_id": name, "epoch": 0}])
            taken = await leases.find_one_and_update(wanted, change, return_document=ReturnDocument.AFTER)
        return None if taken is None else Grant(taken["epoch"], owner, name)

    async def renew(self, grant: Grant, session: Session = None, delivery: Delivery | None = None) -> None:
        """Write that the owner lives; first in every transaction that writes findings, so that only the owner commits.

        Args:
            grant: What the owner was granted.
            session: That of the transaction.
            delivery: The state of sending alerts, if it is to be stored as well.

        Raises:
            OwnershipLost: another process has the lease.
        """
        fields: dict[str, object] = {"beatAt": self.store.clock.now()}
        if delivery is not None:
            fields["delivery"] = delivery.model_dump(by_alias=True, exclude_none=True)
        change = {"$set": fields, "$inc": {"proofs": 1}}
        result = await self.store.database[_COLLECTION].update_one(owned(grant), change, session=session)
        if not result.matched_count:
            raise OwnershipLost(f"Another process has the lease {grant.name!r} by now.")

    async def under(self, grant: Grant, write: Callable[[Session], Awaitable[None]]) -> None:
        """Write something as the owner of a lease: all of it or nothing, where there are transactions.

        Raises:
            OwnershipLost: another process has the lease; nothing was written then.
            pymongo.errors.PyMongoError: the database failed, or another process wrote the same (`is_transient`).
        """
        if self.store.mode != "strict":
            await self.renew(grant)
            await write(None)
            return
        async with transaction(self.store) as session:
            await self.renew(grant, session)
            await write(session)

    async def release(self, grant: Grant) -> None:
        """Give the lease back; nothing happens if another process has it by now."""
        change = {"$unset": {"owner": "", "beatAt": ""}}
        await self.store.database[_COLLECTION].update_one(owned(grant), change)

    async def delivery(self) -> Delivery:
        """The state of sending alerts, as the last sender has stored it."""
        lease = await self._find(ALERTS)
        return (None if lease is None else lease.delivery) or Delivery()

    async def _find(self, name: str) -> Lease | None:
        found: Lease | None = await self.store.of(Lease).find_one({"_id": name})
        return found


def owned(grant: Grant) -> dict[str, object]:
    """The filter of a lease that matches only while it is the owner's."""
    return {"_id": grant.name, "epoch": grant.epoch, "owner": grant.owner}

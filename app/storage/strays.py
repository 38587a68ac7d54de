"""Idempotency keys that a unique sparse index cannot take: explicit nulls, and keys on more than one reservation.

They are found only in a database made before the index. Taking a key off a reservation loses what a replay of it
would be answered and nothing else; so the oldest keeps it, and no document is removed.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from motor.motor_asyncio import AsyncIOMotorCollection

from app.storage.client import Store

KEYS_A_FIND = 500

_IS_NULL: dict[str, Any] = {"idempotencyKey": {"$eq": None, "$exists": True}}


@dataclass(frozen=True, slots=True)
class Stray:
    """One key, or null, and the reservations that have it.

    Args:
        key: The key; none stands for an explicit null.
        keeps: The id of the oldest, which may keep it; none for a null.
        loses: The ids of those from which it is taken.
    """

    key: Any
    keeps: Any
    loses: tuple[Any, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """All of them, the oldest first."""
        return tuple(str(identity) for identity in ((self.keeps, *self.loses) if self.keeps else self.loses))

    @property
    def found(self) -> str:
        """A sentence for the operator, before."""
        if self.keeps is None:
            return f"idempotencyKey is null where it must be left out; --apply unsets it on {len(self.loses)}."
        return (
            f"idempotencyKey {self.key!r} is on {len(self.ids)} reservations; --apply keeps it on the oldest, "
            f"{self.keeps}, and unsets it on the others."
        )

    @property
    def settled(self) -> str:
        """The same, afterwards."""
        on = ", ".join(str(identity) for identity in self.loses)
        if self.keeps is None:
            return f"unset the null idempotencyKey on {on}"
        return f"unset idempotencyKey {self.key!r} on {on}; the oldest, {self.keeps}, keeps it"


async def find_strays(store: Store) -> list[Stray]:
    """All of them, nulls first; reads every reservation, because there is no index to ask."""
    reservations = store.database["reservations"]
    nulls = tuple([row["_id"] async for row in reservations.find(_IS_NULL, {"_id": 1}).sort("_id", 1)])
    repeated = reservations.aggregate(
        [
            {"$match": {"idempotencyKey": {"$exists": True, "$ne": None}}},
            {"$group": {"_id": "$idempotencyKey", "rows": {"$sum": 1}}},
            {"$match": {"rows": {"$gt": 1}}},
            {"$sort": {"_id": 1}},
        ],
        allowDiskUse=True,
    )
    keys = [group["_id"] async for group in repeated]
    strays = [Stray(key=None, keeps=None, loses=nulls)] if nulls else []
    for start in range(0, len(keys), KEYS_A_FIND):
        strays += await _who_has(reservations, keys[start : start + KEYS_A_FIND])
    return strays


async def settle(store: Store, stray: Stray) -> None:
    """Take the key off all but the oldest, where it is still the same."""
    same = _IS_NULL if stray.keeps is None else {"idempotencyKey": stray.key}
    for start in range(0, len(stray.loses), KEYS_A_FIND):
        ids = list(stray.loses[start : start + KEYS_A_FIND])
        await store.database["reservations"].update_many(
            {"_id": {"$in": ids}} | same, {"$unset": {"idempotencyKey": ""}}
        )


async def _who_has(reservations: "AsyncIOMotorCollection[dict[str, Any]]", keys: list[Any]) -> list[Stray]:
    rows: dict[str, list[dict[str, Any]]] = {repr(key): [] for key in keys}
    wanted = {"_id": 1, "idempotencyKey": 1, "createdAt": 1}
    async for row in reservations.find({"idempotencyKey": {"$in": keys}}, wanted):
        rows[repr(row["idempotencyKey"])].append(row)
    strays = []
    for key in keys:
        ids = [row["_id"] for row in sorted(rows[repr(key)], key=_age)]
        strays.append(Stray(key=key, keeps=ids[0], loses=tuple(ids[1:])))
    return strays


def _age(row: dict[str, Any]) -> tuple[datetime, str]:
    """Sorts the oldest first: by when it was created, or else by the time within its id."""
    identity, created = row["_id"], row.get("createdAt")
    if not isinstance(created, datetime):
        created = identity.generation_time if isinstance(identity, ObjectId) else datetime.max.replace(tzinfo=UTC)
    return created, str(identity)

"""What earlier imports, or earlier rows, have booked: found by reference and resource, and compared with a row."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pymongo
from bson import ObjectId
from pymongo.errors import PyMongoError

from app.booking import import_key
from app.booking.import_rows import ACTOR_IMPORT
from app.domain.instants import render
from app.domain.lifecycle import Status
from app.importing.rows import Row
from app.storage.client import Store

_FIELDS = ("importKey", "resource", "service", "startTime", "endTime", "guests", "status", "version", "history")
_OLD_REFERENCE = "metadata.reference"
_LOOK_SECONDS = 2.0
_KEYLESS: dict[str, Any] = {_OLD_REFERENCE: {"$exists": True}, "key": ACTOR_IMPORT, "importKey": {"$exists": False}}


@dataclass(frozen=True, slots=True)
class Booked:
    """The reservation of a row, as far as a row can say otherwise."""

    id: ObjectId
    version: int
    resource: str
    service: str | None
    start: datetime
    end: datetime
    guests: int
    status: Status
    history: list[dict[str, Any]]
    import_key: str | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Booked":
        """The one of a stored reservation."""
        return cls(
            id=row["_id"],
            version=row["version"],
            resource=row["resource"],
            service=row.get("service"),
            start=row["startTime"],
            end=row["endTime"],
            guests=row["guests"],
            status=row["status"],
            history=row["history"],
            import_key=row.get("importKey"),
        )

    def patch_to(self, row: Row) -> dict[str, Any]:
        """What to change for it to be as the row says, with the names of the fields as stored; `status` among them."""
        said = {
            "resource": (self.resource, row.wanted.resource),
            "startTime": (self.start, row.wanted.start_time),
            "endTime": (self.end, row.wanted.end_time or self.end),
            "guests": (self.guests, row.wanted.guests),
            "status": (self._status, row.wanted.status),
        }
        return {name: wanted for name, (stored, wanted) in said.items() if stored != wanted}

    @property
    def _status(self) -> Status:
        """What was completed here since is what a file goes on calling confirmed."""
        last: dict[str, Any] = next((entry for entry in reversed(self.history) if "to" in entry), {})
        took_place = (
            last.get("to") == "completed" and last.get("from") == "confirmed" and last.get("by") != ACTOR_IMPORT
        )
        return "confirmed" if took_place else self.status

    def changed_by(self, operation: ObjectId) -> bool:
        """Whether that change of ours is in its history."""
        return any(entry.get("operation") == operation for entry in self.history)

    def said(self, names: Collection[str]) -> str:
        """Its fields in words, for people."""
        values = {"resource": self.resource, "startTime": render(self.start), "endTime": render(self.end)}
        values |= {"guests": str(self.guests), "status": self.status}
        return ", ".join(f"{name} {values[name]}" for name in values if name in names)


async def has_keyless(store: Store) -> bool:
    """Whether there are reservations of imports from before rows had keys; where that takes long, there may be."""
    try:
        with pymongo.timeout(_LOOK_SECONDS):
            return await store.database["reservations"].find_one(_KEYLESS, {"_id": 1}) is not None
    except PyMongoError as error:
        if not error.timeout:
            raise
        return True


async def find_booked(store: Store, rows: Collection[Row], *, keyless: bool = True) -> dict[str, Booked]:
    """The reservations that imports made of these rows, by the rows' keys.

    Before rows had keys, an import kept the reference in the metadata. Such a reservation is known by that, and by the
    resource that it is on; who else wrote metadata like that does not count. Without `keyless` nobody looks for them.
    """
    collection = store.database["reservations"]
    keys = {row.key: row for row in rows}
    found = {
        each["importKey"]: Booked.of(each)
        async for each in collection.find({"importKey": {"$in": [*keys]}}, dict.fromkeys(_FIELDS, 1))
    }
    if not keyless:
        return found
    old = {row.reference for key, row in keys.items() if key not in found}
    query = _KEYLESS | {_OLD_REFERENCE: {"$in": sorted(old)}}
    async for each in collection.find(query, dict.fromkeys((*_FIELDS, "metadata"), 1)):
        key = import_key(each["resource"], each["metadata"]["reference"])
        if key in keys:
            found.setdefault(key, Booked.of(each))
    return found


async def references_of(store: Store, identities: Collection[ObjectId]) -> list[str]:
    """How the callers know reservations, in the order of their ids here; those without a reference by their ids."""
    if not identities:
        return []
    fields = {"reference": 1, _OLD_REFERENCE: 1}
    found = store.database["reservations"].find({"_id": {"$in": [*identities]}}, fields)
    known = {each["_id"]: each.get("reference") or each.get("metadata", {}).get("reference") async for each in found}
    return [str(known.get(identity) or identity) for identity in identities]

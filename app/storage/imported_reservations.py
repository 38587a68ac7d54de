"""Reservations that imports made, found again by the rows' keys.

They are read raw: an edit in another program may have left a value in them that no document takes, and a row of a
file is compared with what is stored, not with what it means.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import pymongo
from bson import ObjectId
from pymongo.errors import PyMongoError

from app.domain.ids import ResourceId, ServiceId
from app.domain.lifecycle import Status
from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.documents import Reservation

_FIELDS = ("importKey", "resource", "service", "startTime", "endTime", "guests", "status", "version", "history")
_REFERENCE_IN_METADATA = "metadata.reference"
_PROBE_SECONDS = 2.0
_KEYS_A_FIND = 200
"""Keys of a find: PyPI's SecantusDB compares each row that it finds with each of them."""


@dataclass(frozen=True, slots=True)
class ImportedReservation:
    """A stored reservation, as far as a row of a file can differ from it.

    `reference` is the one in its metadata, where imports stored it before rows had keys; `import_key` is None then.
    """

    id: ObjectId
    version: int
    resource: ResourceId
    service: ServiceId | None
    start: datetime
    end: datetime
    guests: int
    status: Status
    history: list[BsonDocument]
    import_key: str | None = None
    reference: str | None = None

    @classmethod
    def of(cls, row: BsonDocument) -> "ImportedReservation":
        """The imported reservation of a stored row."""
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
            reference=(row.get("metadata") or {}).get("reference"),
        )


class ImportedReservations:
    """The reservations of a database that imports made.

    Args:
        store: The database.
        actor: The name under which imports book: the `key` of what they made.
    """

    def __init__(self, store: Store, *, actor: str) -> None:
        self._rows = store.database[Reservation.Settings.name]
        self._keyless = {
            _REFERENCE_IN_METADATA: {"$exists": True},
            "key": actor,
            "importKey": {"$exists": False},
        }

    async def any_keyless(self) -> bool:
        """Whether there are some from before rows had keys; also true where two seconds are not enough to find out."""
        try:
            with pymongo.timeout(_PROBE_SECONDS):
                return await self._rows.find_one(self._keyless, {"_id": 1}) is not None
        except PyMongoError as error:
            if not error.timeout:
                raise
            return True

    async def by_keys(self, keys: Collection[str]) -> dict[str, ImportedReservation]:
        """Those of these keys, by key."""
        found: dict[str, ImportedReservation] = {}
        wanted = [*keys]
        for first in range(0, len(wanted), _KEYS_A_FIND):
            query = {"importKey": {"$in": wanted[first : first + _KEYS_A_FIND]}}
            rows = self._rows.find(query, dict.fromkeys(_FIELDS, 1))
            found |= {row["importKey"]: ImportedReservation.of(row) async for row in rows}
        return found

    async def keyless_by_references(self, references: Collection[str]) -> list[ImportedReservation]:
        """Those from before rows had keys whose metadata have one of these references."""
        query = self._keyless | {_REFERENCE_IN_METADATA: {"$in": sorted(references)}}
        rows = self._rows.find(query, dict.fromkeys((*_FIELDS, "metadata"), 1))
        return [ImportedReservation.of(row) async for row in rows]

    async def references(self, ids: Collection[ObjectId]) -> dict[ObjectId, str]:
        """The references of reservations that have one, of imports and of others; by id."""
        rows = self._rows.find({"_id": {"$in": [*ids]}}, {"reference": 1, _REFERENCE_IN_METADATA: 1})
        found = {row["_id"]: row.get("reference") or row.get("metadata", {}).get("reference") async for row in rows}
        return {each: str(reference) for each, reference in found.items() if reference}

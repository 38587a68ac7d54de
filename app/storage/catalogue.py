"""The store of resources, services and customers, outside transactions.

Objects are read as rows, and validated by `object_of`: other programs may have written what pydantic refuses, and the
answer then names each field at fault. Where only ids are read, and for inserts, Beanie is used.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from bson import ObjectId
from motor.motor_asyncio import AsyncIOMotorCollection
from pydantic import BaseModel, Field
from pymongo.errors import DuplicateKeyError

from app.deadline import sending
from app.domain.ids import ServiceId
from app.storage.bson_types import BsonDocument, Filter
from app.storage.bulk_inserts import insert_new
from app.storage.catalogue_updates import proof_of_edit
from app.storage.client import Store
from app.storage.documents import CatalogueObject, Customer, Resource, Service
from app.storage.errors import ValueTaken
from app.storage.stored_catalogue import collection_of

Kind: TypeAlias = type[CatalogueObject]

RESOURCES: str = Resource.Settings.name
SERVICES: str = Service.Settings.name

_OPTIONAL_OF_CUSTOMER = frozenset({"email", "phone", "externalId", "description", "metadata"})


class _Identity(BaseModel):
    """The id of an object, and nothing else of it."""

    id: Any = Field(alias="_id")


def with_id(identity: str) -> Filter:
    """The filter of the object with an id."""
    return {"_id": {"$eq": identity}}


def with_any(field: str, values: Sequence[str] | None) -> Filter:
    """The filter of the objects that have any of these values in a field; None: of all."""
    return {} if values is None else {field: {"$in": [*values]}}


def with_active(*, active: bool | None) -> Filter:
    """The filter of the objects that can be booked anew, or cannot; None: of all. What says nothing is active."""
    return {} if active is None else {"active": {"$ne": False} if active else False}


@dataclass(frozen=True, slots=True)
class CatalogueStore:
    """The catalogue of one database."""

    store: Store

    async def find_row(
        self, kind: Kind, identity: str, *, fields: Collection[str] = (), without: Collection[str] = ()
    ) -> BsonDocument | None:
        """An object as it is stored: all of it, these fields and `_id`, or all without some fields."""
        projection = dict.fromkeys(fields, 1) or dict.fromkeys(without, 0) or None
        row: BsonDocument | None = await self._collection(kind).find_one({"_id": identity}, projection)
        return row

    async def find_rows(
        self, kind: Kind, query: Filter, limit: int, *, after: str | None, without: Collection[str] = ()
    ) -> list[BsonDocument]:
        """Up to `limit` objects as they are stored, by id, that match a query and have a text after `after` as id."""
        last: Filter = {"$gte": ""} if after is None else {"$gt": after}
        wanted = {**query, "_id": query.get("_id", {}) | last}
        found = self._collection(kind).find(wanted, dict.fromkeys(without, 0) or None)
        rows: list[BsonDocument] = await found.sort("_id", 1).limit(limit).to_list(None)
        return rows

    async def exists(self, kind: Kind, identity: str) -> bool:
        """Whether there is an object of this id, whatever else is in it."""
        found = await self.store.of(kind).find_one({"_id": identity}, projection_model=_Identity)
        return found is not None

    async def portions_of_ids(self, kind: Kind, size: int) -> AsyncIterator[list[str]]:
        """The ids of all objects that are text, in their order, `size` at a time."""
        last = ""
        while True:
            beyond = self.store.of(kind).find({"_id": {"$gt": last}}, projection_model=_Identity)
            found: list[str] = [each.id async for each in beyond.sort("_id").limit(size)]
            if not found:
                return
            yield found
            last = found[-1]

    async def find_offering(self, service: ServiceId) -> str | None:
        """The id of any active resource that offers a service."""
        offering = {"services": service, "active": True}
        found = await self.store.of(Resource).find_one(offering, projection_model=_Identity)
        return None if found is None else found.id

    async def find_missing(self, kind: Kind, identities: Collection[str]) -> set[str]:
        """Those of the ids that no object has."""
        if not identities:
            return set()
        found = self.store.of(kind).find({"_id": {"$in": list(identities)}}, projection_model=_Identity)
        return set(identities) - {each.id async for each in found}

    async def find_names(self, kind: Kind, identities: Collection[str]) -> dict[str, str]:
        """The names of objects by their ids; without those that there are not, and names that are no text."""
        if not identities:
            return {}
        found = self._collection(kind).find({"_id": {"$in": [*identities]}}, {"name": 1})
        return {row["_id"]: row["name"] async for row in found if isinstance(row.get("name"), str)}

    async def insert_object(self, made: CatalogueObject) -> bool:
        """Insert a new object; false where another one has its id, or a value that only one may have."""
        sending()
        operation = ObjectId()
        try:
            # Not by `Store.insert`: the ids of operations are no field of the documents, which edits write as a whole.
            await self._collection(type(made)).insert_one(made.to_mongo() | {"operations": [operation]})
        except DuplicateKeyError:
            # After a restart of the server the driver's own retry can find what its first try has written.
            written = proof_of_edit(made.id, operation)
            return await self.store.of(type(made)).find_one(written, projection_model=_Identity) is not None
        return True

    async def insert_absent(self, made: Sequence[CatalogueObject]) -> int:
        """Insert those new objects, all of one kind, whose ids are not taken; the number of these."""
        if not made:
            return 0
        sending()
        return await insert_new(self.store, collection_of(type(made[0])), [each.to_mongo() for each in made])

    async def update_customer(self, after: Customer, version: int) -> bool:
        """Write all fields of a customer over a stored one of this version; whether there is one.

        Fields that are unset are removed, never null.

        Raises:
            ValueTaken: another customer has its external id.
        """
        stored = after.to_mongo()
        unset = dict.fromkeys(_OPTIONAL_OF_CUSTOMER - stored.keys(), "")
        sending()
        # Guarded by the version: `save()` would overwrite what another request changed meanwhile.
        update = {"$set": stored} | ({"$unset": unset} if unset else {})
        try:
            done = await self._collection(Customer).update_one({"_id": after.id, "version": version}, update)
        except DuplicateKeyError:
            raise ValueTaken from None
        return bool(done.matched_count)

    def _collection(self, kind: Kind) -> "AsyncIOMotorCollection[BsonDocument]":
        return self.store.database[collection_of(kind)]

"""The store of API keys."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import structlog
from pydantic import ValidationError

from app.deadline import sending
from app.storage.bson_types import BsonDocument, Filter
from app.storage.client import Store
from app.storage.documents import Key
from app.storage.values import shown_text

log = structlog.get_logger()

_KEYS: str = Key.Settings.name
_OPTIONAL = {each.alias or "" for each in Key.model_fields.values() if each.default is None} - {"lastUsedAt", ""}
"""The stored names of the fields that a change may unset."""


@dataclass(frozen=True, slots=True)
class KeyStore:
    """The API keys of one database, known by their prefixes."""

    store: Store

    async def find(self, prefix: str) -> Key | None:
        """A key; None where there is none, or where another program stored it so that it cannot be read."""
        try:
            found: Key | None = await self.store.of(Key).find_one({"_id": prefix})
        except ValidationError:
            _log_unreadable(prefix)
            return None
        return found

    async def find_all(self) -> list[Key]:
        """All keys, the oldest first, without those that cannot be read."""
        rows = self.store.database[_KEYS].find().sort([("createdAt", 1), ("_id", 1)])
        return _readable([row async for row in rows])

    async def find_some(self, limit: int, *, after: str | None) -> list[Key]:
        """Up to `limit` keys by prefix, after a prefix, without those that cannot be read."""
        found: list[Key] = []
        while True:
            beyond: Filter = {"_id": {"$gte": ""} if after is None else {"$gt": after}}
            rows = await self.store.database[_KEYS].find(beyond).sort("_id", 1).limit(limit).to_list(None)
            found += _readable(rows)
            if len(found) >= limit or len(rows) < limit:
                return found[:limit]
            after = rows[-1]["_id"]

    async def insert_key(self, key: Key) -> None:
        """Insert a new key.

        Raises:
            pymongo.errors.DuplicateKeyError: another key has its prefix.
        """
        sending()
        await self.store.insert(key)

    async def update_key(self, after: Key, version: int) -> bool:
        """Write a key over the stored one of this version; whether there is one. Its last use stays as it is."""
        stored = after.to_mongo()
        unset = dict.fromkeys(_OPTIONAL - stored.keys(), "")
        stored.pop("lastUsedAt", None)
        # A key of the first version of Reserva has no version yet.
        versions: Filter = {"$in": [1, None]} if version == 1 else {"$eq": version}
        sending()
        done = await self.store.database[_KEYS].update_one(
            {"_id": after.id, "version": versions}, {"$set": stored} | ({"$unset": unset} if unset else {})
        )
        return bool(done.matched_count)

    async def write_uses(self, prefixes: Collection[str], minute: datetime) -> None:
        """Set the last use of keys to a minute, unless it is later already."""
        used = {"_id": {"$in": [*prefixes]}}
        sending()
        await self.store.database[_KEYS].update_many(used, {"$max": {"lastUsedAt": minute}})

    async def find_expiring(self, now: datetime, until: datetime, used_since: datetime) -> list[Key]:
        """The keys that were used since an instant and expire between two others, the first to expire first."""
        rows = self.store.database[_KEYS].find(
            {
                "expiresAt": {"$gt": now, "$lte": until},
                "lastUsedAt": {"$gte": used_since},
                "revokedAt": {"$exists": False},
            }
        )
        return _readable(await rows.sort([("expiresAt", 1), ("_id", 1)]).to_list(None))


def _readable(rows: Collection[BsonDocument]) -> list[Key]:
    """The keys among some rows: one that cannot be read must not make the others unreadable."""
    found: list[Key] = []
    for row in rows:
        try:
            found.append(Key.model_validate(row))
        except ValidationError:
            _log_unreadable(row["_id"])
    return found


def _log_unreadable(prefix: object) -> None:
    log.warning("key left out, it cannot be read", prefix=shown_text(prefix))

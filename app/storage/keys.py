"""The store of API keys."""

from dataclasses import dataclass
from datetime import datetime

import structlog
from pydantic import ValidationError
from pymongo import ReturnDocument

from app.deadline import sending
from app.storage.client import Store
from app.storage.documents import Key
from app.storage.values import shown_text

log = structlog.get_logger()

_UNREVOKED = {"revokedAt": {"$exists": False}}


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
        # Beanie would refuse the whole list for one key that cannot be read.
        rows = self.store.database["keys"].find().sort([("createdAt", 1), ("_id", 1)])
        found: list[Key] = []
        async for row in rows:
            try:
                found.append(Key.model_validate(row))
            except ValidationError:
                _log_unreadable(row["_id"])
        return found

    async def insert_key(self, key: Key) -> None:
        """Insert a new key.

        Raises:
            pymongo.errors.DuplicateKeyError: another key has its prefix.
        """
        sending()
        await self.store.insert(key)

    async def revoke_key(self, prefix: str, at: datetime) -> Key | None:
        """Revoke a key, and read it; one that is revoked already keeps its time. None where there is none."""
        sending()
        # Guarded: the first revocation stays.
        await self.store.database["keys"].update_one({"_id": prefix, **_UNREVOKED}, {"$set": {"revokedAt": at}})
        found: Key | None = await self.store.of(Key).find_one({"_id": prefix})
        return found

    async def replace_secret(self, prefix: str, secret_hash: str, now: datetime) -> Key | None:
        """Give a live key another secret, and read it; None where no key of that prefix is live."""
        unexpired = {"$or": [{"expiresAt": {"$exists": False}}, {"expiresAt": {"$gt": now}}]}
        sending()
        # Guarded: a key that is over never comes back.
        row = await self.store.database["keys"].find_one_and_update(
            {"_id": prefix, **_UNREVOKED, **unexpired},
            {"$set": {"secretHash": secret_hash}},
            return_document=ReturnDocument.AFTER,
        )
        if row is None:
            return None
        key: Key = Key.model_validate(row)
        return key


def _log_unreadable(prefix: object) -> None:
    log.warning("key left out, it cannot be read", prefix=shown_text(prefix))

"""The store of the console's sessions and sign-in links."""

from dataclasses import dataclass

from app.deadline import sending
from app.storage.client import Store
from app.storage.documents import Session, SignInLink

PRUNE_BATCH = 1_000
"""Sessions, and links, that are removed at once."""

_SESSIONS: str = Session.Settings.name
_LINKS: str = SignInLink.Settings.name


@dataclass(frozen=True, slots=True)
class SessionStore:
    """The sessions and links of one database. What has expired counts as absent, whether or not it is removed yet."""

    store: Store

    async def find(self, identity: str) -> Session | None:
        """A session that has not expired."""
        live = {"_id": identity, "expiresAt": {"$gt": self.store.clock.now()}}
        found: Session | None = await self.store.of(Session).find_one(live)
        return found

    async def insert_session(self, session: Session) -> None:
        """Insert a new session."""
        sending()
        await self.store.insert(session)

    async def remove_session(self, identity: str) -> None:
        """Remove a session, if it is there."""
        sending()
        await self.store.database[_SESSIONS].delete_one({"_id": identity})

    async def insert_link(self, link: SignInLink) -> None:
        """Insert a new link."""
        sending()
        await self.store.insert(link)

    async def take_link(self, identity: str) -> SignInLink | None:
        """Remove a link that has not expired, and return it: of all who ask for it one gets it."""
        sending()
        live = {"_id": identity, "expiresAt": {"$gt": self.store.clock.now()}}
        row = await self.store.database[_LINKS].find_one_and_delete(live)
        taken: SignInLink | None = None if row is None else SignInLink.model_validate(row)
        return taken

    async def prune(self) -> int:
        """Remove some of those that have expired; how many."""
        removed = 0
        for collection in (_SESSIONS, _LINKS):
            over = {"expiresAt": {"$lte": self.store.clock.now()}}
            rows = await self.store.database[collection].find(over, {"_id": 1}).limit(PRUNE_BATCH).to_list(None)
            if rows:
                await self.store.database[collection].delete_many({"_id": {"$in": [row["_id"] for row in rows]}})
            removed += len(rows)
        return removed

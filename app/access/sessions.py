"""Sessions of the console: a browser's stand-in for an API key, opened with it and never outliving it.

A token has 256 random bits and is stored as a hash, like the secret of a key. A session remembers the secret that it
was opened with, so it ends when the key is revoked, expires, or loses that secret by a rotation.
"""

import asyncio
import secrets
from contextlib import nullcontext
from datetime import timedelta
from typing import NamedTuple

import pymongo
from cachetools import TTLCache

from app.access.tokens import Token, hash_of
from app.storage.client import Store
from app.storage.documents import Session, SignInLink
from app.storage.sessions import SessionStore

SESSIONS = "sessions"
"""The key of the sessions in the application's state."""

SESSION_HOURS = 12
LINK_MINUTES = 10
LINK_PREFIX = "once_"
"""The beginning of the token of a link; no key begins so."""

CACHE_SECONDS = 1.0
"""How long a session that was ended in one process may go on in another."""
CACHED_MAX = 1_000
STRANGERS_MAX = 8
"""Lookups at the same time of tokens that this process does not know."""
LOOKUP_SECONDS = 2.5


class OpenedSession(NamedTuple):
    """A new session, and its token, which is stored nowhere."""

    session: Session
    token: str


class Sessions:
    """The sessions of one store.

    Args:
        store: The database.
        is_public_secure: Whether people reach the app by HTTPS, as the settings say.
    """

    def __init__(self, store: Store, *, is_public_secure: bool = False) -> None:
        self._store = store
        self._stored = SessionStore(store)
        self._known: TTLCache[str, Session] = TTLCache(CACHED_MAX, CACHE_SECONDS)  # pyright: ignore[reportAttributeAccessIssue]  # its stub infers other types
        self._strangers = asyncio.Semaphore(STRANGERS_MAX)
        self.is_public_secure = is_public_secure

    def is_crowded(self, token: str) -> bool:
        """Whether a token would wait until others that this process does not know either are looked up."""
        return self._strangers.locked() and hash_of(token) not in self._known

    async def open(self, key: str, secret_hash: str) -> OpenedSession:
        """A session of a key, given the hash of one of its secrets."""
        token = secrets.token_urlsafe(32)
        session = Session(
            id=hash_of(token),
            key=key,
            secret_hash=secret_hash,
            csrf_token=secrets.token_urlsafe(32),
            expires_at=self._store.clock.now() + timedelta(hours=SESSION_HOURS),
        )
        await self._stored.insert_session(session)
        return OpenedSession(session, token)

    async def find(self, token: str) -> Session | None:
        """The session of a token; None if it was never opened, has ended or has expired."""
        identity = hash_of(token)
        known = self._known.get(identity)
        if known is not None and known.expires_at > self._store.clock.now():
            return known
        turn = self._strangers if known is None else nullcontext()
        async with turn:
            with pymongo.timeout(LOOKUP_SECONDS):
                found = await self._stored.find(identity)
        if found is not None:
            self._known[identity] = found
        return found

    async def end(self, token: str) -> None:
        """End the session of a token, if there is one, in all processes within a second."""
        identity = hash_of(token)
        self._known.pop(identity, None)
        await self._stored.remove_session(identity)

    async def make_link(self, token: Token) -> str:
        """The token of a link that opens one session of a key, once, within ten minutes."""
        secret = LINK_PREFIX + secrets.token_urlsafe(32)
        expires_at = self._store.clock.now() + timedelta(minutes=LINK_MINUTES)
        link = SignInLink(
            id=hash_of(secret), key=token.prefix, secret_hash=hash_of(token.secret), expires_at=expires_at
        )
        await self._stored.insert_link(link)
        return secret

    async def take_link(self, secret: str) -> SignInLink | None:
        """The link of a token, which nobody can use again; None if it was used, has expired or never was."""
        return await self._stored.take_link(hash_of(secret))

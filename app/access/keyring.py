"""A cache of API keys for a second, so that not every request reads its key from the database."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import pymongo
from cachetools import LRUCache

from app.access.key_uses import KeyUses
from app.access.tokens import Token, accepts
from app.caller import Caller
from app.deadline import within
from app.errors import Problem
from app.single_flight import SingleFlight
from app.storage.client import Store
from app.storage.documents import Key
from app.storage.keys import KeyStore

CACHE_SECONDS = 1.0
"""How long a revoked or rotated key may go on working."""

LOOKUP_SECONDS = 2.5
"""How long the database may take to look a key up."""

CACHED_MAX = 10_000
"""Key prefixes in the cache: strangers can send any prefix, so it is bounded."""


@dataclass(frozen=True, slots=True)
class _Lookup:
    """The key of a prefix, if there is one, valid until a time of the keyring's clock."""

    until: float
    key: Key | None
    caller: Caller | None


class Keyring:
    """Finds the caller of a token, with at most one read of the database per key and second.

    Args:
        store: Where the keys are.
        clock: Seconds of a clock that never goes back.
        uses: Where the use of a key is noted.
    """

    def __init__(
        self, store: Store, clock: Callable[[], float] = time.monotonic, *, uses: KeyUses | None = None
    ) -> None:
        self._store = store
        self._uses = uses
        self._clock = clock
        # The least recently used entry is evicted: prefixes of strangers come once, those of callers again and again.
        self._cache: LRUCache[str, _Lookup] = LRUCache(CACHED_MAX)
        self._lookups: SingleFlight[str, _Lookup] = SingleFlight()

    async def caller(self, text: str) -> Caller | None:
        """The caller that a token belongs to; None if there is no such key, or it has expired or was revoked.

        Raises:
            Problem: `unavailable`, if the key could not be read in time.
        """
        token = Token.read(text)
        if token is None:
            return None
        lookup = self._cache.get(token.prefix)
        if lookup is None or lookup.until < self._clock():
            lookup = await self._look_up_once(token.prefix)
        if lookup.key is None or not accepts(lookup.key, token.secret, self._store.clock.now()):
            return None
        if self._uses is not None:
            self._uses.note(lookup.key)
        return lookup.caller

    def forget(self, prefix: str) -> None:
        """Read a key anew at its next use, because this process has changed it; others may go on for the second."""
        self._cache.pop(prefix, None)

    async def _look_up_once(self, prefix: str) -> _Lookup:
        """Read a key; requests that need the same key meanwhile share the read."""
        task = self._lookups.task(prefix, lambda: self._look_up(prefix))
        try:  # shielded: a request that is given up must not cancel the lookup that others wait for
            return await asyncio.wait_for(asyncio.shield(task), within(LOOKUP_SECONDS))
        except TimeoutError:
            raise Problem("unavailable", "The API key could not be looked up; nothing was done.") from None

    async def _look_up(self, prefix: str) -> _Lookup:
        # The second begins before the read: the answer may be as old as that.
        until = self._clock() + CACHE_SECONDS
        with pymongo.timeout(LOOKUP_SECONDS):
            key = await KeyStore(self._store).find(prefix)
        caller = None if key is None else Caller(key.id, frozenset(key.scopes), key.customer, key.rate_limit)
        lookup = self._cache[prefix] = _Lookup(until, key, caller)
        return lookup

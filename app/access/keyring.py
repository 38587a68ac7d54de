"""A cache of API keys for a second, so that not every request reads its key from the database."""

import asyncio
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import pymongo
from cachetools import LRUCache

from app.access.key_uses import KeyUses
from app.access.tokens import Token, accepts_hash, hash_of, is_over
from app.caller import Caller
from app.deadline import detached, within
from app.errors import Problem
from app.storage.client import Store
from app.storage.documents import Key
from app.storage.keys import KeyStore

KEYRING = "keyring"
"""The key of the keyring in the application's state."""

CACHE_SECONDS = 1.0
"""How long a revoked or rotated key may go on working."""

REFUSAL_SECONDS = 0.1
"""How long a new secret may be refused: a read that is older than this is repeated before a secret is refused."""

LOOKUP_SECONDS = 2.5
"""How long the database may take to look a key up."""

CACHED_MAX = 10_000
"""Key prefixes in the cache: strangers can send any prefix, so it is bounded."""

STRANGERS_MAX = 8
"""Lookups at the same time of prefixes that this process knows no key of."""


class _Found(NamedTuple):
    """A key, and the caller that it makes."""

    key: Key
    caller: Caller


@dataclass(slots=True)
class _Lookup:
    """A read of the key of a prefix, under way or done.

    Args:
        began: When it began, by the keyring's clock: what it finds may be as old as that.
        task: The read; None: no key has the prefix.
    """

    began: float
    task: "asyncio.Task[_Found | None]"

    def void(self) -> None:
        """Let nobody use it from now on, but for those who wait for it already."""
        self.began = -inf

    def end(self, task: "asyncio.Task[_Found | None]") -> None:
        """Void it where the read failed, so that the next request reads again."""
        if task.cancelled() or task.exception() is not None:
            self.void()


class Keyring:
    """Finds the caller of a token, with at most one read of the database per key and second while secrets are right.

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
        self._lookups: LRUCache[str, _Lookup] = LRUCache(CACHED_MAX)
        # Apart, so that no crowd of strangers evicts them: prefixes that keys were found for.
        self._known: LRUCache[str, bool] = LRUCache(CACHED_MAX)
        self._strangers = asyncio.Semaphore(STRANGERS_MAX)

    async def caller(self, text: str) -> Caller | None:
        """The caller that a token belongs to; None if there is no such key, or it has expired or was revoked.

        Raises:
            Problem: `unavailable`, if the key could not be read in time.
        """
        token = Token.read(text)
        return None if token is None else await self.caller_of(token.prefix, hash_of(token.secret))

    async def caller_of(self, prefix: str, digest: str) -> Caller | None:
        """The same, given the prefix of a token and the hash of its secret.

        Raises:
            Problem: `unavailable`, if the key could not be read in time.
        """
        # Another process may have rotated the key since it was read.
        for seconds in (CACHE_SECONDS, REFUSAL_SECONDS):
            found = await self._find(prefix, seconds)
            if found is None:
                return None
            if accepts_hash(found.key, digest, self._store.clock.now()):
                if self._uses is not None:
                    self._uses.note(found.key)
                return found.caller
        return None

    async def caller_of_live(self, prefix: str) -> Caller | None:
        """The caller of a key that is neither revoked nor expired, for what was made with it and lasts as long.

        Raises:
            Problem: `unavailable`, if the key could not be read in time.
        """
        found = await self._find(prefix, CACHE_SECONDS)
        return None if found is None or is_over(found.key, self._store.clock.now()) else found.caller

    def is_crowded(self, text: str) -> bool:
        """Whether a token would wait until other unknown keys are looked up."""
        token = Token.read(text)
        return token is not None and token.prefix not in self._known and self._strangers.locked()

    def forget(self, prefix: str) -> None:
        """Read a key anew at its next use, because this process has changed it; others may go on for the second."""
        lookup = self._lookups.get(prefix)
        if lookup is not None:
            lookup.void()

    async def _find(self, prefix: str, seconds: float) -> _Found | None:
        """The key of a prefix, by a read that began no more than so many seconds ago; requests share it."""
        lookup = self._lookups.get(prefix)
        now = self._clock()
        if lookup is None or lookup.began < now - seconds:
            lookup = self._lookups[prefix] = _Lookup(now, detached(self._look_up(prefix)))
            lookup.task.add_done_callback(lookup.end)
        try:
            if lookup.task.done():
                return lookup.task.result()
            # Shielded: a request that is given up must not cancel the lookup that others wait for.
            return await asyncio.wait_for(asyncio.shield(lookup.task), within(LOOKUP_SECONDS))
        except TimeoutError:
            raise Problem("unavailable", "The API key could not be looked up; nothing was done.") from None

    async def _look_up(self, prefix: str) -> _Found | None:
        turn = nullcontext() if prefix in self._known else self._strangers
        async with asyncio.timeout(LOOKUP_SECONDS), turn:
            with pymongo.timeout(LOOKUP_SECONDS):
                key = await KeyStore(self._store).find(prefix)
        if key is None:
            return None
        self._known[prefix] = True
        return _Found(key, Caller(key.id, frozenset(key.scopes), key.customer, key.rate_limit))

"""The keys that this process has seen within the last second, so that requests do not each ask the database."""

import asyncio
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import pymongo

from app.access.service import Token, hash_of, is_over
from app.caller import Caller
from app.deadline import detached, within
from app.errors import Problem
from app.storage.client import Store
from app.storage.documents import Key
from app.storage.keys import KeyStore

SECONDS = 1.0
"""How long a revoked or rotated key may go on working."""

ANSWER_SECONDS = 2.5
"""How long the database may take to tell a key."""

REMEMBERED = 10_000
"""Prefixes; strangers may send what they like, so there must be an end to it."""


@dataclass(frozen=True, slots=True)
class _Known:
    until: float
    key: Key | None
    caller: Caller | None


class Keyring:
    """Tells callers from tokens, with one question to the database per key and second.

    Args:
        store: Where the keys are.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asked: dict[str, asyncio.Task[_Known]] = {}

    async def caller(self, text: str) -> Caller | None:
        """Whose token this is; None if it is nobody's, or over."""
        token = Token.read(text)
        if token is None:
            return None
        known = self._known.get(token.prefix)
        if known is None or known.until < self._clock():
            known = await self._ask_once(token.prefix)
        if known.key is None or not hmac.compare_digest(hash_of(token.secret), known.key.secret_hash):
            return None
        return None if is_over(known.key, self._store.clock.now()) else known.caller

    async def _ask_once(self, prefix: str) -> _Known:
        """Ask the database; who needs the same key meanwhile waits for the same answer."""
        task = self._asked.get(prefix)
        if task is None:
            task = detached(self._ask(prefix))
            self._asked[prefix] = task
            task.add_done_callback(lambda done: self._answered(prefix, done))
        try:  # a request that is given up must not take the others' answer with it
            return await asyncio.wait_for(asyncio.shield(task), within(ANSWER_SECONDS))
        except TimeoutError:
            raise Problem("unavailable", "The API key could not be looked up; nothing was done.") from None

    def _answered(self, prefix: str, task: asyncio.Task[_Known]) -> None:
        self._asked.pop(prefix, None)
        if not task.cancelled():
            task.exception()  # looked at here, in case that nobody is waiting any more

    async def _ask(self, prefix: str) -> _Known:
        # The second begins before the question: an answer may be as old as that.
        until = self._clock() + SECONDS
        with pymongo.timeout(ANSWER_SECONDS):
            key = await KeyStore(self._store).find(prefix)
        caller = None if key is None else Caller(key.id, frozenset(key.scopes), key.customer)
        known = _Known(until, key, caller)
        self._known[prefix] = known
        self._known.move_to_end(prefix)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return known

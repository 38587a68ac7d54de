"""When keys were last used, to the minute, and warnings of keys in use that expire soon.

Requests only note a use in memory. A process writes each key at most once a minute, all keys of some seconds in one
update, behind the requests.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta
from itertools import groupby

import pymongo
import structlog
from pymongo.errors import PyMongoError

from app.deadline import detached
from app.domain.instants import Millis, from_millis
from app.storage.client import Store
from app.storage.documents import Key
from app.storage.keys import KeyStore

MINUTE = 60_000
"""In milliseconds."""
WRITE_AFTER_SECONDS = 5.0
"""How long a use waits to be written with others; what a killed process had not written yet is lost."""
WRITE_SECONDS = 5.0
"""How long the database may take for it; the uses wait for the next write if it takes longer."""
EXPIRY_WARNING = timedelta(days=14)
"""A key in use that expires within this is warned of, once a day and process."""
IN_USE = timedelta(days=14)
"""A key that was used within this counts as being in use."""

log = structlog.get_logger()


async def keys_about_to_expire(store: Store) -> list[Key]:
    """The keys in use that expire soon, the first to expire first."""
    now = store.clock.now()
    return await KeyStore(store).find_expiring(now, now + EXPIRY_WARNING, now - IN_USE)


class KeyUses:
    """The uses of keys that this process has seen and not written yet."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._minute = 0
        self._noted: set[str] = set()
        self._unwritten: dict[str, int] = {}
        self._warned: dict[str, int] = {}
        self._writing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def note(self, key: Key) -> None:
        """Note that a key is used now."""
        minute = self._store.clock.millis() // MINUTE
        if minute != self._minute:
            self._minute, self._noted = minute, set()
        if key.id in self._noted:
            return
        self._noted.add(key.id)
        self._unwritten[key.id] = minute
        if key.expires_at is not None:
            self._warn(key)
        if self._writing is None or self._writing.done():
            self._writing = detached(self._write_soon(), name="key uses")

    async def close(self) -> None:
        """Write what is not written yet, if the database answers in time."""
        self._closing.set()
        if self._writing is not None:
            await self._writing
        await self._write()

    def _warn(self, key: Key) -> None:
        now = self._store.clock.now()
        if key.expires_at is None or key.expires_at - now > EXPIRY_WARNING:
            return
        today = now.toordinal()
        if self._warned.get(key.id) != today:
            self._warned = {prefix: day for prefix, day in self._warned.items() if day == today} | {key.id: today}
            log.warning("an API key in use expires soon", prefix=key.id, name=key.name, expires_at=key.expires_at)

    async def _write_soon(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), WRITE_AFTER_SECONDS)
        await self._write()

    async def _write(self) -> None:
        """Write the uses; where that fails they wait for the next write, unless the keys are used again until then."""
        uses, self._unwritten = self._unwritten, {}
        by_minute = sorted(uses, key=uses.__getitem__)
        try:
            with pymongo.timeout(WRITE_SECONDS):
                for minute, prefixes in groupby(by_minute, uses.__getitem__):
                    await KeyStore(self._store).write_uses([*prefixes], from_millis(Millis(minute * MINUTE)))
        except PyMongoError as error:
            self._unwritten = uses | self._unwritten
            log.warning("the last uses of API keys are written later", keys=len(uses), error=str(error))

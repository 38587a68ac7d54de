"""The cache of parsed rules of resources and services in one process, for bookings and for reads.

An entry is valid for one *stamp*, which changes with every edit. Where there are transactions the stamp is the `rules`
id of the guard, which an edit changes together with the object. Where there are none an edit is two writes, and the
second may get lost: there the `version` in the object itself is part of the stamp. Absence is never cached.

Rows are read past Beanie: `stored_rules` parses a long schedule without a model for each of its windows.
"""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeAlias, cast

from motor.motor_asyncio import AsyncIOMotorCollection, AsyncIOMotorDatabase

from app.domain.closures import Closures
from app.domain.ids import ResourceId, ServiceId
from app.domain.rules import ResourceRules, ServiceRules
from app.errors import Problem
from app.storage.bson_types import BsonDocument
from app.storage.closure_cache import ClosureCache
from app.storage.documents import CLOSURES_ROW, GuardRow, service_row
from app.storage.stored_closures import closures_of, read_closures
from app.storage.stored_rules import resource_rules_of, service_rules_of
from app.storage.versioned_cache import CatalogueRow, F, Id, VersionedCache
from app.work import WorkPool

PARSED_INLINE_MAX = 200
"""Objects, overrides and times off that are parsed on the event loop: a millisecond."""

PORTION = 4
PORTION_MAX = 64
"""Objects that are read together where many are: few that are long, more of those that are quickly read."""
QUICK_SECONDS = 0.05
"""A portion that took less is followed by a larger one."""

Guards: TypeAlias = Mapping[str, GuardRow]
Database: TypeAlias = "AsyncIOMotorDatabase[BsonDocument]"


class RuleCache:
    """The cached rules of the catalogue. `atomic`: whether edits are transactions, see above."""

    def __init__(self, *, atomic: bool = True) -> None:
        self.resources = VersionedCache[ResourceId, ResourceRules]("resources", resource_rules_of, str, atomic=atomic)
        self.services = VersionedCache[ServiceId, ServiceRules](
            "services", service_rules_of, service_row, atomic=atomic
        )
        self.closures = ClosureCache(atomic=atomic)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of some resources and services as they stood when they were asked for, and the guards of both.

    What does not exist, or has no guard, is left out.
    """

    resources: Mapping[ResourceId, ResourceRules]
    services: Mapping[ServiceId, ServiceRules]
    guards: Guards
    unreadable: Mapping[str, Problem]
    """The problems of those that cannot be read, by the ids of their guards."""


class RuleReader:
    """Reads rules for questions, outside transactions, with the cache that bookings use.

    Args:
        database: Where the catalogue and its guards are.
        cache: The process's.
        work: Where long schedules are parsed.
        clock: A monotonic one.
    """

    def __init__(
        self, database: Database, cache: RuleCache, work: WorkPool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._cache = cache
        self._work = work
        self._clock = clock
        self._reading = asyncio.Lock()

    async def read(
        self, resources: Collection[ResourceId] = (), services: Collection[ServiceId] = (), *, until: float = math.inf
    ) -> Rules:
        """Read the guards of these, and parse only what was edited since it was last read.

        Many are read in portions. The rules of each portion are cached, so a repeated question gets further.

        Raises:
            Problem: `overloaded` where it takes longer than `until`, or where long schedules
                are to be parsed and the pool of threads is full.
        """
        guards = await self._guards(resources, services)
        unreadable: dict[str, Problem] = {}
        rooms = await self._load(self._cache.resources, resources, guards, unreadable, until)
        rooms = self._cache.closures.applied(await self._closures(guards), rooms) if rooms else rooms
        offers = await self._load(self._cache.services, services, guards, unreadable, until)
        return Rules(rooms, offers, guards, unreadable)

    def keep_resource_rules(self, room: ResourceRules, rules: str, version: int) -> None:
        """Keep the rules of a resource that was edited here under the guard's new id: they need not be parsed again."""
        rooms = self._cache.resources
        stamp = rooms.stamp({rooms.guard(room.id): {"rules": rules}}, {"_id": room.id, "version": version})
        if stamp is not None:
            rooms.keep(room.id, stamp, room)

    async def _guards(self, resources: Iterable[ResourceId], services: Iterable[ServiceId]) -> Guards:
        guards = [*map(self._cache.resources.guard, resources), *map(self._cache.services.guard, services)]
        return await self._rows([CLOSURES_ROW, *guards] if guards else [])

    async def _closures(self, guards: Guards) -> Closures:
        """The closures, read and parsed only where they were changed."""
        cache = self._cache.closures
        if (known := cache.valid(guards)) is not None:
            return known
        stamp, rows = await read_closures(self._database)
        few = len(rows) <= PARSED_INLINE_MAX
        return cache.keep(closures_of(stamp, rows) if few else await self._work.run(closures_of, stamp, rows))

    async def _rows(self, identities: Sequence[str]) -> Guards:
        found = self._database["guards"].find({"_id": {"$in": identities}}) if identities else None
        return {row["_id"]: cast("GuardRow", row) for row in await found.to_list(None)} if found else {}

    async def _load(
        self,
        cache: VersionedCache[Id, F],
        identities: Iterable[Id],
        guards: Guards,
        unreadable: dict[str, Problem],
        until: float,
    ) -> dict[Id, F]:
        guarded: list[Id] = [identity for identity in identities if cache.guard(identity) in guards]
        rows: list[BsonDocument] = [{"_id": identity} for identity in guarded]
        if rows and not cache.atomic:
            rows = [*await self._objects(cache).find({"_id": {"$in": guarded}}, {"version": 1}).to_list(None)]
        known = cache.valid(guards, rows)
        unknown = [row for row in rows if row["_id"] not in known]
        if len(unknown) <= PORTION:
            return known | await self._parsed(cache, unknown, guards, unreadable) if unknown else known
        size = PORTION
        while unknown:
            portion, unknown = unknown[:size], unknown[size:]
            async with self._turn_to_read(until):  # a question for the same rules finds them cached when its turn comes
                known |= (parsed_by_others := cache.valid(guards, portion))
                portion = [row for row in portion if row["_id"] not in parsed_by_others]
                began = self._clock()
                known |= await self._parsed(cache, portion, guards, unreadable) if portion else {}
                quick = self._clock() - began < QUICK_SECONDS
            size = min(size * 2, PORTION_MAX) if quick else PORTION
        return known

    async def _parsed(
        self, cache: VersionedCache[Id, F], rows: Sequence[BsonDocument], guards: Guards, unreadable: dict[str, Problem]
    ) -> dict[Id, F]:
        """The rules of these, read and parsed. Those whose guards are the same before and after are cached."""
        wanted = [row["_id"] for row in rows]
        fresh = (
            await self._objects(cache).find({"_id": {"$in": wanted}}, {"history": 0}).batch_size(PORTION).to_list(None)
        )
        # An edit in between gave rules that are newer than their guard: correct, but not to be cached.
        rows_again = await self._rows([cache.guard(row["_id"]) for row in fresh])
        loaded = _UnparsedRules(cache, guards, rows_again, fresh, unreadable)
        return loaded.parse() if loaded.size <= PARSED_INLINE_MAX else await self._work.run(loaded.parse)

    def _objects(self, cache: VersionedCache[Id, F]) -> "AsyncIOMotorCollection[BsonDocument]":
        return self._database[cache.collection]

    @asynccontextmanager
    async def _turn_to_read(self, until: float) -> AsyncGenerator[None]:
        """One of many portions is read at a time.

        Raises:
            Problem: `overloaded` where that would be after `until`.
        """
        try:
            async with asyncio.timeout(None if until == math.inf else max(until - self._clock(), 0)):
                await self._reading.acquire()
        except TimeoutError:
            raise took_too_long() from None
        try:
            if self._clock() > until:
                raise took_too_long()
            yield
        finally:
            self._reading.release()


@dataclass(frozen=True, slots=True)
class _UnparsedRules(Generic[Id, F]):
    """Stored objects that are yet to be parsed, with the guards as they were before and after these were read."""

    cache: VersionedCache[Id, F]
    before: Guards
    after: Guards
    fresh: Sequence[BsonDocument]
    unreadable: dict[str, Problem]

    @property
    def size(self) -> int:
        """How much is to be parsed: objects, overrides and times off."""
        return sum(_stored_size(row) for row in self.fresh)

    def parse(self) -> dict[Id, F]:
        """Parse them; rules with the same stamp before and after are cached."""
        parsed: dict[Id, F] = {}
        for row in self.fresh:
            stamp = self.cache.stamp(self.before, row)
            same = stamp == self.cache.stamp(self.after, row)
            try:
                parsed[row["_id"]] = self.cache.put(row, stamp if same else None)
            except Problem as problem:
                self.unreadable[self.cache.guard(row["_id"])] = problem
        return parsed


def took_too_long() -> Problem:
    """The problem of a question whose answer was not ready in time."""
    return Problem("overloaded", "This takes too long to work out at the moment; ask for less, or again in a moment.")


def _stored_size(row: CatalogueRow) -> int:
    schedule, off = row.get("schedule"), row.get("timeOff")
    overrides = schedule.get("overrides") if isinstance(schedule, dict) else None
    return 1 + sum(len(each) for each in (overrides, off) if isinstance(each, list))

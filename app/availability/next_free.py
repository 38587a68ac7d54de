"""The next free starts for a refused booking: advice, for which a refusal never waits longer than `WAIT_SECONDS`."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge

import pymongo
from cachetools import FIFOCache
from pymongo.errors import PyMongoError

from app.availability.queries import BookableResource, read_resources, read_rows
from app.deadline import within
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import DAY, Millis
from app.domain.load import Profile
from app.domain.rules import BookingRequest, ServiceRules, block_of
from app.domain.slots import Budget, Candidates, SlotQuery, longest_of, slots
from app.errors import Problem
from app.single_flight import SingleFlight
from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.rule_cache import RuleReader
from app.work import WorkPool

STARTS_MAX = 3
SEARCHED_DAYS = 7
CANDIDATES_MAX = 5_000
"""Starts that one search judges, over all resources."""
ROWS_MAX = 20_000
"""Reservations that one search reads."""
WAIT_SECONDS = 0.5
"""How long a refusal waits for its advice."""
SEARCHES_MAX = 32
"""Searches at a time; a refusal beyond them gets no advice."""
CACHE_SECONDS = 1.0
CACHED_PROFILES_MAX = 1_000
"""Profiles that the cache holds, one per resource and span."""

_Key = tuple[BookingRequest, str | None, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _CachedProfile:
    """How full a resource was in a span; valid until a monotonic time, while its guard has this count of changes."""

    changes: int
    until: float
    profile: Profile


class NextFree:
    """Searches the next free starts, one search after the other.

    A full pool refuses many requests at once, for the same start and for others. Equal requests share one search, as
    long as it has not begun to read: what it finds is then no older than any of their refusals. The others share the
    cached profiles of the pool, until something is booked there.
    """

    def __init__(self, store: Store, rules: RuleReader, work: WorkPool) -> None:
        self._store = store
        self._rules = rules
        self._work = work
        self._searches: SingleFlight[_Key, list[Millis]] = SingleFlight()
        self._lock = asyncio.Lock()
        self._cache: FIFOCache[tuple[str, Millis, Millis], _CachedProfile] = FIFOCache(CACHED_PROFILES_MAX)

    async def starts(
        self, request: BookingRequest, service: ServiceId | None, resources: Sequence[ResourceId]
    ) -> list[Millis]:
        """Up to three starts on the grid, from the requested one to 7 days on, that are free for the same request.

        There are fewer or none where reading, searching, or waiting for other searches would take long.
        """
        key = (request, service, tuple(resources))
        if key not in self._searches and len(self._searches) >= SEARCHES_MAX:
            return []
        task = self._searches.task(key, lambda: self._search(*key))
        await asyncio.wait([task], timeout=within(WAIT_SECONDS))
        return task.result() if task.done() else []

    async def _search(
        self, request: BookingRequest, service: ServiceId | None, resources: Sequence[ResourceId]
    ) -> list[Millis]:
        until = time.monotonic() + WAIT_SECONDS
        budget = Budget(CANDIDATES_MAX, late=lambda: time.monotonic() > until)
        try:
            async with self._lock:
                if budget.late():
                    return []
                self._searches.close((request, service, tuple(resources)))
                with pymongo.timeout(WAIT_SECONDS):
                    rules, bookable = await read_resources(
                        self._store, self._rules, resources=resources, service=service
                    )
                    search = _Search(request, rules, bookable)
                    profiles, rows = await self._read_profiles(search)
                return await self._work.run(self._find, search, profiles, rows, budget)
        except (PyMongoError, Problem):
            return []  # a refusal stands without advice

    async def _read_profiles(self, search: "_Search") -> tuple[dict[str, Profile], Mapping[str, list[BsonDocument]]]:
        """The profiles that are cached, and the reservations of the other resources."""
        now = time.monotonic()
        known: dict[str, Profile] = {}
        for resource in search.resources if search.request.ignore is None else ():
            entry = self._cache.get((resource.rules.id, *search.span))
            if entry is not None and entry.until > now and entry.changes == resource.changes:
                known[resource.rules.id] = entry.profile
        unknown = [resource for resource in search.resources if resource.rules.id not in known]
        return known, await read_rows(self._store, unknown, *search.span, rows_max=ROWS_MAX)

    def _find(
        self, search: "_Search", profiles: dict[str, Profile], rows: Mapping[str, list[BsonDocument]], budget: Budget
    ) -> list[Millis]:
        """Search and fill the cache, in a thread; one search at a time."""
        now, until = self._store.clock.millis(), time.monotonic() + CACHE_SECONDS
        for resource in search.resources:
            name = resource.rules.id
            if name in rows:
                profiles[name] = Profile(now, resource.occupancies(rows[name]), search.request.ignore)
                if search.request.ignore is None:
                    self._cache[name, *search.span] = _CachedProfile(resource.changes, until, profiles[name])
        return search.run(profiles, budget)


class _Search:
    """One search: the request, its resources, and the span in which a reservation may conflict with it."""

    def __init__(
        self, request: BookingRequest, service: ServiceRules | None, resources: Sequence[BookableResource]
    ) -> None:
        length = request.end - request.start
        self.request = request
        self.resources = resources
        self._service = service
        self._before = Millis(request.start + SEARCHED_DAYS * DAY + 1)
        self._asked = SlotQuery(length, request.guests, max(round(length / DAY), 1), request.ignore, request.lifted)
        first, end = block_of(request.start, Millis(self._before + longest_of(self._asked, service)), service)
        self.span = (Millis(first // DAY * DAY), Millis(-(-end // DAY) * DAY))
        """Whole days, so that searches for other starts of a day can share what was read."""

    def run(self, profiles: Mapping[str, Profile], budget: Budget) -> list[Millis]:
        """The first free starts on any of the resources, without duplicates."""
        starts: list[Millis] = []
        for start in merge(*[self._on(resource, profiles[resource.rules.id], budget) for resource in self.resources]):
            if start not in starts[-1:]:
                starts.append(start)
            if len(starts) == STARTS_MAX:
                break
        return starts

    def _on(self, resource: BookableResource, profile: Profile, budget: Budget) -> Iterator[Millis]:
        if budget.late():
            return
        grid = Candidates.of(resource.rules, self._service, self._asked, self.request.start, self._before)
        for slot in slots(grid, self._service, self._asked, profile, budget):
            yield slot.start

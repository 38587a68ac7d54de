"""The next free starts for a refused booking: advice, for which a refusal never waits longer than `WAIT_SECONDS`."""

import asyncio
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from typing import NamedTuple, TypeAlias

import pymongo
from cachetools import FIFOCache
from pymongo.errors import PyMongoError

from app.availability.queries import BookableResource, read_resources, read_rows
from app.deadline import within
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import DAY, Duration, Millis
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

_Question: TypeAlias = tuple[BookingRequest, ServiceId | None, tuple[ResourceId, ...]]


class _Moment(NamedTuple):
    """What searches can read together: the bookings of the same resources, from the same day on."""

    service: ServiceId | None
    resources: tuple[ResourceId, ...]
    day: Millis
    length: Duration
    ignore: Hashable | None

    @classmethod
    def of(cls, request: BookingRequest, service: ServiceId | None, resources: tuple[ResourceId, ...]) -> "_Moment":
        day = Millis(request.start // DAY * DAY)
        return cls(service, resources, day, request.end - request.start, request.ignore)


@dataclass(frozen=True, slots=True)
class _View:
    """What was read at a moment: the rules, and how full the resources are."""

    service: ServiceRules | None
    resources: Sequence[BookableResource]
    profiles: Mapping[str, Profile]


@dataclass(frozen=True, slots=True)
class _CachedProfile:
    """How full a resource was in a span; valid until a monotonic time, while its guard has this count of changes."""

    changes: int
    until: float
    profile: Profile


class NextFree:
    """Searches the next free starts, one search after the other.

    A full resource or pool refuses many requests at once, for the same start and for others. Equal requests share one
    search, and those for other starts share what it reads, as long as the reading has not begun: what is found is then
    no older than any of the refusals. Later searches share the cached profiles, until something is booked there.
    """

    def __init__(self, store: Store, rules: RuleReader, work: WorkPool) -> None:
        self._store = store
        self._rules = rules
        self._work = work
        self._searches: SingleFlight[_Question, list[Millis]] = SingleFlight()
        self._views: SingleFlight[_Moment, _View] = SingleFlight()
        self._waiting: dict[_Moment, list[_Question]] = {}
        """The searches that wait for a view of which nothing has been read."""
        self._lock = asyncio.Lock()
        self._cache: FIFOCache[tuple[str, Millis, Millis], _CachedProfile] = FIFOCache(CACHED_PROFILES_MAX)

    async def starts(
        self, request: BookingRequest, service: ServiceId | None, resources: Sequence[ResourceId]
    ) -> list[Millis]:
        """Up to three starts on the grid, from the requested one to 7 days on, that are free for the same request.

        There are fewer or none where reading, searching, or waiting for other searches would take long.
        """
        question = (request, service, tuple(resources))
        if question not in self._searches:
            if len(self._searches) >= SEARCHES_MAX:
                return []
            self._waiting.setdefault(_Moment.of(*question), []).append(question)
        task = self._searches.task(question, lambda: self._search(question))
        await asyncio.wait([task], timeout=within(WAIT_SECONDS))
        return task.result() if task.done() else []

    async def _search(self, question: _Question) -> list[Millis]:
        request, moment = question[0], _Moment.of(*question)
        until = time.monotonic() + WAIT_SECONDS
        budget = Budget(CANDIDATES_MAX, late=lambda: time.monotonic() > until)
        try:
            view = await asyncio.shield(self._views.task(moment, lambda: self._read(moment, until)))
            search = _Search(request, view)
            async with self._lock:
                return [] if budget.late() else await self._work.run(search.run, budget)
        except (PyMongoError, Problem):
            return []  # a refusal stands without advice

    async def _read(self, moment: _Moment, until: float) -> _View:
        """Read what the searches of a moment need, once for all that wait by now.

        Raises:
            Problem: it is too late for the first of them, or the rules cannot be read.
            pymongo.errors.PyMongoError: the database does not answer.
        """
        async with self._lock:
            self._views.close(moment)
            for question in self._waiting.pop(moment, ()):
                self._searches.close(question)
            if time.monotonic() > until:
                raise Problem("overloaded", "Too many searches wait.")
            with pymongo.timeout(WAIT_SECONDS):
                service, resources = await read_resources(
                    self._store, self._rules, resources=moment.resources, service=moment.service
                )
                span = _span(moment, service)
                known = self._cached(resources, span) if moment.ignore is None else {}
                unknown = [resource for resource in resources if resource.rules.id not in known]
                rows = await read_rows(self._store, unknown, *span, rows_max=ROWS_MAX)
            made = await self._work.run(self._profiles, unknown, rows, moment.ignore, span)
            return _View(service, resources, known | made)

    def _cached(self, resources: Sequence[BookableResource], span: tuple[Millis, Millis]) -> dict[str, Profile]:
        """The profiles that are cached and still true."""
        now = time.monotonic()
        entries = [(resource, self._cache.get((resource.rules.id, *span))) for resource in resources]
        return {
            resource.rules.id: entry.profile
            for resource, entry in entries
            if entry is not None and entry.until > now and entry.changes == resource.changes
        }

    def _profiles(
        self,
        resources: Sequence[BookableResource],
        rows: Mapping[str, list[BsonDocument]],
        ignore: Hashable | None,
        span: tuple[Millis, Millis],
    ) -> dict[str, Profile]:
        """The profiles of resources whose reservations were read; they are cached. In a thread, one call at a time."""
        now, until = self._store.clock.millis(), time.monotonic() + CACHE_SECONDS
        made: dict[str, Profile] = {}
        for resource in resources:
            name = resource.rules.id
            made[name] = Profile(now, resource.occupancies(rows[name]), ignore)
            if ignore is None:
                self._cache[name, *span] = _CachedProfile(resource.changes, until, made[name])
        return made


def _span(moment: _Moment, service: ServiceRules | None) -> tuple[Millis, Millis]:
    """The whole days in which a reservation may conflict with a start from the moment's day to `SEARCHED_DAYS` on."""
    longest = longest_of(SlotQuery(moment.length, days=max(round(moment.length / DAY), 1)), service)
    last = Millis(moment.day + (SEARCHED_DAYS + 1) * DAY + longest)
    first, end = block_of(moment.day, last, service)
    return Millis(first // DAY * DAY), Millis(-(-end // DAY) * DAY)


class _Search:
    """One search: the request, and what was read at its moment."""

    def __init__(self, request: BookingRequest, view: _View) -> None:
        self.request = request
        self._view = view
        self._before = Millis(request.start + SEARCHED_DAYS * DAY + 1)
        self._asked = _slot_query(request)

    def run(self, budget: Budget) -> list[Millis]:
        """The first free starts on any of the resources, without duplicates."""
        starts: list[Millis] = []
        for start in merge(*[self._on(resource, budget) for resource in self._view.resources]):
            if start not in starts[-1:]:
                starts.append(start)
            if len(starts) == STARTS_MAX:
                break
        return starts

    def _on(self, resource: BookableResource, budget: Budget) -> Iterator[Millis]:
        if budget.late():
            return
        grid = Candidates.of(resource.rules, self._view.service, self._asked, self.request.start, self._before)
        for slot in slots(grid, self._view.service, self._asked, self._view.profiles[resource.rules.id], budget):
            yield slot.start


def _slot_query(request: BookingRequest) -> SlotQuery:
    length = request.end - request.start
    return SlotQuery(length, request.guests, max(round(length / DAY), 1), request.ignore, request.lifted)

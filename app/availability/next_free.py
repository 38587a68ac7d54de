"""When a refused booking could be had instead: advice, which never keeps the refusal waiting for long."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge

import pymongo
from pymongo.errors import PyMongoError

from app.availability.queries import Place, read_places, read_rows
from app.deadline import detached, within
from app.domain.instants import DAY, Millis
from app.domain.load import Profile
from app.domain.rules import BookingRequest, ServiceRules, block_of
from app.domain.slots import Budget, Candidates, SlotQuery, longest_of, slots
from app.errors import Problem
from app.storage.client import Store
from app.storage.reservations import Row
from app.storage.rule_cache import RuleReader
from app.work import WorkPool

STARTS = 3
DAYS = 7
LOOKED_AT_MAX = 5_000
"""Starts that one search looks at, over all resources."""
ROWS_MAX = 20_000
"""Reservations that one search reads."""
SECONDS = 0.5
"""How long a refusal waits for it."""
QUESTIONS_MAX = 32
"""Searches at a time; who comes later gets no advice."""
REMEMBERED_SECONDS = 1.0
REMEMBERED_MAX = 1_000
"""Resources of which it is remembered who occupies them."""

_Question = tuple[BookingRequest, str | None, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Remembered:
    """How full a resource was in a span, valid while its guard has this count of changes, and for a moment."""

    changes: int
    until: float
    profile: Profile


class NextFree:
    """Looks for the next free starts, one search after the other.

    Refusals of a full pool come in crowds, for the same start and for others. Of those that ask the same, one asks and
    all are told; the others share what was read of the pool, until something is booked there.
    """

    def __init__(self, store: Store, rules: RuleReader, work: WorkPool) -> None:
        self._store = store
        self._rules = rules
        self._work = work
        self._asking: dict[_Question, asyncio.Task[list[Millis]]] = {}
        self._searching = asyncio.Lock()
        self._remembered: OrderedDict[tuple[str, Millis, Millis], _Remembered] = OrderedDict()

    async def starts(self, wish: BookingRequest, service: str | None, resources: Sequence[str]) -> list[Millis]:
        """Up to three starts on the grid, from the wished one to 7 days on, that are free for the same request.

        Fewer or none where it would take long: to read what is booked, to search it, or to wait for other searches.
        """
        question = (wish, service, tuple(resources))
        task = self._asking.get(question)
        if task is None:
            if len(self._asking) >= QUESTIONS_MAX:
                return []
            task = self._asking[question] = detached(self._search(*question))
            task.add_done_callback(lambda _: self._asking.pop(question, None))
        await asyncio.wait([task], timeout=within(SECONDS))
        return task.result() if task.done() else []

    async def _search(self, wish: BookingRequest, service: str | None, resources: Sequence[str]) -> list[Millis]:
        until = time.monotonic() + SECONDS
        budget = Budget(LOOKED_AT_MAX, late=lambda: time.monotonic() > until)
        try:
            async with self._searching:
                if budget.late():
                    return []
                with pymongo.timeout(SECONDS):
                    offer, places = await read_places(self._store, self._rules, resources=resources, service=service)
                    search = _Search(wish, offer, places)
                    profiles, rows = await self._taken(search)
                return await self._work.run(self._find, search, profiles, rows, budget)
        except (PyMongoError, Problem):
            return []  # a refusal stands without advice

    async def _taken(self, search: "_Search") -> tuple[dict[str, Profile], Mapping[str, list[Row]]]:
        """Who is there: the profiles that are remembered, and the reservations of the other resources."""
        now = time.monotonic()
        known: dict[str, Profile] = {}
        for place in search.places if search.wish.ignore is None else ():
            entry = self._remembered.get((place.room.id, *search.span))
            if entry is not None and entry.until > now and entry.changes == place.changes:
                known[place.room.id] = entry.profile
        unknown = [place for place in search.places if place.room.id not in known]
        return known, await read_rows(self._store, unknown, *search.span, rows_max=ROWS_MAX)

    def _find(
        self, search: "_Search", profiles: dict[str, Profile], rows: Mapping[str, list[Row]], budget: Budget
    ) -> list[Millis]:
        """Search, in a thread; one at a time."""
        now, until = self._store.clock.millis(), time.monotonic() + REMEMBERED_SECONDS
        for place in search.places:
            name = place.room.id
            if name in rows:
                profiles[name] = Profile(now, place.occupancies(rows[name]), search.wish.ignore)
                if search.wish.ignore is None:
                    self._remembered[name, *search.span] = _Remembered(place.changes, until, profiles[name])
        while len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return search.run(profiles, budget)


class _Search:
    """One search: what is asked, where, and the span in which something may be in the way."""

    def __init__(self, wish: BookingRequest, offer: ServiceRules | None, places: Sequence[Place]) -> None:
        length = wish.end - wish.start
        self.wish = wish
        self.places = places
        self._offer = offer
        self._before = wish.start + DAYS * DAY + 1
        self._asked = SlotQuery(length, wish.guests, max(round(length / DAY), 1), wish.ignore, wish.lifted)
        first, end = block_of(wish.start, self._before + longest_of(self._asked, offer), offer)
        self.span = (first // DAY * DAY, -(-end // DAY) * DAY)
        """Whole days, so that searches for other starts of a day can share what was read."""

    def run(self, profiles: Mapping[str, Profile], budget: Budget) -> list[Millis]:
        """The first starts, whichever resource they are on."""
        starts: list[Millis] = []
        for start in merge(*[self._on(place, profiles[place.room.id], budget) for place in self.places]):
            if start not in starts[-1:]:
                starts.append(start)
            if len(starts) == STARTS:
                break
        return starts

    def _on(self, place: Place, profile: Profile, budget: Budget) -> Iterator[Millis]:
        if budget.late():
            return
        grid = Candidates.of(place.room, self._offer, self._asked, self.wish.start, self._before)
        for slot in slots(grid, self._offer, self._asked, profile, budget):
            yield slot.start

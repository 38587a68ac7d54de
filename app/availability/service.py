"""Slots, explanations and the next free starts: all by `rules.judge`, which is what booking asks as well."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

import pymongo
from bson import ObjectId

from app.availability.admission import Admission
from app.availability.next_free import NextFree
from app.availability.queries import ROWS_MAX, Place, read_places, read_rows
from app.availability.questions import Question, TimeQuestion, answer_zone, asked_of, end_of, span_of
from app.availability.rendering import Written, slots_json
from app.caller import Caller
from app.deadline import LEAST_SECONDS, within
from app.domain.grid import STARTS_MAX
from app.domain.instants import Millis, to_millis
from app.domain.load import Profile
from app.domain.rules import BookingRequest, ResourceRules, ServiceRules, Verdict, block_of, judge
from app.domain.slots import Budget, Candidates, Slot, SlotQuery, longest_of, slots
from app.domain.zones import zone
from app.errors import invalid
from app.storage.client import Store
from app.storage.occupancy import occupancies_on
from app.storage.reservations import ReservationStore, Row
from app.storage.rule_cache import RuleReader, too_long
from app.storage.stored_reservations import as_it_is, customer_of
from app.work import WorkPool

P = ParamSpec("P")
T = TypeVar("T")

SECONDS = 8.5
"""What a question may take, waiting, reading and computing; then it is `overloaded`."""
POOL_SECONDS = 1.5
"""What a booking waits at most for the rules of a pool that nobody has asked for before."""
READ_SECONDS = 1.0
"""What a read has at least: with less time left it is not begun, so that one that is late tells of the database."""


class Availability:
    """When something can be booked, and which rule says no.

    Args:
        store: Where it is booked.
        rules: How its rules are read.
        work: Where answers are computed, one at a time: bookings share the processor with them.
    """

    def __init__(self, store: Store, rules: RuleReader, work: WorkPool) -> None:
        self.store = store
        self.rules = rules
        self._work = work
        self._computing = asyncio.Lock()
        self._admission = Admission()
        self._next_free = NextFree(store, rules, work)

    async def slots(self, question: Question, caller: Caller) -> Written:
        """The answer to a question, as JSON: the slots that start in a span, by start, then resource.

        Raises:
            Problem: `invalid`, before anything but the catalogue is read; `forbidden` for who asks to ignore a
                reservation and may not read any; `overloaded`.
        """
        if question.ignore is not None:
            caller.require("reservations:read")
        until = time.monotonic() + within(SECONDS)
        async with self._admission.turn(caller.key_id):
            with pymongo.timeout(max(until - time.monotonic(), LEAST_SECONDS)):
                offer, places = await self._places(question.service, question.resource, until)
                asked, tz = asked_of(question, offer), answer_zone(question, places)
                after, before = span_of(question, tz)
                budget = Budget(STARTS_MAX + 1, late=lambda: time.monotonic() > until)
                grids = await self._beside(_grids, places, offer, asked, (after, before), budget)
                asked = replace(asked, ignore=await self._ignored(question.ignore, caller))
                block = block_of(after, before + longest_of(asked, offer), offer)
                _require_time(until)
                rows = await read_rows(self.store, places, *block, rows_max=ROWS_MAX)
            return await self._beside(_answer, grids, offer, asked, _Taken(rows, self.store.clock.millis()), tz, budget)

    async def explain(self, question: TimeQuestion, caller: Caller) -> Verdict:
        """Every rule's verdict on one time.

        Raises:
            Problem: `invalid`, `overloaded`.
        """
        until = time.monotonic() + within(SECONDS)
        async with self._admission.turn(caller.key_id):
            with pymongo.timeout(max(until - time.monotonic(), LEAST_SECONDS)):
                offer, [place] = await self._places(question.service, question.resource, until)
                start = to_millis(question.start)
                end = None if question.end is None else to_millis(question.end)
                wish = BookingRequest(start, end_of(start, end, offer, zone(place.room.timezone)), question.guests)
                block = block_of(wish.start, wish.end, offer)
                _require_time(until)
                rows = await read_rows(self.store, [place], *block, rows_max=ROWS_MAX)
            return await self._beside(_explain, wish, place, offer, _Taken(rows, self.store.clock.millis()))

    async def pool(self, service: str) -> tuple[ServiceRules | None, Sequence[str]]:
        """A service, and the ids of who offers it and is active; their rules are known then.

        Raises:
            Problem: `overloaded` where these could not all be read in the time that a booking has; whoever asks again
                gets further.
        """
        until = time.monotonic() + within(POOL_SECONDS)
        offer, places = await read_places(self.store, self.rules, resources=None, service=service, until=until)
        return offer, [place.room.id for place in places]

    async def next_free(self, wish: BookingRequest, service: str | None, resources: Sequence[str]) -> list[Millis]:
        """Up to three starts, from the wished one on, that are free for the same request; see `NextFree`."""
        return await self._next_free.starts(wish, service, resources)

    async def _beside(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Compute beside the event loop, after what others are computing."""
        async with self._computing:
            return await self._work.run(work, *args, **kwargs)

    async def _places(
        self, service: str | None, resource: str | None, until: float
    ) -> tuple[ServiceRules | None, list[Place]]:
        if service is None and resource is None:
            raise invalid("?resource", "Name a resource, or a service for its whole pool.")
        resources = None if resource is None else [resource]
        _require_time(until)
        offer, places = await read_places(
            self.store, self.rules, resources=resources, service=service, until=until - READ_SECONDS
        )
        if service is not None and offer is None:
            raise invalid("?service", f"There is no service {service!r}.")
        if resource is not None and not places:
            raise invalid("?resource", f"There is no resource {resource!r}.")
        return offer, places

    async def _ignored(self, identity: str | None, caller: Caller) -> ObjectId | None:
        """The id of the reservation that a question ignores.

        Raises:
            Problem: `invalid` where there is none, also for a stranger's.
        """
        if identity is None:
            return None
        row = await ReservationStore(self.store).find_row(identity)
        if row is None or not caller.sees(customer_of(row)):
            raise invalid("?ignore", f"There is no reservation {identity!r}.")
        return as_it_is(row).id


class _Taken:
    """What is booked, as it was read, and when."""

    def __init__(self, rows: Mapping[str, list[Row]], now: Millis) -> None:
        self._rows = rows
        self._now = now

    def profile(self, room: ResourceRules, ignore: Any = None) -> Profile:
        """How full a resource is."""
        return Profile(self._now, occupancies_on(room.id, self._rows[room.id], by_guests=room.by_guests), ignore)


def _grids(
    places: Sequence[Place], offer: ServiceRules | None, asked: SlotQuery, span: tuple[Millis, Millis], budget: Budget
) -> list[Candidates]:
    """Where each resource has starts.

    Raises:
        Problem: `invalid` where they are too many, `overloaded` where already that takes too long.
    """
    grids: list[Candidates] = []
    count = 0
    for place in places:
        grids.append(Candidates.of(place.room, offer, asked, *span))
        count += grids[-1].count
        if count > STARTS_MAX:
            raise invalid("?to", f"More than {STARTS_MAX:,} starts would have to be judged; ask for a shorter span.")
        if budget.late():
            raise too_long()
    return grids


def _answer(
    grids: Sequence[Candidates],
    offer: ServiceRules | None,
    asked: SlotQuery,
    taken: _Taken,
    tz: ZoneInfo,
    budget: Budget,
) -> Written:
    """All slots, as bytes.

    Raises:
        Problem: `overloaded`.
    """
    found: list[Slot] = []
    for grid in grids:
        found += slots(grid, offer, asked, taken.profile(grid.resource, asked.ignore), budget)
        if budget.spent or budget.late():
            raise too_long()
    if len(grids) > 1:
        found.sort(key=attrgetter("start", "resource"))
    return Written.of(slots_json(tz, found))


def _explain(wish: BookingRequest, place: Place, offer: ServiceRules | None, taken: _Taken) -> Verdict:
    return judge(wish, place.room, offer, taken.profile(place.room))


def _require_time(until: float) -> None:
    """Refuse to begin what could not be told from a database that does not answer.

    Raises:
        Problem: `overloaded`.
    """
    if time.monotonic() > until - READ_SECONDS:
        raise too_long()

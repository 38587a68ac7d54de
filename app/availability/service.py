"""Slots, explanations and the next free starts: all judged by `rules.judge`, as bookings are."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

import pymongo
from bson import ObjectId

from app.availability.admission import Admission
from app.availability.explanations import Explained, Occupants
from app.availability.next_free import NextFree
from app.availability.queries import ROWS_MAX, BookableResource, read_resources, read_rows
from app.availability.questions import Question, Span, TimeQuestion, answer_zone, asked_of, spans_of
from app.availability.rendering import EncodedAnswer, encoded_days, encoded_slots, encoded_starts
from app.caller import Caller
from app.deadline import LEAST_SECONDS, within
from app.domain.grid import STARTS_MAX
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import Millis
from app.domain.rules import BookingRequest, ServiceRules, block_of
from app.domain.slot_groups import SlotGroup, by_day, by_start, in_order
from app.domain.slots import Budget, Candidates, Slot, SlotQuery, longest_of, slots
from app.errors import invalid_parameter
from app.storage.client import Store
from app.storage.reservations import ReservationStore
from app.storage.rule_cache import RuleReader, took_too_long
from app.storage.stored_reservations import customer_of, lenient_reservation
from app.work import WorkPool

P = ParamSpec("P")
T = TypeVar("T")

QUESTION_SECONDS = 8.5
"""How long a question may wait, read and compute; after that it is `overloaded`."""
POOL_SECONDS = 1.5
"""How long a booking waits at most for the rules of a pool that are not cached."""
READ_SECONDS_MIN = 1.0
"""No read begins with less time left, so that a timeout means a slow database and not a late start."""


class Availability:
    """Answers questions about free times.

    Args:
        store: The database.
        rules: Reads the rules of resources and services.
        work: The threads in which answers are computed, one at a time: bookings share the processor with them.
    """

    def __init__(self, store: Store, rules: RuleReader, work: WorkPool) -> None:
        self.store = store
        self.rules = rules
        self._work = work
        self._computing = asyncio.Lock()
        self._admission = Admission()
        self._next_free = NextFree(store, rules, work)

    async def slots(self, question: Question, caller: Caller) -> EncodedAnswer:
        """The answer to a question, as JSON: the slots that start in a span, or their starts or days, in order.

        The soonest slots are searched in spans one after the other, until there are as many as are wanted.

        Raises:
            Problem: `invalid`, before anything but the catalogue is read; `forbidden` where a
                caller that may not read reservations asks to ignore one; `overloaded`.
        """
        if question.ignore is not None:
            caller.require("reservations:read")
        until = time.monotonic() + within(QUESTION_SECONDS)
        async with self._admission.permit(caller.key_id):
            with pymongo.timeout(max(until - time.monotonic(), LEAST_SECONDS)):
                service, resources = await self._resources(question.service, question.resource, until)
                budget = Budget(STARTS_MAX + 1, late=lambda: time.monotonic() > until)
                search = _Search(question, service, resources, answer_zone(question, resources), budget)
                found = await self._found(search, caller, until)
            return await self._compute(_encode, search, found)

    async def _found(self, search: "_Search", caller: Caller, until: float) -> list[SlotGroup]:
        """The items of an answer, from one span, or for the soonest slots from as many as it takes.

        Raises:
            Problem: `invalid`, `overloaded`.
        """
        question, service, resources = search.question, search.service, search.resources
        asked = asked_of(question, service)
        found: list[SlotGroup] = []
        rows_left = ROWS_MAX
        for span in spans_of(question, search.tz, service, self.store.clock.millis()):
            grids = await self._compute(_grids, search, asked, span)
            if asked.ignore is None:
                asked = replace(asked, ignore=await self._ignored_id(question.ignore, caller))
            block = block_of(span[0], Millis(span[1] + longest_of(asked, service)), service)
            _require_time(until)
            rows = await read_rows(self.store, resources, *block, rows_max=rows_left)
            rows_left -= sum(map(len, rows.values()))
            occupants = Occupants(rows, self.store.clock.millis())
            most = None if question.most is None else question.most - len(found)
            found += await self._compute(_collect, search, asked, grids, occupants, most)
            if len(found) == question.most:
                break
        return found

    async def explain(self, question: TimeQuestion, caller: Caller) -> EncodedAnswer:
        """Every rule's verdict on one time, as JSON; of a service without a resource on each of its pool.

        Raises:
            Problem: `invalid`; `forbidden` where a caller that may not read reservations asks to ignore one;
                `overloaded`.
        """
        if question.ignore is not None:
            caller.require("reservations:read")
        until = time.monotonic() + within(QUESTION_SECONDS)
        async with self._admission.permit(caller.key_id):
            with pymongo.timeout(max(until - time.monotonic(), LEAST_SECONDS)):
                service, resources = await self._resources(question.service, question.resource, until)
                ignore = await self._ignored_id(question.ignore, caller)
                explained = Explained(question, service, resources, ignore)
                _require_time(until)
                rows = await read_rows(self.store, resources, *explained.block, rows_max=ROWS_MAX)
            occupants = Occupants(rows, self.store.clock.millis())
            return await self._compute(explained.encoded, occupants, caller, lambda: time.monotonic() > until)

    async def pool(self, service: ServiceId) -> tuple[ServiceRules | None, Sequence[ResourceId]]:
        """A service, and the ids of the active resources that offer it; their rules are cached then.

        Raises:
            Problem: `overloaded` where these could not all be read in the time that a booking has; what was read stays
                cached, so a repeated request gets further.
        """
        until = time.monotonic() + within(POOL_SECONDS)
        rules, resources = await read_resources(self.store, self.rules, resources=None, service=service, until=until)
        return rules, [resource.rules.id for resource in resources]

    async def next_free(
        self, request: BookingRequest, service: ServiceId | None, resources: Sequence[ResourceId]
    ) -> list[Millis]:
        """Up to three starts, from the requested one on, that are free for the same request; see `NextFree`."""
        return await self._next_free.starts(request, service, resources)

    async def _compute(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Compute in a thread, one answer at a time."""
        async with self._computing:
            return await self._work.run(work, *args, **kwargs)

    async def _resources(
        self, service: ServiceId | None, resource: ResourceId | None, until: float
    ) -> tuple[ServiceRules | None, list[BookableResource]]:
        if service is None and resource is None:
            raise invalid_parameter("resource", "Name a resource, or a service for its whole pool.")
        wanted = None if resource is None else [resource]
        _require_time(until)
        rules, resources = await read_resources(
            self.store, self.rules, resources=wanted, service=service, until=until - READ_SECONDS_MIN
        )
        if service is not None and rules is None:
            raise invalid_parameter("service", f"There is no service {service!r}.")
        if resource is not None and not resources:
            raise invalid_parameter("resource", f"There is no resource {resource!r}.")
        return rules, resources

    async def _ignored_id(self, identity: str | None, caller: Caller) -> ObjectId | None:
        """The id of the reservation that a question ignores.

        Raises:
            Problem: `invalid` where there is none, or the caller may not see it.
        """
        if identity is None:
            return None
        row = await ReservationStore(self.store).find_row(identity)
        if row is None or not caller.sees(customer_of(row)):
            raise invalid_parameter("ignore", "There is no such reservation.")
        return lenient_reservation(row).id


class _Search(NamedTuple):
    """A question with what it asks about: the service, the resources, the zone of the answer, and its budget."""

    question: Question
    service: ServiceRules | None
    resources: Sequence[BookableResource]
    tz: ZoneInfo
    budget: Budget


def _grids(search: _Search, asked: SlotQuery, span: Span) -> list[Candidates]:
    """The candidate starts of each resource.

    Raises:
        Problem: `invalid` where they are too many, unless few of them are taken, one after the other, as long as the
            budget lasts; `overloaded` where counting them takes too long.
    """
    grids: list[Candidates] = []
    count = 0
    for resource in search.resources:
        grids.append(Candidates.of(resource.rules, search.service, asked, *span))
        count += 0 if search.question.first else grids[-1].count
        if count > STARTS_MAX:
            raise invalid_parameter(
                "to", f"More than {STARTS_MAX:,} starts would have to be judged; ask for a shorter span."
            )
        if search.budget.late():
            raise took_too_long()
    return grids


def _collect(
    search: _Search, asked: SlotQuery, grids: Sequence[Candidates], occupants: Occupants, most: int | None
) -> list[SlotGroup]:
    """The items of the answer that start in one span, at most so many.

    Raises:
        Problem: `invalid` where too many starts have to be judged for them, `overloaded` where it takes too long.
    """
    streams: list[Iterator[Slot]] = []
    for grid in grids:
        profile = occupants.profile(grid.resource, asked.ignore)
        streams.append(slots(grid, search.service, asked, profile, search.budget))
        if search.budget.late():
            raise took_too_long()
    ordered = in_order(streams, most)
    groups: Iterable[SlotGroup] = ordered
    if search.question.per == "day":
        groups = by_day(ordered, search.tz)
    elif search.question.distinct == "start":
        groups = by_start(ordered)
    found = [*islice(groups, most)]
    if search.budget.starts < 0:  # it would be as many the next time
        detail = f"More than {STARTS_MAX:,} starts would have to be judged; ask for fewer, or for a single resource."
        raise invalid_parameter("limit" if search.question.limit else "first", detail)
    if search.budget.spent or search.budget.late():
        raise took_too_long()
    return found


def _encode(search: _Search, found: Sequence[Any]) -> EncodedAnswer:
    """The items as JSON."""
    if search.question.per == "day":
        return EncodedAnswer.of(encoded_days(search.tz, found))
    if search.question.distinct == "start":
        return EncodedAnswer.of(encoded_starts(search.tz, found))
    return EncodedAnswer.of(encoded_slots(search.tz, found))


def _require_time(until: float) -> None:
    """Refuse to begin a read with so little time left that its timeout would look like a database that does not answer.

    Raises:
        Problem: `overloaded`.
    """
    if time.monotonic() > until - READ_SECONDS_MIN:
        raise took_too_long()

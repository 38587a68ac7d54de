"""Slots, explanations and the next free starts: all judged by `rules.judge`, as bookings are."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ParamSpec, TypeVar
from zoneinfo import ZoneInfo

import pymongo
from bson import ObjectId

from app.availability.admission import Admission
from app.availability.next_free import NextFree
from app.availability.queries import ROWS_MAX, BookableResource, read_resources, read_rows
from app.availability.questions import Question, TimeQuestion, answer_zone, asked_of, end_of, span_of
from app.availability.rendering import EncodedAnswer, encoded_slots
from app.caller import Caller
from app.deadline import LEAST_SECONDS, within
from app.domain.grid import STARTS_MAX
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import Millis, to_millis
from app.domain.load import Profile
from app.domain.rules import BookingRequest, ResourceRules, ServiceRules, Verdict, block_of, judge
from app.domain.slots import Budget, Candidates, Slot, SlotQuery, longest_of, slots
from app.errors import invalid_parameter
from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.occupancy import occupancies_on
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
        """The answer to a question, as JSON: the slots that start in a span, by start, then resource.

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
                asked, tz = asked_of(question, service), answer_zone(question, resources)
                after, before = span_of(question, tz)
                budget = Budget(STARTS_MAX + 1, late=lambda: time.monotonic() > until)
                grids = await self._compute(_grids, resources, service, asked, (after, before), budget)
                asked = replace(asked, ignore=await self._ignored_id(question.ignore, caller))
                block = block_of(after, Millis(before + longest_of(asked, service)), service)
                _require_time(until)
                rows = await read_rows(self.store, resources, *block, rows_max=ROWS_MAX)
            return await self._compute(
                _encode, grids, service, asked, _Occupants(rows, self.store.clock.millis()), tz, budget
            )

    async def explain(self, question: TimeQuestion, caller: Caller) -> Verdict:
        """Every rule's verdict on one time.

        Raises:
            Problem: `invalid`; `forbidden` where a caller that may not read reservations asks to ignore one;
                `overloaded`.
        """
        if question.ignore is not None:
            caller.require("reservations:read")
        until = time.monotonic() + within(QUESTION_SECONDS)
        async with self._admission.permit(caller.key_id):
            with pymongo.timeout(max(until - time.monotonic(), LEAST_SECONDS)):
                service, [resource] = await self._resources(question.service, question.resource, until)
                start = to_millis(question.start)
                end = None if question.end is None else to_millis(question.end)
                ends = end_of(start, end, service, resource.rules.timezone)
                ignore = await self._ignored_id(question.ignore, caller)
                request = BookingRequest(start, ends, question.guests, ignore=ignore)
                block = block_of(request.start, request.end, service)
                _require_time(until)
                rows = await read_rows(self.store, [resource], *block, rows_max=ROWS_MAX)
            return await self._compute(
                _explain, request, resource, service, _Occupants(rows, self.store.clock.millis())
            )

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


class _Occupants:
    """The stored reservations of each resource, and when they were read."""

    def __init__(self, rows: Mapping[str, list[BsonDocument]], now: Millis) -> None:
        self._rows = rows
        self._now = now

    def profile(self, resource: ResourceRules, ignore: object = None) -> Profile:
        """How full a resource is, without the reservation to ignore."""
        return Profile(
            self._now, occupancies_on(resource.id, self._rows[resource.id], by_guests=resource.by_guests), ignore
        )


def _grids(
    resources: Sequence[BookableResource],
    service: ServiceRules | None,
    asked: SlotQuery,
    span: tuple[Millis, Millis],
    budget: Budget,
) -> list[Candidates]:
    """The candidate starts of each resource.

    Raises:
        Problem: `invalid` where they are too many, `overloaded` where counting them takes too long.
    """
    grids: list[Candidates] = []
    count = 0
    for resource in resources:
        grids.append(Candidates.of(resource.rules, service, asked, *span))
        count += grids[-1].count
        if count > STARTS_MAX:
            raise invalid_parameter(
                "to", f"More than {STARTS_MAX:,} starts would have to be judged; ask for a shorter span."
            )
        if budget.late():
            raise took_too_long()
    return grids


def _encode(
    grids: Sequence[Candidates],
    service: ServiceRules | None,
    asked: SlotQuery,
    occupants: _Occupants,
    tz: ZoneInfo,
    budget: Budget,
) -> EncodedAnswer:
    """All slots, encoded.

    Raises:
        Problem: `overloaded`.
    """
    found: list[Slot] = []
    for grid in grids:
        found += slots(grid, service, asked, occupants.profile(grid.resource, asked.ignore), budget)
        if budget.spent or budget.late():
            raise took_too_long()
    if len(grids) > 1:
        found.sort()
    return EncodedAnswer.of(encoded_slots(tz, found))


def _explain(
    request: BookingRequest, resource: BookableResource, service: ServiceRules | None, occupants: _Occupants
) -> Verdict:
    return judge(request, resource.rules, service, occupants.profile(resource.rules))


def _require_time(until: float) -> None:
    """Refuse to begin a read with so little time left that its timeout would look like a database that does not answer.

    Raises:
        Problem: `overloaded`.
    """
    if time.monotonic() > until - READ_SECONDS_MIN:
        raise took_too_long()

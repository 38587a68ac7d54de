"""Booking, reading and ending reservations for a caller."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from bson import ObjectId

from app.availability.service import Availability
from app.booking import (
    ATTENDANCE_STATUSES,
    Book,
    BookingService,
    Refused,
    Replay,
    Token,
    check_service_given,
    missing_guard,
)
from app.caller import Caller
from app.domain.instants import render, to_millis
from app.domain.lifecycle import Status
from app.domain.rules import LIFTED_BY_FORCE, BookingRequest
from app.errors import Problem, invalid
from app.http.etags import IfMatch
from app.refusals import refusal
from app.reservations.holds import HoldLimits, handed_on, holds_of
from app.reservations.queries import read_reservation, read_to_change
from app.reservations.schemas import NewReservation
from app.reservations.times import when
from app.storage.client import Store
from app.storage.documents import Reservation, service_row

ANY = "any"
Pools: TypeAlias = dict[str, tuple[str, ...]]
"""Who offers which service, as far as one request has looked it up."""
REMEMBERED_CUSTOMERS = 50_000


class Customers:
    """Which customers exist. None is ever deleted, so who was once seen need not be looked up again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def require(self, customer: str, pointer: str = "/customer") -> None:
        """Refuse a reference to nobody; absence is never remembered.

        Raises:
            Problem: `invalid`, at the pointer.
        """
        if customer in self._seen:
            return
        if await self._store.database["customers"].find_one({"_id": customer}, {"_id": 1}) is None:
            raise invalid(pointer, f"There is no customer {customer!r}.")
        self._seen[customer] = None
        if len(self._seen) > REMEMBERED_CUSTOMERS:
            self._seen.popitem(last=False)


class Reservations:
    """What callers do with reservations; all of it goes through the one write path.

    `written` is told of each resource that got a reservation, or had one changed.
    """

    def __init__(
        self,
        store: Store,
        booking: BookingService,
        availability: Availability,
        *,
        holds: HoldLimits,
        written: Callable[[str], None],
    ) -> None:
        self.store = store
        self.written = written
        self.availability = availability
        self.holds = holds
        self.booking = booking
        self.customers = Customers(store)

    async def create(
        self, wanted: NewReservation, caller: Caller, *, force: bool = False, token: Token[Reservation] | None = None
    ) -> Reservation | Replay:
        """Book a time; with `expiresInSeconds` hold it. A token's first answer is given again.

        Raises:
            Problem: `conflict`, `rule`, `invalid`, `forbidden`, `hold-limit`, or what the write path says.
        """
        try:
            intent = await self.intent_of(wanted, caller, force=force, token=token)
        except Problem as problem:
            return await self.replayed_answer(token, problem)

        async def book(seconds: float) -> Reservation | Replay:
            intent.deadline_seconds = seconds
            return await self.booking.book(intent)

        try:
            made = await self.holds.within(holds_of([intent]), book)
        except Refused as refused:
            raise await self._refusal(refused, caller, intent.service, intent.candidates) from None
        except Problem as problem:
            if problem.name != "hold-limit":
                raise
            return await self.replayed_answer(token, problem)
        self.report_writes(made)
        return made

    def report_writes(self, made: Reservation | Sequence[Reservation] | Replay) -> None:
        """Tell `written` of each resource that was written to; a replayed answer wrote nothing."""
        if isinstance(made, Replay):
            return
        for reservation in (made,) if isinstance(made, Reservation) else made:
            self.written(reservation.resource)

    async def replayed_answer(self, token: Token[Reservation] | None, problem: Problem) -> Replay:
        """What the first request of a key was answered, if it was; else the problem that this one meets is raised.

        Raises:
            Problem: the given one, if the key has no answer.
        """
        told = await self.booking.replayed_answer(token)
        if told is None:
            raise problem
        return told

    async def intent_of(
        self,
        wanted: NewReservation,
        caller: Caller,
        *,
        force: bool = False,
        token: Token[Reservation] | None = None,
        group: ObjectId | None = None,
        pools: Pools | None = None,
    ) -> Book:
        """What the write path is asked for a body, alone or as a member of a group with pools that are looked up once.

        Raises:
            Problem: `invalid`, `forbidden`.
        """
        if force:
            caller.require("reservations:admin")
        customer = await self._customer(wanted.customer, caller)
        if caller.customer is not None:
            check_service_given(wanted.service, said=True)
        time = when(wanted)
        resource = None if wanted.resource == ANY else wanted.resource
        return Book(
            by=caller.prefix,
            resource=resource,
            pool=() if resource else await self._pool(wanted.service, {} if pools is None else pools),
            service=wanted.service,
            customer=customer,
            start=time.start,
            end=time.end,
            timezone=time.timezone,
            guests=wanted.guests,
            notes=wanted.notes,
            metadata=wanted.metadata,
            hold_seconds=wanted.expires_in_seconds,
            group=group,
            token=token,
            lifted=LIFTED_BY_FORCE if force else frozenset(),
        )

    async def change(
        self, identity: str, patch: dict[str, Any], if_match: IfMatch, caller: Caller, *, force: bool = False
    ) -> Reservation:
        """Merge a patch into a reservation.

        Raises:
            Problem: `not-found`, `stale`, `conflict`, `rule`, `hold-expired`, `hold-limit`, `forbidden-transition`,
                `too-late`, `forbidden`, `invalid`, or what the write path says.
        """
        if force:
            caller.require("reservations:admin")
        stored = await read_to_change(self.store, identity, caller)
        version = if_match.expected(stored.version)
        if "customer" in patch:
            patch["customer"] = await self._customer(patch["customer"], caller)

        async def apply(_: float) -> Reservation:
            return await self.booking.change(
                stored.id,
                patch,
                version=version,
                by=caller.prefix,
                admin=caller.may("reservations:admin"),
                bound=caller.customer is not None,
                lifted=LIFTED_BY_FORCE if force else frozenset(),
            )

        try:
            changed = await self.holds.within(handed_on(stored, patch, self.store.clock.millis()), apply)
        except Refused as refused:
            service = patch.get("service", stored.service)
            raise await self._refusal(refused, caller, service, [patch.get("resource", stored.resource)]) from None
        except Problem as problem:
            raise await self._expired(problem, stored) from None
        self.written(changed.resource)
        return changed

    async def confirm(self, identity: str, caller: Caller, reason: str | None) -> Reservation:
        """Make a live hold or a request firm, or a hold a request.

        Raises:
            Problem: `not-found`, `hold-expired`, `forbidden-transition`, `forbidden`, or what the write path says.
        """
        stored = await read_to_change(self.store, identity, caller)
        admin = caller.may("reservations:admin")
        try:
            return await self.booking.confirm(stored.id, by=caller.prefix, admin=admin, reason=reason)
        except Problem as problem:
            raise await self._expired(problem, stored) from None

    async def extend(self, identity: str, seconds: int, caller: Caller) -> Reservation:
        """Hold on to a live hold for at least so many seconds from now.

        Raises:
            Problem: `not-found`, `hold-expired`, `forbidden-transition`, `invalid`, or what the write path says.
        """
        stored = await read_to_change(self.store, identity, caller)
        try:
            return await self.booking.extend(stored.id, seconds, by=caller.prefix)
        except Problem as problem:
            raise await self._expired(problem, stored) from None

    async def _refusal(
        self, refused: Refused, caller: Caller, service: str | None, resources: Sequence[str]
    ) -> Problem:
        """The refusal, and where only the time is taken the next free ones."""
        problem = refusal(refused, caller)
        if problem.name == "conflict":
            problem.extra["nextFree"] = await self._next_free(refused.verdict.request, service, resources)
        return problem

    async def _expired(self, problem: Problem, stored: Reservation) -> Problem:
        """What came too late is told when it could be had again."""
        if problem.name == "hold-expired":
            wish = BookingRequest(to_millis(stored.start_time), to_millis(stored.end_time), stored.guests)
            problem.extra["nextFree"] = await self._next_free(wish, stored.service, [stored.resource])
        return problem

    async def _next_free(self, wish: BookingRequest, service: str | None, resources: Sequence[str]) -> list[str]:
        return [render(start) for start in await self.availability.next_free(wish, service, resources)]

    async def _pool(self, service: str | None, known: Pools) -> tuple[str, ...]:
        """Whoever offers the service and is active, by id."""
        if service is None:
            raise invalid("/resource", "Name a resource, or a service whose pool is meant.")
        if service not in known:
            known[service] = await self._looked_up(service)
        return known[service]

    async def _looked_up(self, service: str) -> tuple[str, ...]:
        """The pool as it is now; where nobody can be booked, what lacks its guard is told to the operator."""
        offer, pool = await self.availability.pool(service)
        if offer is None:
            if await self.store.database["services"].find_one({"_id": service}, {"_id": 1}):
                raise missing_guard(service_row(service))
            raise invalid("/service", f"There is no service {service!r}.")
        if not pool:
            offering = {"services": service, "active": True}
            if row := await self.store.database["resources"].find_one(offering, {"_id": 1}):
                raise missing_guard(row["_id"])
            raise invalid("/service", f"No active resource offers the service {service!r}.")
        return tuple(pool)

    async def finish(self, identity: str, to: Status, caller: Caller, reason: str | None) -> Reservation:
        """Cancel it, complete it, or note that nobody came.

        Raises:
            Problem: `not-found`, `forbidden-transition`, `too-late`, `forbidden`, or what the write path says.
        """
        reservation = await read_reservation(self.store, identity, caller)
        if to in ATTENDANCE_STATUSES and caller.customer is not None:
            detail = "A key that is bound to a customer cancels its bookings; whether they took place others say."
            raise Problem("forbidden", detail)
        admin = caller.may("reservations:admin")
        return await self.booking.finish(reservation.id, to, by=caller.prefix, reason=reason, admin=admin)

    async def _customer(self, customer: str | None, caller: Caller) -> str | None:
        if caller.customer is not None:
            if customer not in (None, caller.customer):
                raise invalid("/customer", f"There is no customer {customer!r}.")
            return caller.customer
        if customer is not None:
            await self.customers.require(customer)
        return customer

"""Booking, changing and closing reservations for a caller."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from bson import ObjectId
from pymongo.errors import PyMongoError

from app.availability.service import Availability
from app.booking import (
    ATTENDANCE_STATUSES,
    AnyToken,
    Book,
    BookingService,
    Refused,
    Replay,
    Token,
    check_service_given,
    erase_texts_of,
)
from app.caller import Caller
from app.domain.ids import ResourceId
from app.domain.lifecycle import Status
from app.domain.rules import LIFTED_BY_FORCE
from app.errors import Problem, invalid_field
from app.http.etags import IfMatch
from app.refusals import refusal
from app.reservations.customer_cache import CustomerCache
from app.reservations.hold_limits import HoldLimits, check_holder, holds_of, transferred_holds
from app.reservations.pools import Pools
from app.reservations.queries import read_reservation, read_to_change
from app.reservations.refusals import Refusals
from app.reservations.requested_changes import requested_change
from app.reservations.requested_times import requested_times
from app.reservations.schemas import ANY, NewReservation, ReservationPatch
from app.storage.client import Store
from app.storage.documents import Reservation


class Reservations:
    """What callers do with single reservations; all of it goes through the write path.

    Args:
        store: The database.
        booking: The write path.
        availability: Finds pools, and the next free starts for a refusal.
        holds: How many holds may be live at once.
        on_write: Called with each resource that got a reservation, or had one changed.
    """

    def __init__(
        self,
        store: Store,
        booking: BookingService,
        availability: Availability,
        *,
        holds: HoldLimits,
        on_write: Callable[[ResourceId], None],
    ) -> None:
        self.store = store
        self.on_write = on_write
        self.availability = availability
        self.refusals = Refusals(availability)
        self.holds = holds
        self.booking = booking
        self.customers = CustomerCache(store)

    async def create(
        self, wanted: NewReservation, caller: Caller, *, force: bool = False, token: Token[Reservation] | None = None
    ) -> Reservation | Replay:
        """Book a time, or hold it with `expiresInSeconds`. A request whose token was answered before gets that answer.

        Raises:
            Problem: `conflict`, `rule`, `invalid`, `forbidden`, `hold-limit`, or what the write path raises.
        """
        try:
            intent = await self.to_intent(wanted, caller, force=force, token=token)
        except Problem as problem:
            return await self.replayed_answer(token, problem)

        async def book(seconds: float) -> Reservation | Replay:
            intent.deadline_seconds = seconds
            return await self.booking.book(intent)

        try:
            made = await self.holds.book_within(holds_of([intent]), book)
        except Refused as refused:
            raise await self.refusals.problem(refused, caller, intent.service, intent.candidates) from None
        except Problem as problem:
            if problem.name != "hold-limit":
                raise
            return await self.replayed_answer(token, problem)
        self.report_writes(made)
        await self.clear_if_erased(made)
        return made

    async def clear_if_erased(self, made: Reservation | Sequence[Reservation] | Replay) -> None:
        """Clear the texts of what was booked for a customer that this process has erased in the meantime.

        The erasure may have looked at its reservations before this one was committed. Where another process erased the
        customer, or this fails, the worker does it a minute later.
        """
        if isinstance(made, Replay):
            return
        for reservation in (made,) if isinstance(made, Reservation) else made:
            customer = reservation.customer
            if customer is not None and self.customers.was_erased(customer):
                with suppress(PyMongoError, Problem):
                    await erase_texts_of(self.store, [reservation.id], customer, reservation.key)

    def report_writes(self, made: Reservation | Sequence[Reservation] | Replay) -> None:
        """Call `on_write` with each resource that was written to; a replayed answer wrote nothing."""
        if isinstance(made, Replay):
            return
        for reservation in (made,) if isinstance(made, Reservation) else made:
            self.on_write(reservation.resource)

    async def replayed_answer(self, token: AnyToken | None, problem: Problem) -> Replay:
        """The answer of the first request with this token.

        Raises:
            Problem: the given one, where there was no such request.
        """
        replay = await self.booking.replayed_answer(token)
        if replay is None:
            raise problem
        return replay

    def pools(self) -> Pools:
        """The pools of one request."""
        return Pools(self.store, self.availability)

    async def to_intent(
        self,
        wanted: NewReservation,
        caller: Caller,
        *,
        force: bool = False,
        token: Token[Reservation] | None = None,
        group: ObjectId | None = None,
        series: ObjectId | None = None,
        pools: Pools | None = None,
    ) -> Book:
        """The intent of a body, alone or as a member of a group, whose `pools` are read once for all members.

        Raises:
            Problem: `invalid`, `forbidden`.
        """
        if force:
            caller.require("reservations:admin")
        customer = await self._customer(wanted.customer, caller)
        if caller.customer is not None:
            check_service_given(wanted.service, is_in_request=True)
        check_holder(wanted.holder, is_hold=wanted.expires_in_seconds is not None, bound=caller.customer is not None)
        resource = None if wanted.resource == ANY else wanted.resource
        times = requested_times(wanted, resource_named=resource is not None)
        if times.start is None:
            raise invalid_field("startTime", "Say when it starts: `startTime`, or `localStart`.")
        return Book(
            by=caller.prefix,
            resource=resource,
            pool=() if resource else await (pools or self.pools()).of(wanted.service),
            service=wanted.service,
            customer=customer,
            start=times.start,
            end=times.end,
            timezone=times.timezone,
            guests=wanted.guests,
            notes=wanted.notes,
            reference=wanted.reference,
            metadata=wanted.metadata,
            hold_seconds=wanted.expires_in_seconds,
            holder=wanted.holder,
            group=group,
            series=series,
            token=token,
            lifted_rules=LIFTED_BY_FORCE if force else frozenset(),
        )

    async def change(
        self, identity: str, wanted: ReservationPatch, if_match: IfMatch, caller: Caller, *, force: bool = False
    ) -> Reservation:
        """Merge a patch into a reservation.

        Raises:
            Problem: `not-found`, `stale`, `conflict`, `rule`, `local-time`, `hold-expired`, `hold-limit`,
                `forbidden-transition`, `too-late`, `forbidden`, `invalid`, or what the write path raises.
        """
        if force:
            caller.require("reservations:admin")
        change = requested_change(wanted)
        patch = change.patch
        stored = await read_to_change(self.store, identity, caller)
        version = if_match.expected(stored.version)
        if "customer" in patch:
            patch["customer"] = await self._customer(patch["customer"], caller)
        service = patch.get("service", stored.service)
        pool = await self.pools().of_booked(service) if change.any_resource else ()

        async def apply(_: float) -> Reservation:
            return await self.booking.change(
                stored.id,
                patch,
                pool=pool,
                version=version,
                by=caller.prefix,
                admin=caller.may("reservations:admin"),
                bound=caller.customer is not None,
                lifted_rules=LIFTED_BY_FORCE if force else frozenset(),
            )

        try:
            changed = await self.holds.book_within(transferred_holds(stored, patch, self.store.clock.millis()), apply)
        except Refused as refused:
            resources = pool or [patch.get("resource", stored.resource)]
            raise await self.refusals.problem(refused, caller, service, resources) from None
        except Problem as problem:
            raise await self.refusals.with_next_free(problem, stored) from None
        self.on_write(changed.resource)
        return changed

    async def confirm(
        self, identity: str, caller: Caller, reason: str | None, details: dict[str, Any] | None = None
    ) -> Reservation:
        """Confirm a live hold or a request; without an approval that it needs, a hold becomes a request.

        `details` are set in the same step, by their stored names: the customer, notes, metadata and reference.

        Raises:
            Problem: `not-found`, `hold-expired`, `forbidden-transition`, `forbidden`, `invalid`, or what the write path
                raises.
        """
        stored, details = await read_to_change(self.store, identity, caller), details or {}
        if "customer" in details:
            details["customer"] = await self._customer(details["customer"], caller)
        admin = caller.may("reservations:admin")
        try:
            confirmed = await self.booking.confirm(
                stored.id, by=caller.prefix, admin=admin, reason=reason, details=details
            )
        except Problem as problem:
            raise await self.refusals.with_next_free(problem, stored) from None
        if details:
            await self.clear_if_erased(confirmed)
        return confirmed

    async def reopen(self, identity: str, caller: Caller, reason: str) -> Reservation:
        """Make what was completed, or a no-show, confirmed again.

        Raises:
            Problem: `not-found`, `conflict`, `forbidden-transition`, `invalid`, or what the write path raises.
        """
        stored = await read_to_change(self.store, identity, caller)
        try:
            reopened = await self.booking.reopen(stored.id, by=caller.prefix, reason=reason)
        except Refused as refused:
            raise refusal(refused, caller) from None
        self.on_write(reopened.resource)
        return reopened

    async def extend(self, identity: str, seconds: int, caller: Caller) -> Reservation:
        """Let a live hold expire no earlier than so many seconds from now.

        Raises:
            Problem: `not-found`, `hold-expired`, `forbidden-transition`, `invalid`, or what the write path raises.
        """
        stored = await read_to_change(self.store, identity, caller)
        try:
            return await self.booking.extend(stored.id, seconds, by=caller.prefix)
        except Problem as problem:
            raise await self.refusals.with_next_free(problem, stored) from None

    async def finish(self, identity: str, to: Status, caller: Caller, reason: str | None) -> Reservation:
        """Cancel or complete a reservation, or mark it as a no-show.

        Raises:
            Problem: `not-found`, `forbidden-transition`, `too-late`, `forbidden`, or what the write path raises.
        """
        reservation = await read_reservation(self.store, identity, caller)
        if to in ATTENDANCE_STATUSES and caller.customer is not None:
            detail = "A key that is bound to a customer cancels its bookings; whether they took place others say."
            raise Problem("forbidden", detail)
        admin = caller.may("reservations:admin")
        return await self.booking.close(reservation.id, to, by=caller.prefix, reason=reason, admin=admin)

    async def _customer(self, customer: str | None, caller: Caller) -> str | None:
        """The customer of a reservation: the one that the key is bound to, or the named one, which must exist.

        Raises:
            Problem: `invalid`.
        """
        if caller.customer is not None:
            if customer not in (None, caller.customer):
                raise invalid_field("customer", f"There is no customer {customer!r}.")
            customer = caller.customer
        if customer is not None:
            await self.customers.require(customer)
        return customer

"""Booking, reading and ending reservations for a caller."""

from collections import OrderedDict
from datetime import timedelta

from app.access.caller import Caller
from app.booking import Book, Booking, Refused
from app.errors import invalid
from app.reservations.queries import read_reservation
from app.reservations.refusals import refusal
from app.reservations.schemas import NewReservation
from app.storage.client import Store
from app.storage.documents import Reservation
from app.timeline.instants import DAY
from app.timeline.lifecycle import Status
from app.timeline.rules import FORCED, LONGEST

REMEMBERED_CUSTOMERS = 50_000


class Customers:
    """Which customers exist. None is ever deleted, so who was once seen need not be looked up again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def require(self, customer: str, pointer: str = "/customer") -> None:
        """Refuse a reference to nobody; absence is never remembered."""
        if customer in self._seen:
            return
        if await self._store.database["customers"].find_one({"_id": customer}, {"_id": 1}) is None:
            raise invalid(pointer, f"There is no customer {customer!r}.")
        self._seen[customer] = None
        if len(self._seen) > REMEMBERED_CUSTOMERS:
            self._seen.popitem(last=False)


class Reservations:
    """What callers do with reservations; all of it goes through the one write path."""

    def __init__(self, store: Store, booking: Booking) -> None:
        self.store = store
        self.booking = booking
        self.customers = Customers(store)

    async def create(self, wanted: NewReservation, caller: Caller, *, force: bool = False) -> Reservation:
        """Book a time.

        Raises:
            Problem: `conflict`, `rule`, `invalid`, `forbidden`, or what the write path says.
        """
        if force:
            caller.require("reservations:admin")
        check_times(wanted)
        intent = Book(
            by=caller.prefix,
            resource=wanted.resource,
            service=wanted.service,
            customer=await self._customer(wanted.customer, caller),
            start=wanted.start_time,
            end=wanted.end_time,
            guests=wanted.guests,
            notes=wanted.notes,
            metadata=wanted.metadata,
            lifted=FORCED if force else frozenset(),
        )
        try:
            return await self.booking.book(intent)
        except Refused as refused:
            raise refusal(refused, caller) from None

    async def finish(self, identity: str, to: Status, caller: Caller, reason: str | None) -> Reservation:
        """Cancel it, complete it, or note that nobody came.

        Raises:
            Problem: `not-found`, `forbidden-transition`, or what the write path says.
        """
        reservation = await read_reservation(self.store, identity, caller)
        return await self.booking.finish(reservation.id, to, by=caller.prefix, reason=reason)

    async def _customer(self, customer: str | None, caller: Caller) -> str | None:
        if caller.customer is not None:
            if customer not in (None, caller.customer):
                raise invalid("/customer", f"There is no customer {customer!r}.")
            return caller.customer
        if customer is not None:
            await self.customers.require(customer)
        return customer


def check_times(wanted: NewReservation) -> None:
    """What no rule needs to judge: an end after the start, and not too far from it."""
    if wanted.end_time is None:
        return
    if wanted.end_time <= wanted.start_time:
        raise invalid("/endTime", "`endTime` must lie after `startTime`.")
    if wanted.end_time - wanted.start_time > timedelta(milliseconds=LONGEST):
        raise invalid("/endTime", f"A reservation lasts at most {LONGEST // DAY} days.")

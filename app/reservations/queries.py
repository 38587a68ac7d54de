"""Reading reservations for a caller: one, a filtered list, a customer's history."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.booking import FOLLOWER_LAG_SECONDS
from app.caller import Caller
from app.domain.instants import LATEST, Millis, from_millis, to_millis
from app.errors import Problem, invalid_parameter, not_found
from app.http.paging import Mark, bad_cursor, read_cursor, split_page
from app.http.parameters import check_filter_values
from app.reservations.changes import cursor_of, first_position, next_position
from app.storage.bson_types import BsonDocument
from app.storage.catalogue import CatalogueStore
from app.storage.client import Store
from app.storage.documents import Customer, Reservation
from app.storage.reservation_filters import ChangePosition, Direction, ReservationFilters, StartPosition
from app.storage.reservations import ReservationStore
from app.storage.sort_keys import mark_of, value_of
from app.storage.stored_reservations import customer_of, lenient_reservation, strict_reservation


@dataclass(frozen=True, slots=True)
class Filters(ReservationFilters):
    """The filters of a list as a caller gives them."""

    updated_since: datetime | None = None

    def seen_by(self, caller: Caller) -> "Filters":
        """The same for a caller, who may see one customer's reservations only."""
        if caller.customer is None:
            return self
        seen = self.customers is None or caller.customer in self.customers
        return replace(self, customers=[caller.customer] if seen else [])


async def read_reservation(store: Store, identity: str, caller: Caller) -> Reservation:
    """One reservation to show: values of other programs that cannot be read are text.

    Raises:
        Problem: `not-found`, also where the caller may not see it.
    """
    return lenient_reservation(await _read_row(store, identity, caller))


async def read_to_change(store: Store, identity: str, caller: Caller) -> Reservation:
    """One reservation to change.

    Raises:
        Problem: `not-found`, also where the caller may not see it; `invalid`, with each field that cannot be read.
    """
    return strict_reservation(await _read_row(store, identity, caller))


async def _read_row(store: Store, identity: str, caller: Caller) -> BsonDocument:
    row = await ReservationStore(store).find_row(identity)
    if row is None or not caller.sees(customer_of(row)):
        raise not_found("reservation", identity)
    return row


async def list_reservations(
    store: Store, filters: Filters, caller: Caller, limit: int, cursor: str | None, direction: Direction = 1
) -> tuple[Sequence[BsonDocument], str | None]:
    """A page by `startTime`, or with `updated_since` (or the cursor of such a list) by `updatedAt`; then by id.

    Raises:
        Problem: `invalid` where changes are asked for downwards, or for a cursor that no page had.
    """
    position = first_position(filters.updated_since, cursor)
    if position is None:
        return await _page(store, filters.seen_by(caller), direction, limit, cursor)
    if direction < 0:
        raise invalid_parameter("order", "Changes are listed in their order; leave `order` out.")
    return await _changes(store, filters.seen_by(caller), position, limit)


async def _changes(
    store: Store, filters: ReservationFilters, position: ChangePosition, limit: int
) -> tuple[Sequence[BsonDocument], str]:
    """The changes after a position and before the last ten seconds, and the cursor to continue from."""
    until = store.clock.ago(FOLLOWER_LAG_SECONDS)
    rows = await ReservationStore(store).list_changes(filters, position, until, rows_max=limit + 1)
    return rows[:limit], cursor_of(next_position(position, until, rows, limit))


async def list_reservations_of_customer(
    store: Store, customer: str, caller: Caller, limit: int, cursor: str | None
) -> tuple[Sequence[BsonDocument], str | None]:
    """A customer's reservations, newest start first.

    Raises:
        Problem: `not-found`, also where the caller may not see the customer.
    """
    if not caller.sees(customer) or not await CatalogueStore(store).exists(Customer, customer):
        raise not_found("customer", customer)
    return await _page(store, ReservationFilters(customers=[customer]), -1, limit, cursor)


async def _page(
    store: Store, filters: ReservationFilters, direction: Direction, limit: int, cursor: str | None
) -> tuple[Sequence[BsonDocument], str | None]:
    after = None if cursor is None else _position_of(cursor)
    rows = await ReservationStore(store).list_by_start(filters, after, direction=direction, rows_max=limit + 1)
    return split_page(rows, limit, _marks_of)


def _marks_of(row: BsonDocument) -> tuple[Mark, Mark]:
    """A row's position for a cursor: an instant as such, where a cursor can hold it; any other value as a mark."""
    position = StartPosition.of(row)
    at = to_millis(position.start) if isinstance(position.start, datetime) else LATEST
    return at if abs(at) < LATEST else mark_of(position.start), mark_of(position.identity)


def _position_of(cursor: str) -> StartPosition:
    """The position that a cursor names.

    Raises:
        Problem: `invalid` if the list never returned it.
    """
    for kind in (int, str):
        with suppress(Problem, ValueError, OverflowError):
            start, identity = read_cursor(cursor, kind, str)
            stored = from_millis(Millis(start)) if isinstance(start, int) else value_of(start)
            return StartPosition(stored, value_of(str(identity)))
    raise bad_cursor()


SERVICE_SPAN_DAYS = 92
"""How long a span may be in which reservations are found by their service alone, which no index answers."""


def check_filters(filters: Filters, caller: Caller) -> None:
    """Refuse too many values, spans that end before they begin, and a search of all reservations for a service's.

    Raises:
        Problem: `invalid`.
    """
    check_filter_values(
        resource=filters.resources,
        customer=filters.customers,
        service=filters.services,
        status=filters.statuses,
        id=filters.ids,
        group=filters.groups,
        series=filters.series,
        reference=filters.references,
    )
    if filters.from_ is not None and filters.to is not None and filters.to <= filters.from_:
        raise invalid_parameter("to", "`to` must lie after `from`.")
    if filters.start_from is not None and filters.start_to is not None and filters.start_to <= filters.start_from:
        raise invalid_parameter("startTo", "`startTo` must lie after `startFrom`.")
    named = (filters.resources, filters.customers, filters.ids, filters.groups, filters.series, filters.references)
    if filters.services is None or any(each is not None for each in (*named, caller.customer, filters.updated_since)):
        return
    spans = ((filters.from_, filters.to), (filters.start_from, filters.start_to))
    longest = timedelta(days=SERVICE_SPAN_DAYS)
    if not any(first is not None and last is not None and last - first <= longest for first, last in spans):
        detail = (
            f"By service alone, ask for a span of at most {SERVICE_SPAN_DAYS} days, with `startFrom` and `startTo` or"
            " `from` and `to`; or name a resource or customer as well."
        )
        raise invalid_parameter("service", detail)

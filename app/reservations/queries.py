"""Reading reservations: one, a filtered list, a customer's history. Every query is answered from an index."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from bson import ObjectId
from bson.errors import InvalidId
from pymongo import ReadPreference

from app.booking.timestamps import FOLLOWER_LAG_SECONDS
from app.caller import Caller
from app.domain.instants import LATEST, from_millis, to_millis
from app.domain.rules import LONGEST
from app.errors import Problem, invalid, not_found
from app.http.paging import Mark, bad_cursor, read_cursor, split_page
from app.reservations.changes import Position, begin, following
from app.storage.client import Store
from app.storage.documents import Reservation
from app.storage.guards import lookup_ids
from app.storage.sort_keys import after, after_both, mark_of, value_of
from app.storage.stored_reservations import as_it_is, reservation_of
from app.storage.values import identity as relation
from app.storage.values import shown_text

RESERVATIONS = "reservations"

Row: TypeAlias = dict[str, Any]
"""A stored reservation; a page of them is made into models where that holds nobody up."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list is narrowed to; `from_` and `to` bound a span that the reservations overlap."""

    resource: str | None = None
    customer: str | None = None
    statuses: Sequence[str] = ()
    from_: datetime | None = None
    to: datetime | None = None
    updated_since: datetime | None = None


def object_id(what: str, text: str) -> ObjectId:
    """An id from a path; one that is none names nothing."""
    try:
        return ObjectId(text)
    except (InvalidId, TypeError):
        raise not_found(what, text) from None


async def read_reservation(store: Store, identity: str, caller: Caller) -> Reservation:
    """One reservation, for who is shown it: odd values of others are text.

    Raises:
        Problem: `not-found`, also for a stranger's.
    """
    return as_it_is(await _read_row(store, identity, caller))


async def read_to_change(store: Store, identity: str, caller: Caller) -> Reservation:
    """One reservation, for who changes it.

    Raises:
        Problem: `not-found`, also for a stranger's; `invalid`, with each field that cannot be read.
    """
    return reservation_of(await _read_row(store, identity, caller))


async def _read_row(store: Store, identity: str, caller: Caller) -> Row:
    """By an ObjectId, else by the text that others gave it as its id."""
    reservations = store.database[RESERVATIONS]
    row = await reservations.find_one({"_id": ObjectId(identity)}) if ObjectId.is_valid(identity) else None
    row = row or await reservations.find_one({"_id": identity})
    if row is None or not caller.sees(customer_of(row)):
        raise not_found("reservation", identity)
    return row


def customer_of(row: Row) -> str | None:
    """Whose reservation it is, as text."""
    return None if (customer := row.get("customer")) is None else relation(customer) or shown_text(customer)


async def list_reservations(
    store: Store, filters: Filters, caller: Caller, limit: int, cursor: str | None
) -> tuple[Sequence[Row], str | None]:
    """A page by `startTime`, or with `updated_since` (or the cursor of such a list) by `updatedAt`; then by id."""
    conditions = _conditions(store, filters, caller)
    position = begin(filters.updated_since, cursor)
    if position is not None:
        return await _changes(store, conditions, position, limit)
    return await _page(store, conditions, "startTime", 1, limit, cursor)


async def _changes(
    store: Store, conditions: list[dict[str, Any]], position: Position, limit: int
) -> tuple[Sequence[Row], str]:
    """What was changed after a position and at least ten seconds ago, and where to go on.

    Read from the primary whatever the address says: a secondary may lie further behind than that.
    """
    until = store.clock.ago(FOLLOWER_LAG_SECONDS)
    query = _all_of([{"updatedAt": {"$lte": until}}, *position.beyond, *conditions])
    reservations = store.database.get_collection(RESERVATIONS, read_preference=ReadPreference.PRIMARY)
    rows = await reservations.find(query).sort([("updatedAt", 1), ("_id", 1)]).limit(limit + 1).to_list(None)
    return rows[:limit], following(position, until, rows, limit).cursor


async def list_of_customer(
    store: Store, customer: str, caller: Caller, limit: int, cursor: str | None
) -> tuple[Sequence[Row], str | None]:
    """A customer's reservations, newest start first."""
    if not caller.sees(customer) or await store.database["customers"].find_one({"_id": customer}, {"_id": 1}) is None:
        raise not_found("customer", customer)
    return await _page(store, [_of_customer(store, customer)], "startTime", -1, limit, cursor)


async def _page(
    store: Store, conditions: list[dict[str, Any]], by: str, direction: int, limit: int, cursor: str | None
) -> tuple[Sequence[Row], str | None]:
    mark, unbound = None, conditions
    if cursor is not None:
        mark = _mark_of(cursor)
        conditions = [*_after(mark, by, direction), *conditions]
    rows = await _sorted(store, conditions, by, direction, limit + 1)
    if mark is not None and direction < 0 and isinstance(mark[0], datetime) and len(rows) <= limit:
        # Dates come before everything else downwards, and a range of dates finds nothing but dates.
        odd = {"$or": after(by, datetime.min.replace(tzinfo=UTC), direction)[1:]}
        rows += await _sorted(store, [*unbound, odd], by, direction, limit + 1 - len(rows))
    return split_page(rows, limit, lambda row: (_start_mark(row.get(by)), mark_of(row["_id"])))


async def _sorted(store: Store, conditions: list[dict[str, Any]], by: str, direction: int, most: int) -> list[Row]:
    order = [(by, direction), ("_id", direction)]
    return await store.database[RESERVATIONS].find(_all_of(conditions)).sort(order).limit(most).to_list(None)


def _start_mark(value: Any) -> Mark:
    """An instant as such, where cursors know it; what others wrote as a mark."""
    at = to_millis(value) if isinstance(value, datetime) else LATEST
    return at if abs(at) < LATEST else mark_of(value)


def _all_of(conditions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One filter, flat as far as it goes: PyPI's SecantusDB does not look for an index within an `$and`.

    Two bounds of one field become one range, which every server answers from as narrow a part of an index.
    """
    query: dict[str, Any] = {}
    more = []
    for condition in conditions:
        ((field, wanted),) = condition.items()
        there = query.get(field)
        if field not in query:
            query[field] = wanted
        elif isinstance(there, dict) and isinstance(wanted, dict) and not there.keys() & wanted.keys():
            query[field] = there | wanted
        else:
            more.append(condition)
    return query | {"$and": more} if more else query


def _mark_of(cursor: str) -> tuple[Any, Any]:
    """The start and the id of the last item of a page."""
    for kind in (int, str):
        with suppress(Problem, ValueError, OverflowError):
            start, identity = read_cursor(cursor, kind, str)
            return (from_millis(start) if isinstance(start, int) else value_of(start)), value_of(str(identity))
    raise bad_cursor()


def _after(mark: tuple[Any, Any], by: str, direction: int) -> list[dict[str, Any]]:
    """Everything behind the last item of a page: a range of an index, and a condition for its first instant."""
    start, identity = mark
    if not isinstance(start, datetime):
        return [after_both((by, start), ("_id", identity), direction)]
    beyond = "$gt" if direction > 0 else "$lt"
    ties = after("_id", identity, direction)
    return [{by: {f"{beyond}e": start}}, {"$or": [{by: {beyond: start}}, *ties]}]


def _of_customer(store: Store, customer: str) -> dict[str, Any]:
    """Text of 24 digits may be stored as the ObjectId too; a server that scans for anything but equality finds one."""
    stored = lookup_ids(customer) if store.shape == "or" else (customer,)
    return {"customer": customer if len(stored) == 1 else {"$in": [*stored]}}


def _conditions(store: Store, filters: Filters, caller: Caller) -> list[dict[str, Any]]:
    conditions: list[dict[str, Any]] = []
    now = store.clock.now()
    if filters.resource is not None:
        conditions.append({"resource": filters.resource})
    if filters.customer is not None:
        conditions.append(_of_customer(store, filters.customer))
    if caller.customer is not None:
        conditions.append(_of_customer(store, caller.customer))
    if filters.statuses:
        conditions.append({"$or": [query for status in filters.statuses for query in _status(status, now)]})
    if filters.from_ is not None:
        earliest = from_millis(max(to_millis(filters.from_) - LONGEST, 0))
        conditions += [{"endTime": {"$gt": filters.from_}}, {"startTime": {"$gte": earliest}}]
    if filters.to is not None:
        conditions.append({"startTime": {"$lt": filters.to}})
    return conditions


def _status(status: str, now: datetime) -> list[dict[str, Any]]:
    """What reads as a status now: a hold whose time has come is expired, whoever has written that down."""
    lapsed = {"status": "pending", "expiresAt": {"$lte": now}}
    if status == "expired":
        return [{"status": "expired"}, lapsed]
    if status == "pending":
        return [
            {"status": "pending", "expiresAt": {"$exists": False}},
            {"status": "pending", "expiresAt": {"$gt": now}},
        ]
    return [{"status": status}]


def check_span(filters: Filters) -> None:
    """Refuse a span that ends before it begins."""
    if filters.from_ is not None and filters.to is not None and filters.to <= filters.from_:
        raise invalid("?to", "`to` must lie after `from`.")

"""The list of findings: narrowed, in one of four orders, in pages that neither repeat nor skip what did not change.

Each order is that of an index that begins with the state, so a query that nothing else narrows names all states; a
server that cannot merge the ranges of several sorts the keys of what matches, never the findings themselves.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from bson import ObjectId

from app.domain.finding_identity import State
from app.domain.instants import render
from app.errors import Problem, invalid
from app.http.paging import bad_cursor, read_cursor, write_cursor
from app.reconciliation.stored_findings import FINDINGS
from app.storage.client import Store
from app.storage.documents import Finding
from app.storage.values import forms

SHOWN_RESERVATIONS = 100
"""Of each finding in an answer; `reservationCount` says how many there are."""

MAX_VALUES = 200
"""Of all filters together."""

CUSTOMER_BATCH = 1_000
"""Reservations of a customer whose findings are looked for at once."""

Order: TypeAlias = Literal["from", "-from", "newest", "excess"]

_SORTS: dict[Order, tuple[str, int]] = {
    "from": ("from", 1),
    "-from": ("from", -1),
    "newest": ("firstSeen", -1),
    "excess": ("excess", -1),
}
_BEYOND = {1: ("$gt", "$gte"), -1: ("$lt", "$lte")}
_STATES: tuple[State, ...] = get_args(State)
_DIGEST_BYTES = 6
_BEYOND_NUMBERS = 2**63
"""No database has a whole number as large."""
_FIELDS: dict[str, Any] = {str(field.alias): 1 for field in Finding.model_fields.values() if field.alias}
_SLICED = _FIELDS | {"reservations": {"$slice": SHOWN_RESERVATIONS}}
"""All of a finding but most of its reservations; mongomock takes a slice alone for all that is wanted."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What the list is narrowed to; nothing said: all.

    `from_` and `to` bound a span that the windows meet; `updated_since` is compared with the last change of each, by
    the database's clock.
    """

    states: Sequence[State] = ()
    resources: Sequence[str] = ()
    customer: str | None = None
    from_: datetime | None = None
    to: datetime | None = None
    updated_since: datetime | None = None

    def check(self) -> None:
        """Refuse a span that ends before it begins, and more values than one query is to have.

        Raises:
            Problem: `invalid`.
        """
        if self.from_ is not None and self.to is not None and self.to <= self.from_:
            raise invalid("?to", "`to` must lie after `from`.")
        if len(self.states) + len(self.resources) + (self.customer is not None) > MAX_VALUES:
            raise Problem("invalid", f"All filters together take at most {MAX_VALUES} values.")

    def digest(self) -> str:
        """Tells the lists of two filters apart, for cursors."""
        spans = [None if each is None else render(each) for each in (self.from_, self.to, self.updated_since)]
        parts = repr((sorted({*self.states}), sorted({*self.resources}), self.customer, spans))
        return hashlib.blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()


class Listed(NamedTuple):
    """A page, the cursor of the next one if there is one, and how many match the filters in all."""

    findings: list[Finding]
    following: str | None
    total: int


async def listed(store: Store, filters: Filters, order: Order, limit: int, cursor: str | None) -> Listed:
    """A page of findings with the first of their reservations each.

    Raises:
        Problem: `invalid` for filters that make no sense, and a cursor of another list.
    """
    filters.check()
    field, direction = _SORTS[order]
    name = (order, filters.digest())
    behind = {} if cursor is None else _behind(cursor, name, field, direction)
    where = await _conditions(store, filters)
    if where is None:
        return Listed([], None, 0)
    found = store.database[FINDINGS]
    total = await found.count_documents(where)
    keys = await found.find(
        _both(where, behind), {field: 1}, sort=[(field, direction), ("_id", direction)], limit=limit + 1
    ).to_list(None)
    following = None
    if len(keys) > limit:
        keys = keys[:limit]
        following = write_cursor(*name, _mark(keys[-1].get(field)), str(keys[-1]["_id"]))
    rows = {row["_id"]: row async for row in found.find({"_id": {"$in": [key["_id"] for key in keys]}}, _SLICED)}
    return Listed([Finding.model_validate(rows[key["_id"]]) for key in keys if key["_id"] in rows], following, total)


async def _conditions(store: Store, filters: Filters) -> dict[str, Any] | None:
    """The filters as the database takes them; None if nothing can match."""
    where: dict[str, Any] = {}
    narrowed = filters.resources or filters.customer is not None or filters.updated_since is not None
    if filters.states or not narrowed:
        where["state"] = {"$in": sorted({*(filters.states or _STATES)})}
    if filters.resources:
        where["resource"] = {"$in": sorted({*filters.resources})}
    if filters.to is not None:
        where["from"] = {"$lt": filters.to}
    if filters.from_ is not None:
        where["to"] = {"$gt": filters.from_}
    if filters.updated_since is not None:
        where["updatedAt"] = {"$gte": filters.updated_since}
    if filters.customer is not None:
        theirs = await _of_customer(store, filters.customer)
        if not theirs:
            return None
        where["_id"] = {"$in": theirs}
    return where


async def _of_customer(store: Store, customer: str) -> list[ObjectId]:
    """The findings with a reservation of a customer, however many reservations that has and however its id is stored.

    Both ways are answered from indexes, a thousand reservations at a time. A finding with so many reservations that it
    lists only some is asked whether one of theirs lies in its window.
    """
    theirs: set[ObjectId] = set()
    ids = forms(customer)
    batch: list[Any] = []

    async def look() -> None:
        found = store.database[FINDINGS].find({"reservations": {"$in": batch}}, {"_id": 1})
        theirs.update([row["_id"] async for row in found])
        batch.clear()

    reservations = store.lenient("reservations")
    async for row in reservations.find({"customer": {"$in": ids}}, {"_id": 1}, batch_size=CUSTOMER_BATCH):
        batch.append(row["_id"])
        if len(batch) == CUSTOMER_BATCH:
            await look()
    if batch:
        await look()
    window = {"resource": 1, "from": 1, "to": 1}
    async for row in store.database[FINDINGS].find({"digest": {"$gt": ""}}, window):
        where = {"customer": {"$in": ids}, "resource": {"$in": forms(row["resource"])}}
        where |= {"startTime": {"$lt": row["to"]}, "endTime": {"$gt": row["from"]}}
        if row["_id"] not in theirs and await reservations.find_one(where, {"_id": 1}) is not None:
            theirs.add(row["_id"])
    return sorted(theirs)


def _mark(value: Any) -> str:
    """A value that the list is sorted by, as part of a cursor; empty where a finding has none."""
    if value is None:
        return ""
    return render(value) if isinstance(value, datetime) else str(value)


def _behind(cursor: str, name: tuple[str, str], field: str, direction: int) -> dict[str, Any]:
    """What comes behind the last item of a page: a range of the index, and a condition for its first value.

    Raises:
        Problem: `invalid` for a cursor that is none, or that belongs to another order or other filters.
    """
    *of, mark, identity = map(str, read_cursor(cursor, str, str, str, str))
    if tuple(of) != name or not ObjectId.is_valid(identity):
        raise bad_cursor()
    value = _value(mark, field)
    beyond, from_there = _BEYOND[direction]
    last = ObjectId(identity)
    if value is None:  # what an older version found has no excess, and comes last
        return {field: None, "_id": {beyond: last}}
    if field == "excess":
        return {"$or": [{field: {beyond: value}}, {field: value, "_id": {beyond: last}}, {field: None}]}
    return {field: {from_there: value}, "$or": [{field: {beyond: value}}, {"_id": {beyond: last}}]}


def _value(mark: str, field: str) -> Any:
    """What `_mark` made a part of a cursor of.

    Raises:
        Problem: `invalid` for what it cannot have made, and for what no finding can have.
    """
    if not mark and field == "excess":
        return None
    try:
        value: Any = int(mark) if field == "excess" else datetime.fromisoformat(mark)
        ours = _mark(value) == mark and (field != "excess" or abs(value) < _BEYOND_NUMBERS)
    except (ValueError, OverflowError):
        raise bad_cursor() from None
    if not ours:
        raise bad_cursor()
    return value


def _both(where: dict[str, Any], behind: dict[str, Any]) -> dict[str, Any]:
    """Two filters as one, flat: several bounds of a field are one range of its index."""
    joint = dict(where)
    for field, wanted in behind.items():
        joint[field] = {**joint[field], **wanted} if field in joint else wanted
    return joint

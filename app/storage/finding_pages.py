"""The list of findings: filtered, in one of four orders, in pages that neither repeat nor skip what did not change.

Each order is that of an index that begins with the state, so a query that nothing else narrows names all states; a
server that cannot merge the ranges of several sorts the keys of what matches, never the findings themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias, get_args

from bson import ObjectId

from app.domain.finding_identity import State
from app.domain.ids import ResourceId
from app.storage.bson_types import Filter
from app.storage.client import Store
from app.storage.documents import Finding, Reservation
from app.storage.values import forms

SHOWN_RESERVATIONS = 100
"""Of each finding in an answer; `reservationCount` says how many there are."""

CUSTOMER_BATCH = 1_000
"""Reservations of a customer whose findings are looked up at once."""

FindingOrder: TypeAlias = Literal["from", "-from", "newest", "excess"]

SORTS: dict[FindingOrder, tuple[str, int]] = {
    "from": ("from", 1),
    "-from": ("from", -1),
    "newest": ("firstSeen", -1),
    "excess": ("excess", -1),
}
"""The field and the direction of each order."""
_BEYOND = {1: ("$gt", "$gte"), -1: ("$lt", "$lte")}
_STATES: tuple[State, ...] = get_args(State)
_FIELDS: dict[str, int] = {str(field.alias): 1 for field in Finding.model_fields.values() if field.alias}
_SLICED = _FIELDS | {"reservations": {"$slice": SHOWN_RESERVATIONS}}
"""All of a finding but most of its reservations; mongomock takes a slice alone for all that is wanted."""
_FINDINGS = Finding.Settings.name


@dataclass(frozen=True, slots=True)
class FindingFilters:
    """What the list is narrowed to; without any filter it has all findings.

    `from_` and `to` bound a span that the windows meet; `updated_since` is compared with the last change of each, by
    the database's clock.
    """

    states: Sequence[State] = ()
    resources: Sequence[ResourceId] = ()
    customer: str | None = None
    from_: datetime | None = None
    to: datetime | None = None
    updated_since: datetime | None = None


class FindingKey(NamedTuple):
    """Where a finding stands in an order: the value that it is sorted by (None where it has none), and its id."""

    value: object
    id: ObjectId


class FindingPage(NamedTuple):
    """A page, the key of its last finding if others follow, and how many match the filters in all."""

    findings: list[Finding]
    last: FindingKey | None
    total: int


async def find_page(
    store: Store, filters: FindingFilters, order: FindingOrder, limit: int, after: FindingKey | None
) -> FindingPage:
    """A page of findings with the first of their reservations each.

    The keys are read first, and then whole findings, past Beanie: it cannot slice a field, and it builds a query
    anew in which two ranges of one field would be two conditions.
    """
    field, direction = SORTS[order]
    where = await _conditions(store, filters)
    if where is None:
        return FindingPage([], None, 0)
    beyond = {} if after is None else _beyond(after, field, direction)
    findings = store.database[_FINDINGS]
    total = await findings.count_documents(where)
    sort = [(field, direction), ("_id", direction)]
    keys = await findings.find(_both(where, beyond), {field: 1}, sort=sort, limit=limit + 1).to_list(None)
    last = None
    if len(keys) > limit:
        keys = keys[:limit]
        last = FindingKey(keys[-1].get(field), keys[-1]["_id"])
    ids = [key["_id"] for key in keys]
    rows = {row["_id"]: row async for row in findings.find({"_id": {"$in": ids}}, _SLICED)}
    return FindingPage([Finding.model_validate(rows[each]) for each in ids if each in rows], last, total)


async def _conditions(store: Store, filters: FindingFilters) -> Filter | None:
    """The filters as the database takes them; None if nothing can match."""
    where: Filter = {}
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
        ids = await _of_customer(store, filters.customer)
        if not ids:
            return None
        where["_id"] = {"$in": ids}
    return where


async def _of_customer(store: Store, customer: str) -> list[ObjectId]:
    """The findings with a reservation of a customer, however many reservations that has and however its id is stored.

    Both ways are answered from indexes, a thousand reservations at a time. For a finding with so many reservations
    that it lists only some, the customer's reservations in its window are looked up.
    """
    found: set[ObjectId] = set()
    customers = forms(customer)
    findings, reservations = store.database[_FINDINGS], store.lenient(Reservation.Settings.name)
    batch: list[object] = []

    async def look_up() -> None:
        rows = findings.find({"reservations": {"$in": batch}}, {"_id": 1})
        found.update([row["_id"] async for row in rows])
        batch.clear()

    async for row in reservations.find({"customer": {"$in": customers}}, {"_id": 1}, batch_size=CUSTOMER_BATCH):
        batch.append(row["_id"])
        if len(batch) == CUSTOMER_BATCH:
            await look_up()
    if batch:
        await look_up()
    async for row in findings.find({"digest": {"$gt": ""}}, {"resource": 1, "from": 1, "to": 1}):
        where = {"customer": {"$in": customers}, "resource": {"$in": forms(row["resource"])}}
        where |= {"startTime": {"$lt": row["to"]}, "endTime": {"$gt": row["from"]}}
        if row["_id"] not in found and await reservations.find_one(where, {"_id": 1}) is not None:
            found.add(row["_id"])
    return sorted(found)


def _beyond(key: FindingKey, field: str, direction: int) -> Filter:
    """What follows a key: a range of the index, and a condition for its first value."""
    beyond, from_there = _BEYOND[direction]
    if key.value is None:  # a finding of an older version has no excess, and comes last
        return {field: None, "_id": {beyond: key.id}}
    if field == "excess":
        return {"$or": [{field: {beyond: key.value}}, {field: key.value, "_id": {beyond: key.id}}, {field: None}]}
    return {field: {from_there: key.value}, "$or": [{field: {beyond: key.value}}, {"_id": {beyond: key.id}}]}


def _both(where: Filter, beyond: Filter) -> Filter:
    """Two filters as one, flat: several bounds of a field are one range of its index."""
    joint = dict(where)
    for field, wanted in beyond.items():
        joint[field] = {**joint[field], **wanted} if field in joint else wanted
    return joint

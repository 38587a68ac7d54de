"""Filters and positions of lists of reservations, as queries that an index answers.

A list is sorted by `startTime` and then by id, or by `updatedAt` and then by id. A position is the place of the last
item that was shown, and what comes after it is a condition on those two fields. Other programs may have stored values
of any type in them; see `sort_keys`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypeAlias

from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import EARLIEST, Duration, Millis, from_millis, to_millis
from app.domain.lengths import LENGTH_MAX
from app.storage.bson_types import BsonDocument, Filter, Row
from app.storage.guards import lookup_ids
from app.storage.row_reader import LONG
from app.storage.sort_keys import after, after_both, mark_of, value_of
from app.storage.values import object_id

Direction: TypeAlias = Literal[1, -1]

BEHIND_ALL = "f" * 24
"""The last id there is: a position behind everything of its instant."""


@dataclass(frozen=True, slots=True)
class ReservationFilters:
    """The filters of a list; of each, any of its values. None, or no statuses, is no filter.

    Args:
        resources: Of these resources.
        customers: Of these customers.
        services: Booked for these services.
        statuses: With these statuses, as they read now: a hold whose time is over is expired.
        ids: With these ids, as texts.
        groups: Of the groups with these ids, as texts.
        series: Of the series with these ids, as texts.
        references: With these references.
        from_: Only what ends after this instant.
        to: Only what starts before this instant.
        start_from: Only what starts at or after this instant.
        start_to: Only what starts before this instant.
    """

    resources: Sequence[ResourceId] | None = None
    customers: Sequence[str] | None = None
    services: Sequence[ServiceId] | None = None
    statuses: Sequence[str] = ()
    ids: Sequence[str] | None = None
    groups: Sequence[str] | None = None
    series: Sequence[str] | None = None
    references: Sequence[str] | None = None
    from_: datetime | None = None
    to: datetime | None = None
    start_from: datetime | None = None
    start_to: datetime | None = None

    @property
    def bounds_starts(self) -> bool:
        """Whether only what starts on some date can pass."""
        return any((self.from_, self.to, self.start_from, self.start_to))

    def conditions(self, now: datetime, *, by_object_id: bool) -> list[Filter]:
        """The filters as conditions that must all hold.

        Args:
            now: When a hold is over.
            by_object_id: Also find customers whose id of 24 digits another program stored as an ObjectId.
        """
        equalities: list[tuple[str, Sequence[object] | None]] = [
            ("_id", None if self.ids is None else [form for each in self.ids for form in _ids_of(each)]),
            ("group", _object_ids(self.groups)),
            ("series", _object_ids(self.series)),
            ("reference", self.references),
            ("resource", self.resources),
        ]
        found = [_any_of(field, values) for field, values in equalities if values is not None]
        if self.customers is not None:
            found.append(customer_condition(self.customers, by_object_id=by_object_id))
        if self.services is not None:
            found.append(_any_of("service", self.services))
        if self.statuses:
            found += _with_status_of(self.statuses, now)
        if self.from_ is not None:
            found.append({"endTime": {"$gt": self.from_}})
        if self.start_from is not None:
            found.append({"startTime": {"$gte": self.start_from}})
        found += [{"startTime": {"$lt": each}} for each in (self.to, self.start_to) if each is not None]
        return found

    def parts(self, direction: Direction, *, split: bool) -> list["ListPart"]:
        """The list in parts that follow one another, because what ends after `from_` may have begun a year before.

        Most of what began more than `LONG` before `from_` has ended since. So of those days only rows that can last as
        long are read, from indexes of their own: rows marked `long`, and rows of other programs, which have no block.

        Args:
            direction: The list's.
            split: Whether the server answers an `$or` from indexes; else the list is one part.
        """
        if self.from_ is None:
            return [ListPart()]
        earliest, near = (_before(self.from_, length) for length in (LENGTH_MAX, LONG))
        if not split:
            return [ListPart(earliest)]
        return [ListPart(earliest, near, ({"long": True}, {"blockEnd": None})), ListPart(near)][::direction]


def customer_condition(customers: Sequence[str], *, by_object_id: bool, field: str = "customer") -> Filter:
    """The condition for the reservations of any of some customers. An id of 24 digits may be stored as an ObjectId."""
    return _any_of(field, [form for each in customers for form in (lookup_ids(each) if by_object_id else (each,))])


def _any_of(field: str, values: Sequence[object]) -> Filter:
    """The condition for any of these values; one of them is compared as it is, which every server looks up."""
    return {field: values[0] if len(values) == 1 else {"$in": [*values]}}


def _object_ids(texts: Sequence[str] | None) -> Sequence[object] | None:
    """Those of these ids that are ids of ours; None for no filter."""
    return None if texts is None else [known for each in texts if (known := object_id(each)) is not None]


def _ids_of(text: str) -> Sequence[object]:
    """What a reservation of that id may be stored under."""
    known = object_id(text)
    return (text,) if known is None else (known, text)


class ListPart(NamedTuple):
    """The part of a list that starts in `[earliest, before)`; where `marks` are named, only rows with one of them."""

    earliest: datetime | None = None
    before: datetime | None = None
    marks: Sequence[Filter] = ()

    def is_passed(self, after: "StartPosition | None", direction: Direction) -> bool:
        """Whether nothing of it comes after a position."""
        if after is None or not isinstance(after.start, datetime):
            return False
        if direction > 0:
            return self.before is not None and after.start >= self.before
        return self.earliest is not None and after.start < self.earliest

    def query(self, conditions: Sequence[Filter]) -> Filter:
        """The rows of this part that fulfil all conditions."""
        bounds = {"$gte": self.earliest, "$lt": self.before}
        span = {name: bound for name, bound in bounds.items() if bound is not None}
        whole = all_of([*conditions, {"startTime": span}] if span else conditions)
        return {"$or": [whole | mark for mark in self.marks]} if self.marks else whole


def _before(instant: datetime, length: Duration) -> datetime:
    return from_millis(max(Millis(to_millis(instant) - length), EARLIEST))


def _with_status_of(statuses: Sequence[str], now: datetime) -> list[Filter]:
    """The conditions for any of some statuses as they read now: a hold whose time is over is expired, stored so or not.

    The first compares the stored status, so that an index answers it in the order of the list.
    """
    wanted = {*statuses}
    stored = sorted(wanted | {"pending"} if "expired" in wanted else wanted)
    found: list[Filter] = [{"status": stored[0] if len(stored) == 1 else {"$in": stored}}]
    if "pending" not in stored or wanted >= {"pending", "expired"}:
        return found
    over: list[Filter] = [{"expiresAt": {"$lte": now}}]
    live: list[Filter] = [{"expiresAt": {"$exists": False}}, {"expiresAt": {"$gt": now}}]
    others: list[Filter] = [] if stored == ["pending"] else [{"status": {"$ne": "pending"}}]
    return [*found, {"$or": [*others, *(live if "pending" in wanted else over)]}]


class StartPosition(NamedTuple):
    """The last item of a page by start: its start and its id, of whatever types they are stored."""

    start: object
    identity: object

    @classmethod
    def of(cls, row: Row) -> "StartPosition":
        """The position of a stored reservation."""
        return cls(row.get("startTime"), row["_id"])

    def beyond(self, direction: Direction) -> list[Filter]:
        """The conditions for what comes after it: a range of an index, and a condition for its first instant."""
        if not isinstance(self.start, datetime):
            return [after_both(("startTime", self.start), ("_id", self.identity), direction)]
        beyond = "$gt" if direction > 0 else "$lt"
        ties = after("_id", self.identity, direction)
        return [
            {"startTime": {f"{beyond}e": self.start}},
            {"$or": [{"startTime": {beyond: self.start}}, *ties]},
        ]


def after_all_dates() -> Filter:
    """What a list by falling start has after the last date: starts of other programs that are no dates."""
    return {"$or": after("startTime", datetime.min.replace(tzinfo=UTC), -1)[1:]}


class ChangePosition(NamedTuple):
    """Everything up to here was shown: an instant in milliseconds, and the mark of the last id at it."""

    at: Millis
    identity: str = BEHIND_ALL

    @classmethod
    def of(cls, row: BsonDocument) -> "ChangePosition":
        """The position of a stored reservation."""
        return cls(to_millis(row["updatedAt"]), mark_of(row["_id"]))

    def beyond(self) -> list[Filter]:
        """The conditions for what comes after it: always a range of `updatedAt`, which every server bounds."""
        if self.identity == BEHIND_ALL:
            return [{"updatedAt": {"$gt": from_millis(self.at)}}]
        ties = after("_id", value_of(self.identity), 1)
        last = {"$or": [{"updatedAt": {"$gt": from_millis(self.at)}}, *ties]}
        return [{"updatedAt": {"$gte": from_millis(self.at)}}, last]


_TIGHTER: Mapping[str, Callable[[datetime, datetime], datetime]] = {"$gt": max, "$gte": max, "$lt": min, "$lte": min}


def all_of(conditions: Sequence[Filter]) -> Filter:
    """One filter, flat as far as possible: PyPI's SecantusDB does not look for an index within an `$and`.

    The fields keep their order, equalities before ranges: SecantusDB takes the first field that begins an index. The
    bounds of one field become one range, which every server answers from as narrow a part of an index.
    """
    query: Filter = {}
    more = []
    for condition in conditions:
        ((field, wanted),) = condition.items()
        if field not in query:
            query[field] = wanted
        elif (both := _range_of(query[field], wanted)) is not None:
            query[field] = both
        else:
            more.append(condition)
    return query | {"$and": more} if more else query


def _range_of(one: object, other: object) -> Filter | None:
    """The range within two ranges; None where one is none, or has a bound of another type than a date."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return None
    bounds: Filter = dict(one)
    for name, bound in other.items():
        known = bounds.setdefault(name, bound)
        if known is not bound:
            if name not in _TIGHTER or not (isinstance(known, datetime) and isinstance(bound, datetime)):
                return None
            bounds[name] = _TIGHTER[name](known, bound)
    return bounds

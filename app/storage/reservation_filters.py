"""Filters and positions of lists of reservations, as queries that an index answers.

A list is sorted by `startTime` and then by id, or by `updatedAt` and then by id. A position is the place of the last
item that was shown, and what comes after it is a condition on those two fields. Other programs may have stored values
of any type in them; see `sort_keys`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypeAlias

from app.domain.ids import ResourceId
from app.domain.instants import EARLIEST, Millis, from_millis, to_millis
from app.domain.lengths import LENGTH_MAX
from app.storage.bson_types import BsonDocument, Filter, Row
from app.storage.guards import lookup_ids
from app.storage.sort_keys import after, after_both, mark_of, value_of

Direction: TypeAlias = Literal[1, -1]

BEHIND_ALL = "f" * 24
"""The last id there is: a position behind everything of its instant."""


@dataclass(frozen=True, slots=True)
class ReservationFilters:
    """The filters of a list.

    Args:
        resource: Only of this resource.
        customers: Only of all of these customers at once: none, if two of them differ.
        statuses: Only with one of these statuses, as they read now: a hold whose time is over is expired.
        from_: Only what ends after this instant.
        to: Only what starts before this instant.
    """

    resource: ResourceId | None = None
    customers: Sequence[str] = ()
    statuses: Sequence[str] = ()
    from_: datetime | None = None
    to: datetime | None = None

    def conditions(self, now: datetime, *, by_object_id: bool) -> list[Filter]:
        """The filters as conditions that must all hold.

        Args:
            now: When a hold is over.
            by_object_id: Also find customers whose id of 24 digits another program stored as an ObjectId.
        """
        found: list[Filter] = []
        if self.resource is not None:
            found.append({"resource": self.resource})
        found += [customer_condition(customer, by_object_id=by_object_id) for customer in self.customers]
        if self.statuses:
            found.append({"$or": [query for status in self.statuses for query in _with_status(status, now)]})
        if self.from_ is not None:
            earliest = from_millis(max(Millis(to_millis(self.from_) - LENGTH_MAX), EARLIEST))
            found += [{"endTime": {"$gt": self.from_}}, {"startTime": {"$gte": earliest}}]
        if self.to is not None:
            found.append({"startTime": {"$lt": self.to}})
        return found


def customer_condition(customer: str, *, by_object_id: bool) -> Filter:
    """The condition for the reservations of a customer. An id of 24 digits may be stored as an ObjectId too."""
    stored = lookup_ids(customer) if by_object_id else (customer,)
    return {"customer": customer if len(stored) == 1 else {"$in": [*stored]}}


def _with_status(status: str, now: datetime) -> list[Filter]:
    """The condition for a status as it reads now: a hold whose time is over is expired, stored so or not."""
    lapsed = {"status": "pending", "expiresAt": {"$lte": now}}
    if status == "expired":
        return [{"status": "expired"}, lapsed]
    if status == "pending":
        return [
            {"status": "pending", "expiresAt": {"$exists": False}},
            {"status": "pending", "expiresAt": {"$gt": now}},
        ]
    return [{"status": status}]


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


def all_of(conditions: Sequence[Filter]) -> Filter:
    """One filter, flat as far as possible: PyPI's SecantusDB does not look for an index within an `$and`.

    Two bounds of one field become one range, which every server answers from as narrow a part of an index.
    """
    query: Filter = {}
    more = []
    for condition in conditions:
        ((field, wanted),) = condition.items()
        known = query.get(field)
        if field not in query:
            query[field] = wanted
        elif isinstance(known, dict) and isinstance(wanted, dict) and not known.keys() & wanted.keys():
            query[field] = known | wanted
        else:
            more.append(condition)
    return query | {"$and": more} if more else query

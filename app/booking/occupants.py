"""Finding who occupies a resource during some spans, inside the index and without its history.

A reservation meets `[S, E)` in block times only if its `startTime` lies in `(S - reachBack, E + reachAhead)`, with
`reachBack = max(blockEnd - startTime)` and `reachAhead = max(startTime - blockStart)` of what is booked there. Both
are kept on the guard and only grow. (MongoDB bounds its time-series buckets the same way, SERVER-55106.)

What blocks for longer than `LONG` would stretch that window for everybody; it is marked `long`, does not count for
the reach, and has a branch of its own over a partial index.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.booking.intents import Span
from app.booking.steps import Steps, find
from app.storage.documents import Reservation
from app.storage.guards import doubled
from app.timeline.instants import DAY, EARLIEST, LATEST, Millis, from_millis, to_millis
from app.timeline.lifecycle import BLOCKING
from app.timeline.load import Occupancy

LONG = 7 * DAY
LONGEST_BLOCK = 2 * 366 * DAY
"""Longer than any block: the longest reservation and the longest buffers."""
BRANCHES = 16
"""Branches of one `$or`. More cost more than another round trip."""
GLIMPSE = 200
"""Of so many a branch most lengthy wishes are refused."""
GLIMPSE_BRANCHES = 4
"""All of one resource: beyond that a glimpse would be no cheaper."""
FIELDS = (
    "resource",
    "status",
    "startTime",
    "endTime",
    "blockStart",
    "blockEnd",
    "units",
    "expiresAt",
    "customer",
    "service",
    "version",
)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far, in milliseconds, a block reaches from its `startTime`; `long`: whether a long one was ever booked."""

    back: Millis = 0
    ahead: Millis = 0
    long: bool = False

    @classmethod
    def of_guard(cls, guard: Mapping[str, Any]) -> "Reach":
        """The one that a stored guard knows."""
        return cls(guard["reachBack"], guard["reachAhead"], bool(guard.get("long")))

    def covering(self, start: Millis, block_start: Millis, block_end: Millis) -> "Reach":
        """The reach that finds such a block as well: itself, or grown by doubling so that raises are rare."""
        if is_long(block_start, block_end):
            return Reach(self.back, self.ahead, long=True)
        return Reach(
            max(self.back, doubled(block_end - start)), max(self.ahead, doubled(start - block_start)), self.long
        )


def is_long(block_start: Millis, block_end: Millis) -> bool:
    """Whether a block is looked up by the branch of the long ones."""
    return block_end - block_start > LONG


def branches(spans: Iterable[Span], reaches: Mapping[str, Reach]) -> list[dict[str, Any]]:
    """The queries, one per resource, blocking status and cluster of near spans."""
    by_change: dict[Millis | None, list[Span]] = {}
    for span in spans:
        by_change.setdefault(span.since, []).append(span)
    queries: list[dict[str, Any]] = []
    for since, those in by_change.items():
        newer = {} if since is None else {"updatedAt": {"$gte": from_millis(since)}}
        queries += [query | newer for query in _branches(those, reaches)]
    return queries


def _branches(spans: Iterable[Span], reaches: Mapping[str, Reach]) -> list[dict[str, Any]]:
    queries: list[dict[str, Any]] = []
    for resource, clusters in _clusters(spans, reaches).items():
        for start, end in clusters:
            queries += [_branch(resource, status, start, end) for status in BLOCKING]
        if reaches[resource].long:
            start, end = clusters[0][0] - LONGEST_BLOCK, clusters[-1][1] + LONGEST_BLOCK
            queries += [{**_branch(resource, status, start, end), "long": True} for status in BLOCKING]
    return queries


def window(resources: Sequence[str], start: Millis, end: Millis, reaches: Mapping[str, Reach]) -> dict[str, Any]:
    """One query for everything that may meet `[start, end)` on any of the resources: for readers of one long span."""
    back = max(reaches[resource].back for resource in resources)
    ahead = max(reaches[resource].ahead for resource in resources)
    those = {"resource": {"$in": [*resources]}, "status": {"$in": [*BLOCKING]}}
    near = those | _starting(start - back, end + ahead)
    if not any(reaches[resource].long for resource in resources):
        return near
    return {"$or": [near, those | {"long": True} | _starting(start - LONGEST_BLOCK, end + LONGEST_BLOCK)]}


def _starting(after: Millis, before: Millis) -> dict[str, Any]:
    return {"startTime": {"$gt": from_millis(max(after, EARLIEST - DAY)), "$lt": from_millis(min(before, LATEST))}}


def _branch(resource: str, status: str, start: Millis, end: Millis) -> dict[str, Any]:
    return {"resource": resource, "status": status} | _starting(start, end)


def _clusters(spans: Iterable[Span], reaches: Mapping[str, Reach]) -> dict[str, list[tuple[Millis, Millis]]]:
    """Per resource the ranges of `startTime` to look at, sorted, those that overlap made one."""
    ranges: dict[str, list[tuple[Millis, Millis]]] = {}
    for span in spans:
        reach = reaches[span.resource]
        ranges.setdefault(span.resource, []).append((span.start - reach.back, span.end + reach.ahead))
    return {resource: _merged(sorted(those)) for resource, those in ranges.items()}


def _merged(ranges: list[tuple[Millis, Millis]]) -> list[tuple[Millis, Millis]]:
    merged = [ranges[0]]
    for start, end in ranges[1:]:
        if start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def read(spans: Iterable[Span], reaches: Mapping[str, Reach], branches_a_find: int) -> Steps[list[dict[str, Any]]]:
    """Everything that may occupy the spans, as raw documents; the same one can come twice."""
    queries = branches(spans, reaches)
    rows: list[dict[str, Any]] = []
    for first in range(0, len(queries), branches_a_find):
        some = queries[first : first + branches_a_find]
        query = some[0] if len(some) == 1 else {"$or": some}
        rows += yield find("occupants.read", "reservations", query, *FIELDS)
    return rows


def glimpse(spans: Iterable[Span], reaches: Mapping[str, Reach]) -> Steps[tuple[list[dict[str, Any]], bool] | None]:
    """The first that may occupy the spans, and whether these are all; None where nothing is won by that."""
    queries = branches(spans, reaches)
    if len(queries) > GLIMPSE_BRANCHES:
        return None
    rows: list[dict[str, Any]] = []
    complete = True
    for query in queries:
        some = yield find("occupants.glimpse", "reservations", query, *FIELDS, limit=GLIMPSE)
        complete = complete and len(some) < GLIMPSE
        rows += some
    return rows, complete


def occupancy_of(row: Mapping[str, Any]) -> Occupancy:
    """An occupancy from a stored reservation; rows without block times count by their times."""
    start, end = to_millis(row["startTime"]), to_millis(row["endTime"])
    expires: datetime | None = row.get("expiresAt") if row["status"] == "pending" else None
    return Occupancy(
        id=row["_id"],
        start=to_millis(row["blockStart"]) if "blockStart" in row else start,
        end=to_millis(row["blockEnd"]) if "blockEnd" in row else end,
        units=row.get("units", 1),
        expires=None if expires is None else to_millis(expires),
        from_=start,
        to=end,
        status=row["status"],
        customer=row.get("customer"),
        service=row.get("service"),
        version=row.get("version", 1),
    )


def occupancy(reservation: Reservation) -> Occupancy:
    """An occupancy from a reservation that is about to be stored."""
    expires = reservation.expires_at if reservation.status == "pending" else None
    return Occupancy(
        id=reservation.id,
        start=to_millis(reservation.block_start),
        end=to_millis(reservation.block_end),
        units=reservation.units,
        expires=None if expires is None else to_millis(expires),
        from_=to_millis(reservation.start_time),
        to=to_millis(reservation.end_time),
        status=reservation.status,
        customer=reservation.customer,
        service=reservation.service,
        version=reservation.version,
    )

"""The conflict lookup: finds the reservations that occupy resources during some spans, without reading their history.

A reservation meets `[S, E)` in block times only if its `startTime` lies in `(S - reachBack, E + reachAhead)`, with
`reachBack = max(blockEnd - startTime)` and `reachAhead = max(startTime - blockStart)` of what is booked there. Both
are stored on the guard and only grow. (MongoDB bounds its time-series buckets the same way, SERVER-55106.)

A block longer than `LONG` would widen that window for every lookup; it is marked `long`, does not count for the reach,
and has a branch of its own over a partial index. A row of another program that is longer than `LONGEST_BLOCK`, or has a
form that cannot be looked up, is in `occupancies`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product

from app.domain.ids import ResourceId
from app.domain.instants import FIRST, LAST, Millis, from_millis
from app.domain.lifecycle import BLOCKING
from app.storage import row_reader
from app.storage.bson_types import Filter, Row
from app.storage.client import Store
from app.storage.guards import lookup_ids
from app.storage.reach import NO_REACH, Reach
from app.storage.row_reader import LONGEST_BLOCK
from app.storage.span import Span
from app.storage.steps import Steps, find
from app.storage.values import row_key

BRANCHES_MAX = 16
"""Branches of one `$or`; more of them cost more than another round trip."""
NEAR_STRETCH = 4
"""Where a find has one branch, it reads up to so many times the wanted time of a resource, which costs less than a find
for each part of it."""
GLIMPSE_ROWS = 200
"""Rows that a glimpse reads per branch: enough to refuse most lengthy requests."""
GLIMPSE_BRANCHES_MAX = 4
"""Branches of one resource; with more of them a glimpse is no cheaper than the whole lookup."""
FIELDS = (*row_reader.FIELDS, "customer", "service", "version")
IDS_PER_FIND = 500
"""Reservations that one find reads by their ids."""


def branches(spans: Iterable[Span], reaches: Mapping[ResourceId, Reach], stretch: int = 1) -> list[Filter]:
    """The queries, one per resource, blocking status and cluster of near spans.

    Args:
        spans: The spans.
        reaches: The reach of each resource.
        stretch: How many times as long as its spans a cluster may be; 1: only overlapping spans share one.
    """
    by_since: dict[Millis | None, list[Span]] = {}
    for span in spans:
        by_since.setdefault(span.since, []).append(span)
    queries: list[Filter] = []
    for since, group in by_since.items():
        newer = {} if since is None else {"updatedAt": {"$gte": from_millis(since)}}
        queries += [query | newer for query in _branches(group, reaches, stretch)]
    return queries


def _branches(spans: Iterable[Span], reaches: Mapping[ResourceId, Reach], stretch: int) -> list[Filter]:
    queries: list[Filter] = []
    for resource, clusters in _clusters(spans, reaches).items():
        equalities = [{"resource": form, "status": status} for form, status in product(lookup_ids(resource), BLOCKING)]
        for start, end in _joined(clusters, stretch):
            queries += [each | _starting(start, end) for each in equalities]
        if reaches[resource].long:
            starting = _starting(Millis(clusters[0][0] - LONGEST_BLOCK), Millis(clusters[-1][1] + LONGEST_BLOCK))
            queries += [each | starting | {"long": True} for each in equalities]
    return queries


def window(resources: Sequence[ResourceId], start: Millis, end: Millis, reaches: Mapping[ResourceId, Reach]) -> Filter:
    """One query for everything that may meet `[start, end)` on any of the resources: for readers of one long span."""
    back = max(reaches[resource].back for resource in resources)
    ahead = max(reaches[resource].ahead for resource in resources)
    named = [form for resource in resources for form in lookup_ids(resource)]
    blocking = {"resource": {"$in": named}, "status": {"$in": [*BLOCKING]}}
    near = blocking | _starting(Millis(start - back), Millis(end + ahead))
    if not any(reaches[resource].long for resource in resources):
        return near
    far = _starting(Millis(start - LONGEST_BLOCK), Millis(end + LONGEST_BLOCK))
    return {"$or": [near, blocking | {"long": True} | far]}


def _starting(after: Millis, before: Millis) -> Filter:
    """The range of `startTime`, without its ends, as far as there are dates: then with them."""
    return {"startTime": _after(after) | _before(before)}


def _after(moment: Millis) -> Filter:
    return {"$gte": from_millis(FIRST)} if moment < FIRST else {"$gt": from_millis(moment)}


def _before(moment: Millis) -> Filter:
    return {"$lte": from_millis(LAST)} if moment > LAST else {"$lt": from_millis(moment)}


def _clusters(
    spans: Iterable[Span], reaches: Mapping[ResourceId, Reach]
) -> dict[ResourceId, list[tuple[Millis, Millis]]]:
    """Per resource the ranges of `startTime` to look up, sorted, overlapping ones merged."""
    ranges: dict[ResourceId, list[tuple[Millis, Millis]]] = {}
    for span in spans:
        reach = reaches[span.resource]
        start, end = Millis(span.start - reach.back), Millis(span.end + reach.ahead)
        ranges.setdefault(span.resource, []).append((start, end))
    return {resource: _merged(sorted(found)) for resource, found in ranges.items()}


def _merged(ranges: list[tuple[Millis, Millis]]) -> list[tuple[Millis, Millis]]:
    merged = [ranges[0]]
    for start, end in ranges[1:]:
        if start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _joined(ranges: list[tuple[Millis, Millis]], stretch: int) -> list[tuple[Millis, Millis]]:
    """Sorted ranges, joined as long as a joined one is at most `stretch` times as long as its parts together."""
    joined = ranges[:1]
    covered = ranges[0][1] - ranges[0][0]
    for start, end in ranges[1:]:
        covered += end - start
        if end - joined[-1][0] <= stretch * covered:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
            covered = end - start
    return joined


def _finds(spans: Sequence[Span], reaches: Mapping[ResourceId, Reach], branches_per_find: int) -> Iterator[Filter]:
    """The filters of the finds that read what occupies the spans.

    A resource without a reach has no bookings. One find of all such resources reads nothing, however many they are: an
    import books thousands of new resources.
    """
    unbooked = [span for span in spans if reaches[span.resource] == NO_REACH]
    if len(branches(unbooked, reaches)) <= branches_per_find:
        booked = spans
    else:
        booked = [span for span in spans if reaches[span.resource] != NO_REACH]
        start, end = min(span.start for span in unbooked), max(span.end for span in unbooked)
        yield window(sorted({span.resource for span in unbooked}), start, end, reaches)
    stretch = NEAR_STRETCH if branches_per_find == 1 else 1
    yield from batched_queries(branches(booked, reaches, stretch), branches_per_find)


def read(spans: Sequence[Span], reaches: Mapping[ResourceId, Reach], branches_per_find: int) -> Steps[list[Row]]:
    """Everything that may occupy the spans, as raw documents; the same one can come twice."""
    found: list[Row] = []
    for query in _finds(spans, reaches, branches_per_find):
        found += yield find("occupants.read", "reservations", query, *FIELDS)
    listed: list[Row] = []
    for query in batched_queries(foreign_branches(spans, reaches), branches_per_find):
        listed += yield find("occupants.noted", "occupancies", query, "reservation")
    for query in queries_by_id(listed):
        found += yield find("occupants.foreign", "reservations", query, *FIELDS)
    return found


def foreign_branches(spans: Iterable[Span], reaches: Mapping[ResourceId, Reach]) -> list[Filter]:
    """The queries of `occupancies`, for rows that the conflict lookup does not find.

    A `long` row there has no bound, so the query compares both of its ends.
    """
    queries: list[Filter] = []
    for resource, clusters in _clusters((span for span in spans if reaches[span.resource].foreign), reaches).items():
        queries += [{"resource": resource} | _starting(start, end) for start, end in clusters]
        if reaches[resource].long:
            meeting = {"startTime": _before(clusters[-1][1]), "endTime": _after(clusters[0][0])}
            queries.append({"resource": resource, "long": True} | meeting)
    return queries


def queries_by_id(listed: Iterable[Row]) -> Iterator[Filter]:
    """The queries of the reservations that rows of `occupancies` name; the reservations may have changed since."""
    named = [*{row_key(row["reservation"]): row["reservation"] for row in listed if "reservation" in row}.values()]
    for first in range(0, len(named), IDS_PER_FIND):
        yield {"_id": {"$in": named[first : first + IDS_PER_FIND]}}


def batched_queries(queries: Sequence[Filter], branches_per_find: int) -> Iterator[Filter]:
    """The queries in batches, each a filter of one find."""
    for first in range(0, len(queries), branches_per_find):
        batch = queries[first : first + branches_per_find]
        yield batch[0] if len(batch) == 1 else {"$or": batch}


async def read_outside(
    store: Store, spans: Sequence[Span], reaches: Mapping[ResourceId, Reach], branches_per_find: int
) -> list[Row]:
    """As `read`, outside of a transaction."""
    # Raw: rows may be of other programs, and of our own there may be tens of thousands, too many to validate.
    found: list[Row] = []
    for query in batched_queries(branches(spans, reaches), branches_per_find):
        found += await store.database["reservations"].find(query, dict.fromkeys(FIELDS, 1)).to_list(None)
    return found + await read_foreign(store, spans, reaches)


async def read_foreign(
    store: Store, spans: Iterable[Span], reaches: Mapping[ResourceId, Reach], most: int | None = None
) -> list[Row]:
    """What occupies the spans and the conflict lookup does not find, outside of a transaction; about `most`, if any."""
    # Raw: these rows are of other programs, and the reader of rows says what they occupy.
    database, limit = store.database, 0 if most is None else most + 1
    listed: list[Row] = []
    for query in foreign_branches(spans, reaches):
        listed += await database["occupancies"].find(query, {"reservation": 1}).limit(limit).to_list(None)
    found: list[Row] = []
    for query in queries_by_id(listed):
        found += await database["reservations"].find(query, dict.fromkeys(FIELDS, 1)).to_list(None)
    return found


def glimpse(spans: Iterable[Span], reaches: Mapping[ResourceId, Reach]) -> Steps[tuple[list[Row], bool] | None]:
    """The first rows that may occupy the spans, and whether they are all; None where that is no cheaper than `read`."""
    queries = branches(spans, reaches)
    if len(queries) > GLIMPSE_BRANCHES_MAX or any(reaches[span.resource].foreign for span in spans):
        return None
    found: list[Row] = []
    complete = True
    for query in queries:
        rows = yield find("occupants.glimpse", "reservations", query, *FIELDS, limit=GLIMPSE_ROWS)
        complete = complete and len(rows) < GLIMPSE_ROWS
        found += rows
    return found, complete

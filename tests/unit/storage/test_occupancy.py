"""Looking up what occupies some spans: the queries find every reservation that meets one of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from app.domain.ids import ResourceId
from app.domain.instants import HOUR, Millis, from_millis
from app.domain.lifecycle import BLOCKING
from app.storage.conflict_lookup import branches, read, window
from app.storage.occupancy import occupancies_of
from app.storage.reach import Reach
from app.storage.row_reader import LONG, is_long
from app.storage.span import Span
from app.storage.steps import Execution

BASE = Millis(1_893_456_000_000)
RESOURCES = (ResourceId("a"), ResourceId("b"))

Row = dict[str, Any]


def found_by(query: dict[str, Any], row: Row) -> bool:
    """Whether a find with this query gives the row, as MongoDB reads it."""
    if "$or" in query:
        return any(found_by(branch, row) for branch in query["$or"])
    for name, wanted in query.items():
        have = row.get(name)
        if not isinstance(wanted, dict):
            matches = have == wanted
        elif "$in" in wanted:
            matches = have in wanted["$in"]
        else:
            assert isinstance(have, datetime)
            matches = wanted["$gt"] < have < wanted["$lt"]
        if not matches:
            return False
    return True


def finds_of(wanted: Sequence[Span], reaches: Mapping[ResourceId, Reach], branches_per_find: int) -> list[Row]:
    """The filters of the finds of a booking, on a server that finds nothing."""
    execution = Execution(read(wanted, reaches, branches_per_find))
    filters: list[Any] = []
    while execution.step is not None:
        filters += execution.step.arguments
        execution.succeed([])
    return filters


@st.composite
def blocks(draw: st.DrawFn) -> tuple[ResourceId, Millis, Millis, Millis]:
    """A resource, a start, and a block around it, by the hour; now and then one that is longer than a week."""
    start = Millis(BASE + draw(st.integers(-60, 60)) * HOUR)
    before, after = draw(st.integers(0, 4)) * HOUR, draw(st.one_of(st.integers(1, 40), st.integers(160, 400))) * HOUR
    return draw(st.sampled_from(RESOURCES)), start, Millis(start - before), Millis(start + after)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    """A stretch of one resource."""
    start = Millis(BASE + draw(st.integers(-80, 80)) * HOUR)
    return Span(draw(st.sampled_from(RESOURCES)), start, Millis(start + draw(st.integers(1, 50)) * HOUR))


@given(st.lists(blocks(), max_size=8), st.lists(spans(), min_size=1, max_size=5), st.sampled_from(BLOCKING))
def test_every_reservation_that_meets_a_span_is_found(
    booked: list[tuple[ResourceId, Millis, Millis, Millis]], wanted: list[Span], status: str
) -> None:
    """With the reach that grew with each: by the branches, by the finds of a booking, by the query of a reader."""
    reaches = dict.fromkeys(RESOURCES, Reach())
    for resource, *block in booked:
        reaches[resource] = reaches[resource].covering(*block)
    lookups = [branches(wanted, reaches), *(finds_of(wanted, reaches, each) for each in (1, 4))]

    for resource, start, block_start, block_end in booked:
        row: Row = {"resource": resource, "status": status, "startTime": from_millis(start)}
        row |= {"long": True} if is_long(block_start, block_end) else {}
        for span in wanted:
            if span.resource == resource and block_start < span.end and span.start < block_end:
                assert all(any(found_by(query, row) for query in queries) for queries in lookups)
                assert found_by(window(RESOURCES, span.start, span.end, reaches), row)


@pytest.mark.parametrize("branches_per_find", [1, 16])
def test_new_resources_share_a_find(branches_per_find: int) -> None:
    """One find reads all resources on which nothing is booked, and never are there more finds than without it."""
    rooms = [ResourceId(f"room-{number}") for number in range(50)]
    wanted = [Span(room, BASE, Millis(BASE + HOUR)) for room in rooms]
    reaches = dict.fromkeys(rooms, Reach())

    assert len(finds_of(wanted, reaches, branches_per_find)) == 1
    for booked in range(50):
        reaches[rooms[booked]] = Reach(HOUR)
        needed = -(-len(branches(wanted, reaches)) // branches_per_find)
        assert len(finds_of(wanted, reaches, branches_per_find)) <= needed


def test_near_spans_share_a_find_of_one_branch() -> None:
    """Where each branch is a find of its own, a find reads a few times the wanted time of a resource, never more."""
    reaches = dict.fromkeys(RESOURCES, Reach(HOUR))
    near = [Span(RESOURCES[0], Millis(BASE + hours * HOUR), Millis(BASE + (hours + 1) * HOUR)) for hours in (0, 5, 11)]
    far = Span(RESOURCES[0], Millis(BASE + 100 * HOUR), Millis(BASE + 101 * HOUR))

    assert len(finds_of(near, reaches, 1)) == len(BLOCKING)
    assert len(finds_of([*near, far], reaches, 1)) == 2 * len(BLOCKING)
    assert len(finds_of([near[0], Span(RESOURCES[1], near[0].start, near[0].end)], reaches, 1)) == 2 * len(BLOCKING)


def test_a_week_is_not_long() -> None:
    """Only what is longer has a branch of its own; a week counts for the reach."""
    assert not is_long(BASE, Millis(BASE + LONG))
    assert is_long(BASE, Millis(BASE + LONG + 1))
    assert Reach().covering(BASE, BASE, Millis(BASE + LONG)).back >= LONG


@given(st.lists(blocks(), max_size=6))
def test_a_reach_never_shrinks(booked: list[tuple[ResourceId, Millis, Millis, Millis]]) -> None:
    """Whatever is booked next, what was found before is found still."""
    reach = Reach()
    for _, *block in booked:
        grown = reach.covering(*block)
        assert grown.back >= reach.back
        assert grown.ahead >= reach.ahead
        assert grown.long >= reach.long
        reach = grown


STORED: Row = {
    "_id": ObjectId(),
    "resource": "a",
    "startTime": from_millis(BASE),
    "endTime": from_millis(Millis(BASE + HOUR)),
    "version": 1,
}


def expiry_of(row: Row) -> Millis | None:
    """When the one thing that a row occupies is free again."""
    ((_, occupancy),) = occupancies_of(row)
    return occupancy.expires


def test_only_a_hold_ends_at_its_expiry() -> None:
    """What was confirmed counts, though the end of its hold was left on it."""
    over = {"expiresAt": from_millis(Millis(BASE - HOUR))}

    assert expiry_of({**STORED, **over, "status": "pending"}) == BASE - HOUR
    assert expiry_of({**STORED, **over, "status": "confirmed"}) is None
    assert expiry_of({**STORED, "status": "pending"}) is None

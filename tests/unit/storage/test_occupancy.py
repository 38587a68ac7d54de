"""Looking up what occupies some spans: the queries find every reservation that meets one of them."""

from datetime import datetime
from typing import Any

from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from app.domain.ids import ResourceId
from app.domain.instants import HOUR, Millis, from_millis
from app.domain.lifecycle import BLOCKING
from app.storage.conflict_lookup import branches, window
from app.storage.occupancy import occupancies_of
from app.storage.reach import Reach
from app.storage.row_reader import LONG, is_long
from app.storage.span import Span

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
    """With the reach that grew with each of them: by the branches of a booking, and by the one query of a reader."""
    reaches = dict.fromkeys(RESOURCES, Reach())
    for resource, *block in booked:
        reaches[resource] = reaches[resource].covering(*block)
    queries = branches(wanted, reaches)

    for resource, start, block_start, block_end in booked:
        row: Row = {"resource": resource, "status": status, "startTime": from_millis(start)}
        row |= {"long": True} if is_long(block_start, block_end) else {}
        for span in wanted:
            if span.resource == resource and block_start < span.end and span.start < block_end:
                assert any(found_by(query, row) for query in queries)
                assert found_by(window(RESOURCES, span.start, span.end, reaches), row)


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

"""Which bookings an edit strands, against a brute force over every instant."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.timeline.load import Occupancy
from app.timeline.rules import Room
from app.timeline.stranding import stranded

END = 16
SERVICES = ("cut", "dye")
ROOM = Room("room", capacity=3, services=frozenset(SERVICES))


def booking(start: int, end: int, units: int = 1, *, name: object = 0, service: str | None = None) -> Occupancy:
    """A booking, short to write."""
    return Occupancy(name, start, end, units, service=service)


@st.composite
def books(draw: st.DrawFn) -> list[Occupancy]:
    """What is booked on one resource, also more than fits."""
    lives = st.tuples(st.integers(0, END - 1), st.integers(1, 6), st.integers(1, 3), st.sampled_from([None, *SERVICES]))
    return [
        booking(start, min(start + length, END), units, name=name, service=service)
        for name, (start, length, units, service) in enumerate(draw(st.lists(lives, max_size=10)))
    ]


ROOMS = st.builds(
    Room,
    st.just("room"),
    capacity=st.integers(1, 6),
    services=st.frozensets(st.sampled_from(SERVICES)),
    active=st.booleans(),
)


def names(found: list[Occupancy]) -> set[object]:
    """Who they are."""
    return {one.id for one in found}


def holds(one: Occupancy, room: Room) -> bool:
    """Whether the rules of the resource allow it."""
    return room.active and (one.service is None or one.service in room.services)


@given(books(), ROOMS, ROOMS)
def test_stranded_are_those_that_held_and_would_not(booked: list[Occupancy], before: Room, after: Room) -> None:
    """A rule that held breaks, or an instant at which it is there was full enough and becomes too full."""
    loads = [sum(one.units for one in booked if one.start <= instant < one.end) for instant in range(END)]
    newly_full = [instant for instant, load in enumerate(loads) if after.capacity < load <= before.capacity]
    expected = {
        one.id
        for one in booked
        if (holds(one, before) and not holds(one, after))
        or any(one.start <= instant < one.end for instant in newly_full)
    }
    found = stranded(booked, before, after)

    assert expected == names(found)
    assert len(expected) == len(found)
    assert sorted(found, key=lambda one: one.start) == found


@given(books(), ROOMS)
def test_an_edit_that_changes_nothing_strands_nobody(booked: list[Occupancy], room: Room) -> None:
    """Whatever was wrong before is not the edit's fault."""
    assert stranded(booked, room, room) == []


@given(books(), ROOMS)
def test_more_room_strands_nobody(booked: list[Occupancy], room: Room) -> None:
    """A resource can always be made larger, offer more and be activated."""
    wider = replace(room, capacity=room.capacity + 1, active=True, services=frozenset(SERVICES))

    assert stranded(booked, room, wider) == []


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (replace(ROOM, active=False), {"plain", "cut"}),
        (replace(ROOM, services=frozenset({"dye"})), {"cut"}),
        (replace(ROOM, services=frozenset()), {"cut"}),
        (replace(ROOM, capacity=2), set()),
        (replace(ROOM, capacity=1), {"plain", "cut"}),
    ],
)
def test_each_edit_names_its_own(after: Room, expected: set[object]) -> None:
    """Deactivation strands all, a service that goes those who booked it, less capacity those who share an instant."""
    booked = [booking(0, 10, name="plain"), booking(5, 15, name="cut", service="cut")]

    assert names(stranded(booked, ROOM, after)) == expected


def test_touching_bookings_do_not_crowd_each_other() -> None:
    """A capacity of one is enough for one after the other."""
    assert stranded([booking(0, 5), booking(5, 9, name=1)], ROOM, replace(ROOM, capacity=1)) == []


def test_who_was_crowded_elsewhere_can_still_lose_room() -> None:
    """Two that were in a crowd for an hour before still lose the rest of their day by the edit."""
    booked = [booking(0, 8, name="a"), booking(0, 8, name="b"), booking(0, 1, name="c"), booking(0, 1, name="d")]

    assert names(stranded(booked, ROOM, replace(ROOM, capacity=1))) == {"a", "b"}

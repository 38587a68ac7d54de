"""Which bookings an edit strands, against a brute force over every instant."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.closures import Closure, Closures
from app.domain.ids import ServiceId
from app.domain.instants import DAY, EARLIEST, HOUR, Duration, Millis, parse, to_millis
from app.domain.load import Occupancy
from app.domain.rules import ResourceRules, ServiceRules
from app.domain.schedule import Hours, Schedule, TimeOff
from app.domain.stranding import stranded
from tests.support.ids import CUT_ID, ROOM_ID

END = 16
MONDAY = to_millis(parse("2030-01-07T00:00:00Z"))
NINE_TO_FIVE = Schedule(((Hours(540, 1020),),) * 7)
DYE = ServiceId("dye")
SERVICES = (CUT_ID, DYE)
ROOM = ResourceRules(ROOM_ID, capacity=3, services=frozenset(SERVICES))
WHOLE_DAYS = {DYE: ServiceRules(DYE, "full-day")}


def booking(
    start: int, end: int, units: int = 1, *, name: object = 0, service: ServiceId | None = None, guests: int = 1
) -> Occupancy:
    """A booking, short to write."""
    return Occupancy(name, Millis(start), Millis(end), units, service=service, guests=guests)


@st.composite
def books(draw: st.DrawFn) -> list[Occupancy]:
    """What is booked on one resource, also more than fits."""
    lives = st.tuples(
        st.integers(0, END - 1),
        st.integers(1, 6),
        st.integers(1, 3),
        st.sampled_from([None, *SERVICES]),
        st.integers(1, 5),
    )
    return [
        booking(start, min(start + length, END), units, name=name, service=service, guests=guests)
        for name, (start, length, units, service, guests) in enumerate(draw(st.lists(lives, max_size=10)))
    ]


ROOMS = st.builds(
    ResourceRules,
    st.just("room"),
    capacity=st.integers(1, 6),
    services=st.frozensets(st.sampled_from(SERVICES)),
    active=st.booleans(),
    max_guests=st.none() | st.integers(1, 5),
    service_only=st.booleans(),
)


def names(found: list[Occupancy]) -> set[object]:
    """Who they are."""
    return {one.id for one in found}


def unbroken_rules(one: Occupancy, room: ResourceRules) -> set[str]:
    """The rules of the resource that it does not break."""
    offered = not room.service_only if one.service is None else one.service in room.services
    allowed = room.max_guests is None or one.guests <= room.max_guests
    rules = {"active": room.active, "offered": offered, "guests": allowed, "units": one.units <= room.capacity}
    return {rule for rule, holds in rules.items() if holds}


@given(books(), ROOMS, ROOMS)
def test_stranded_are_bookings_that_fitted_and_would_not(
    booked: list[Occupancy], before: ResourceRules, after: ResourceRules
) -> None:
    """A rule that held breaks, or an instant at which it is there was full enough and becomes too full."""
    loads = [sum(one.units for one in booked if one.start <= instant < one.end) for instant in range(END)]
    newly_full = [instant for instant, load in enumerate(loads) if after.capacity < load <= before.capacity]
    expected = {
        one.id
        for one in booked
        if unbroken_rules(one, before) - unbroken_rules(one, after)
        or any(one.start <= instant < one.end for instant in newly_full)
    }
    found = stranded(booked, before, after)

    assert expected == names(found)
    assert len(expected) == len(found)
    assert sorted(found, key=lambda one: one.start) == found


@given(books(), ROOMS)
def test_an_edit_that_changes_nothing_strands_no_booking(booked: list[Occupancy], room: ResourceRules) -> None:
    """Whatever was wrong before is not the edit's fault."""
    assert stranded(booked, room, room) == []


@given(books(), ROOMS)
def test_more_room_strands_no_booking(booked: list[Occupancy], room: ResourceRules) -> None:
    """A resource can always be made larger, offer more and be activated."""
    freed = replace(room, active=True, max_guests=None, service_only=False)
    wider = replace(freed, capacity=room.capacity + 1, services=frozenset(SERVICES))

    assert stranded(booked, room, wider) == []


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (replace(ROOM, active=False), {"plain", "cut"}),
        (replace(ROOM, services=frozenset({DYE})), {"cut"}),
        (replace(ROOM, services=frozenset()), {"cut"}),
        (replace(ROOM, capacity=2), set()),
        (replace(ROOM, capacity=1), {"plain", "cut"}),
        (replace(ROOM, service_only=True), {"plain"}),
        (replace(ROOM, max_guests=3), set()),
        (replace(ROOM, max_guests=2), {"cut"}),
    ],
)
def test_each_edit_names_its_own(after: ResourceRules, expected: set[object]) -> None:
    """Deactivation strands all, a service that goes those who booked it, less capacity those who share an instant."""
    booked = [booking(0, 10, name="plain"), booking(5, 15, name="cut", service=CUT_ID, guests=3)]

    assert names(stranded(booked, ROOM, after)) == expected


def test_touching_bookings_do_not_crowd_each_other() -> None:
    """A capacity of one is enough for one after the other."""
    assert stranded([booking(0, 5), booking(5, 9, name=1)], ROOM, replace(ROOM, capacity=1)) == []


def test_who_was_crowded_elsewhere_can_still_lose_room() -> None:
    """Two that were in a crowd for an hour before still lose the rest of their day by the edit."""
    booked = [booking(0, 8, name="a"), booking(0, 8, name="b"), booking(0, 1, name="c"), booking(0, 1, name="d")]

    assert names(stranded(booked, ROOM, replace(ROOM, capacity=1))) == {"a", "b"}


def at(from_: Duration, to: Duration, service: ServiceId | None = None) -> Occupancy:
    """A booking from one time after Monday's midnight to another, without buffers."""
    start, end = Millis(MONDAY + from_), Millis(MONDAY + to)
    return Occupancy("it", start, end, own_start=start, own_end=end, service=service)


def test_only_full_day_services_need_no_more_than_a_window_a_day() -> None:
    """A whole day that was booked as such stays within opening hours; as any other time it does not."""
    after = replace(ROOM, schedule=NINE_TO_FIVE)

    for service, stays in ((None, False), (CUT_ID, False), (DYE, True)):
        assert (stranded([at(0, DAY, service)], ROOM, after, WHOLE_DAYS) == []) is stays


def test_whole_days_are_those_of_the_zone() -> None:
    """In another zone the day that was booked is none, while a time is still the same time."""
    after = replace(ROOM, timezone="Europe/Berlin")

    assert names(stranded([at(0, DAY, DYE)], ROOM, after, WHOLE_DAYS)) == {"it"}
    assert stranded([at(0, DAY, CUT_ID)], ROOM, after, WHOLE_DAYS) == []


def test_hours_are_those_of_the_zone() -> None:
    """Another zone moves the windows, while bookings stay where they are: five in London is six in Berlin."""
    before = replace(ROOM, schedule=NINE_TO_FIVE)
    booked = at(16 * HOUR, 17 * HOUR)

    assert names(stranded([booked], before, replace(before, timezone="Europe/Berlin"))) == {"it"}
    assert stranded([booked], before, replace(before, timezone="Europe/London")) == []


def test_a_booking_outside_the_hours_can_still_lose_its_day() -> None:
    """A booking that was forced in after hours is stranded when its day is taken away."""
    before = replace(ROOM, schedule=NINE_TO_FIVE)
    tuesday = Millis(MONDAY + DAY)
    away = replace(before, time_off=(TimeOff("sick", MONDAY, tuesday),))
    away_twice = replace(away, time_off=(*away.time_off, TimeOff("again", EARLIEST, tuesday)))
    booked = at(20 * HOUR, 21 * HOUR)

    assert names(stranded([booked], before, away)) == {"it"}
    assert stranded([booked], away, replace(away, schedule=Schedule(((),) * 7))) == []
    assert stranded([booked], away, away_twice) == []


SPANS = st.tuples(st.integers(0, END - 1), st.integers(1, 6)).map(lambda span: (Millis(span[0]), Millis(sum(span))))
OFFERED = st.frozensets(st.sampled_from(SERVICES))
CLOSURES = st.lists(
    st.builds(
        lambda span, resources, services, pending: Closure("", span[0], span[1], resources, services, pending),
        SPANS,
        st.sampled_from([frozenset(), frozenset({ROOM_ID})]),
        OFFERED,
        st.booleans(),
    ),
    max_size=2,
).map(lambda found: Closures("", found))
TIMES_OFF = st.lists(SPANS, max_size=1).map(lambda spans: tuple(TimeOff("", *span) for span in spans))


def instants(closure: Closure) -> tuple[Millis, Millis]:
    """When a closure begins and ends that is not by dates."""
    assert not isinstance(closure.start, date)
    assert not isinstance(closure.end, date)
    return closure.start, closure.end


def is_off(one: Occupancy, room: ResourceRules, *, with_pending: bool) -> bool:
    """Whether the booking meets a time off or a closure of the room."""
    times = [(off.start, off.end) for off in room.time_off]
    times += [
        instants(closure)
        for closure in room.closures.all
        if (closure.is_for_all or closure.resources or closure.services & room.services)
        and (with_pending or not closure.is_pending)
    ]
    return any(one.start < end and start < one.end for start, end in times)


@given(books(), st.tuples(TIMES_OFF, TIMES_OFF), CLOSURES, st.none() | CLOSURES, st.tuples(OFFERED, OFFERED))
def test_a_closure_strands_what_was_not_closed(
    booked: list[Occupancy],
    times_off: tuple[tuple[TimeOff, ...], tuple[TimeOff, ...]],
    closures: Closures,
    closures_after: Closures | None,
    offered: tuple[frozenset[ServiceId], frozenset[ServiceId]],
) -> None:
    """As a time off does, and either excuses the other; but one that is pending excuses nothing.

    A pending one strands only where the edit may have brought the room under it: it looks for its bookings itself.
    """
    before = ResourceRules(ROOM_ID, capacity=99, services=offered[0], time_off=times_off[0], closures=closures)
    after = replace(before, services=offered[1], time_off=times_off[1], closures=closures_after or closures)
    is_moved = offered[0] != offered[1]
    booked = [one._replace(own_start=one.start, own_end=one.end) for one in booked]
    expected = {
        one.id
        for one in booked
        if one.service in offered[0] - offered[1]
        or (is_off(one, after, with_pending=is_moved) and not is_off(one, before, with_pending=False))
    }

    assert names(stranded(booked, before, after)) == expected


def test_no_booking_is_too_far_ahead() -> None:
    """Years later the same hours hold: what is inside stays, what is outside is named."""
    after = replace(ROOM, schedule=NINE_TO_FIVE)
    days = [week * 7 * DAY for week in range(0, 520, 40)]
    inside = [at(day + 9 * HOUR, day + 17 * HOUR)._replace(id=("in", day)) for day in days]
    outside = [at(day + 17 * HOUR, day + 18 * HOUR)._replace(id=("out", day)) for day in days]

    assert names(stranded(inside + outside, ROOM, after)) == {("out", day) for day in days}

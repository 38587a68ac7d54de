"""What an edit can strand, against judging every booking by every rule before and after it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.closures import Closure, Closures
from app.domain.ids import ServiceId
from app.domain.instants import DAY, HOUR, LATEST, MINUTE, Millis, parse, to_millis
from app.domain.load import Occupancy
from app.domain.narrowing import changing, narrowed
from app.domain.rules import ResourceRules, ServiceRules, openness
from app.domain.schedule import Day, Hours, Schedule, TimeOff
from app.domain.stranding import stranded
from app.domain.zones import is_day_start, start_of_day, zone
from tests.support.ids import CUT_ID, ROOM_ID

PLACES = {
    "UTC": date(2030, 1, 7),
    "Europe/Berlin": date(2030, 3, 31),
    "America/New_York": date(2030, 11, 3),
    "America/Santiago": date(2030, 9, 8),
    "Australia/Lord_Howe": date(2030, 10, 6),
    "Pacific/Apia": date(2011, 12, 30),
}
"""Zones, each with a date on which its clocks change."""
DAY_ID = ServiceId("day")
NIGHT_ID = ServiceId("night")
TRIP_ID = ServiceId("trip")
SERVICES_BY_ID = {
    CUT_ID: ServiceRules(CUT_ID, "flexible"),
    DAY_ID: ServiceRules(DAY_ID, "full-day"),
    NIGHT_ID: ServiceRules(NIGHT_ID, "flexible", hours="ends"),
    TRIP_ID: ServiceRules(TRIP_ID, "full-day", hours="ends"),
}
WHOLE = frozenset({DAY_ID, TRIP_ID})
SERVICES = (*SERVICES_BY_ID,)
ROOMS = frozenset({ROOM_ID})
TIMES = st.integers(0, 47).map(lambda half: half * 30)
DAYS = st.integers(-4, 6)
GUESTS = st.integers(1, 4)
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "capacity": st.integers(1, 3),
    "services": st.frozensets(st.sampled_from(SERVICES)),
    "active": st.booleans(),
    "max_guests": st.none() | GUESTS,
    "service_only": st.booleans(),
}
"""Fields that have the same effect at every time."""
EDITS = ["schedule", "wider", "time-off", "timezone", *PLAIN, "all"]


@st.composite
def windows(draw: st.DrawFn) -> Day:
    """The windows of a day, past midnight as well."""
    return tuple(
        Hours(opens, opens + length)
        for opens, length in draw(st.lists(st.tuples(TIMES, st.integers(1, 48).map(lambda n: n * 30)), max_size=2))
    )


WEEKS = st.none() | st.lists(windows(), min_size=7, max_size=7).map(tuple) | windows().map(lambda day: (day,) * 7)


@st.composite
def wider(draw: st.DrawFn, schedule: Schedule) -> Schedule:
    """A schedule with a window more here and there."""
    if schedule.weekly is None:
        return schedule
    return replace(schedule, weekly=tuple(day + draw(windows()) for day in schedule.weekly))


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Occupancy], ResourceRules, ResourceRules, Millis]:
    """Bookings around a change of the clocks, the resource before and after an edit, and now."""
    place = draw(st.sampled_from([*PLACES]))
    tz, middle = zone(place), PLACES[place]

    def schedules() -> st.SearchStrategy[Schedule]:
        dates = st.dictionaries(DAYS.map(lambda n: middle + timedelta(days=n)), windows(), max_size=4)
        return st.builds(Schedule, WEEKS, dates)

    def times_off() -> st.SearchStrategy[tuple[TimeOff, ...]]:
        spans = st.tuples(st.integers(-96, 120), st.integers(1, 60))
        start = start_of_day(middle, tz)
        return st.lists(spans, max_size=2).map(
            lambda found: tuple(
                TimeOff(str(n), Millis(start + a * HOUR), Millis(start + (a + b) * HOUR))
                for n, (a, b) in enumerate(found)
            )
        )

    before = ResourceRules(
        ROOM_ID,
        timezone=place,
        schedule=draw(schedules()),
        time_off=draw(times_off()),
        closures=Closures("stamp", draw(st.lists(closures(middle, place), max_size=3))),
        **{name: draw(values) for name, values in PLAIN.items()},
    )
    edit = draw(st.sampled_from(EDITS))
    after = before
    if edit in {"schedule", "all"}:
        after = replace(after, schedule=draw(schedules()))
    if edit == "wider":
        after = replace(after, schedule=draw(wider(before.schedule)))
    if edit in {"time-off", "all"}:
        after = replace(after, time_off=draw(times_off()))
    for name, values in PLAIN.items():
        if edit in {name, "all"}:
            after = replace(after, **{name: draw(values)})
    if edit == "timezone":
        after = replace(after, timezone=draw(st.sampled_from([*PLACES])))
    now = Millis(start_of_day(middle + timedelta(days=draw(DAYS)), tz) + draw(TIMES) * MINUTE)
    return draw(bookings(middle, place, now)), before, after, now


@st.composite
def closures(draw: st.DrawFn, middle: date, place: str) -> Closure:
    """Of the room, of a service or of all, by dates or by instants, settled or pending."""
    first, days = draw(DAYS), draw(st.integers(1, 3))
    start, end = middle + timedelta(days=first), middle + timedelta(days=first + days)
    services = draw(st.frozensets(st.sampled_from(SERVICES), max_size=1))
    resources = draw(st.sampled_from([frozenset(), ROOMS]))
    more: dict[str, Any] = {"id": "a", "services": services, "resources": resources, "is_pending": draw(st.booleans())}
    if draw(st.booleans()):
        return Closure(start=start, end=end, **more)
    begin = Millis(start_of_day(start, zone(place)) + draw(TIMES) * MINUTE)
    return Closure(start=begin, end=Millis(begin + days * 8 * HOUR), **more)


@st.composite
def bookings(draw: st.DrawFn, middle: date, place: str, now: Millis) -> list[Occupancy]:
    """What has not ended: some of an hour or two with buffers, some of whole days."""
    tz = zone(place)
    found: list[Occupancy] = []
    for number in range(draw(st.integers(0, 8))):
        service = draw(st.sampled_from([None, *SERVICES]))
        first = middle + timedelta(days=draw(DAYS))
        if service in WHOLE:
            start, end = start_of_day(first, tz), start_of_day(first + timedelta(days=draw(st.integers(1, 3))), tz)
        else:
            start = Millis(start_of_day(first, tz) + draw(TIMES) * MINUTE)
            end = Millis(start + draw(st.integers(1, 120)) * 30 * MINUTE)
        buffer = draw(st.sampled_from([0, 30 * MINUTE]))
        if now < end and start < end:
            block = Millis(start - buffer), Millis(end + buffer)
            found.append(Occupancy(number, *block, own_start=start, own_end=end, service=service, guests=draw(GUESTS)))
    return found


def is_closed(room: ResourceRules, start: Millis, end: Millis, *, with_pending: bool) -> bool:
    """Whether a closure of the room, of all or of a service that the room offers shares an instant with the span."""
    times = (
        each.time_off(room.timezone)
        for each in room.closures.all
        if (with_pending or not each.is_pending)
        and (room.id in each.resources or each.services & room.services or not (each.resources or each.services))
    )
    return any(off is not None and off.start < end and start < off.end for off in times)


def holds(room: ResourceRules, booking: Occupancy, *, with_pending: bool) -> list[bool]:
    """Each rule of the resource."""
    tz = zone(room.timezone)
    span = booking.own_start, booking.own_end
    days = booking.service not in WHOLE or (is_day_start(span[0], tz) and is_day_start(span[1], tz))
    service = SERVICES_BY_ID.get(booking.service) if booking.service else None
    opened = openness(room, service, *span).ok
    offered = not room.service_only if booking.service is None else booking.service in room.services
    allowed = room.max_guests is None or booking.guests <= room.max_guests
    away = any(off.start < span[1] and span[0] < off.end for off in room.time_off)
    closed = is_closed(room, *span, with_pending=with_pending)
    return [room.active, offered, allowed, days, opened, not (away or closed)]


def judged(found: Sequence[Occupancy], before: ResourceRules, after: ResourceRules) -> set[object]:
    """The stranded bookings, by judging all by every rule, and every instant at which the load changes.

    A pending closure counts only after the edit, and only where the edit may have brought the room under it.
    """
    moved = (before.timezone, before.services) != (after.timezone, after.services)
    lost: set[object] = set()
    for one in found:
        rules = zip(holds(before, one, with_pending=False), holds(after, one, with_pending=moved), strict=True)
        if any(was and not stays for was, stays in rules):
            lost.add(one.id)
    for instant in {one.start for one in found} | {one.end for one in found}:
        there = [one for one in found if one.start <= instant < one.end]
        if after.capacity < sum(one.units for one in there) <= before.capacity:
            lost |= {one.id for one in there}
    return lost


@settings(max_examples=150)
@given(cases())
@pytest.mark.promise("stranding")
def test_every_stranded_booking_is_judged(case: tuple[list[Occupancy], ResourceRules, ResourceRules, Millis]) -> None:
    """Judging only the bookings that meet the stretches that an edit narrows finds what judging all finds."""
    found, before, after, now = case
    stretches = narrowed(before, after, SERVICES_BY_ID, now)
    met = [one for one in found if any(one.meets(start, end) for start, end in stretches)]

    expected = judged(found, before, after)
    assert {one.id for one in stranded(found, before, after, SERVICES_BY_ID)} == expected
    assert {one.id for one in stranded(met, before, after, SERVICES_BY_ID)} == expected
    assert stretches == sorted(stretches)


OPEN: Day = (Hours(9 * 60, 17 * 60),)
ROOM = ResourceRules(
    ROOM_ID,
    capacity=2,
    services=frozenset({CUT_ID}),
    timezone="Europe/Berlin",
    schedule=Schedule((OPEN,) * 7, {date(2030, 1, 7): (), date(2030, 1, 8): OPEN}),
    time_off=(TimeOff("a", Millis(10 * DAY), Millis(12 * DAY)),),
)
NOW = to_millis(parse("2029-12-01T00:00:00Z"))
NOT_AT_ENDS = {name: SERVICES_BY_ID[name] for name in (CUT_ID, DAY_ID)}


@pytest.mark.parametrize(
    "after",
    [
        ROOM,
        replace(ROOM, capacity=3),
        replace(ROOM, services=frozenset({CUT_ID, DAY_ID})),
        replace(ROOM, schedule=replace(ROOM.schedule, weekly=((Hours(8 * 60, 18 * 60),),) * 7)),
        replace(ROOM, schedule=replace(ROOM.schedule, weekly=((*OPEN, Hours(20 * 60, 27 * 60)),) * 7)),
        replace(ROOM, schedule=replace(ROOM.schedule, weekly=None)),
        replace(ROOM, schedule=replace(ROOM.schedule, overrides={date(2030, 1, 8): OPEN})),
        replace(ROOM, schedule=Schedule()),
        replace(ROOM, time_off=()),
        replace(ROOM, capacity=9, time_off=(), schedule=Schedule()),
    ],
)
def test_an_edit_that_widens_judges_no_booking(after: ResourceRules) -> None:
    """More capacity, more services, longer hours, fewer closed days, less time off: nothing is narrowed."""
    assert narrowed(ROOM, after, NOT_AT_ENDS, NOW) == []


@pytest.mark.parametrize(
    "after",
    [
        replace(ROOM, capacity=1),
        replace(ROOM, active=False),
        replace(ROOM, services=frozenset()),
        replace(ROOM, timezone="UTC"),
        replace(ROOM, schedule=replace(ROOM.schedule, weekly=((Hours(9 * 60, 16 * 60),),) * 7)),
    ],
)
def test_an_edit_of_all_days_looks_at_all_that_is_to_come(after: ResourceRules) -> None:
    """An edit that may strand a booking at any time has no bounds."""
    assert narrowed(ROOM, after, NOT_AT_ENDS, NOW) == [(NOW, LATEST)]


def test_a_closed_day_looks_at_that_day() -> None:
    """An override or a time off narrows some days, not the calendar."""
    tz = zone(ROOM.timezone)
    closed = replace(ROOM.schedule, overrides={**ROOM.schedule.overrides, date(2030, 5, 1): ()})
    start = start_of_day(date(2030, 5, 1), tz)
    [(begin, end)] = narrowed(ROOM, replace(ROOM, schedule=closed), NOT_AT_ENDS, NOW)
    assert (begin, end - begin <= 4 * DAY) == (start, True)

    off = TimeOff("b", start, Millis(start + HOUR))
    assert narrowed(ROOM, replace(ROOM, time_off=(*ROOM.time_off, off)), NOT_AT_ENDS, NOW) == [(start, start + HOUR)]


@pytest.mark.parametrize("is_pending", [True, False])
def test_an_edit_looks_where_it_brings_a_room_under_a_closure(*, is_pending: bool) -> None:
    """By another service, also under one that may yet be withdrawn; no other edit looks at what is closed."""
    start = start_of_day(date(2030, 5, 1), zone(ROOM.timezone))
    closures = Closures("stamp", [Closure("a", start, Millis(start + HOUR), is_pending=is_pending, services=WHOLE)])
    room = replace(ROOM, closures=closures)

    offering = replace(room, services=frozenset({CUT_ID, DAY_ID}))
    assert narrowed(room, offering, NOT_AT_ENDS, NOW) == [(start, start + HOUR)]
    assert narrowed(offering, replace(offering, capacity=3), NOT_AT_ENDS, NOW) == []


def test_longer_hours_that_vanish_in_a_gap_are_seen() -> None:
    """A window that begins earlier, in an hour that clocks skip, can end before it begins: that date is judged too."""
    middle: Day = (Hours(2 * 60 + 30, 2 * 60 + 45),)
    around: Day = (Hours(2 * 60, 3 * 60),)
    before = replace(ROOM, schedule=Schedule((middle,) * 7))
    stretches = narrowed(before, replace(before, schedule=Schedule((around,) * 7)), NOT_AT_ENDS, NOW)
    spring = to_millis(parse("2030-03-31T01:35:00Z"))

    assert any(start <= spring < end for start, end in stretches)


def test_many_days_are_one_stretch() -> None:
    """A lookup has few branches, however many single days an edit closes."""
    days = {date(2030, 1, 1) + timedelta(days=6 * number): () for number in range(600)}
    [(start, end)] = narrowed(ROOM, replace(ROOM, schedule=replace(ROOM.schedule, overrides=days)), NOT_AT_ENDS, NOW)

    assert start <= start_of_day(date(2030, 1, 1), zone(ROOM.timezone)) + 6 * DAY
    assert end > start + 3_000 * DAY


def test_clocks_change_twice_a_year_where_they_do() -> None:
    """Only the days around a change are resolved one by one."""
    in_2030 = [day for day in changing(zone("Europe/Berlin")) if day.year == 2030]

    assert len(in_2030) == 10
    assert changing(zone("UTC")) == frozenset()

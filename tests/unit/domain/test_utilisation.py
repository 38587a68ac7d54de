"""How much of the open time is booked, against a count of every quarter of an hour."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.closures import Closure, Closures
from app.domain.ids import ResourceId
from app.domain.instants import DAY, MINUTE, Millis
from app.domain.rules import ResourceRules
from app.domain.schedule import Hours, Schedule, TimeOff, is_open
from app.domain.utilisation import Booking, PeriodLength, Use, periods, utilisation
from app.domain.zones import day_of, exists, start_of_day, zone

QUARTER = 15 * MINUTE
CLOCK_CHANGES = [
    ("Europe/Berlin", date(2030, 3, 30)),  # 23 hours
    ("Europe/Berlin", date(2030, 10, 26)),  # 25
    ("Australia/Lord_Howe", date(2030, 4, 6)),  # 24.5
    ("America/Sao_Paulo", date(2018, 11, 3)),  # a day without a midnight
    ("Pacific/Apia", date(2011, 12, 29)),  # and one that was skipped
    ("UTC", date(2030, 1, 31)),
]


@st.composite
def hours(draw: Any) -> tuple[Hours, ...]:
    """The windows of a day, some past midnight, on quarters of an hour."""
    opens = draw(st.lists(st.integers(0, 95), max_size=2, unique=True).map(sorted))
    return tuple(Hours(each * 15, each * 15 + draw(st.integers(1, 96)) * 15) for each in opens)


@st.composite
def cases(draw: Any) -> tuple[ResourceRules, date, int, PeriodLength, list[Booking]]:
    """A resource around a change of the clocks, some days of it, and bookings on it; all on quarters of an hour."""
    timezone, first = draw(st.sampled_from(CLOCK_CHANGES))
    days = draw(st.integers(1, 4))
    begin = start_of_day(first, zone(timezone)) - DAY
    begin -= begin % QUARTER

    def spans(longest: int) -> st.SearchStrategy[tuple[Millis, Millis]]:
        quarters = st.tuples(st.integers(0, 96 * (days + 2)), st.integers(1, longest))
        return quarters.map(lambda each: (Millis(begin + each[0] * QUARTER), Millis(begin + sum(each) * QUARTER)))

    weekly = draw(st.none() | st.lists(hours(), min_size=7, max_size=7).map(tuple))
    overrides = draw(
        st.dictionaries(st.integers(0, days).map(lambda n: first + timedelta(days=n)), hours(), max_size=2)
    )
    off = draw(st.lists(spans(60), max_size=3))
    resource = ResourceRules(
        ResourceId("room"),
        timezone=timezone,
        capacity=draw(st.integers(1, 3)),
        schedule=Schedule(weekly, overrides),
        time_off=tuple(TimeOff(str(n), *span) for n, span in enumerate(off)),
        closures=Closures("", [Closure(str(n), *span) for n, span in enumerate(draw(st.lists(spans(60), max_size=2)))]),
    )
    outcomes = st.sampled_from(["booked", "no-show", "cancelled-late"])
    bookings = draw(
        st.lists(
            st.builds(
                lambda span, units, outcome: Booking(span[0], span[1], units, outcome),
                spans(200),
                st.integers(1, 3),
                outcomes,
            ),
            max_size=6,
        )
    )
    return resource, first, days, draw(st.sampled_from(["day", "week", "month"])), bookings


def counted(resource: ResourceRules, use: Use, bookings: list[Booking]) -> Use:
    """The same, quarter by quarter."""
    period, tz = use.period, zone(resource.timezone)
    found = Use(period)
    for instant in range(period.start, period.end, QUARTER):
        start, end = Millis(instant), Millis(instant + QUARTER)
        is_off = any(off.start < end and start < off.end for off in (*resource.time_off, *resource.closed_index))
        is_open_then = not is_off and is_open(resource.schedule, tz, start, end).ok
        there = [each for each in bookings if each.start <= start < each.end and each.outcome != "cancelled-late"]
        load = QUARTER * sum(each.units for each in there)
        found.open += QUARTER if is_open_then else 0
        found.booked += load if is_open_then else 0
        found.outside += 0 if is_open_then else load
    begun = [each.outcome for each in bookings if period.start <= each.start < period.end]
    found.no_shows, found.cancelled_late = begun.count("no-show"), begun.count("cancelled-late")
    found.bookings = len(begun) - found.cancelled_late
    return found


@settings(max_examples=150)
@given(cases())
def test_every_quarter_is_counted_once(case: tuple[ResourceRules, date, int, PeriodLength, list[Booking]]) -> None:
    """Open and booked time and what began are those of a count, on days of 23, 24.5 and 25 hours as on others."""
    resource, first, days, per, bookings = case
    spans = periods(first, first + timedelta(days=days), per, zone(resource.timezone))

    uses = utilisation(resource, spans, bookings)

    assert uses == [counted(resource, use, bookings) for use in uses]


@given(st.dates(date(2009, 1, 1), date(2031, 1, 1)), st.integers(1, 366), st.sampled_from(["day", "week", "month"]))
def test_periods_tile_their_days(first: date, days: int, per: PeriodLength) -> None:
    """They follow one another without a gap, end where local days do, and each is within a day, a week or a month."""
    tz = zone("Pacific/Apia")
    last = first + timedelta(days=days)

    spans = periods(first, last, per, tz)

    edges = [start_of_day(first, tz), *(period.end for period in spans)]
    assert [period.start for period in spans] == edges[:-1]
    assert edges[-1] == start_of_day(last, tz)
    for period in spans:
        inside = [period.first + timedelta(days=n) for n in range((period.last - period.first).days)]
        names: dict[str, list[Any]] = {
            "day": inside,
            "week": [each.isocalendar()[:2] for each in inside],
            "month": [each.month for each in inside],
        }
        assert len({*names[per]}) == 1
        assert any(exists(each, tz) for each in inside)
        assert day_of(period.start, tz) >= period.first


@pytest.mark.parametrize(("capacity", "units", "share"), [(1, 1, 0.5), (4, 1, 0.125), (1, 3, 1.5)])
def test_the_share_is_of_all_units(capacity: int, units: int, share: float) -> None:
    """Booked unit-minutes of capacity times open minutes; more than that only where it is overbooked."""
    resource = ResourceRules(ResourceId("room"), capacity=capacity)
    (use,) = utilisation(
        resource,
        periods(date(2030, 1, 7), date(2030, 1, 8), "day", zone("UTC")),
        [Booking(begin := start_of_day(date(2030, 1, 7), zone("UTC")), Millis(begin + DAY // 2), units)],
    )

    assert use.share(capacity) == share
    assert Use(use.period).share(capacity) is None


def test_a_long_booking_of_many_periods() -> None:
    """A year's booking counts in each of its days, and once as a booking."""
    begin = start_of_day(date(2030, 1, 1), zone("UTC"))
    spans = periods(date(2030, 1, 1), date(2031, 1, 1), "day", zone("UTC"))

    uses = utilisation(ResourceRules(ResourceId("room")), spans, [Booking(begin, Millis(begin + 365 * DAY), 1)])

    assert {use.booked for use in uses} == {DAY}
    assert sum(use.bookings for use in uses) == 1

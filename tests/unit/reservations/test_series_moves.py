"""Where a move of a series leads its occurrences, also those that lie in an hour that clocks show twice."""

from collections.abc import Iterable, Sequence
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.instants import parse
from app.domain.zones import zone
from app.reservations.series_moves import Shift
from app.reservations.series_plan import RecurringTime
from app.reservations.series_schemas import SeriesMove
from app.storage.documents import Reservation
from tests.support.times import DAY, HOUR, MINUTE

BERLIN = zone("Europe/Berlin")
FOLD = parse("2030-10-27T01:00:00Z")
"""When clocks in Berlin go back from three to two."""


def occurrence(start: datetime, length: timedelta) -> Reservation:
    """A member of a series, without a service."""
    member: Reservation = Reservation.model_construct(start_time=start, end_time=start + length, service=None)
    return member


def moved(
    members: Sequence[Reservation], tz: ZoneInfo = BERLIN, rule_time: time = time(9), **wanted: Any
) -> list[Reservation]:
    """The members of a series after its move."""
    shift = Shift(SeriesMove.model_validate(wanted), members, rule_time, tz, {})
    found = []
    for member in members:
        patch = {"startTime": member.start_time, "endTime": member.end_time} | shift.patch(member)
        found.append(occurrence(patch["startTime"], patch["endTime"] - patch["startTime"]))
    return found


def clocks(instant: datetime) -> datetime:
    """What clocks in Berlin show."""
    return instant.astimezone(BERLIN).replace(tzinfo=None, fold=0)


def text(wall: datetime) -> str:
    """A local time as a request has it."""
    return wall.isoformat(timespec="minutes")


def spans(members: Iterable[Reservation]) -> list[tuple[datetime, datetime]]:
    """When they begin and end."""
    return [(each.start_time, each.end_time) for each in members]


def booked(first: datetime, length: timedelta, days: Sequence[int], tz: ZoneInfo) -> list[Reservation]:
    """The members of a series as they are booked."""
    recurring = RecurringTime(first, length, tz)
    found = [recurring.of(first + day * DAY) for day in days]
    return [occurrence(start, end - start) for start, end in found if end is not None]


CHANGES = {
    "Europe/Berlin": ["2030-03-31", "2030-10-27"],
    "Africa/Cairo": ["2030-04-26", "2030-10-31"],
    "America/Havana": ["2030-03-10", "2030-11-03"],
    "Australia/Lord_Howe": ["2030-10-06", "2030-04-07"],
    "Antarctica/Troll": ["2030-03-31", "2030-10-27"],
    "UTC": ["2030-01-01"],
}
"""Dates on which clocks change: by half an hour, an hour or two, at night and at midnight."""
QUARTERS = st.integers(0, 95).map(lambda quarter: quarter * 15 * MINUTE)
LENGTHS = st.integers(1, 120).map(lambda quarters: quarters * 15 * MINUTE)
DISTANCES = st.tuples(st.integers(-20, 20), st.integers(-40, 40)).map(
    lambda found: found[0] * DAY + found[1] * 15 * MINUTE
)


@settings(max_examples=150)
@given(st.sampled_from([(place, day) for place, found in CHANGES.items() for day in found]), st.data())
def test_a_series_moves_to_where_it_would_have_been_booked(change: tuple[str, str], data: st.DataObject) -> None:
    """Whichever of its occurrences clocks had put elsewhere, they are like the others then; again and back too."""
    place, day = change
    tz, days = zone(place), sorted(data.draw(st.sets(st.integers(-8, 8), min_size=5, max_size=9)))
    first, length, by = datetime.fromisoformat(day) + data.draw(QUARTERS), data.draw(LENGTHS), data.draw(DISTANCES)
    longer = data.draw(st.none() | LENGTHS)
    members = booked(first, length, days, tz)

    def after(found: Sequence[Reservation], begins: datetime, lasts: timedelta) -> list[Reservation]:
        walls = {"localStart": text(begins + days[0] * DAY), "localEnd": text(begins + days[0] * DAY + lasts)}
        if longer is None:
            del walls["localEnd"]
        return moved(found, tz, first.time(), **walls)

    there = after(members, first + by, longer or length)
    assert spans(there) == spans(booked(first + by, longer or length, days, tz))
    again = after(there, first + by, longer or length)
    assert spans(again) == spans(there)
    assert spans(after(there, first, length)) == spans(members)


@given(st.integers(-12, 12), st.integers(1, 16))
def test_a_move_keeps_a_length_that_clocks_turned_back(quarters: int, length: int) -> None:
    """Whatever part of the repeated hour it has, it can move with the others: no occurrence ends before it begins."""
    start, lasts = FOLD + quarters * 15 * MINUTE, length * 15 * MINUTE
    others = [occurrence(parse(f"2030-10-2{day}T07:00:00Z"), 2 * HOUR) for day in (1, 2, 3)]

    *_, found = moved([*others, occurrence(start, lasts)], localStart="2030-10-21T12:00")

    begins, after = found.start_time, found.end_time - found.start_time
    by_the_clock = clocks(start + lasts) - clocks(start)
    assert after == (by_the_clock if by_the_clock > timedelta(0) else lasts)
    assert clocks(begins) == clocks(start) + 3 * HOUR


@given(st.integers(-12, 12))
def test_another_length_moves_no_start(quarters: int) -> None:
    """Of those that begin in the repeated hour neither: they end at the new local time, and begin when they did."""
    start = FOLD + quarters * 15 * MINUTE
    others = [occurrence(parse(f"2030-10-2{day}T07:00:00Z"), HOUR) for day in (1, 2, 3)]

    *_, found = moved([*others, occurrence(start, HOUR)], localEnd="2030-10-21T14:00")

    assert found.start_time == start
    assert found.end_time - start >= 5 * HOUR

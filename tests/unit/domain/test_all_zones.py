"""Every zone of the IANA database at every change of its clocks from 1970 to 2037.

The changes are found from UTC offsets alone, and what is expected at each is reckoned from the offset before and after
it, without `zones`. A sample runs always; `TEST_ZONES=all` checks them all and prints how many those were.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import pytest
from typing_extensions import override

from app.domain.grid import Grid, full_days
from app.domain.instants import DAY, HOUR, MINUTE, SECOND, Duration, Millis, from_millis, to_millis
from app.domain.schedule import ALWAYS, Hours, Schedule, windows
from app.domain.zones import ONE_DAY, choices, day_of, days, days_between, exists, local, resolve, start_of_day, zone

ALL = os.environ.get("TEST_ZONES") == "all"
SAMPLE = (
    "Africa/Casablanca",
    "Africa/Monrovia",
    "America/Havana",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kwajalein",
)
FIRST, LAST = to_millis(datetime(1970, 1, 1, tzinfo=UTC)), to_millis(datetime(2038, 1, 1, tzinfo=UTC))
SLOT = 15 * MINUTE
NIGHTS = Schedule(((Hours(22 * 60, 30 * 60),),) * 7)
ROUND_THE_CLOCK = Schedule(((Hours(0, 24 * 60),),) * 7)


class Change(NamedTuple):
    """An instant from which a zone has another UTC offset; offsets in milliseconds."""

    at: Millis
    before: Duration
    after: Duration


@dataclass
class Figures:
    """Counts of what was checked."""

    zones: int = 0
    changes: int = 0
    gaps: int = 0
    folds: int = 0
    days: int = 0
    skipped: list[str] = field(default_factory=list)
    nights: int = 0
    slots: int = 0

    @override
    def __str__(self) -> str:
        """One line, for people."""
        return ", ".join(f"{name} {value}" for name, value in vars(self).items())


def offset(instant: int, tz: ZoneInfo) -> Duration:
    """What a zone's clocks are ahead of UTC at an instant."""
    ahead = from_millis(Millis(instant)).astimezone(tz).utcoffset()
    assert ahead is not None
    return ahead // timedelta(milliseconds=1)


def changes(tz: ZoneInfo) -> Iterator[Change]:
    """All changes of offset: searched day by day, then found by halving."""
    known = offset(FIRST, tz)
    for day in range(FIRST, LAST, DAY):
        now = offset(day + DAY, tz)
        if now != known:
            before, at = day, day + DAY
            while at - before > SECOND:
                middle = (before + at) // (2 * SECOND) * SECOND
                before, at = (middle, at) if offset(middle, tz) == known else (before, middle)
            yield Change(Millis(at), known, now)
            known = now


def shown(instant: int, ahead: Duration) -> datetime:
    """The wall time at an instant with a known offset."""
    return from_millis(Millis(instant + ahead)).replace(tzinfo=None)


def check_round_trip(change: Change, tz: ZoneInfo, figures: Figures) -> None:
    """A second and a millisecond on both sides of the change: to the clock and back."""
    for instant in (change.at - SECOND, change.at - 1, change.at, change.at + 1, change.at + SECOND):
        wall = shown(instant, change.before if instant < change.at else change.after)
        found = choices(wall, tz)

        assert local(Millis(instant), tz) == wall
        assert instant in found
        assert resolve(wall, tz) == min(found)


def check_gap_or_fold(change: Change, tz: ZoneInfo, figures: Figures) -> None:
    """Wall times that do not exist are later by the gap, those that exist twice are the first; both name the two."""
    length = abs(change.after - change.before)
    begin = change.at + min(change.before, change.after)
    for reading in (begin, begin + length // 2, begin + length - 1):
        wall = shown(reading, 0)
        before, after = Millis(reading - change.before), Millis(reading - change.after)

        assert choices(wall, tz) == (before, after)
        assert resolve(wall, tz) == before
        if change.after > change.before:
            assert local(before, tz) == wall + timedelta(milliseconds=length)
            assert local(after, tz) == wall - timedelta(milliseconds=length)
        else:
            assert local(before, tz) == local(after, tz) == wall
    figures.gaps += change.after > change.before
    figures.folds += change.after < change.before


def check_days(dates: list[date], change: Change, near: list[Change], tz: ZoneInfo, figures: Figures) -> None:
    """Each day begins with the first instant that shows its date or a later one, and ends where the next begins."""
    for day, following in pairwise(dates):
        start, end = start_of_day(day, tz), start_of_day(following, tz)
        midnight = datetime.combine(day, datetime.min.time())
        # Clocks only go forward between changes: what lies just before each is the latest they have shown.
        earlier = [start, *(other.at for other in near if start - 3 * DAY < other.at < start)]

        assert local(start, tz) >= midnight
        assert all(local(Millis(instant - 1), tz) < midnight for instant in earlier)
        assert start <= end
        assert exists(day, tz) == (start < end)
        if start < end:
            assert day_of(start, tz) == day_of(Millis(end - 1), tz) == day
            assert days_between(start, end, tz) == 1
            figures.days += 1
        elif f"{tz.key} {day}" not in figures.skipped:
            figures.skipped.append(f"{tz.key} {day}")
    span = start_of_day(dates[0], tz), start_of_day(dates[-1], tz)
    slots = list(full_days(tz, *span))

    assert [start for start, _ in slots] == [start_of_day(day, tz) for day in days(dates[0], dates[-1], tz)]
    assert all(end == start for (_, end), (start, _) in pairwise(slots))
    assert (slots[0][0], slots[-1][1]) == span


def check_slots(dates: list[date], tz: ZoneInfo, figures: Figures) -> None:
    """Quarter-hours tile the days, but for the rest of a day that is no whole number of them; all round-trip."""
    after, before = start_of_day(dates[0], tz), start_of_day(dates[-1], tz)
    slots = list(Grid(ALWAYS, tz, SLOT, SLOT).starts(after, before))
    edges = {start_of_day(day, tz) for day in dates}

    assert slots[0] == after
    for start, following in pairwise((*slots, before)):
        assert following - start == SLOT or (following in edges and 0 < following - start < SLOT)
        assert start in choices(local(start, tz), tz)
    assert list(Grid(ROUND_THE_CLOCK, tz, SLOT, SLOT).starts(after, before)) == slots
    figures.slots += len(slots)


def check_nights(dates: list[date], change: Change, tz: ZoneInfo, figures: Figures) -> None:
    """22:00 to 06:00 takes 8 hours, less or more what the clocks change in between."""
    opened = windows(NIGHTS, tz, start_of_day(dates[1], tz), start_of_day(dates[-2], tz))

    for night in opened:
        changed = offset(night.end, tz) - offset(night.start, tz)
        edges = {(local(edge, tz).hour, local(edge, tz).minute) for edge in (night.start, night.end)}
        if edges == {(22, 0), (6, 0)}:  # else an edge lies in the gap
            assert night.end - night.start + changed in (8 * HOUR, 8 * HOUR + DAY)
            figures.nights += 1


def check_zone(tz: ZoneInfo, figures: Figures) -> None:
    """Everything, around each change of one zone."""
    found = list(changes(tz))
    for change in found:
        check_round_trip(change, tz, figures)
        check_gap_or_fold(change, tz, figures)
        near = [other for other in found if abs(other.at - change.at) < 8 * DAY]
        dates = [day_of(change.at, tz) + n * ONE_DAY for n in range(-2, 4)]
        check_days(dates, change, near, tz, figures)
        check_slots(dates, tz, figures)
        check_nights(dates, change, tz, figures)
    figures.zones += 1
    figures.changes += len(found)


@pytest.mark.promise("clock-changes")
def test_clocks_round_trip_and_slots_tile_at_every_change(capsys: pytest.CaptureFixture[str]) -> None:
    """In every zone, at every change of offset: walls, days, nights and slots are what the two offsets say."""
    names = sorted(available_timezones() - {"Factory", "localtime"}) if ALL else SAMPLE
    figures = Figures()
    for name in names:
        check_zone(zone(name), figures)

    assert figures.zones == len(names)
    assert figures.changes > 500
    if ALL:
        with capsys.disabled():
            sys.stdout.write(f"\n{figures}\n")

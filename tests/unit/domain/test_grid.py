"""The grid: which starts are offered, against one that is written out naively, and where clocks change."""

from datetime import date
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.grid import STARTS_MAX, Grid, full_days
from app.domain.instants import DAY, HOUR, MINUTE, Millis
from app.domain.schedule import ALWAYS, Day, Hours, Schedule, covers, is_open, windows
from app.domain.zones import ONE_DAY, local, parse_wall, resolve, start_of_day, zone

BERLIN, LORD_HOWE, APIA = zone("Europe/Berlin"), zone("Australia/Lord_Howe"), zone("Pacific/Apia")


def daily(*windows_of_day: tuple[float, float]) -> Schedule:
    """The same windows every day, in hours; the second may lie past 24."""
    return Schedule((tuple(Hours(int(a * 60), int(b * 60)) for a, b in windows_of_day),) * 7)


def day_span(text: str, tz: ZoneInfo, days: int = 1) -> tuple[Millis, Millis]:
    """Some local days as instants."""
    day = date.fromisoformat(text)
    return start_of_day(day, tz), start_of_day(day + days * ONE_DAY, tz)


def clock(grid: Grid, text: str) -> list[str]:
    """The starts of a local day as its clocks show them."""
    return [f"{local(start, grid.tz):%H:%M}" for start in grid.starts(*day_span(text, grid.tz))]


def counted(grid: Grid, after: Millis, before: Millis) -> int:
    """How many starts there are, counted by their runs."""
    return sum(len(run) for run in grid.runs(grid.windows(after, before), after, before))


def test_slots_end_in_the_window() -> None:
    """The last start is the last one whose slot still fits; the interval is apart from the length."""
    schedule = daily((9, 12))

    assert clock(Grid(schedule, BERLIN, HOUR, HOUR), "2026-05-04") == ["09:00", "10:00", "11:00"]
    assert clock(Grid(schedule, BERLIN, 90 * MINUTE, 45 * MINUTE), "2026-05-04") == ["09:00", "09:45", "10:30"]
    assert clock(Grid(schedule, BERLIN, 3 * HOUR, HOUR), "2026-05-04") == ["09:00"]
    assert clock(Grid(schedule, BERLIN, 3 * HOUR + 1, HOUR), "2026-05-04") == []


def test_each_window_counts_from_its_own_opening() -> None:
    """After a break the grid starts anew, and overlapping windows have one opening."""
    assert clock(Grid(daily((9, 11.5), (13.25, 15.5)), BERLIN, HOUR, HOUR), "2026-05-04") == [
        *("09:00", "10:00"),
        *("13:15", "14:15"),
    ]
    assert clock(Grid(daily((9, 12), (11.5, 14)), BERLIN, HOUR, HOUR), "2026-05-04") == [
        *("09:00", "10:00", "11:00", "12:00", "13:00"),
    ]


def test_touching_windows_offer_the_slot_over_their_joint() -> None:
    """A booking over the joint is allowed, so it is offered; from the second opening on the second grid counts."""
    starts = clock(Grid(daily((9, 12.5), (12.5, 15)), BERLIN, HOUR, HOUR), "2026-05-04")

    assert starts == ["09:00", "10:00", "11:00", "12:00", "12:30", "13:30"]


def test_slots_that_may_leave_the_window_only_start_in_it() -> None:
    """A rental that is asked for its ends alone starts as long as the window is open, and not when it closes."""
    rentals = Grid(daily((9, 12)), BERLIN, 24 * HOUR, HOUR, may_leave=True)

    assert clock(rentals, "2026-05-04") == ["09:00", "10:00", "11:00"]
    assert clock(Grid(daily((9, 12)), BERLIN, 24 * HOUR, HOUR), "2026-05-04") == []


def test_a_window_past_midnight_goes_on_counting() -> None:
    """The night's starts after midnight are those of its evening's opening, whichever day is requested."""
    assert clock(Grid(daily((22.5, 26)), BERLIN, HOUR, HOUR), "2026-05-04") == ["00:30", "22:30", "23:30"]


@pytest.mark.parametrize(("text", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-05-04", 24)])
def test_without_a_schedule_the_day_is_the_grid(text: str, hours: int) -> None:
    """As many hourly slots as the day has hours, of elapsed time: none twice, none missing."""
    after, before = day_span(text, BERLIN)

    for schedule in (ALWAYS, daily((0, 24))):
        assert list(Grid(schedule, BERLIN, HOUR, HOUR).starts(after, before)) == list(range(after, before, HOUR))
    assert before - after == hours * HOUR


@pytest.mark.parametrize(("text", "slots"), [("2026-10-04", 47), ("2026-04-05", 49)])
def test_half_hour_changes_move_the_grid_by_half_an_hour(text: str, slots: int) -> None:
    """Lord Howe's days of 23.5 and 24.5 hours have 47 and 49 half-hours."""
    assert counted(Grid(ALWAYS, LORD_HOWE, 30 * MINUTE, 30 * MINUTE), *day_span(text, LORD_HOWE)) == slots


def test_always_open_offers_what_is_longer_than_a_day() -> None:
    """Three days on what never closes start at each midnight, and a night runs over into the next day."""
    span = day_span("2026-05-04", BERLIN, 3)

    assert list(Grid(ALWAYS, BERLIN, 3 * DAY, 3 * DAY).starts(*span)) == list(range(*span, DAY))
    assert clock(Grid(ALWAYS, BERLIN, 10 * HOUR, 10 * HOUR), "2026-05-04") == ["00:00", "10:00", "20:00"]


def test_a_grid_through_a_gap_counts_elapsed_time() -> None:
    """09:00 to 17:00 is untouched by a change in the night, and a night shift has an hour less of it."""
    assert clock(Grid(daily((1, 5)), BERLIN, HOUR, HOUR), "2026-03-29") == ["01:00", "03:00", "04:00"]
    assert clock(Grid(daily((1, 5)), BERLIN, HOUR, HOUR), "2026-10-25") == ["01:00", "02:00", "02:00", "03:00", "04:00"]


def test_full_days_are_local_days() -> None:
    """From first instant to first instant: 23, 24 and 25 hours, several days as one slot."""
    lengths = [end - start for start, end in full_days(BERLIN, *day_span("2026-03-28", BERLIN, 3))]
    (pair,) = full_days(BERLIN, *day_span("2026-10-25", BERLIN), 2)

    assert lengths == [24 * HOUR, 23 * HOUR, 24 * HOUR]
    assert pair == (start_of_day(date(2026, 10, 25), BERLIN), start_of_day(date(2026, 10, 27), BERLIN))
    assert pair[1] - pair[0] == 49 * HOUR


def test_a_day_that_does_not_exist_has_no_slots() -> None:
    """Samoa's missing day has no starts at all, and two days over it are two days."""
    span = day_span("2011-12-30", APIA)

    assert list(Grid(ALWAYS, APIA, HOUR, HOUR).starts(*span)) == []
    assert list(full_days(APIA, *span)) == []
    assert [end - start for start, end in full_days(APIA, *day_span("2011-12-29", APIA, 2), 2)] == [2 * DAY]


def test_full_days_start_within_the_bounds() -> None:
    """A bound in the middle of a day leaves that day out at the front and in at the back."""
    noon = resolve(parse_wall("2026-05-04T12:00"), BERLIN)
    starts = [start for start, _ in full_days(BERLIN, noon, Millis(noon + 2 * DAY))]

    assert starts == [start_of_day(date(2026, 5, day), BERLIN) for day in (5, 6)]
    assert list(full_days(BERLIN, noon, noon)) == []


def test_too_many_starts_are_counted_without_making_them() -> None:
    """A quarter of a year by the minute is far above the limit, and counted in no more steps than it has openings."""
    grid = Grid(ALWAYS, BERLIN, MINUTE, MINUTE)
    span = day_span("2026-05-01", BERLIN, 92)

    assert counted(grid, *span) == 92 * 24 * 60 > STARTS_MAX
    assert list(islice(grid.starts(*span), 2)) == [span[0], span[0] + MINUTE]


@pytest.mark.parametrize(("length", "interval"), [(0, HOUR), (HOUR, 0), (-1, HOUR), (HOUR, -1)])
def test_what_would_never_end_is_refused(length: int, interval: int) -> None:
    """A slot takes time, and so does the interval to the next one."""
    with pytest.raises(ValueError, match="take time"):
        Grid(ALWAYS, BERLIN, length, interval)


minutes = st.integers(0, 24 * 60 - 1)
hours = st.builds(lambda opens, length: Hours(opens, opens + length), minutes, st.integers(1, 24 * 60))
day_hours: st.SearchStrategy[Day] = st.lists(hours, max_size=3).map(tuple)
lengths = st.sampled_from([MINUTE, 7 * MINUTE, 45 * MINUTE, HOUR, 90 * MINUTE, 5 * HOUR, 30 * HOUR])
AROUND = (date(2026, 3, 29), date(2006, 10, 29), date(2026, 10, 4), date(2011, 12, 30), date(2026, 3, 8))


@st.composite
def grids(draw: st.DrawFn) -> tuple[Grid, Millis, Millis]:
    """A grid over a schedule, asked for from an instant near a change of clocks on."""
    around = draw(st.sampled_from(AROUND))
    weekly = draw(st.none() | st.lists(day_hours, min_size=7, max_size=7).map(tuple))
    overrides = draw(st.dictionaries(st.integers(-2, 2).map(lambda n: around + n * ONE_DAY), day_hours, max_size=2))
    tz = zone(draw(st.sampled_from(["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"])))
    after = Millis(start_of_day(around, tz) + draw(st.integers(-3000, 3000)) * MINUTE)
    grid = Grid(Schedule(weekly, overrides), tz, draw(lengths), draw(lengths))
    return grid, after, Millis(after + draw(st.integers(0, 4000)) * MINUTE)


@given(grids())
def test_the_grid_is_what_its_definition_says(case: tuple[Grid, Millis, Millis]) -> None:
    """Each opening and every interval after it up to the next opening, while the slot ends in the stretch."""
    grid, after, before = case
    naive = []
    for window in windows(grid.schedule, grid.tz, Millis(after - 2 * DAY), Millis(before + 2 * DAY)):
        for opening, following in pairwise((*window.openings, window.end)):
            naive += [
                start
                for start in range(opening, following, grid.interval)
                if after <= start < before and start + grid.length <= window.end
            ]

    assert list(grid.starts(after, before)) == naive == sorted(set(naive))
    assert counted(grid, after, before) == len(naive)


@given(grids())
def test_every_slot_of_the_grid_is_open(case: tuple[Grid, Millis, Millis]) -> None:
    """No rule of the schedule refuses what the grid offers, judged at once or one by one."""
    grid, after, before = case
    known = windows(grid.schedule, grid.tz, after, Millis(before + grid.length))

    for start in islice(grid.starts(after, before), 200):
        assert covers(known, start, Millis(start + grid.length))
        assert is_open(grid.schedule, grid.tz, start, Millis(start + grid.length)).ok


@given(grids(), st.integers(0, 4000))
def test_bounds_only_cut_the_grid(case: tuple[Grid, Millis, Millis], cut: int) -> None:
    """Asking for two spans in a row gives what asking for both at once gives: pages of a calendar agree."""
    grid, after, before = case
    middle = min(Millis(after + cut * MINUTE), before)

    assert [*grid.starts(after, middle), *grid.starts(middle, before)] == list(grid.starts(after, before))

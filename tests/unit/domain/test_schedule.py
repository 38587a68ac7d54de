"""Schedules: what is open, against a brute force over single instants, and the cases that clocks make."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.instants import DAY, HOUR, MINUTE, Millis, parse, to_millis
from app.domain.schedule import (
    ALWAYS,
    Day,
    Hours,
    Schedule,
    TimeOff,
    TimeOffIndex,
    Window,
    covers,
    is_open,
    is_open_at_ends,
    is_open_daily,
    open_end_from,
    windows,
)
from app.domain.zones import ONE_DAY, exists, local, parse_wall, resolve, start_of_day, zone

BERLIN, NEW_YORK, APIA = zone("Europe/Berlin"), zone("America/New_York"), zone("Pacific/Apia")
CLOSED: Day = ()


def hours(*texts: str) -> Day:
    """Windows like `09:00-17:00`, short to write."""
    return tuple(_hours(text) for text in texts)


def _hours(text: str) -> Hours:
    opens, closes = (int(edge[:2]) * 60 + int(edge[3:]) for edge in text.split("-"))
    return Hours(opens, closes if closes > opens else closes + 24 * 60)


def every_day(*texts: str) -> Schedule:
    """The same windows on all days of the week."""
    return Schedule((hours(*texts),) * 7)


def at(text: str, tz: ZoneInfo = BERLIN) -> Millis:
    """The instant of a wall time."""
    return resolve(parse_wall(text), tz)


def spans(found: Sequence[Window], tz: ZoneInfo = BERLIN) -> list[str]:
    """Windows as local texts."""
    return [f"{local(window.start, tz):%dT%H:%M}-{local(window.end, tz):%dT%H:%M}" for window in found]


def of_day(schedule: Schedule, text: str, tz: ZoneInfo = BERLIN) -> list[Window]:
    """The windows that meet a local day."""
    day = date.fromisoformat(text)
    return windows(schedule, tz, start_of_day(day, tz), start_of_day(day + ONE_DAY, tz))


def test_several_windows_a_day_stay_apart() -> None:
    """A lunch break is closed, and its ends belong to the hours around it."""
    schedule = every_day("09:00-12:00", "13:00-17:00")

    assert spans(of_day(schedule, "2026-05-04")) == ["04T09:00-04T12:00", "04T13:00-04T17:00"]
    assert is_open(schedule, BERLIN, at("2026-05-04T09:00"), at("2026-05-04T12:00")).ok
    assert not is_open(schedule, BERLIN, at("2026-05-04T11:59"), at("2026-05-04T13:01")).ok
    assert not is_open(schedule, BERLIN, at("2026-05-04T12:00"), at("2026-05-04T12:01")).ok


def test_overlapping_windows_are_one() -> None:
    """They have one opening, whatever their order."""
    schedule = every_day("12:00-17:00", "09:00-13:00", "10:00-11:00")
    (window,) = of_day(schedule, "2026-05-04")

    assert spans([window]) == ["04T09:00-04T17:00"]
    assert window.openings == (at("2026-05-04T09:00"),)


def test_touching_windows_are_one_stretch_with_two_openings() -> None:
    """No booking over the joint is outside, and each window keeps the grid that its hours say."""
    schedule = every_day("09:00-12:30", "12:30-17:00")
    (window,) = of_day(schedule, "2026-05-04")

    assert spans([window]) == ["04T09:00-04T17:00"]
    assert window.openings == (at("2026-05-04T09:00"), at("2026-05-04T12:30"))
    assert is_open(schedule, BERLIN, at("2026-05-04T12:00"), at("2026-05-04T13:00")).ok


def test_a_window_past_midnight_belongs_to_its_evening() -> None:
    """Friday's 22:00 to 02:00 is open on Saturday morning, also where Saturday itself is closed."""
    schedule = Schedule(
        (CLOSED, CLOSED, CLOSED, CLOSED, hours("22:00-02:00"), CLOSED, CLOSED), {date(2026, 5, 9): CLOSED}
    )

    assert spans(of_day(schedule, "2026-05-09")) == ["08T22:00-09T02:00"]
    assert is_open(schedule, BERLIN, at("2026-05-08T23:30"), at("2026-05-09T02:00")).ok


@pytest.mark.parametrize(
    ("tz", "evening", "length"),
    [(BERLIN, "2026-03-28", 7), (BERLIN, "2026-10-24", 9), (NEW_YORK, "2026-03-07", 7), (NEW_YORK, "2026-10-31", 9)],
)
def test_a_night_shift_is_as_long_as_the_clocks_make_it(tz: ZoneInfo, evening: str, length: int) -> None:
    """22:00 to 06:00 takes 7 hours where clocks spring and 9 where they fall back."""
    window = of_day(every_day("22:00-06:00"), evening, tz)[-1]

    assert window.end - window.start == length * HOUR


def test_edges_in_a_gap_are_later_by_the_gap() -> None:
    """Hours that begin or end where clocks sprang over still have their length, or none is left of them."""
    assert spans(of_day(every_day("02:15-02:45"), "2026-03-29")) == ["29T03:15-29T03:45"]
    assert spans(of_day(every_day("02:30-03:00"), "2026-03-29")) == []
    assert spans(of_day(every_day("02:30-03:00"), "2026-03-30")) == ["30T02:30-30T03:00"]


def test_edges_in_a_fold_are_the_first() -> None:
    """What opens and what closes at a wall time that comes twice does so when it comes first: the hours still touch."""
    (window,) = of_day(every_day("01:00-02:30", "02:30-04:00"), "2026-10-25")

    assert window.openings[1] == to_millis(parse("2026-10-25T00:30:00Z"))
    assert window.end - window.openings[1] == 2.5 * HOUR


@pytest.mark.parametrize(("text", "length"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-05-04", 24)])
def test_a_day_of_24_hours_is_the_local_day(text: str, length: int) -> None:
    """00:00 to 24:00, and 00:00 to 00:00, last from the day's first instant to the next one's."""
    day = date.fromisoformat(text)
    for written in ("00:00-24:00", "00:00-00:00"):
        schedule = Schedule((CLOSED,) * 7, {day: hours(written)})
        (window,) = of_day(schedule, text)

        assert (window.start, window.end) == (start_of_day(day, BERLIN), start_of_day(day + ONE_DAY, BERLIN))
        assert window.end - window.start == length * HOUR


def test_a_day_that_does_not_exist_has_no_hours() -> None:
    """Samoa's missing Friday opens nothing on Saturday in its place."""
    friday, saturday = date(2011, 12, 30), date(2011, 12, 31)
    schedule = Schedule((*(hours("09:00-17:00"),) * 5, CLOSED, CLOSED), {friday: hours("06:00-08:00")})
    noon = at("2011-12-31T12:00", APIA)

    assert not exists(friday, APIA)
    assert of_day(schedule, "2011-12-30", APIA) == of_day(schedule, str(saturday), APIA) == []
    assert not is_open(schedule, APIA, noon, Millis(noon + 1)).ok
    assert is_open_daily(schedule, APIA, at("2011-12-29T00:00", APIA), start_of_day(saturday, APIA)).ok


def test_a_night_goes_on_after_a_day_that_does_not_exist() -> None:
    """Samoa's Thursday night ended on Saturday at 02:00, four hours after it began."""
    nights = every_day("22:00-02:00")
    (night, _) = of_day(nights, "2011-12-31", APIA)

    assert (spans([night], APIA), night.end - night.start) == (["29T22:00-31T02:00"], 4 * HOUR)
    assert is_open(nights, APIA, at("2011-12-31T00:30", APIA), at("2011-12-31T02:00", APIA)).ok


def test_no_weekly_hours_are_always_open_and_empty_ones_never() -> None:
    """Absent and empty differ, as the contract says."""
    span = (at("2026-01-01T00:00"), at("2026-12-31T00:00"))

    assert is_open(ALWAYS, BERLIN, *span).ok
    assert is_open_daily(ALWAYS, BERLIN, *span).ok
    assert not is_open(Schedule((CLOSED,) * 7), BERLIN, *span).ok
    assert windows(Schedule((CLOSED,) * 7), BERLIN, *span) == []
    assert is_open(Schedule((CLOSED,) * 7), BERLIN, *span).override is None


def test_an_override_replaces_a_day_of_what_is_always_open() -> None:
    """Its local day has the override's hours, 23 hours long or not, and all around stays open."""
    schedule = Schedule(None, {date(2026, 3, 29): hours("09:00-12:00")})

    assert is_open(schedule, BERLIN, at("2026-03-01T00:00"), at("2026-03-29T00:00")).ok
    assert is_open(schedule, BERLIN, at("2026-03-30T00:00"), at("2026-04-20T00:00")).ok
    assert spans(of_day(schedule, "2026-03-29")) == ["29T09:00-29T12:00"]
    refusal = is_open(schedule, BERLIN, at("2026-03-29T11:00"), at("2026-03-29T13:00"))
    assert (refusal.ok, refusal.override) == (False, date(2026, 3, 29))
    assert refusal.detail == "It is closed at 2026-03-29T12:00 (Europe/Berlin), by the override of 2026-03-29."


def test_a_refusal_names_the_override_that_closes_the_night() -> None:
    """Saturday 01:00 is closed because Friday night was overridden; Saturday 05:00 is by the weekly hours."""
    friday = date(2026, 5, 8)
    schedule = Schedule((hours("22:00-02:00"),) * 7, {friday: CLOSED})

    night = is_open(schedule, BERLIN, at("2026-05-09T01:00"), at("2026-05-09T02:00"))
    morning = is_open(schedule, BERLIN, at("2026-05-09T05:00"), at("2026-05-09T06:00"))
    assert (night.ok, night.override) == (False, friday)
    assert (morning.ok, morning.override) == (False, None)
    assert morning.detail == "It is closed at 2026-05-09T05:00 (Europe/Berlin), by its weekly hours."


def test_an_override_can_open_what_is_closed() -> None:
    """A Sunday with hours of its own is open, and its window says by which override."""
    sunday = date(2026, 5, 10)
    schedule = Schedule((*(hours("09:00-17:00"),) * 5, CLOSED, CLOSED), {sunday: hours("10:00-14:00")})
    (window,) = of_day(schedule, str(sunday))

    assert window.override == sunday
    assert is_open(schedule, BERLIN, window.start, window.end).ok
    assert is_open_daily(schedule, BERLIN, at("2026-05-10T00:00"), at("2026-05-11T00:00")).ok
    refusal = is_open_daily(schedule, BERLIN, at("2026-05-08T00:00"), at("2026-05-11T00:00"))
    assert refusal.detail == "Nothing is open on 2026-05-09, by its weekly hours."


def test_the_tail_of_a_night_does_not_open_a_day() -> None:
    """A full day needs a window that starts on it: an override that closes it leaves the night before."""
    saturday = date(2026, 5, 9)
    schedule = Schedule((hours("22:00-02:00"),) * 7, {saturday: CLOSED})
    refusal = is_open_daily(schedule, BERLIN, at("2026-05-09T00:00"), at("2026-05-10T00:00"))

    assert (refusal.ok, refusal.override) == (False, saturday)
    assert is_open(schedule, BERLIN, at("2026-05-09T00:00"), at("2026-05-09T02:00")).ok


def test_of_full_days_the_first_and_the_last_may_be_all_that_counts() -> None:
    """A stay over a closed Sunday ends on the Monday; one that ends on the Sunday does not."""
    schedule = Schedule(((Hours(9 * 60, 17 * 60),),) * 6 + ((),))
    saturday, sunday, tuesday = (at(f"2026-05-{day}T00:00") for day in ("09", "11", "12"))

    assert is_open_daily(schedule, BERLIN, saturday, tuesday, at_ends=True).ok
    assert not is_open_daily(schedule, BERLIN, saturday, tuesday).ok
    assert not is_open_daily(schedule, BERLIN, saturday, sunday, at_ends=True).ok


def test_windows_without_end_open_the_same_from_any_start() -> None:
    """Where hours overlap around the clock there is no first opening; the grid is that of each window, from any day."""
    schedule = every_day("00:00-24:00", "22:00-02:00", "22:00-23:00")
    start = at("2026-05-20T12:00")
    seen = [
        [
            opening
            for window in windows(schedule, BERLIN, Millis(start - back * DAY), Millis(start + DAY))
            for opening in window.openings
        ]
        for back in (0, 1, 5, 30, 92)
    ]

    recent = [[opening for opening in openings if opening >= start - DAY] for openings in seen]
    assert recent[0] == [at(f"2026-05-{day}") for day in ("19T22:00", "20T00:00", "20T22:00", "21T00:00", "21T22:00")]
    assert all(openings == recent[0] for openings in recent)


def test_windows_keep_their_opening_at_any_later_instant() -> None:
    """Hours that overlap from Monday to Saturday opened on Monday, also for who asks for Saturday alone."""
    long = hours("08:00-08:00", "20:00-10:00")
    schedule = Schedule((*(long,) * 5, CLOSED, CLOSED))
    (window,) = of_day(schedule, "2026-05-09")

    assert spans([window]) == ["04T08:00-09T10:00"]
    assert window.openings == (at("2026-05-04T08:00"),)


def off(name: object, start: int, end: int) -> TimeOff:
    """A time off, short to write."""
    return TimeOff(str(name), Millis(start), Millis(end))


def first_off(offs: Sequence[TimeOff], start: int, end: int) -> TimeOff | None:
    """The first of them in a span."""
    return TimeOffIndex(offs).first(Millis(start), Millis(end))


def test_time_off_that_only_touches_does_not_block() -> None:
    """10 to 11 leaves 11 to 12 free, and the earliest one that blocks is named."""
    offs = [off("b", 30, 40), off("a", 10, 20)]

    assert first_off(offs, 20, 30) is None
    assert first_off(offs, 19, 31) == offs[1]
    assert first_off(offs, 39, 50) == offs[0]
    assert first_off((), 0, 100) is None


edges = st.tuples(st.integers(0, 50), st.integers(1, 30)).map(lambda edge: (edge[0], sum(edge)))
times_off = st.lists(edges, max_size=8).map(lambda those: [off(n, *edge) for n, edge in enumerate(those)])


@given(times_off, edges)
def test_times_off_are_searched_as_if_each_was_looked_at(offs: list[TimeOff], asked: tuple[Millis, Millis]) -> None:
    """The first that meets a span, and how long those go on: whatever begins before that meets one of them as well."""
    start, end = asked
    there = sorted([off for off in offs if off.start < end and start < off.end], key=lambda off: (off.start, off.end))
    index = TimeOffIndex(offs)
    first, until = index.first(start, end), index.until(start, end)

    assert (first.start, first.end) == (there[0].start, there[0].end) if first else not there
    assert until == max((off.end for off in there), default=None)
    for later in map(Millis, range(start, until or start)):
        assert index.first(later, Millis(end + later - start)) is not None


minutes = st.integers(0, 24 * 60 - 1)
window_hours = st.builds(lambda opens, length: Hours(opens, opens + length), minutes, st.integers(1, 24 * 60))
day_hours = st.lists(window_hours, max_size=3).map(tuple)
SOME_ZONES = ("Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia", "America/Havana", "UTC")
AROUND = (date(2026, 3, 29), date(2006, 10, 29), date(2026, 10, 4), date(2011, 12, 30), date(2026, 3, 8))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Schedule, ZoneInfo, Millis]:
    """A schedule and an instant near a day on which clocks changed somewhere."""
    around = draw(st.sampled_from(AROUND))
    weekly = draw(st.none() | st.lists(day_hours, min_size=7, max_size=7).map(tuple))
    overrides = draw(st.dictionaries(st.integers(-4, 4).map(lambda n: around + n * ONE_DAY), day_hours, max_size=4))
    tz = zone(draw(st.sampled_from(SOME_ZONES)))
    offset = draw(st.integers(-3 * 24 * 60, 3 * 24 * 60))
    return Schedule(weekly, overrides), tz, Millis(start_of_day(around, tz) + offset * MINUTE)


def open_at(schedule: Schedule, tz: ZoneInfo, instant: Millis) -> bool:
    """Whether one of the windows of the dates around covers an instant, from the definition and nothing else."""
    near = local(instant, tz).date()
    for day in (near + n * ONE_DAY for n in range(-3, 3)):
        usual = None if schedule.weekly is None else schedule.weekly[day.weekday()]
        of_date = schedule.overrides.get(day, usual)
        if of_date is None:
            if start_of_day(day, tz) <= instant < start_of_day(day + ONE_DAY, tz):
                return True
            continue
        midnight = datetime.combine(day, time.min)
        for edges in of_date if exists(day, tz) else ():
            opens, closes = (resolve(midnight + timedelta(minutes=edge), tz) for edge in edges)
            if opens <= instant < closes:
                return True
    return False


@given(cases(), st.integers(1, 3 * 24 * 60))
def test_open_is_what_every_instant_says(case: tuple[Schedule, ZoneInfo, Millis], length: int) -> None:
    """A time is open exactly if each of its instants is; it is enough to check where windows open and close."""
    schedule, tz, start = case
    end = Millis(start + length * MINUTE)
    known = windows(schedule, tz, start, end)
    edges = {edge for window in known for edge in (window.start - 1, window.start, window.end - 1, window.end)}
    looked_at = {start, end - 1, *range(start, end, 17 * MINUTE), *(edge for edge in edges if start <= edge < end)}

    verdict = is_open(schedule, tz, start, end)

    assert all(open_at(schedule, tz, Millis(instant)) for instant in looked_at) == verdict.ok
    assert verdict.ok == covers(known, start, end) or schedule == ALWAYS
    assert is_open(schedule, tz, start, end, known) == verdict


@given(cases(), st.integers(1, 3 * 24 * 60))
def test_open_at_its_ends_is_what_these_two_instants_say(case: tuple[Schedule, ZoneInfo, Millis], length: int) -> None:
    """It starts when the schedule is open, and ends when it is open, or closes just then; nothing between counts."""
    schedule, tz, start = case
    end = Millis(start + length * MINUTE)
    known = windows(schedule, tz, start, Millis(end + 1))
    ends_open = open_at(schedule, tz, end) or open_at(schedule, tz, Millis(end - 1))

    verdict = is_open_at_ends(schedule, tz, start, end)

    assert verdict.ok == (open_at(schedule, tz, start) and ends_open)
    assert verdict.ok or not is_open(schedule, tz, start, end).ok
    assert is_open_at_ends(schedule, tz, start, end, known) == verdict
    assert (open_end_from(known, end) == end) == ends_open


@given(cases(), st.integers(1, 3 * 24 * 60))
def test_windows_are_sorted_apart_and_open(case: tuple[Schedule, ZoneInfo, Millis], length: int) -> None:
    """No two touch, each is open at its openings and its last instant, and closed where it begins and ends."""
    schedule, tz, start = case
    end = Millis(start + length * MINUTE)
    found = windows(schedule, tz, start, end)

    assert all(before.end < after.start for before, after in pairwise(found))
    for window in found:
        assert window.start < end
        assert start < window.end
        assert window.openings[0] == window.start
        assert list(window.openings) == sorted(set(window.openings))
        assert all(open_at(schedule, tz, Millis(instant)) for instant in (*window.openings, window.end - 1))
        assert window.end >= end or not open_at(schedule, tz, window.end)
        assert window.start < start - 7 * DAY or not open_at(schedule, tz, Millis(window.start - 1))


@given(cases(), st.integers(0, 20))
def test_windows_do_not_depend_on_the_range_read(case: tuple[Schedule, ZoneInfo, Millis], back: int) -> None:
    """The opening that a grid counts from at an instant is the same for who asks for a day and who asks for weeks."""
    schedule, tz, start = case

    def last_opening(found: Sequence[Window]) -> Millis | None:
        return max((o for w in found if w.start <= start < w.end for o in w.openings if o <= start), default=None)

    near = last_opening(windows(schedule, tz, start, Millis(start + 1)))

    assert last_opening(windows(schedule, tz, Millis(start - back * DAY), Millis(start + 3 * DAY))) == near


def test_no_time_is_not_looked_at() -> None:
    """An empty span has no windows."""
    day = Millis(10 * DAY)

    assert windows(every_day("09:00-17:00"), BERLIN, day, day) == []
    assert windows(ALWAYS, BERLIN, day, Millis(day - DAY)) == []

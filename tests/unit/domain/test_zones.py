"""Zones: the fixtures that clocks around the world have left us, and laws that hold at every instant."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.instants import DAY, HOUR, MINUTE, Millis, from_millis, parse, render, to_millis
from app.domain.zones import (
    ONE_DAY,
    choices,
    day_of,
    days,
    days_between,
    exists,
    is_day_start,
    local,
    next_day,
    parse_day,
    parse_wall,
    render_wall,
    resolve,
    start_of_day,
    zone,
)

ZONES = (
    "UTC",
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Havana",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
)
zones = st.sampled_from([zone(name) for name in ZONES])
instants = st.integers(0, to_millis(datetime.fromisoformat("2200-12-30T00:00:00Z")))
walls = st.datetimes(parse_wall("1970-01-02T00:00"), parse_wall("2200-12-30T00:00"))


def ms(text: str) -> Millis:
    """An RFC 3339 instant as milliseconds."""
    return to_millis(parse(text))


GAPS = [
    ("America/New_York", "2026-03-08T02:30", "2026-03-08T03:30-04:00"),
    ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T03:30+02:00"),
    ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-04T02:45+11:00"),
    ("Africa/Casablanca", "2026-03-22T02:30", "2026-03-22T03:30+01:00"),
    ("Asia/Kathmandu", "1986-01-01T00:05", "1986-01-01T00:20+05:45"),
    ("America/Vancouver", "2021-03-14T02:22:10", "2021-03-14T03:22:10-07:00"),
    ("Pacific/Apia", "2011-12-30T12:00", "2011-12-31T12:00+14:00"),
]


@pytest.mark.parametrize(("name", "wall", "expected"), GAPS)
def test_a_wall_time_in_a_gap_is_later_by_the_gap(name: str, wall: str, expected: str) -> None:
    """What clocks sprang over is read with the offset before, and both readings are offered, descending."""
    tz, moment = zone(name), parse_wall(wall)

    before, after = choices(moment, tz)

    assert resolve(moment, tz) == before == to_millis(datetime.fromisoformat(expected))
    assert after < before
    assert moment not in (local(before, tz), local(after, tz))
    assert local(before, tz) - moment == moment - local(after, tz)


FOLDS = [
    ("America/New_York", "2026-11-01T01:30", "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"),
    ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
    ("Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z"),
]


@pytest.mark.parametrize(("name", "wall", "first", "second"), FOLDS)
def test_a_wall_time_in_a_fold_is_the_first(name: str, wall: str, first: str, second: str) -> None:
    """What clocks show twice is the first of the two, and both are offered, ascending."""
    tz, moment = zone(name), parse_wall(wall)

    assert choices(moment, tz) == (ms(first), ms(second))
    assert resolve(moment, tz) == ms(first)
    assert local(ms(first), tz) == local(ms(second), tz) == moment


def test_a_marked_fold_is_not_believed() -> None:
    """Python's own `fold` on a wall time does not change what it resolves to."""
    tz, wall = zone("Europe/Berlin"), parse_wall("2026-10-25T02:30")

    assert resolve(wall.replace(fold=1), tz) == resolve(wall, tz)
    assert local(ms("2026-10-25T01:30:00Z"), tz).fold == 0


DAYS = [
    ("America/New_York", "2026-03-08", "2026-03-08T05:00:00Z", 23),
    ("America/New_York", "2026-11-01", "2026-11-01T04:00:00Z", 25),
    ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z", 23),
    ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00:00Z", 25),
    ("Australia/Lord_Howe", "2026-10-04", "2026-10-03T13:30:00Z", 23.5),
    ("Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00:00Z", 24.5),
    ("America/Sao_Paulo", "2015-10-18", "2015-10-18T03:00:00Z", 23),
    ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00Z", 23),
    ("Asia/Beirut", "2026-03-29", "2026-03-28T22:00:00Z", 23),
    ("America/Havana", "2026-03-08", "2026-03-08T05:00:00Z", 23),
    ("Pacific/Apia", "2011-12-29", "2011-12-29T10:00:00Z", 24),
    ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z", 0),
    ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z", 24),
    ("America/Toronto", "1919-03-31", "1919-03-31T04:30:00Z", 23.5),
    ("UTC", "2024-02-29", "2024-02-29T00:00:00Z", 24),
]


@pytest.mark.parametrize(("name", "text", "start", "hours"), DAYS)
def test_a_day_begins_with_its_first_instant(name: str, text: str, start: str, hours: float) -> None:
    """Days are as long as clocks make them, also where midnight is missing or the whole day is."""
    tz, day = zone(name), date.fromisoformat(text)

    assert from_millis(start_of_day(day, tz)) == datetime.fromisoformat(start)
    assert start_of_day(day + ONE_DAY, tz) - start_of_day(day, tz) == hours * HOUR
    assert exists(day, tz) == (hours > 0)


@pytest.mark.parametrize(
    ("name", "text"),
    [("America/Sao_Paulo", "2015-10-18"), ("Africa/Cairo", "2026-04-24"), ("America/Havana", "2026-03-08")],
)
def test_a_day_without_midnight_begins_at_one(name: str, text: str) -> None:
    """Where clocks spring at midnight, the day's first wall time is 01:00, and that is the day's start."""
    tz = zone(name)
    start = start_of_day(date.fromisoformat(text), tz)

    assert render_wall(local(start, tz)) == f"{text}T01:00"
    assert is_day_start(start, tz)
    assert not is_day_start(Millis(start + MINUTE), tz)


def test_a_skipped_day_is_no_day() -> None:
    """Samoa had no 30 December 2011: nothing lies in it, and no count of days includes it."""
    tz = zone("Pacific/Apia")
    start = start_of_day(date(2011, 12, 29), tz)
    change = start_of_day(date(2011, 12, 30), tz)

    assert day_of(change, tz) == date(2011, 12, 31)
    assert day_of(Millis(change - 1), tz) == date(2011, 12, 29)
    assert list(days(date(2011, 12, 29), date(2012, 1, 1), tz)) == [date(2011, 12, 29), date(2011, 12, 31)]
    assert next_day(start, tz) == change
    assert next_day(start, tz, 2) == change + DAY
    assert days_between(start, Millis(change + DAY), tz) == 2


def test_a_day_goes_on_where_clocks_fall_back_over_midnight() -> None:
    """St John's fell back from 00:01 to 23:01: the new day had begun and does not end for an hour of the old date."""
    tz = zone("America/St_Johns")
    start = start_of_day(date(2006, 10, 29), tz)

    assert render(start) == "2006-10-29T02:30:00.000Z"
    assert render_wall(local(Millis(start + 31 * MINUTE), tz)) == "2006-10-28T23:31"
    assert day_of(Millis(start + 31 * MINUTE), tz) == date(2006, 10, 29)
    assert start_of_day(date(2006, 10, 30), tz) - start == 25 * HOUR


@given(zones, instants)
def test_every_instant_is_what_its_wall_time_can_mean(tz: ZoneInfo, instant: Millis) -> None:
    """From an instant to the clock and back: the instant is among the choices, which then ascend."""
    found = choices(local(instant, tz), tz)

    assert instant in found
    assert list(found) == sorted(found)


@given(zones, walls)
def test_every_wall_time_comes_back_or_lies_in_a_gap(tz: ZoneInfo, wall: datetime) -> None:
    """From the clock to an instant and back: the same wall time, or one later where it does not exist."""
    wall = wall.replace(microsecond=0)
    found = choices(wall, tz)
    back = local(resolve(wall, tz), tz)

    assert resolve(wall, tz) == found[0]
    assert back == wall or (back > wall and len(found) == 2 and found[0] > found[1])


@given(zones, instants)
def test_days_tile(tz: ZoneInfo, instant: Millis) -> None:
    """Every instant lies in exactly one day, which ends where the next one begins."""
    day = day_of(instant, tz)
    start, end = start_of_day(day, tz), start_of_day(day + ONE_DAY, tz)

    assert start <= instant < end
    assert exists(day, tz)
    assert is_day_start(start, tz)
    assert is_day_start(instant, tz) == (instant == start)
    assert next_day(instant, tz) == end
    assert day_of(start, tz) == day_of(Millis(end - 1), tz) == day


@given(zones, instants, st.integers(0, 40))
def test_days_are_counted_as_they_are_gone(tz: ZoneInfo, instant: Millis, count: int) -> None:
    """So many days on are so many days apart."""
    start = start_of_day(day_of(instant, tz), tz)

    assert days_between(start, next_day(start, tz, count), tz) == count
    assert days_between(next_day(start, tz, count), start, tz) == 0


@pytest.mark.parametrize(
    "name", [*ZONES, "Pacific/Kwajalein", "Pacific/Enderbury", "Antarctica/Casey", "Africa/Monrovia"]
)
def test_days_are_counted_over_any_span(name: str) -> None:
    """The count of days since 1970 is what walking through them gives, skipped days and changed offsets included."""
    tz, first = zone(name), date(1970, 1, 2)
    start = start_of_day(first, tz)

    for count, day in enumerate(days(first, date(2040, 1, 1), tz)):
        assert days_between(start, start_of_day(day, tz), tz) == count


BAD_ZONES = ["", "Mars/Olympus", "europe/berlin", "../../etc/passwd", "/etc/localtime", "right/UTC", "posix/UTC"]


@pytest.mark.parametrize("name", [*BAD_ZONES, "localtime", "Factory", "tzdata.zi", "UTC\0", "\udc00", "x" * 100_000])
def test_what_is_no_zone_is_refused_with_a_sentence(name: str) -> None:
    """Unknown names, paths and this machine's own setting are refused alike, in a sentence of bounded length."""
    with pytest.raises(ValueError, match=r"^There is no time zone .*; use an IANA name like Europe/Berlin\.$") as error:
        zone(name)

    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    "text",
    ["2026-3-8", "20260308", "2026-W10-7", "2026-02-29", "1969-12-31", "2201-01-01", "\u0662\u0660\u0662\u0666-03-08"],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    """Dates have one form and lie in 1970 to 2200."""
    with pytest.raises(ValueError, match=r"\.$"):
        parse_day(text)


@pytest.mark.parametrize(
    "text",
    ["2026-03-08", "2026-03-08 02:30", "2026-03-08T2:30", "2026-03-08T24:00", "2026-03-08T02:30Z", "2026-02-29T02:30"],
)
def test_what_is_no_wall_time_is_refused(text: str) -> None:
    """Wall times have one form, without an offset."""
    with pytest.raises(ValueError, match=r"\.$"):
        parse_wall(text)


@pytest.mark.parametrize(
    "text", ["2026-03-08T02:30", "2026-03-08T02:30:10", "2026-03-08T02:30:10.500", "1970-01-01T00:00"]
)
def test_wall_times_are_written_as_they_are_read(text: str) -> None:
    """What was read is written the same, without needless seconds."""
    assert render_wall(parse_wall(text)) == text


def test_leap_and_last_days_are_dates() -> None:
    """The calendar's own corners are read."""
    assert parse_day("2024-02-29") == date(2024, 2, 29)
    assert parse_day("2200-12-31") == date(2200, 12, 31)
    assert parse_wall("2026-03-08t02:30:00.5") == datetime.fromisoformat("2026-03-08T02:30:00.500")

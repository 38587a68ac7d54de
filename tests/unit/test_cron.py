"""Cron fields against the times that they have meant since 1975."""

from datetime import UTC, datetime, timedelta

import pytest
from arq import cron
from hypothesis import given
from hypothesis import strategies as st

from app.cron import parse

START = datetime(2026, 2, 26, 23, 30, tzinfo=UTC)  # a Thursday


async def nothing(ctx: dict[object, object]) -> None:
    """A job."""


def times(line: str, count: int) -> list[str]:
    """The first times after START, as arq would run them."""
    jobs = [
        cron(
            nothing,
            name=str(place),
            month=entry.month,
            day=entry.day,
            weekday=entry.weekday,
            hour=entry.hour,
            minute=entry.minute,
            microsecond=0,
        )
        for place, entry in enumerate(parse(line))
    ]
    found: list[datetime] = []
    for job in jobs:
        moment = START
        for _ in range(count):
            job.calculate_next(moment)
            assert job.next_run is not None
            moment = job.next_run
            found.append(moment)
    return [f"{moment:%m-%d %H:%M}" for moment in sorted(found)[:count]]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0 * * * *", ["02-27 00:00", "02-27 01:00", "02-27 02:00"]),
        ("*/20 * * * *", ["02-26 23:40", "02-27 00:00", "02-27 00:20"]),
        ("5-10/5,50 3 * * *", ["02-27 03:05", "02-27 03:10", "02-27 03:50"]),
        ("30 2 1 * *", ["03-01 02:30", "04-01 02:30", "05-01 02:30"]),
        ("0 0 * * 0", ["03-01 00:00", "03-08 00:00", "03-15 00:00"]),
        ("0 0 * * 7", ["03-01 00:00", "03-08 00:00", "03-15 00:00"]),
        ("0 0 * * Mon-Wed", ["03-02 00:00", "03-03 00:00", "03-04 00:00"]),
        ("0 0 * jun,DEC *", ["06-01 00:00", "06-02 00:00", "06-03 00:00"]),
        ("0 0 2 * mon", ["03-02 00:00", "03-09 00:00", "03-16 00:00"]),
        ("0 12 28 * fri", ["02-27 12:00", "02-28 12:00", "03-06 12:00"]),
        ("0 0 */2 * fri", ["02-27 00:00", "03-13 00:00", "03-27 00:00"]),
    ],
)
def test_a_line_means_what_cron_means(line: str, expected: list[str]) -> None:
    """Steps, ranges, lists, names, Sunday by both numbers; a day *or* a weekday where both are restricted."""
    assert times(line, len(expected)) == expected


@pytest.mark.parametrize(
    "line",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "5-1 * * * *",
        "a * * * *",
        "-1 * * * *",
        "1,, * * * *",
        "1/x * * * *",
        "@daily",
        "0 0 31 2 *",
        "0 0 31 4,6 *",
    ],
)
def test_a_wrong_line_is_refused_with_a_reason(line: str) -> None:
    """What no cron would run, or would never run, is refused at once instead of being waited for."""
    with pytest.raises(ValueError, match=r".{10}"):
        parse(line)


@given(st.integers(0, 59), st.integers(0, 23), st.integers(1, 28), st.integers(0, 6), st.integers(0, 40_000))
def test_entries_never_meet(minute: int, hour: int, day: int, weekday: int, later: int) -> None:
    """A time that matches the day and the weekday is run once, not twice."""
    moment = START + timedelta(hours=later)
    matching = [
        entry
        for entry in parse(f"{minute} {hour} {day} * {weekday}")
        if moment.day in entry.day and (entry.weekday is None or moment.weekday() in entry.weekday)
    ]
    due = moment.day == day or moment.isoweekday() % 7 == weekday

    assert len(matching) == int(due)

"""Cron fields against the times that they have meant since 1975."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cron import last_until, next_after, parse

START = datetime(2026, 2, 26, 23, 30, tzinfo=UTC)  # a Thursday

LINES = [
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
]


@pytest.mark.parametrize(("line", "expected"), LINES)
def test_a_line_means_what_cron_means(line: str, expected: list[str]) -> None:
    """Steps, ranges, lists, names, Sunday by both numbers; a day *or* a weekday where both are restricted."""
    times, instant, found = parse(line), START, []
    for _ in expected:
        instant = next_after(times, instant)
        found.append(f"{instant:%m-%d %H:%M}")

    assert found == expected


@pytest.mark.parametrize("line", [line for line, _ in LINES])
@given(st.integers(0, 10**12))
def test_the_time_before_is_the_one_that_the_next_follows(line: str, later: int) -> None:
    """Between the last time and the next there is none, and at a time itself that one is the last; any zone will do."""
    times = parse(line)
    instant = (START + timedelta(microseconds=later)).astimezone(timezone(timedelta(hours=5, minutes=30)))
    last = last_until(times, instant)

    assert last <= instant < next_after(times, last) == next_after(times, instant)
    assert last_until(times, last) == last


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

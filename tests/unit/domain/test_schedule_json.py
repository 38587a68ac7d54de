"""Schedules from JSON: what is read, and that each fault is named where it lies."""

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from app.domain.instants import DAY, parse, to_millis
from app.domain.schedule import ALWAYS, Hours, Schedule
from app.domain.schedule_json import (
    FAULTS_MAX,
    OVERRIDES_MAX,
    WEEKLY_MAX,
    WINDOWS_MAX,
    read_schedule,
    read_span,
    stored_schedule,
)
from app.domain.zones import start_of_day, zone
from app.errors import Fault
from app.http.pointers import pointer_of

BERLIN, APIA = zone("Europe/Berlin"), zone("Pacific/Apia")
NINE_TO_FIVE = {"from": "09:00", "to": "17:00"}


def blamed(shape: Any) -> dict[str, str]:
    """The faults of a shape, by pointer."""
    return {pointer_of(Fault(path, detail)): detail for path, detail in read_schedule(shape)[1]}


def test_a_schedule_is_read() -> None:
    """Days from Monday, windows past midnight and of 24 hours, overrides by date."""
    schedule, faults = read_schedule(
        {
            "weekly": [
                {"days": ["mon", "sun"], **NINE_TO_FIVE},
                {"days": ["mon"], "from": "22:00", "to": "02:00"},
                {"days": ["tue"], "from": "00:00", "to": "24:00"},
                {"days": ["wed", "wed"], "from": "08:00", "to": "08:00"},
            ],
            "overrides": [
                {"date": "2026-12-24", "windows": [{"from": "09:00", "to": "24:00"}]},
                {"date": "2026-12-25", "windows": []},
            ],
        }
    )

    assert faults == []
    nine_to_five = Hours(540, 1020)
    assert schedule == Schedule(
        ((nine_to_five, Hours(1320, 1560)), (Hours(0, 1440),), (Hours(480, 1920),), (), (), (), (nine_to_five,)),
        {date(2026, 12, 24): (Hours(540, 1440),), date(2026, 12, 25): ()},
    )


def test_no_weekly_hours_and_empty_ones_are_read_apart() -> None:
    """Absent is always, empty is never."""
    assert read_schedule({}) == (ALWAYS, [])
    assert read_schedule({"weekly": []}) == (Schedule(((),) * 7), [])


WINDOW_FLAWS = [
    ({"from": "9:00", "to": "17:00"}, "/from"),
    ({"from": "24:00", "to": "02:00"}, "/from"),
    ({"from": "09:60", "to": "17:00"}, "/from"),
    ({"from": "09:00", "to": "24:01"}, "/to"),
    ({"from": "09:00", "to": "25:00"}, "/to"),
    ({"from": "09:00", "to": "17:00:00"}, "/to"),
    ({"from": "09:00", "to": "17:00\n"}, "/to"),
    ({"from": "\u0660\u0669:\u0660\u0660", "to": "17:00"}, "/from"),
    ({"from": 9, "to": "17:00"}, "/from"),
    ({"from": None, "to": "17:00"}, "/from"),
    ({"from": "09:00"}, "/to"),
    ({"from": "09:00", "to": "17:00", "until": "18:00"}, "/until"),
    ("09:00-17:00", ""),
]


@pytest.mark.parametrize(("window", "pointer"), WINDOW_FLAWS)
def test_a_bad_window_is_named_by_its_pointer(window: Any, pointer: str) -> None:
    """The second window of the second override is to blame, nothing else."""
    shape = {
        "overrides": [
            {"date": "2026-12-24", "windows": []},
            {"date": "2026-12-25", "windows": [NINE_TO_FIVE, window]},
        ]
    }

    assert list(blamed(shape)) == [f"/overrides/1/windows/1{pointer}"]


SCHEDULE_FLAWS: list[tuple[Any, list[str]]] = [
    ([], [""]),
    (None, [""]),
    ({"weekly": None}, ["/weekly"]),
    ({"weekly": {}}, ["/weekly"]),
    ({"monthly": []}, ["/monthly"]),
    ({"a/b~c": []}, ["/a~1b~0c"]),
    ({"weekly": [{"days": ["mon", "Tue", 3, ["wed"]], **NINE_TO_FIVE}]}, [f"/weekly/0/days/{n}" for n in (1, 2, 3)]),
    ({"weekly": [{"days": [], **NINE_TO_FIVE}]}, ["/weekly/0/days"]),
    ({"weekly": [{"days": "mon", **NINE_TO_FIVE}]}, ["/weekly/0/days"]),
    ({"weekly": [NINE_TO_FIVE]}, ["/weekly/0/days"]),
    ({"weekly": [{"days": ["mon"]}, 7]}, ["/weekly/0/from", "/weekly/0/to", "/weekly/1"]),
    ({"overrides": [{"date": "2026-02-30", "windows": []}]}, ["/overrides/0/date"]),
    ({"overrides": [{"date": 20260228, "windows": []}]}, ["/overrides/0/date"]),
    ({"overrides": [{"date": "2026-02-28"}]}, ["/overrides/0/windows"]),
    ({"overrides": [{"windows": []}]}, ["/overrides/0/date"]),
    ({"overrides": [{"date": "2026-02-28", "windows": []}] * 3}, ["/overrides/1/date", "/overrides/2/date"]),
    ({"overrides": [{"date": "2026-02-28", "windows": {}}]}, ["/overrides/0/windows"]),
]


@pytest.mark.parametrize(("shape", "pointers"), SCHEDULE_FLAWS)
def test_every_flaw_is_named_at_once(shape: Any, pointers: list[str]) -> None:
    """All faults are listed in one answer, in sentences."""
    faults = read_schedule(shape)[1]

    assert [pointer_of(Fault(*each)) for each in faults] == pointers
    assert all(detail.endswith(".") for _, detail in faults)


def test_what_is_read_is_bounded() -> None:
    """Windows of a day, dates with overrides and faults are limited, so that no schedule is slow to use or refuse."""
    many = {"weekly": [{"days": ["fri"], **NINE_TO_FIVE}] * (WINDOWS_MAX + 1)}
    first = date(2026, 1, 1).toordinal()
    dates = [
        {"date": str(date.fromordinal(first + n)), "windows": [NINE_TO_FIVE] * (n // OVERRIDES_MAX)}
        for n in range(OVERRIDES_MAX + 1)
    ]

    assert blamed(many)["/weekly"] == f"At most {WINDOWS_MAX} windows may start on a day; fri has {WINDOWS_MAX + 1}."
    assert list(blamed({"overrides": dates})) == ["/overrides"]
    assert blamed({"overrides": dates[:-1]}) == {}
    assert len(read_schedule({"weekly": [0] * WEEKLY_MAX})[1]) == FAULTS_MAX


class Seen(dict[str, Any]):
    """A member of a list that counts how often one like it was read."""

    read = 0

    @override
    def __iter__(self) -> Iterator[str]:
        """Read it."""
        Seen.read += 1
        return super().__iter__()


@pytest.mark.parametrize("name", ["weekly", "overrides"])
def test_a_list_beyond_its_bound_is_refused_before_its_members_are_read(name: str) -> None:
    """A hundred thousand empty objects cost one flaw, and a list within its bound costs twenty at most."""
    Seen.read = 0

    assert list(blamed({name: [Seen()] * 100_000})) == [f"/{name}"]
    assert Seen.read == 0
    assert len(read_schedule({name: [Seen()] * WEEKLY_MAX})[1]) == FAULTS_MAX
    assert Seen.read <= FAULTS_MAX


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    json_values
    | st.fixed_dictionaries(
        {
            "weekly": json_values | st.lists(st.fixed_dictionaries({"days": json_values, "from": json_values})),
            "overrides": json_values | st.lists(st.fixed_dictionaries({"date": json_values, "windows": json_values})),
        }
    )
)
def test_nothing_that_json_can_say_breaks_the_reader(shape: Any) -> None:
    """Whatever comes is read or blamed, never an exception, and a flawless schedule has seven days or none."""
    schedule, faults = read_schedule(shape)

    assert faults or schedule.weekly is None or len(schedule.weekly) == 7
    assert json.dumps([detail for _, detail in faults])


def test_a_span_is_two_dates_or_two_instants() -> None:
    """Dates are local days, the last one excluded; instants are what they say."""
    dates, _ = read_span("2026-03-29", "2026-03-30", BERLIN)
    instants, _ = read_span("2026-03-29T00:00:00+01:00", "2026-03-29T23:00:00Z", BERLIN)

    assert dates == (start_of_day(date(2026, 3, 29), BERLIN), start_of_day(date(2026, 3, 30), BERLIN))
    assert dates[1] - dates[0] == DAY * 23 // 24
    assert instants == (to_millis(parse("2026-03-28T23:00:00Z")), to_millis(parse("2026-03-29T23:00:00Z")))


SPAN_FAULTS = [
    ("2026-03-29", "2026-03-29", ["/to"]),
    ("2026-03-30", "2026-03-29", ["/to"]),
    ("2026-03-29T00:00:00Z", "2026-03-29T00:00:00Z", ["/to"]),
    ("2026-03-29", "2026-03-30T00:00:00Z", ["/to"]),
    ("2026-03-29T00:00:00Z", "2026-03-30", ["/to"]),
    ("2026-3-29", "2026-03-32", ["/from", "/to"]),
    ("tomorrow", "", ["/from", "/to"]),
    ("2026-03-29T09:00", "2026-03-30T09:00:00Z", ["/from"]),
    ("1" * 100_000, "-" * 100_000, ["/from", "/to"]),
]


@pytest.mark.parametrize(("first", "last", "pointers"), SPAN_FAULTS)
def test_what_is_no_span_is_refused(first: str, last: str, pointers: list[str]) -> None:
    """Mixed, reversed, empty and misspelt spans are blamed on the right edge, in a sentence of bounded length."""
    faults = read_span(first, last, BERLIN)[1]

    assert [pointer_of(Fault(*each)) for each in faults] == pointers
    assert all(detail.endswith(".") and len(detail) < 300 for _, detail in faults)


def test_a_span_over_a_day_that_does_not_exist_is_empty() -> None:
    """Samoa's missing day takes no time, so it cannot be a time off."""
    assert [path for path, _ in read_span("2011-12-30", "2011-12-31", APIA)[1]] == [("to",)]
    assert read_span("2011-12-29", "2011-12-31", APIA)[1] == []


texts = st.sampled_from([*["00:00", "07:30", "09:00", "17:00", "23:59"] * 3, "24:00", "9:00", ""])
stored_windows = st.lists(st.fixed_dictionaries({"from": texts, "to": texts}), max_size=3)
stored_days = st.lists(st.sampled_from(["mon", "mon", "tue", "sun", "sun", "noday"]), min_size=1, max_size=3)
stored_weeks = st.lists(st.fixed_dictionaries({"days": stored_days, "from": texts, "to": texts}), max_size=3)
stored_overrides = st.lists(
    st.fixed_dictionaries({"date": st.sampled_from(["2026-03-08", "2026-03-09", "20260310", "x"])}).flatmap(
        lambda each: stored_windows.map(lambda windows: each | {"windows": windows})
    ),
    max_size=3,
)
stored_shapes = st.fixed_dictionaries({}, optional={"weekly": stored_weeks, "overrides": stored_overrides})


@given(stored_shapes)
def test_a_stored_schedule_is_read_as_a_sent_one(shape: dict[str, Any]) -> None:
    """Also one that was put there past all checks: what cannot be understood has no part in it."""
    schedule, faults = read_schedule(shape)
    stored = stored_schedule(shape)

    assert stored == schedule if not faults else isinstance(stored, Schedule)
    for hours in (*(stored.weekly or ()), *stored.overrides.values()):
        assert all(0 <= window.opens < window.closes for window in hours)


@pytest.mark.parametrize("shape", [{"weekly": None}, {"overrides": None}, {"weekly": 5}, {"overrides": ["x"]}, {}])
def test_a_stored_schedule_of_another_shape_is_no_failure(shape: dict[str, Any]) -> None:
    """It opens nothing; no hours are none."""
    assert stored_schedule(shape) == (ALWAYS if shape.get("weekly") is None else Schedule(((),) * 7))


def test_equal_days_are_one_object() -> None:
    """A pool's years of overrides hold as many objects as they have different days, in any reading."""
    day = [{"from": "09:00", "to": "12:00"}, {"from": "13:00", "to": "17:00"}]
    other = [{"from": "09:00", "to": "12:00"}]
    shape = {"overrides": [{"date": f"2030-01-{n:02}", "windows": other if n == 31 else day} for n in range(1, 32)]}
    first, second = read_schedule(shape)[0], stored_schedule(shape)
    days = [*first.overrides.values(), *second.overrides.values()]
    assert len({id(each) for each in days}) == 2
    assert len({id(hours) for each in days for hours in each}) == 2

"""Rules of recurrence: what is read, what is refused by its name, and where each occurrence lies."""

import os
import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from random import Random
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr

from app.domain.instants import from_millis
from app.domain.zones import resolve
from app.errors import Problem
from app.reservations.recurrence import occurrences, parse_rule
from tests.support.times import local

RULES = 500 if os.environ.get("TEST_ZONES") == "all" else 200
"""Random rules that are compared with the oracle."""
BERLIN = ZoneInfo("Europe/Berlin")


FIRST = local(2027, 3, 1, 9)
"""A Monday."""
ZONES = (
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Chicago",
    "America/Halifax",
    "America/Havana",
    "America/Los_Angeles",
    "America/New_York",
    "America/Nuuk",
    "America/Santiago",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Beirut",
    "Asia/Jerusalem",
    "Atlantic/Azores",
    "Australia/Adelaide",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/London",
    "Pacific/Chatham",
)
"""Zones whose clocks change: by an hour, half an hour or two, at midnight, north and south of the equator."""
HOURS = (0, 0, 1, 1, 2, 2, 3, 3, 9, 23)
MINUTES = (0, 0, 15, 30, 45, 59)


def starts(rule: str, first: datetime = FIRST, *excluded: date) -> list[str]:
    """The local times that a rule gives in Berlin, to the minute."""
    return [f"{wall:%m-%d %H:%M}" for wall in occurrences(parse_rule(rule), first, BERLIN, excluded)]


def instants(rule: str, first: datetime) -> list[str]:
    """The instants that a rule gives in Berlin."""
    walls = occurrences(parse_rule(rule), first, BERLIN, ())
    return [f"{from_millis(resolve(wall, BERLIN)):%m-%dT%H:%MZ}" for wall in walls]


class TestOracle:
    """Every occurrence lies where dateutil, in local time, and the zone's rules put it."""

    @pytest.mark.promise("series")
    def test_random_rules_in_zones_whose_clocks_change(self) -> None:
        """Rules of every part with starts in gaps and folds: the same instants, or refused for the same reason."""
        chance = Random(5545)
        refused = changed = 0
        for number in range(RULES):
            tz = ZoneInfo(ZONES[number % len(ZONES)])
            rule, first, excluded = random_rule(chance), random_first(chance), random_dates(chance)
            expected = oracle(rule, first, tz, excluded)
            try:
                walls = occurrences(parse_rule(rule), first, tz, excluded)
            except Problem:
                refused += 1
                assert expected is None, (rule, first, tz.key)
                continue
            found = [from_millis(resolve(wall, tz)) for wall in walls]
            assert found == expected, (rule, first, tz.key)
            changed += len({wall.replace(tzinfo=tz).utcoffset() for wall in walls}) > 1

        assert refused < RULES / 2
        assert changed > RULES / 5


def oracle(rule: str, first: datetime, tz: ZoneInfo, excluded: frozenset[date]) -> list[datetime] | None:
    """The instants of a series: the rule by dateutil's reader, the zone by its offsets; None where it is refused."""
    last = first.replace(year=first.year + 2)
    wanted: list[datetime] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        until = next((part[6:] for part in rule.split(";") if part.startswith("UNTIL=")), "")
        bare = ";".join(part for part in rule.split(";") if not part.startswith("UNTIL="))
        found = rrulestr(bare, dtstart=first)
    for wall in islice(found, 800):
        instant = instant_of(wall, tz)
        if until.endswith("Z"):
            if instant > datetime.strptime(until, "%Y%m%dT%H%M%S%z"):
                break
        elif until and wall > last_local(until):
            break
        if wall > last:
            return None
        if wall.date() not in excluded:
            wanted.append(instant)
    return wanted if 1 <= len(wanted) <= 104 else None


def last_local(until: str) -> datetime:
    """The last local time of an `UNTIL` without a zone."""
    if "T" in until:
        return datetime.strptime(until, "%Y%m%dT%H%M%S")  # noqa: DTZ007  # a local time has no zone
    return datetime.combine(date.fromisoformat(until), time.max)


def instant_of(wall: datetime, tz: ZoneInfo) -> datetime:
    """The first instant at which the zone's clocks show a time; of none, the time that is later by the gap."""
    near = [wall.replace(tzinfo=UTC) + timedelta(hours=hours) for hours in range(-27, 28, 9)]
    offsets = {each.astimezone(tz).utcoffset() or timedelta() for each in near}
    instants = [wall.replace(tzinfo=UTC) - offset for offset in offsets]
    shown = [each for each in instants if each.astimezone(tz).replace(tzinfo=None) == wall]
    return min(shown, default=max(instants))


def random_rule(chance: Random) -> str:
    """A rule of some parts, with an end."""
    frequency = chance.choice(["DAILY", "WEEKLY", "WEEKLY", "MONTHLY"])
    parts = [f"FREQ={frequency}"]
    if chance.random() < 0.4:
        parts.append(f"INTERVAL={chance.choice([1, 2, 2, 3, 5, 7])}")
    parts += random_days(chance, frequency)
    if chance.random() < 0.2:
        parts.append(f"WKST={chance.choice(['MO', 'SU', 'TH'])}")
    end = local(2027, 1, 1) + timedelta(days=chance.randrange(150, 900), hours=chance.randrange(24))
    count = chance.choice([2, 10, 24, 52, 104, 104, 120])
    parts.append(chance.choice([f"COUNT={count}", f"COUNT={count}", *(f"UNTIL={end:{form}}" for form in UNTIL_FORMS)]))
    chance.shuffle(parts)
    return ";".join(parts)


UNTIL_FORMS = ("%Y%m%d", "%Y%m%dT%H%M%S", "%Y%m%dT%H%M%SZ")


def random_days(chance: Random, frequency: str) -> Iterator[str]:
    """Days of the week or the month, or neither."""
    week = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
    days = chance.sample(week, chance.randrange(1, 6))
    numbered = [f"{chance.choice([1, 2, 4, 5, -1, -2])}{day}" for day in days]
    months = sorted({chance.choice([1, 2, 13, 15, 28, 29, 30, 31, -1, -2]) for _ in range(3)})
    if chance.random() < 0.7:
        yield f"BYDAY={','.join(numbered if frequency == 'MONTHLY' and chance.random() < 0.5 else days)}"
    elif frequency != "WEEKLY" and chance.random() < 0.5:
        yield f"BYMONTHDAY={','.join(map(str, months))}"


def random_first(chance: Random) -> datetime:
    """A local time within some months: often at an hour at which clocks change."""
    day = date(2027, 1, 1) + timedelta(days=chance.randrange(120))
    return datetime.combine(day, time(chance.choice(HOURS), chance.choice(MINUTES)))


def random_dates(chance: Random) -> frozenset[date]:
    """Some dates that are left out."""
    return frozenset(date(2027, 1, 1) + timedelta(days=chance.randrange(365)) for _ in range(chance.choice([0, 0, 9])))


class TestRules:
    """What a rule gives."""

    def test_the_local_time_stays_when_the_clocks_change(self) -> None:
        """Nine in the morning is nine in the morning; in a gap it is later by the gap, in a fold the first."""
        nine = instants("FREQ=WEEKLY;COUNT=5", FIRST)
        spring = instants("FREQ=DAILY;COUNT=3", local(2027, 3, 27, 2, 30))
        autumn = instants("FREQ=DAILY;COUNT=3", local(2027, 10, 30, 2, 30))

        assert nine == [*(f"03-{day:02}T08:00Z" for day in (1, 8, 15, 22)), "03-29T07:00Z"]
        assert spring == ["03-27T01:30Z", "03-28T01:30Z", "03-29T00:30Z"]
        assert autumn == ["10-30T00:30Z", "10-31T00:30Z", "11-01T01:30Z"]

    def test_the_start_is_an_occurrence_only_where_the_rule_gives_it(self) -> None:
        """It is the earliest day and the time of day; `COUNT` counts from the first that the rule gives."""
        assert starts("FREQ=MONTHLY;BYMONTHDAY=31;BYDAY=WE;UNTIL=20280101") == ["03-31 09:00"]
        assert starts("FREQ=WEEKLY;BYDAY=WE;COUNT=2") == ["03-03 09:00", "03-10 09:00"]
        assert starts("FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=2") == ["03-31 09:00", "04-30 09:00"]
        assert starts("FREQ=MONTHLY;COUNT=3", local(2027, 1, 31, 9))[1:] == ["03-31 09:00", "05-31 09:00"]

    def test_days_with_and_without_a_number_stand_together(self) -> None:
        """Every Monday and the second Tuesday of a month, as RFC 5545 has it."""
        both = starts("FREQ=MONTHLY;BYDAY=MO,2TU;UNTIL=20270331")

        assert both == [f"03-{day:02} 09:00" for day in (1, 8, 9, 15, 22, 29)]

    def test_dates_that_are_left_out_count(self) -> None:
        """They are not made up for at the end, and a date without an occurrence changes nothing."""
        assert starts("FREQ=DAILY;COUNT=3", FIRST, date(2027, 3, 2), date(2027, 12, 24)) == [
            "03-01 09:00",
            "03-03 09:00",
        ]

    def test_a_date_that_the_zone_skipped(self) -> None:
        """It is none, as for schedules; like a date that is left out it counts, and no time is booked twice."""
        apia = ZoneInfo("Pacific/Apia")
        walls = occurrences(parse_rule("FREQ=DAILY;COUNT=4"), local(2011, 12, 28, 10), apia, ())

        assert [wall.day for wall in walls] == [28, 29, 31]
        with pytest.raises(Problem, match="no time"):
            occurrences(parse_rule("FREQ=DAILY;COUNT=1"), local(2011, 12, 30, 10), apia, ())

    def test_the_first_day_of_the_week_decides_which_weeks_count(self) -> None:
        """The example of RFC 5545: Tuesday and Sunday of every second week."""
        rule, first = "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU", local(1997, 8, 5, 9)

        assert starts(f"{rule};WKST=MO", first) == starts(rule, first) != starts(f"{rule};WKST=SU", first)
        assert starts(f"{rule};WKST=SU", first) == [f"08-{day:02} 09:00" for day in (5, 17, 19, 31)]

    @pytest.mark.parametrize(
        ("until", "last"),
        [
            ("20270303", 3),
            ("20270303T090000", 3),
            ("20270303T085959", 2),
            ("20270303T080000Z", 3),
            ("20270303T075959Z", 2),
        ],
    )
    def test_the_end_is_a_date_a_local_time_or_an_instant(self, until: str, last: int) -> None:
        """A date is included to its end; the others up to that moment."""
        assert len(starts(f"FREQ=DAILY;UNTIL={until}")) == last

    def test_rules_are_read_in_either_case_and_with_their_name(self) -> None:
        """As calendars export them."""
        assert starts("RRULE:FREQ=DAILY;COUNT=2") == starts("freq=daily;count=2") == ["03-01 09:00", "03-02 09:00"]

    def test_a_hundred_and_four_in_two_years(self) -> None:
        """The most there can be: twice a week for a year, or weekly for two; the last lies two years later at most."""
        assert len(starts("FREQ=WEEKLY;COUNT=104")) == len(starts("FREQ=DAILY;UNTIL=20270612")) == 104
        assert len(starts("FREQ=MONTHLY;COUNT=25")) == 25
        assert len(starts("FREQ=DAILY;COUNT=106", FIRST, date(2027, 3, 5), date(2027, 3, 6))) == 104


class TestRefusals:
    """What cannot be meant, or not be done, with a sentence that names it."""

    @pytest.mark.parametrize(
        ("rule", "named"),
        [
            ("", "''"),
            ("every monday", "'EVERY MONDAY'"),
            ("FREQ=WEEKLY;;COUNT=2", "''"),
            ("FREQ=;COUNT=2", "'FREQ='"),
            ("COUNT=2", "says how often"),
            ("FREQ=YEARLY;COUNT=2", "FREQ is DAILY, WEEKLY or MONTHLY"),
            ("FREQ=WEEKLY", "COUNT or UNTIL"),
            ("FREQ=WEEKLY;COUNT=2;UNTIL=20270401", "leave one of them out"),
            ("FREQ=WEEKLY;COUNT=2;COUNT=3", "COUNT stands twice"),
            ("FREQ=WEEKLY;COUNT=2;BYSETPOS=1", "BYSETPOS is not supported"),
            ("FREQ=WEEKLY;COUNT=2;BYHOUR=9", "BYHOUR is not supported"),
            ("FREQ=WEEKLY;COUNT=0", "COUNT is a whole number"),
            ("FREQ=WEEKLY;COUNT=-2", "COUNT is a whole number"),
            ("FREQ=WEEKLY;COUNT=\u0662", "no part of a rule"),
            ("FREQ=WEEKLY;COUNT=2;INTERVAL=1.5", "INTERVAL is a whole number"),
            ("FREQ=WEEKLY;COUNT=2;INTERVAL=9999", "INTERVAL is a whole number from 1 to 366"),
            ("FREQ=WEEKLY;COUNT=2;BYDAY=MON", "BYDAY is a list"),
            ("FREQ=WEEKLY;COUNT=2;BYDAY=MO,", "BYDAY is a list"),
            ("FREQ=WEEKLY;COUNT=2;BYDAY=2MO", "Only with FREQ=MONTHLY"),
            ("FREQ=MONTHLY;COUNT=2;BYDAY=0MO", "BYDAY is a list"),
            ("FREQ=MONTHLY;COUNT=2;BYDAY=6MO", "BYDAY is a list"),
            ("FREQ=WEEKLY;COUNT=2;BYMONTHDAY=1", "BYMONTHDAY has no meaning"),
            ("FREQ=MONTHLY;COUNT=2;BYMONTHDAY=32", "BYMONTHDAY is a list"),
            ("FREQ=MONTHLY;COUNT=2;BYMONTHDAY=0", "BYMONTHDAY is a list"),
            ("FREQ=WEEKLY;COUNT=2;WKST=X", "WKST is the first day"),
            ("FREQ=WEEKLY;UNTIL=2027-04-01", "UNTIL is a local date"),
            ("FREQ=WEEKLY;UNTIL=20270230", "UNTIL is a local date"),
            ("FREQ=WEEKLY;UNTIL=20270401T090000+01:00", "UNTIL is a local date"),
            ("FREQ=WEEKLY;UNTIL=20270228", "gives no time"),
            ("FREQ=MONTHLY;BYMONTHDAY=1;BYDAY=5MO;COUNT=2", "gives no time"),
            ("FREQ=DAILY;INTERVAL=7;BYDAY=TU;COUNT=2", "gives no time"),
            ("FREQ=WEEKLY;COUNT=105", "more than 104 occurrences"),
            ("FREQ=DAILY;UNTIL=20270613", "more than 104 occurrences"),
            ("FREQ=MONTHLY;COUNT=26", "more than 2 years"),
            ("FREQ=MONTHLY;UNTIL=20290402", "more than 2 years"),
            ("FREQ=MONTHLY;BYMONTHDAY=31;BYDAY=WE;COUNT=9", "more than 2 years"),
            ("FREQ=MONTHLY;BYMONTHDAY=31;BYDAY=WE;UNTIL=22001231", "more than 2 years"),
        ],
    )
    def test_rules(self, rule: str, named: str) -> None:
        """The rule is blamed, and the sentence ends like one; a rule that never matches is refused like any other."""
        with pytest.raises(Problem) as refused:
            starts(rule)

        assert (refused.value.name, [fault.path for fault in refused.value.faults]) == ("invalid", [("rule",)])
        assert named in refused.value.detail
        assert refused.value.detail.endswith(".")

    def test_times_end_with_the_years_of_instants(self) -> None:
        """A series that reaches beyond them is refused."""
        with pytest.raises(Problem, match="more than 2 years"):
            starts("FREQ=DAILY;COUNT=9", local(2200, 12, 28, 9))

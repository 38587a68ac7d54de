"""Rules by which a reservation recurs (RFC 5545), and the local times that they give.

Of RFC 5545 these parts are known: `FREQ` (daily, weekly, monthly), `INTERVAL`, `BYDAY`, `BYMONTHDAY`, `WKST`, and
`COUNT` or `UNTIL`. Any other is refused by its name, because a part that were ignored would book other times than the
caller means.
"""

import re
from calendar import isleap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, date, datetime, time
from functools import cache
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

from dateutil.rrule import DAILY, MONTHLY, WEEKLY, rrule, weekday

from app.domain.instants import LATEST, to_millis
from app.domain.zones import exists, resolve
from app.errors import Problem, invalid_field
from app.http.validation_messages import cut

Frequency: TypeAlias = Literal[1, 2, 3]
"""Of dateutil: `MONTHLY`, `WEEKLY`, `DAILY`."""

OCCURRENCES_MAX = 104
YEARS_MAX = 2
INTERVAL_MAX = 366
COUNT_MAX = 999
"""More than `OCCURRENCES_MAX`, because dates that are left out do not count for that."""

_EXAMPLE = "Write a rule like FREQ=WEEKLY;BYDAY=MO,WE;COUNT=10."
_KNOWN = "FREQ, INTERVAL, BYDAY, BYMONTHDAY, WKST, and COUNT or UNTIL"
_NAMES = frozenset({"FREQ", "INTERVAL", "BYDAY", "BYMONTHDAY", "WKST", "COUNT", "UNTIL"})
_FREQUENCIES: Mapping[str, Frequency] = {"DAILY": DAILY, "WEEKLY": WEEKLY, "MONTHLY": MONTHLY}
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_NUMBER = re.compile(r"[0-9]{1,4}", re.ASCII)
_BYDAY = re.compile(r"([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_MONTHDAY = re.compile(r"[+-]?0?([1-9]|[12][0-9]|3[01])", re.ASCII)
_UNTIL = re.compile(r"[0-9]{8}(T[0-9]{6}Z?)?", re.ASCII)
_WEEKS_OF_MONTH = range(1, 6)
_CALENDAR_YEARS = 400
"""After so many years all dates fall on the same days of the week again."""
_SHOWN_MAX = 40


@dataclass(frozen=True, slots=True)
class RecurrenceRule:
    """A rule, read. `until` is the last local time, without a zone, or the last instant, in UTC."""

    frequency: Frequency
    interval: int = 1
    weekdays: Sequence[weekday] = ()
    monthdays: Sequence[int] = ()
    week_start: int = 0
    count: int | None = None
    until: datetime | None = None


def parse_rule(text: str) -> RecurrenceRule:
    """Parse a rule.

    Raises:
        Problem: `invalid`, with a sentence that names what is wrong with the rule.
    """
    parts = _parts(text)
    if "FREQ" not in parts:
        raise _invalid(f"A rule says how often it recurs. {_EXAMPLE}")
    frequency = _FREQUENCIES.get(parts["FREQ"])
    if frequency is None:
        raise _invalid(f"FREQ is DAILY, WEEKLY or MONTHLY, not {cut(parts['FREQ'], _SHOWN_MAX)!r}.")
    if "COUNT" not in parts and "UNTIL" not in parts:
        detail = (
            f"A series has an end: add COUNT or UNTIL, for at most {OCCURRENCES_MAX} occurrences in {YEARS_MAX} years."
        )
        raise _invalid(detail)
    if "COUNT" in parts and "UNTIL" in parts:
        raise _invalid("A rule ends by COUNT or by UNTIL; leave one of them out.")
    return RecurrenceRule(
        frequency,
        interval=_number(parts, "INTERVAL", INTERVAL_MAX) or 1,
        weekdays=_weekdays(parts, frequency),
        monthdays=_monthdays(parts, frequency),
        week_start=_week_start(parts),
        count=_number(parts, "COUNT", COUNT_MAX),
        until=_until(parts),
    )


def occurrences(rule: RecurrenceRule, first: datetime, tz: ZoneInfo, excluded: Collection[date]) -> list[datetime]:
    """The local times of a series, as naive datetimes: those that the rule gives from `first` on, in their order.

    A date that the zone skipped has none, and counts for `COUNT` as those that are left out.

    Args:
        rule: The rule.
        first: The earliest local time, and the time of day of all. It is one of them only where the rule gives it.
        tz: The time zone.
        excluded: The dates that are left out; they count for the `COUNT` of the rule, as in RFC 5545.

    Raises:
        Problem: `invalid` where they are none, too many, or reach too far.
    """
    found: list[datetime] = []
    horizon = _years_later(first, YEARS_MAX)
    given = 0
    for number, day in enumerate(_days(rule, first.date()), 1):
        given = number
        wall = datetime.combine(day, first.time())
        if _is_over(rule, wall, tz):
            break
        if wall > horizon or resolve(wall, tz) >= LATEST:
            raise _too_much(f"goes on for more than {YEARS_MAX} years")
        if day not in excluded and exists(day, tz):
            found.append(wall)
        if len(found) > OCCURRENCES_MAX:
            raise _too_much(f"has more than {OCCURRENCES_MAX} occurrences")
    else:  # the calendar has ended, though perhaps not the rule
        if found and given != rule.count and not _is_over(rule, horizon, tz):
            raise _too_much(f"goes on for more than {YEARS_MAX} years")
    if not found:
        raise _invalid("The rule gives no time from `localStart` on; see its days, its end, and `except`.")
    return found


def _days(rule: RecurrenceRule, first: date) -> Iterator[date]:
    """The dates that a rule gives from `first` on; those after some years may be others.

    Where a rule gives no further date, dateutil searches on to the end of Python's calendar, which takes a second. So
    it searches the last years of that calendar that are like those of the series.
    """
    last = first.replace(year=_last_like(first.year))
    found = rrule(
        rule.frequency,
        dtstart=datetime.combine(last, time.min),
        interval=rule.interval,
        wkst=rule.week_start,
        count=rule.count,
        byweekday=rule.weekdays or None,
        bymonthday=rule.monthdays or None,
    )
    for each in found:
        yield first + (each.date() - last)


@cache
def _last_like(year: int) -> int:
    """The last year of the calendar that begins years like those of a series: of the same lengths and weekdays."""
    wanted = [_shape(year + later) for later in range(YEARS_MAX + 1)]
    years = range(MAXYEAR - YEARS_MAX, MAXYEAR - _CALENDAR_YEARS - YEARS_MAX, -1)
    return next(each for each in years if [_shape(each + later) for later in range(YEARS_MAX + 1)] == wanted)


def _shape(year: int) -> tuple[int, bool]:
    return date(year, 1, 1).weekday(), isleap(year)


def _is_over(rule: RecurrenceRule, wall: datetime, tz: ZoneInfo) -> bool:
    if rule.until is None:
        return False
    if rule.until.tzinfo is None:
        return wall > rule.until
    return resolve(wall, tz) > to_millis(rule.until)


def _years_later(wall: datetime, years: int) -> datetime:
    try:
        return wall.replace(year=wall.year + years)
    except ValueError:  # 29 February
        return wall.replace(year=wall.year + years, day=28)


def _parts(text: str) -> dict[str, str]:
    """The parts of a rule by their names, in capitals; `RRULE:`, as calendars write it, may stand before them."""
    parts: dict[str, str] = {}
    for part in text.upper().removeprefix("RRULE:").split(";"):
        name, equals, value = part.partition("=")
        if not (equals and value and part.isascii()):
            raise _invalid(f"{cut(part, _SHOWN_MAX)!r} is no part of a rule. {_EXAMPLE}")
        if name not in _NAMES:
            raise _invalid(f"{cut(name, _SHOWN_MAX)} is not supported; a rule has {_KNOWN}.")
        if name in parts:
            raise _invalid(f"{name} stands twice; write it once.")
        parts[name] = value
    return parts


def _number(parts: Mapping[str, str], name: str, most: int) -> int | None:
    if name not in parts:
        return None
    if _NUMBER.fullmatch(parts[name]) is None or not 1 <= int(parts[name]) <= most:
        raise _invalid(f"{name} is a whole number from 1 to {most}.")
    return int(parts[name])


def _weekdays(parts: Mapping[str, str], frequency: Frequency) -> list[weekday]:
    """The days of the week.

    dateutil takes days with and without a number together for a contradiction; in RFC 5545 a month has both. So a day
    without a number is written as that of each week of the month.
    """
    if "BYDAY" not in parts:
        return []
    matches = [_BYDAY.fullmatch(each) for each in parts["BYDAY"].split(",")]
    found = [(_WEEKDAYS.index(match[2]), int(match[1]) if match[1] else None) for match in matches if match is not None]
    if len(found) < len(matches):
        raise _invalid("BYDAY is a list of MO, TU, WE, TH, FR, SA and SU; in a month also like 2TU or -1FR.")
    numbered = any(number is not None for _, number in found)
    if numbered and frequency != MONTHLY:
        raise _invalid("Only with FREQ=MONTHLY has a day of BYDAY a number, like 2TU or -1FR.")
    if not numbered:
        return [weekday(day) for day, _ in found]
    return [weekday(day, each) for day, number in found for each in ([number] if number else _WEEKS_OF_MONTH)]


def _monthdays(parts: Mapping[str, str], frequency: Frequency) -> list[int]:
    if "BYMONTHDAY" not in parts:
        return []
    if frequency == WEEKLY:
        raise _invalid("BYMONTHDAY has no meaning with FREQ=WEEKLY; use BYDAY, or FREQ=MONTHLY.")
    days = parts["BYMONTHDAY"].split(",")
    if any(_MONTHDAY.fullmatch(each) is None for each in days):
        raise _invalid("BYMONTHDAY is a list of days of the month, 1 to 31, or -1 to -31 from its end.")
    return sorted({int(each) for each in days})


def _week_start(parts: Mapping[str, str]) -> int:
    if parts.get("WKST", "MO") not in _WEEKDAYS:
        raise _invalid("WKST is the first day of the week: MO, TU, WE, TH, FR, SA or SU.")
    return _WEEKDAYS.index(parts.get("WKST", "MO"))


def _until(parts: Mapping[str, str]) -> datetime | None:
    """The end: a whole local date, a local time, or an instant in UTC."""
    text = parts.get("UNTIL")
    if text is None:
        return None
    try:
        until = datetime.fromisoformat(text) if _UNTIL.fullmatch(text) else None
    except ValueError:
        until = None
    if until is None:
        detail = "UNTIL is a local date like 20270331, which is included, a local time like 20270331T090000"
        raise _invalid(f"{detail}, or an instant like 20270331T070000Z.")
    return until if "T" in text else datetime.combine(until, time.max)


def _invalid(detail: str) -> Problem:
    return invalid_field("rule", detail)


def _too_much(what: str) -> Problem:
    return _invalid(f"The rule {what}; let it end before, and make another series of the rest.")

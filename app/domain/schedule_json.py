"""Schedules and time off from their JSON shapes, with all their faults named at once.

A fault is a path into what was read and a sentence. The types of the input are not trusted. A result that came with
faults must not be used.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from functools import lru_cache
from typing import TypeAlias
from zoneinfo import ZoneInfo

from app.domain import instants
from app.domain.instants import Millis
from app.domain.schedule import MINUTES_A_DAY, Day, Hours, Schedule
from app.domain.zones import parse_day, start_of_day

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WINDOWS_MAX = 48
"""Windows that start on one day: one each half-hour."""
OVERRIDES_MAX = 3_660
"""Dates with hours of their own: ten years of days."""
WEEKLY_MAX = WINDOWS_MAX * len(DAYS)
"""Entries of `weekly`."""
FAULTS_MAX = 20
"""Faults that are reported; reading ends with the last of them, since more of them mostly have one cause."""

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_DATE = re.compile(r"\d+-\d+-\d+", re.ASCII)
_NAMES = ", ".join(DAYS)


Path: TypeAlias = tuple[str | int, ...]
"""Names of members and indexes of items, from the top of what was read."""
Faults: TypeAlias = list[tuple[Path, str]]
"""What is to blame, each with a sentence that a person can act on."""


def read_schedule(shape: object) -> tuple[Schedule, Faults]:
    """A schedule from `{weekly?: [{days, from, to}], overrides?: [{date, windows: [{from, to}]}]}`."""
    reader = _Reader()
    try:
        members = reader.members(shape, (), optional=("weekly", "overrides"))
        weekly = reader.weekly(members["weekly"]) if "weekly" in members else None
        return Schedule(weekly, reader.overrides(members.get("overrides", []))), reader.faults
    except _EnoughError:
        return Schedule(None, {}), reader.faults


def stored_schedule(shape: Mapping[str, object]) -> Schedule:
    """A schedule that was checked before it was stored: read five times as fast as by `read_schedule`.

    Windows and dates that another program stored and that cannot be understood are left out. Days with equal hours
    share one object.
    """
    week: dict[str, list[Hours]] = {day: [] for day in DAYS}
    for window in _listed(shape, "weekly"):
        for day in week.keys() & {*_listed(window, "days")}:
            week[day] += _stored_window(window)
    overrides: dict[date, Day] = {}
    for override in _listed(shape, "overrides"):
        windows = tuple(hours for each in _listed(override, "windows") for hours in _stored_window(each))
        with suppress(TypeError, ValueError):
            if isinstance(override, Mapping):
                overrides.setdefault(parse_day(override.get("date", "")), _shared(windows))
    weekly = None if shape.get("weekly") is None else tuple(_shared(tuple(windows)) for windows in week.values())
    return Schedule(weekly, overrides)


def _listed(shape: object, name: str) -> Sequence[object]:
    found = shape.get(name) if isinstance(shape, Mapping) else None
    return found if isinstance(found, list) else ()


def _stored_window(shape: object) -> tuple[Hours, ...]:
    try:
        return _hours(shape["from"], shape["to"]) if isinstance(shape, Mapping) else ()
    except (KeyError, TypeError):  # `TypeError`: what is no text may have no hash
        return ()


@lru_cache(maxsize=1 << 12)
def _hours(opens: str, closes: str) -> tuple[Hours, ...]:
    """The window of two texts, one object for equal ones; empty if they are no times."""
    return tuple(_Reader().window({"from": opens, "to": closes}, ()))


def read_span(first: str, last: str, tz: ZoneInfo) -> tuple[tuple[Millis, Millis], Faults]:
    """`[from, to)` from two local dates or two instants; the faults' paths are `from` and `to`."""
    reader = _Reader()
    start, end = reader.edge(first, ("from",), tz), reader.edge(last, ("to",), tz)
    if not reader.faults and bool(_DATE.fullmatch(first)) != bool(_DATE.fullmatch(last)):
        reader.add_fault(("to",), "Give two dates or two instants, not one of each.")
    elif not reader.faults and start >= end:
        reader.add_fault(("to",), f"The end, {last}, is to be after the start, {first}, in {tz.key}.")
    return (start, end), reader.faults


class _EnoughError(Exception):
    """As many faults were found as are reported."""


_window = lru_cache(maxsize=1 << 14)(Hours)


@lru_cache(maxsize=1 << 12)
def _shared(day: Day) -> Day:
    """One object for all equal days.

    Years of overrides of a pool mostly repeat a few days. One object each would be millions, and the garbage collector
    stops the whole process while it walks them.
    """
    return day


class _Reader:
    """Reads the parts of a schedule and collects their faults."""

    def __init__(self) -> None:
        self.faults: Faults = []

    def add_fault(self, path: Path, detail: str) -> None:
        """Add a fault. Raises `_EnoughError` with the last one that is reported."""
        self.faults.append((path, detail))
        if len(self.faults) >= FAULTS_MAX:
            raise _EnoughError

    def members(
        self, shape: object, path: Path, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()
    ) -> Mapping[str, object]:
        """An object with these members and no others; members that it lacks are faults, and missing in the result."""
        if not isinstance(shape, Mapping):
            self.add_fault(path, "This must be an object.")
            return {}
        for name in shape:
            if name not in required and name not in optional:
                self.add_fault(
                    (*path, str(name)), f"There is no such field; here are {', '.join(required + optional)}."
                )
        for name in required:
            if name not in shape:
                self.add_fault((*path, name), "This field is required.")
        return shape

    def items(self, shape: object, path: Path, most: int, what: str) -> Iterator[tuple[Path, object]]:
        """The items of a list, each with its path; none where the list is too long."""
        if not isinstance(shape, list | tuple):
            self.add_fault(path, "This must be a list.")
            return
        if len(shape) > most:
            self.add_fault(path, f"At most {most:,} {what}; here are {len(shape):,}.")
            return
        for index, item in enumerate(shape):
            yield (*path, index), item

    def weekly(self, shape: object) -> tuple[Day, ...]:
        """Seven days from Monday."""
        week: dict[str, list[Hours]] = {day: [] for day in DAYS}
        for path, item in self.items(shape, ("weekly",), WEEKLY_MAX, "windows may be listed"):
            members = self.members(item, path, ("days", "from", "to"))
            hours = self.window(members, path)
            for day in self.days(members.get("days", DAYS), (*path, "days")):
                week[day] += hours
        for day, windows in week.items():
            if len(windows) > WINDOWS_MAX:
                self.add_fault(
                    ("weekly",), f"At most {WINDOWS_MAX} windows may start on a day; {day} has {len(windows)}."
                )
        return tuple(_shared(tuple(windows)) for windows in week.values())

    def days(self, shape: object, path: Path) -> set[str]:
        """The days of the week that are named."""
        named: set[str] = set()
        for item_path, name in self.items(shape, path, len(DAYS), "days may be named"):
            if isinstance(name, str) and name in DAYS:
                named.add(name)
            else:
                self.add_fault(item_path, f"There is no such day; the days are {_NAMES}.")
        if shape in ([], ()):
            self.add_fault(path, f"Name at least one day of {_NAMES}.")
        return named

    def overrides(self, shape: object) -> dict[date, Day]:
        """Windows by the date whose hours they replace."""
        found: dict[date, Day] = {}
        for path, item in self.items(shape, ("overrides",), OVERRIDES_MAX, "dates can have an override"):
            members = self.members(item, path, ("date", "windows"))
            windows: list[Hours] = []
            listed = self.items(
                members.get("windows", []), (*path, "windows"), WINDOWS_MAX, "windows may start on a day"
            )
            for item_path, window in listed:
                windows += self.window(self.members(window, item_path, ("from", "to")), item_path)
            day = self.day(members["date"], (*path, "date")) if "date" in members else None
            if day in found:
                self.add_fault((*path, "date"), f"There is an override of {day} already; put its windows into one.")
            elif day is not None:
                found[day] = _shared(tuple(windows))
        return found

    def window(self, members: Mapping[str, object], path: Path) -> list[Hours]:
        """One window, or none where it is faulty; `to` at or before `from` is a time of the next day."""
        opens = self.minutes(members["from"], (*path, "from")) if "from" in members else None
        closes = self.minutes(members["to"], (*path, "to"), last=MINUTES_A_DAY) if "to" in members else None
        if opens is None or closes is None:
            return []
        return [_window(opens, closes if closes > opens else closes + MINUTES_A_DAY)]

    def minutes(self, shape: object, path: Path, last: int = MINUTES_A_DAY - 1) -> int | None:
        """A local time of day, at most `last`, in minutes from midnight."""
        if shape == "24:00" and last == MINUTES_A_DAY:
            return MINUTES_A_DAY
        match = _TIME.fullmatch(shape) if isinstance(shape, str) else None
        if match is None:
            ends = "00:00 to 23:59" if last < MINUTES_A_DAY else "00:00 to 24:00"
            self.add_fault(path, f"Write a local time of {ends} with two digits each, like 09:00.")
            return None
        return int(match[1]) * 60 + int(match[2])

    def day(self, shape: object, path: Path) -> date | None:
        """A local date."""
        try:
            return parse_day(shape if isinstance(shape, str) else "")
        except ValueError as error:
            self.add_fault(path, str(error))
            return None

    def edge(self, text: str, path: Path, tz: ZoneInfo) -> Millis:
        """The first instant of a local date, or an instant."""
        try:
            if _DATE.fullmatch(text):
                return start_of_day(parse_day(text), tz)
            return instants.to_millis(instants.parse(text))
        except ValueError as error:
            otherwise = "" if _DATE.match(text) else " Or a date, like 2026-03-08."
            self.add_fault(path, f"{error}{otherwise}")
            return instants.EARLIEST

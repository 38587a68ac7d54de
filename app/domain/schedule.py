"""Schedules: when a resource is open, from weekly hours in local wall time, date overrides and time off.

A window belongs to the local date on which it starts, also where it runs past midnight; an override replaces the
windows of its date. No weekly hours means always open: then an override replaces the whole of its local day.
Edges follow the "compatible" rule (in a gap later by the gap, in a fold the first); a window that this leaves without
length is none, and a date that the zone skipped has none.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from app.domain.instants import DAY, EARLIEST, LATEST, Duration, Millis
from app.domain.zones import ONE_DAY, day_of, days, local, render_wall, resolve, start_of_day

MINUTES_A_DAY = 24 * 60

_WEEK: Duration = 7 * DAY
_DAYS_BEFORE = 3  # whose windows can reach into a day: its evening's, and more where clocks skip hours or a day
_DAYS_BEFORE_OPENING = 10  # a week more, to find the opening that a stretch counts from


class Hours(NamedTuple):
    """A window of a day in minutes of wall time from its midnight: 0 ≤ opens < 1440, opens < closes ≤ opens + 1440."""

    opens: int
    closes: int


Day: TypeAlias = tuple[Hours, ...]
Span: TypeAlias = tuple[Millis, Millis, date]  # a window as instants, and the date that it belongs to


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a resource is open: seven days from Monday, or none for always; and what replaces them on single dates."""

    weekly: tuple[Day, ...] | None = None
    overrides: Mapping[date, Day] = field(default_factory=dict)


ALWAYS = Schedule()


@dataclass(frozen=True, slots=True)
class TimeOff:
    """A time `[start, end)` at which a resource cannot be booked whatever its schedule says."""

    id: str
    start: Millis
    end: Millis


class TimeOffIndex:
    """Times off, indexed for searches in logarithmic time.

    They are sorted by start; `_latest[i]` is the latest end among the first `i + 1`.
    """

    __slots__ = ("_latest", "_starts", "_times")

    def __init__(self, times: Iterable[TimeOff] = ()) -> None:
        self._times = sorted(times, key=lambda off: (off.start, off.end, off.id))
        self._starts = [off.start for off in self._times]
        self._latest = [*accumulate((off.end for off in self._times), max)]

    def __iter__(self) -> Iterator[TimeOff]:
        """By start, then end and id."""
        return iter(self._times)

    def first(self, start: Millis, end: Millis) -> TimeOff | None:
        """The first time off that shares an instant with `[start, end)`."""
        index = bisect_right(self._latest, start)
        meets = index < len(self._times) and self._starts[index] < end
        return self._times[index] if meets else None

    def until(self, start: Millis, end: Millis) -> Millis | None:
        """The latest end of those that share an instant with `[start, end)`; None if there is none.

        Every time that starts before the answer and ends at `end` or later meets that time off.
        """
        index = bisect_left(self._starts, end) - 1
        return self._latest[index] if index >= 0 and self._latest[index] > start else None


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch `[start, end)` that is open at every instant, and the instants at which a window of it opened.

    Overlapping windows are merged and have one opening. Windows that only touch make one stretch, since a booking
    across the joint is never outside, but each keeps its opening: 09:00 to 12:30 and 12:30 to 17:00 have a grid from
    09:00 and another from 12:30, and 00:00 to 24:00 every day has a grid from each midnight, like a resource without
    weekly hours. Where windows overlap without end, one that starts a week or more after the opening of its stretch is
    an opening as well, so that no grid depends on how far back the windows are resolved. `override` is the first date
    whose override contributes to the stretch.
    """

    start: Millis
    end: Millis
    openings: tuple[Millis, ...]
    override: date | None = None


@dataclass(frozen=True, slots=True)
class Openness:
    """Whether a time lies within the schedule; where it does not, a sentence and the override to blame, if one is."""

    ok: bool
    detail: str
    override: date | None = None


_OPEN = Openness(ok=True, detail="The schedule is open then.")
_OPEN_AT_ENDS = Openness(ok=True, detail="The schedule is open at the start and at the end.")
_ALWAYS_OPEN = Openness(ok=True, detail="The resource has no schedule: it is always open.")


def windows(schedule: Schedule, tz: ZoneInfo, start: Millis, end: Millis) -> list[Window]:
    """The open stretches that share an instant with `[start, end)`, sorted and apart.

    A stretch that goes on beyond `end` may be cut there or later; one that began more than a week before `start` may be
    cut there or earlier. Where `end` is not after `start` there are none.
    """
    return _windows(schedule, tz, start, end, _DAYS_BEFORE_OPENING)


def _windows(schedule: Schedule, tz: ZoneInfo, start: Millis, end: Millis, days_before: int) -> list[Window]:
    if end <= start:
        return []
    found: list[Span] = []
    for ordinal in range(day_of(start, tz).toordinal() - days_before, day_of(end, tz).toordinal() + 1):
        day = date.fromordinal(ordinal)
        found += resolved(hours_of(schedule, day), day, tz)
    found.sort()
    return [window for window in _merged(found, schedule.overrides) if window.start < end and start < window.end]


def _merged(found: Sequence[Span], overrides: Container[date]) -> Iterator[Window]:
    """Merge windows, which are sorted by their opening, into stretches."""
    begin = until = first = EARLIEST
    openings: list[Millis] = []
    override: date | None = None
    for opens, closes, day in found:
        if openings and opens > until:
            yield Window(begin, until, tuple(openings), override)
            openings, override = [], None
        if not openings:
            begin = until = opens
        if opens == until:
            first = opens
            openings.append(opens)
        elif opens - first >= _WEEK and opens > openings[-1]:
            openings.append(opens)
        until = max(until, closes)
        override = override or (day if day in overrides else None)
    if openings:
        yield Window(begin, until, tuple(openings), override)


def hours_of(schedule: Schedule, day: date) -> Day | None:
    """The windows of a date; None means the whole local day."""
    override = schedule.overrides.get(day)
    if override is not None:
        return override
    return None if schedule.weekly is None else schedule.weekly[day.weekday()]


@lru_cache(maxsize=1 << 16)
def resolved(hours: Day | None, day: date, tz: ZoneInfo) -> tuple[Span, ...]:
    """The windows of a date as instants; none where the zone skipped the date."""
    start, end = start_of_day(day, tz), start_of_day(day + ONE_DAY, tz)
    if hours is None or start == end:
        return ((start, end, day),) if start < end else ()
    midnight = datetime.combine(day, time.min)
    edges = (
        (resolve(midnight + timedelta(minutes=opens), tz), resolve(midnight + timedelta(minutes=closes), tz))
        for opens, closes in hours
    )
    return tuple((opens, closes, day) for opens, closes in edges if opens < closes)


def covers(open_windows: Sequence[Window], start: Millis, end: Millis) -> bool:
    """Whether `[start, end)` lies within one of the stretches that `windows` gave."""
    index = bisect_right(open_windows, start, key=lambda window: window.start) - 1
    return index >= 0 and end <= open_windows[index].end


def is_open(
    schedule: Schedule, tz: ZoneInfo, start: Millis, end: Millis, open_windows: Sequence[Window] = ()
) -> Openness:
    """Whether every instant of `[start, end)` is open.

    `open_windows` are stretches that `windows` gave for the same schedule, for callers that ask about many times.
    """
    if schedule.weekly is None and not schedule.overrides:
        return _ALWAYS_OPEN
    if covers(open_windows, start, end):
        return _OPEN
    around = _windows(schedule, tz, start, end, _DAYS_BEFORE)
    if covers(around, start, end):
        return _OPEN
    return _closed(schedule, tz, around[0].end if covers(around, start, Millis(start + 1)) else start)


def is_open_at_ends(
    schedule: Schedule, tz: ZoneInfo, start: Millis, end: Millis, open_windows: Sequence[Window] = ()
) -> Openness:
    """Whether the schedule is open at `start` and at `end`, whatever lies between.

    At `end` an open stretch may just close, or just open: what was fetched at an opening can be returned at another.
    `open_windows` are as in `is_open`.
    """
    if schedule.weekly is None and not schedule.overrides:
        return _ALWAYS_OPEN
    for first, last in ((start, Millis(start + 1)), (end, end)):
        if covers(open_windows, first, last):
            continue
        around = _windows(schedule, tz, Millis(first - 1), Millis(first + 1), _DAYS_BEFORE)
        if not covers(around, first, last):
            return _closed(schedule, tz, first)
    return _OPEN_AT_ENDS


def open_end_from(open_windows: Sequence[Window], end: Millis) -> Millis:
    """The first instant, from `end` on, at which a time may end by `is_open_at_ends`; LATEST if there is none."""
    if covers(open_windows, end, end):
        return end
    index = bisect_right(open_windows, end, key=lambda window: window.start)
    return open_windows[index].start if index < len(open_windows) else LATEST


def is_open_daily(schedule: Schedule, tz: ZoneInfo, start: Millis, end: Millis, *, at_ends: bool = False) -> Openness:
    """Whether some window starts on each local day from that of `start` to that of `end`, which is excluded.

    This is the rule of full-day services; `at_ends` asks for the first and the last day alone. A window that began the
    evening before does not open a day: an override that closes the day leaves it untouched.
    """
    if schedule.weekly is None and not schedule.overrides:
        return _ALWAYS_OPEN
    asked: Iterable[date] = days(day_of(start, tz), day_of(end, tz), tz)
    if at_ends:
        asked = (day_of(start, tz), day_of(Millis(end - 1), tz))
    for day in asked:
        if not resolved(hours_of(schedule, day), day, tz):
            override = day if day in schedule.overrides else None
            return Openness(ok=False, detail=f"Nothing is open on {day}, {_cause(override)}.", override=override)
    return _OPEN


def _closed(schedule: Schedule, tz: ZoneInfo, instant: Millis) -> Openness:
    """Why the resource is closed at an instant: the override of that day or of the day before, or the weekly hours."""
    day = day_of(instant, tz)
    evening = day - ONE_DAY
    override: date | None = None
    if day in schedule.overrides:
        override = day
    elif evening in schedule.overrides and schedule.weekly is not None:
        usual = resolved(schedule.weekly[evening.weekday()], evening, tz)
        override = evening if any(opens <= instant < closes for opens, closes, _ in usual) else None
    wall = render_wall(local(instant, tz))
    return Openness(ok=False, detail=f"It is closed at {wall} ({tz.key}), {_cause(override)}.", override=override)


def _cause(override: date | None) -> str:
    return f"by the override of {override}" if override else "by its weekly hours"

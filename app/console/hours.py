"""The hours of a resource for pages that are read without scripts, whichever program stored them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from app.domain.schedule_json import DAYS
from app.domain.zones import ONE_DAY, parse_day


class Window(NamedTuple):
    """From one wall time to another."""

    opens: str
    closes: str


def week_of(schedule: object) -> Mapping[str, Sequence[Window]] | None:
    """The windows that start on each day of a week; None: always open."""
    weekly = _part(schedule, "weekly")
    if not isinstance(weekly, list):
        return None
    week: dict[str, list[Window]] = {day: [] for day in DAYS}
    for each in weekly:
        if not isinstance(each, Mapping) or not isinstance(days := each.get("days"), list):
            continue
        for day in days:
            if isinstance(day, str) and day in week:
                week[day] += _windows([each])
    return {day: sorted(windows) for day, windows in week.items()}


def overrides_of(schedule: object, today: str) -> list[tuple[str, Sequence[Window]]]:
    """The dates from today on that have hours of their own."""
    overrides = _part(schedule, "overrides")
    found = [
        (date, sorted(_windows(each.get("windows"))))
        for each in (overrides if isinstance(overrides, list) else ())
        if isinstance(each, Mapping) and isinstance(date := each.get("date"), str) and date >= today
    ]
    return sorted(found)


class Span(NamedTuple):
    """Two dates, of which `last` is the last one included, or two instants."""

    starts: str
    ends: str
    last: str

    @property
    def is_of_days(self) -> bool:
        """Whether its edges are dates."""
        return "T" not in self.starts


def span_of(starts: str, ends: str) -> Span:
    """The span between two edges, of which the last one is excluded."""
    return Span(starts, ends, _day_before(ends))


class Absence(NamedTuple):
    """A time off."""

    id: str
    span: Span
    reason: str


def absences_of(times_off: object, today: str) -> list[Absence]:
    """The times off that are not over on a date, the next first."""
    found = []
    for each in times_off if isinstance(times_off, list) else ():
        starts, ends = _part(each, "from"), _part(each, "to")
        if isinstance(starts, str) and isinstance(ends, str) and ends >= today:
            reason = str(_part(each, "reason") or "")
            found.append(Absence(str(_part(each, "id")), span_of(starts, ends), reason))
    return sorted(found, key=lambda each: each.span.starts)


def _part(stored: object, name: str) -> object:
    return stored.get(name) if isinstance(stored, Mapping) else None


def _day_before(text: str) -> str:
    """The date before a date; what is none as it is."""
    try:
        return (parse_day(text) - ONE_DAY).isoformat()
    except ValueError:
        return text


def _windows(stored: object) -> Iterator[Window]:
    for each in stored if isinstance(stored, list) else ():
        if isinstance(each, Mapping):
            yield Window(str(each.get("from", "")), str(each.get("to", "")))

"""The hours of a resource for pages that are read without scripts, whichever program stored them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from app.domain.schedule_json import DAYS
from app.storage.bson_types import BsonDocument


class Window(NamedTuple):
    """From one wall time to another."""

    opens: str
    closes: str


def week_of(schedule: BsonDocument) -> Mapping[str, Sequence[Window]] | None:
    """The windows that start on each day of a week; None: always open."""
    weekly = schedule.get("weekly")
    if not isinstance(weekly, list):
        return None
    week: dict[str, list[Window]] = {day: [] for day in DAYS}
    for each in weekly:
        if not isinstance(each, Mapping) or not isinstance(days := each.get("days"), list):
            continue
        for day in days:
            if day in week:
                week[day] += _windows([each])
    return {day: sorted(windows) for day, windows in week.items()}


def overrides_of(schedule: BsonDocument, today: str) -> list[tuple[str, Sequence[Window]]]:
    """The dates from today on that have hours of their own."""
    overrides = schedule.get("overrides")
    found = [
        (date, sorted(_windows(each.get("windows"))))
        for each in (overrides if isinstance(overrides, list) else ())
        if isinstance(each, Mapping) and isinstance(date := each.get("date"), str) and date >= today
    ]
    return sorted(found)


def _windows(stored: object) -> Iterator[Window]:
    for each in stored if isinstance(stored, list) else ():
        if isinstance(each, Mapping):
            yield Window(str(each.get("from", "")), str(each.get("to", "")))

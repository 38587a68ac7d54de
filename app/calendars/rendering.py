"""A calendar as the text of RFC 5545.

All times are in UTC, which every program reads alike: a zone would need its rules in the file, and programs disagree
about rules that have changed since. Each shows the times in the zone of whoever looks.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from icalendar import Calendar, Event
from icalendar.prop import vText

from app.domain.lifecycle import Status

MEDIA_TYPE = "text/calendar; charset=utf-8"
REFRESH = timedelta(minutes=15)
"""How often a program is asked to read the calendar again."""

EventStatus: TypeAlias = Literal["TENTATIVE", "CONFIRMED", "CANCELLED"]
_STATUSES: dict[Status, EventStatus] = {
    "pending": "TENTATIVE",
    "confirmed": "CONFIRMED",
    "completed": "CONFIRMED",
    "no-show": "CONFIRMED",
    "cancelled": "CANCELLED",
    "expired": "CANCELLED",
}
"""What each status is to a calendar."""

_LINE_END = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class CalendarEvent:
    """A reservation in a calendar.

    `sequence` grows with each change of it; `changed_at` is the last of them. `series` is the id of the series that it
    belongs to: its members are events of their own, because each is moved and cancelled by itself.
    """

    id: str
    start: datetime
    end: datetime
    status: Status
    sequence: int
    created_at: datetime
    changed_at: datetime
    summary: str
    location: str | None = None
    description: str | None = None
    series: str | None = None


def rendered(name: str, events: Iterable[CalendarEvent]) -> bytes:
    """The calendar of this name with these events."""
    calendar = Calendar()
    calendar.add("prodid", "-//Reserva//Reserva//EN")
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", "PUBLISH")
    for field in ("name", "x-wr-calname"):  # the second is what programs read that are older than RFC 7986
        calendar.add(field, _text(name))
    calendar.add("refresh-interval", REFRESH, parameters={"VALUE": "DURATION"})
    for event in events:
        calendar.add_component(_event(event))
    return bytes(calendar.to_ical())


def _event(event: CalendarEvent) -> Event:
    status = _STATUSES[event.status]
    made = Event()
    made.add("uid", _uid(event.id))
    made.add("dtstamp", event.changed_at)
    made.add("dtstart", event.start)
    made.add("dtend", event.end)
    made.add("status", status)
    made.add("sequence", event.sequence)
    made.add("transp", "OPAQUE" if status != "CANCELLED" else "TRANSPARENT")
    made.add("created", event.created_at)
    made.add("last-modified", event.changed_at)
    if event.series is not None:  # RELATED-TO would have to name another event, which may not be in this calendar
        made.add("refid", _uid(event.series))
    for field, text in (("summary", event.summary), ("location", event.location), ("description", event.description)):
        if text:
            made.add(field, _text(text))
    return made


def _uid(identity: str) -> str:
    return f"{identity}@reserva"


def _text(text: str) -> vText:
    """A text whose line ends are of one kind, without what no calendar can hold.

    Many programs end a line wherever Unicode does, and would take what follows for a property.
    """
    return vText(_CONTROL.sub("", _LINE_END.sub("\n", text)))

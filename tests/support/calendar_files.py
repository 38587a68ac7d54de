"""Calendars as two other libraries read them, which must agree."""

import warnings
from datetime import datetime
from typing import Any, NamedTuple

import vobject  # type: ignore[import-untyped]  # it has no types
from ics import Calendar  # type: ignore[import-untyped]  # it has no types


class ReadEvent(NamedTuple):
    """An event as a program shows it."""

    uid: str
    start: datetime
    end: datetime
    status: str
    sequence: int
    summary: str
    location: str | None
    description: str | None
    series: str | None


def read_calendar(body: bytes) -> tuple[str, list[ReadEvent]]:
    """The name and the events of a calendar, by vobject; `ics` reads the same times, and neither complains."""
    text = body.decode()
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = vobject.readOne(text, validate=True)
        events = [_event(each) for each in read.contents.get("vevent", [])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ics, about itself
        others = Calendar(text).events
    assert {(each.uid, each.begin.datetime, each.end.datetime, each.name) for each in others} == {
        (each.uid, each.start, each.end, each.summary) for each in events
    }
    return read.contents["name"][0].value, events


def _event(event: Any) -> ReadEvent:
    def text(name: str) -> str | None:
        return str(event.contents[name][0].value) if name in event.contents else None

    return ReadEvent(
        uid=event.uid.value,
        start=event.dtstart.value,
        end=event.dtend.value,
        status=event.status.value,
        sequence=int(event.sequence.value),
        summary=event.summary.value,
        location=text("location"),
        description=text("description"),
        series=text("refid"),
    )

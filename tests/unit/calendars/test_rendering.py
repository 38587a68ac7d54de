"""Calendars as other libraries read them, whatever is in their texts."""

import re
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.calendars.rendering import CalendarEvent, EventStatus, rendered
from app.domain.lifecycle import STATUSES, Status
from tests.support.calendar_files import read_calendar
from tests.support.times import HOUR, NINE

TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\r\n\\;,:\u2028\x85\x00"), max_size=60)


def event(status: Status = "confirmed", summary: str = "Busy", description: str | None = None) -> CalendarEvent:
    """An event of an hour."""
    times = (NINE, NINE + HOUR, status, 3, NINE - HOUR, NINE - HOUR)
    return CalendarEvent("665f1f77bcf86cd799439011", *times, summary, None, description)


@settings(max_examples=60)
@given(TEXTS, TEXTS)
@example("END:VEVENT\r\nBEGIN:VEVENT", "x\u2028ATTENDEE:mailto:a@example.com")
def test_texts_are_texts(summary: str, description: str) -> None:
    """No text ends its line, its event or its calendar; line ends are of one kind, and other control characters go."""
    body = rendered(summary, [event(summary=summary or "Busy", description=description)])
    _, (read,) = read_calendar(body)

    def plain(text: str) -> str:
        lines = re.sub("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", "\n", text)
        return re.sub("[\x00-\x08\x0e-\x1f\x7f]", "", lines)

    assert read.summary == plain(summary or "Busy")
    assert (read.description or "") == plain(description)
    assert body.count(b"\r\nBEGIN:") == body.count(b"\r\nEND:") - 1 == 1


def test_long_notes() -> None:
    """Notes of 2,000 characters come through, of whatever script, in lines of 75 bytes."""
    notes = ("Größe, 大小; \\ " * 200)[:2_000]

    _, (read,) = read_calendar(rendered("Room", [event(description=notes)]))

    assert read.description == notes


@pytest.mark.parametrize(
    ("status", "expected"),
    [*zip(STATUSES, ["TENTATIVE", "CONFIRMED", "CONFIRMED", "CANCELLED", "CANCELLED", "CONFIRMED"], strict=True)],
)
def test_statuses(status: Status, expected: EventStatus) -> None:
    """What is off says so, and takes nobody's time; what is to be confirmed is tentative."""
    body = rendered("Room", [event(status)])
    _, (read,) = read_calendar(body)

    assert read.status == expected
    assert (b"TRANSP:TRANSPARENT" in body) is (expected == "CANCELLED")


def test_an_event() -> None:
    """Times are in UTC, the id is the reservation's, and a calendar without events is one."""
    body = rendered("Room", [event()])
    name, (read,) = read_calendar(body)

    assert (name, read.uid, read.sequence) == ("Room", "665f1f77bcf86cd799439011@reserva", 3)
    assert (read.start, read.end - read.start) == (NINE, timedelta(hours=1))
    assert b"DTSTART:20300107T090000Z" in body
    assert read_calendar(rendered("Room", [])) == ("Room", [])

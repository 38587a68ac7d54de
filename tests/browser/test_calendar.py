"""The calendar, in a browser."""

from datetime import datetime, timedelta

import pytest

from tests.support.browser import Browser
from tests.support.running_console import RunningConsole

ROOM = "/console/calendar?view=week&of=resource:room-1&date="


def book(console: RunningConsole, start: str, minutes: int = 60, **fields: object) -> str:
    """A reservation without rules, in Room 1 if nothing else is said."""
    begin = datetime.fromisoformat(start)
    times = {"startTime": start, "endTime": (begin + timedelta(minutes=minutes)).isoformat()}
    answer = console.http.post(
        "/v1/reservations", json={"resource": "room-1", **times, **fields}, params={"force": "true"}
    )
    return str(answer.raise_for_status().json()["id"])


def test_the_page(console: RunningConsole, browser: Browser) -> None:
    """It is accessible in both themes, without errors, and asks no other host; a note with markup is text."""
    book(console, "2026-06-10T08:00:00Z", customer="mia", notes="<img src=x onerror=alert(1)>")
    book(console, "2026-06-11T08:00:00Z", expiresInSeconds=600)
    browser.sign_in(console.key)

    for view in ("day", "week", "month"):
        browser.check_page(f"/console/calendar?view={view}&of=resource:room-1&date=2026-06-10")
    browser.open(f"{ROOM}2026-06-10")

    assert "<img src=x" in browser.text(".booking.confirmed")
    assert "left" in browser.text(".booking.hold")


@pytest.mark.parametrize(
    ("day", "hours", "instant", "elapsed"),
    [("2026-03-29", 23, "2026-03-29T01:30:00Z", 150), ("2026-10-25", 25, "2026-10-25T01:30:00Z", 210)],
)
def test_a_day_on_which_the_clocks_change(
    console: RunningConsole, browser: Browser, day: str, hours: int, instant: str, elapsed: int
) -> None:
    """It has its real hours, and a booking stands where its instant is: at the second 02:30 of two."""
    identity = book(console, instant, 30)
    browser.sign_in(console.key)

    browser.open(ROOM + day)
    booking = browser.find(f'[data-id="{identity}"]')
    pixels = browser.run("return parseFloat(arguments[0].style.top)", booking)
    marks = browser.run(
        "return [...document.querySelectorAll('.axis')].at(-1).querySelectorAll('.mark-of-hour').length"
    )
    hour = browser.run(
        "const marks = document.querySelectorAll('.axis .mark-of-hour');"
        "return parseFloat(marks[1].style.top) - parseFloat(marks[0].style.top)"
    )

    assert marks == hours
    assert pixels / hour * 60 == elapsed
    assert browser.errors() == []

"""Series in the calendar, in a browser: shown, moved, cancelled and booked."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains

from tests.support.browser import Browser
from tests.support.running_console import RunningConsole
from tests.support.times import local

HOUR_PIXELS = 48
WEEKS = count(step=4)
ZONE = "Europe/Berlin"


@pytest.fixture
def monday(console: RunningConsole, browser: Browser) -> Iterator[datetime]:
    """The local midnight of a Monday to come, with four empty weeks; signed in."""
    browser.sign_in(console.key)
    week = local(datetime.now(UTC).year + 1, 6, 1) + timedelta(weeks=next(WEEKS))
    yield week - timedelta(days=week.weekday())
    assert browser.errors() == []


def book_series(console: RunningConsole, start: datetime) -> dict[str, Any]:
    """An hour in Room 2 on three Mondays."""
    times = {"localStart": start.isoformat(), "localEnd": (start + timedelta(hours=1)).isoformat(), "timezone": ZONE}
    body = {"reservation": {"resource": "room-2", **times}, "rule": "FREQ=WEEKLY;COUNT=3", "onConflict": "refuse"}
    made: dict[str, Any] = console.http.post("/v1/series", json=body).raise_for_status().json()
    return made


def read(console: RunningConsole, series: dict[str, Any]) -> list[dict[str, Any]]:
    """The reservations of a series, as the API has them."""
    found: list[dict[str, Any]] = console.http.get(f"/v1/series/{series['id']}").json()["reservations"]
    return found


def starts(console: RunningConsole, series: dict[str, Any]) -> list[str]:
    """When they begin, in UTC."""
    return [each["startTime"][:16] for each in read(console, series)]


def utc(start: datetime, *hours: float) -> list[str]:
    """Instants of three Mondays, some hours after local midnight in summer."""
    times = [start + timedelta(weeks=week, hours=hour - 2) for week, hour in enumerate(hours)]
    return [each.isoformat()[:16] for each in times]


def see(browser: Browser, day: datetime) -> None:
    """Open the week of a day, with nine o'clock at the top."""
    browser.open(f"/console/calendar?view=week&of=resource:room-2&date={day.date()}")
    browser.find(".calendar.drawn")
    browser.run(f"document.getElementById('calendar').scrollTop = {9 * HOUR_PIXELS - 60}")


def drag(browser: Browser, identity: str, hours: float) -> None:
    """Drag a booking of the calendar by some hours; it may be drawn anew meanwhile."""

    def dragged() -> bool:
        element = browser.find(f'.drawn [data-id="{identity}"]')
        chain = ActionChains(browser.driver, duration=20)
        chain.click_and_hold(element).move_by_offset(0, 8).move_by_offset(0, round(hours * HOUR_PIXELS) - 8)
        chain.release().perform()
        return True

    browser.wait(dragged)


def open_details(browser: Browser, identity: str) -> None:
    """Click a booking of the calendar; it may be drawn anew meanwhile."""
    browser.wait(lambda: browser.find(f'.drawn [data-id="{identity}"]').click() is None)


def choose(browser: Browser, value: str) -> None:
    """Click a button of the dialog that is open."""
    browser.find(f"dialog[open] button[value={value}]").click()
    browser.wait(lambda: not browser.all(f"dialog[open] button[value={value}]"))


def told(browser: Browser, words: str) -> None:
    """Wait for a notice, which comes when the calendar is drawn anew, and close it."""
    browser.reads(words)
    browser.run("document.querySelector('.toast').remove()")


def test_move_and_cancel(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """One that is dragged or cancelled asks whether it is meant alone, with those that follow, or with all to come."""
    made = book_series(console, monday + timedelta(hours=10))
    first, second, _ = (each["id"] for each in made["reservations"])
    see(browser, monday + timedelta(weeks=1))

    drag(browser, second, 2)
    choose(browser, "none")
    browser.wait(lambda: not browser.all(".moving"))
    left = starts(console, made)
    drag(browser, second, 2)
    choose(browser, "following")
    told(browser, "The series is moved.")
    following = starts(console, made)
    drag(browser, second, -1)
    choose(browser, "all")
    told(browser, "The series is moved.")
    everywhere = starts(console, made)
    drag(browser, second, 1)
    choose(browser, "one")
    told(browser, "Moved.")
    alone = starts(console, made)
    mark = browser.find(f'.drawn [data-id="{second}"] [role=img]').get_attribute("aria-label")
    open_details(browser, second)
    choose(browser, "cancel")
    choose(browser, "following")
    browser.wait(lambda: [each["status"] for each in read(console, made)] == ["confirmed", "cancelled", "cancelled"])

    assert mark == "Series"
    assert left == utc(monday, 10, 10, 10)
    assert following == utc(monday, 10, 12, 12)
    assert everywhere == utc(monday, 9, 11, 11)
    assert alone == utc(monday, 9, 12, 11)
    assert read(console, made)[0]["id"] == first


def test_a_series_that_is_in_the_way(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """A move of several names those that cannot be moved, and leaves all; their list is one click away, accessible."""
    made = book_series(console, monday + timedelta(hours=10))
    taken = monday + timedelta(weeks=2, hours=10)  # in UTC: 12 by the clocks
    times = {"startTime": f"{taken.isoformat()}Z", "endTime": f"{(taken + timedelta(hours=1)).isoformat()}Z"}
    console.http.post("/v1/reservations", json={"resource": "room-2", **times}).raise_for_status()
    identity = made["reservations"][0]["id"]
    see(browser, monday)

    drag(browser, identity, 2)
    choose(browser, "all")
    said = browser.text("dialog[open] .reasons")
    choose(browser, "close")
    browser.wait(lambda: not browser.all(".moving"))
    open_details(browser, identity)
    browser.find("dialog[open] .facts a").click()
    browser.wait(lambda: "/console/series/" in browser.driver.current_url)
    rows = [each.text for each in browser.all("tbody tr")]

    assert starts(console, made) == utc(monday, 10, 10, 10)
    assert f"{taken:%b} {taken.day}, {taken.year}, 10:00" in said  # as the rule has it
    assert "0 of 1 are free" in said
    assert len(rows) == 3
    assert all("Room 2" in each and "Confirmed" in each for each in rows)
    browser.errors()  # the answer 409 is one
    browser.check_page(f"/console/series/{made['id']}")


def test_book_a_series(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """The dialog books a series: a refusal names the dates in the way, and without these the others are booked."""
    taken = monday + timedelta(weeks=1, hours=7)  # in UTC: 9 by the clocks
    times = {"startTime": f"{taken.isoformat()}Z", "endTime": f"{(taken + timedelta(hours=1)).isoformat()}Z"}
    console.http.post("/v1/reservations", json={"resource": "room-2", **times}).raise_for_status()
    see(browser, monday)
    browser.press("n")
    browser.wait(lambda: browser.text("#book .said"))
    fields = {"date": str(monday.date()), "from": "09:00", "to": "10:00", "repeats": "WEEKLY", "count": "3"}
    for name, value in fields.items():
        write(browser, name, value)
    violations = browser.violations()

    browser.find("#book .primary").click()
    refused = browser.text("#book .problem")
    browser.errors()  # the answer 409 is one
    write(browser, "onConflict", "skip")
    browser.find("#book .primary").click()
    told = browser.text("dialog[open] .refusal")
    identity = browser.find(".drawn .booking").get_attribute("data-id")

    series = console.http.get(f"/v1/reservations/{identity}").json()["series"]
    day = f"{taken:%b} {taken.day}, {taken.year}, 9:00"
    assert (day in refused, day in told) == (True, True)
    assert starts(console, {"id": series}) == [utc(monday, 9, 9, 9)[week] for week in (0, 2)]
    assert violations == []


def write(browser: Browser, name: str, value: str) -> None:
    """Write a value into a field of the dialog."""
    field = browser.find(f"#book [name={name}]")
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))"
    browser.run(script, field, value)

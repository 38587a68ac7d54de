"""Booking, moving and prolonging in the calendar, in a browser."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.support.browser import Browser
from tests.support.running_console import RunningConsole

HOUR_PIXELS = 48
ROOM = "/console/calendar?view=week&of=resource:room-1&date="
DAYS = count()


@pytest.fixture
def monday(console: RunningConsole, browser: Browser) -> Iterator[datetime]:
    """The midnight in Berlin of a Monday of an empty week to come, without clock changes; signed in."""
    browser.sign_in(console.key)
    now = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    week = datetime(now.year + 1, 6, 1, tzinfo=UTC) + timedelta(weeks=next(DAYS))
    yield week - timedelta(days=week.weekday(), hours=2)
    assert browser.errors() == []


def book(console: RunningConsole, start: datetime, minutes: int = 60, **fields: object) -> str:
    """A reservation in Room 1."""
    times = {"startTime": start.isoformat(), "endTime": (start + timedelta(minutes=minutes)).isoformat()}
    answer = console.http.post("/v1/reservations", json={"resource": "room-1", **times, **fields})
    return str(answer.raise_for_status().json()["id"])


def read(console: RunningConsole, identity: str) -> dict[str, Any]:
    """A reservation, as the API has it."""
    found: dict[str, Any] = console.http.get(f"/v1/reservations/{identity}").json()
    return found


def starts(console: RunningConsole, identity: str, start: datetime) -> bool:
    """Whether a reservation begins then."""
    return datetime.fromisoformat(read(console, identity)["startTime"]) == start


def see(browser: Browser, day: datetime, hour: int = 9) -> None:
    """Open the week of a day, with an hour at the top."""
    browser.open(ROOM + (day + timedelta(hours=12)).date().isoformat())
    browser.find(".calendar.drawn")
    browser.run(f"document.getElementById('calendar').scrollTop = {hour * HOUR_PIXELS - 60}")


def at(browser: Browser, column: int, hour: float) -> ActionChains:
    """The pointer at an hour of a column, counted from its start."""
    body = browser.all(".drawn .body")[column]
    box = browser.run("return arguments[0].getBoundingClientRect().toJSON()", body)
    chain = ActionChains(browser.driver, duration=20)
    pointer: Any = chain.w3c_actions.pointer_action  # Selenium has no types here
    pointer.move_to_location(round(box["left"] + box["width"] / 2), round(box["top"] + hour * HOUR_PIXELS))
    return chain


def drag(browser: Browser, element: Any, hours: float, days: int = 0) -> None:
    """Drag an element by some hours and columns."""
    width = browser.run("return document.querySelector('.drawn .column').offsetWidth")
    ActionChains(browser.driver, duration=20).click_and_hold(element).move_by_offset(0, 8).move_by_offset(
        days * width, round(hours * HOUR_PIXELS) - 8
    ).release().perform()


def booking(browser: Browser, identity: str) -> Any:
    """A booking of the calendar."""
    return browser.find(f'.drawn [data-id="{identity}"]')


def days_of(browser: Browser, identity: str, count: int) -> list[Any]:
    """The parts of a booking on each day of the calendar, as soon as there are so many."""
    found: list[Any] = browser.wait(
        lambda: len(parts := browser.all(f'.drawn [data-id="{identity}"]')) == count and parts
    )
    return found


def test_book_and_take_the_next_free_time(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """A click on free time opens a dialog that books; where that is refused, a click books the next free time."""
    see(browser, monday)
    at(browser, 0, 10.1).click().perform()
    browser.wait(lambda: "Free" in browser.text("#book .said"))
    book(console, monday + timedelta(hours=10), 60)
    browser.find("#book [name=customer]").send_keys("mi")
    browser.wait(lambda: browser.find("#customers [aria-selected=true]").text.startswith("Mia"))
    browser.find("#book [name=customer]").send_keys(Keys.ENTER)

    browser.find("#book .primary").click()
    refused = browser.text("#book .problem")
    browser.find("#book .next-free").click()
    browser.wait(lambda: len(browser.all(".drawn .booking")) == 2)

    made = console.http.get("/v1/customers/mia/reservations").json()["items"][0]
    assert "0 of 1 are free" in refused
    assert datetime.fromisoformat(made["startTime"]) == monday + timedelta(hours=11)
    browser.errors()  # the answer 409 is one


def test_book_the_same_once_more(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """Whoever books what was booked before and cancelled since, books it, and is not shown the answer of that time."""
    made: list[str] = []
    see(browser, monday)
    for _ in range(2):
        at(browser, 0, 10.1).click().perform()
        browser.wait(lambda: "Free" in browser.text("#book .said"))
        browser.find("#book .primary").click()
        made.append(browser.find(".drawn .booking").get_attribute("data-id"))
        browser.run("document.querySelector('.toast').remove()")
        console.http.post(f"/v1/reservations/{made[-1]}/cancel").raise_for_status()
        browser.wait(lambda: not browser.all(".drawn .booking"))

    assert len({*made}) == 2


def test_draw_a_time_and_make_a_customer(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """Free time that is drawn is booked from its first to its last quarter, for a customer who is made by name."""
    see(browser, monday)
    at(browser, 2, 9.05).click_and_hold().move_by_offset(0, 20).move_by_offset(
        0, 2 * HOUR_PIXELS - 25
    ).release().perform()
    browser.find("#book [name=customer]").send_keys("Zoë New")
    browser.wait(lambda: browser.all("#customers [role=option]"))
    browser.find("#book [name=customer]").send_keys(Keys.ENTER)

    browser.find("#book .primary").click()

    element = browser.find(".drawn .booking")
    made = read(console, element.get_attribute("data-id"))
    start, end = (datetime.fromisoformat(made[name]) for name in ("startTime", "endTime"))
    assert "Zoë New" in element.text
    assert start == monday + timedelta(days=2, hours=9)
    assert end - start == timedelta(hours=2)


def test_a_time_that_the_clocks_show_twice(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """A time that is typed is that of the resource's clocks; of two such instants one is chosen by a click."""
    see(browser, monday)
    browser.driver.find_element("css selector", "body").send_keys("n")
    browser.wait(lambda: browser.text("#book .said"))
    for name, value in (("date", "2027-10-31"), ("from", "02:30"), ("to", "03:15")):
        browser.run(
            "const field = document.querySelector(`#book [name=${arguments[0]}]`); field.value = arguments[1];"
            "field.dispatchEvent(new Event('input', {bubbles: true}))",
            name,
            value,
        )
    browser.run("document.querySelector('#book [name=service]').value = ''")
    browser.find("#book .primary").click()
    browser.wait(lambda: len(browser.all("#book .next-free")) == 2)
    offered = [each.text.partition("(")[2] for each in browser.all("#book .next-free")]

    browser.all("#book .next-free")[1].click()
    browser.wait(lambda: not browser.all("#book[open]"))

    span = {"from": "2027-10-31T00:00:00Z", "to": "2027-10-31T04:00:00Z", "resource": "room-1"}
    (made,) = console.http.get("/v1/reservations", params=span).json()["items"]
    assert (made["startTime"], made["endTime"]) == ("2027-10-31T01:30:00.000Z", "2027-10-31T02:15:00.000Z")
    assert offered == ["GMT+2)", "GMT+1)"]
    browser.errors()  # the answer 422 is one


def test_any_of_a_pool(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """Where the resources of a service are drawn together, any of them that is free is booked."""
    browser.open(f"/console/calendar?view=week&of=service:room-hire&date={(monday + timedelta(hours=12)).date()}")
    browser.find(".calendar.drawn")
    browser.run(f"document.getElementById('calendar').scrollTop = {9 * HOUR_PIXELS - 60}")
    at(browser, 0, 12.1).click().perform()
    browser.wait(lambda: "Free" in browser.text("#book .said"))
    chosen = browser.run("return document.querySelector('#book [name=resource]').value")

    browser.find("#book .primary").click()

    made = read(console, browser.find(".drawn .booking").get_attribute("data-id"))
    assert chosen == "any"
    assert made["resource"] in {"room-1", "room-2"}
    assert made["service"] == "room-hire"


def test_some_days(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """A service of full days is booked from its first to its last day."""
    stay = {"id": "stay", "name": "Stay", "durationType": "full-day", "maxDays": 5}
    chalet = {"id": "chalet", "name": "Chalet", "timezone": "Europe/Berlin", "services": ["stay"], "serviceOnly": True}
    console.http.post("/v1/services", json=stay).raise_for_status()
    console.http.post("/v1/resources", json=chalet).raise_for_status()
    first = (monday + timedelta(hours=12)).date()
    browser.open(f"/console/calendar?view=week&of=resource:chalet&date={first}")
    browser.find(".calendar.drawn")
    at(browser, 0, 9.1).click().perform()
    browser.wait(lambda: "Free" in browser.text("#book .said"))
    last = browser.find("#book [name=last]")
    browser.run(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))",
        last,
        str(first + timedelta(days=2)),
    )

    browser.find("#book .primary").click()

    made = read(console, browser.find(".drawn .booking").get_attribute("data-id"))
    start, end = (datetime.fromisoformat(made[name]) for name in ("startTime", "endTime"))
    assert (start, end) == (monday, monday + timedelta(days=3))


def test_drag_and_undo(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """A booking is dragged to another day and hour, and one click takes it back."""
    identity = book(console, monday + timedelta(hours=9))
    see(browser, monday)

    drag(browser, booking(browser, identity), 2, days=1)
    browser.wait(lambda: starts(console, identity, monday + timedelta(days=1, hours=11)))
    browser.find(".toast button").click()

    browser.wait(lambda: starts(console, identity, monday + timedelta(hours=9)))
    assert read(console, identity)["version"] == 3


def test_drag_a_part_on_a_later_day(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """A booking of several days that is taken on a later one moves as far as it is dragged, and keeps its length."""
    identity = book(console, monday + timedelta(hours=17), 33 * 60)  # until Wednesday at two
    see(browser, monday, 2)
    parts = days_of(browser, identity, 3)
    edges = [len(each.find_elements("css selector", ".edge")) for each in parts]

    drag(browser, parts[1], 1.5)
    browser.wait(lambda: starts(console, identity, monday + timedelta(hours=18, minutes=30)))
    see(browser, monday, 2)
    drag(browser, days_of(browser, identity, 3)[2], -1, days=1)

    start = monday + timedelta(days=1, hours=17, minutes=30)
    browser.wait(lambda: starts(console, identity, start))
    assert datetime.fromisoformat(read(console, identity)["endTime"]) == start + timedelta(hours=33)
    assert edges == [1, 0, 1]


def test_drag_an_edge(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """A booking is prolonged by its lower edge."""
    identity = book(console, monday + timedelta(hours=9))
    see(browser, monday)

    drag(browser, booking(browser, identity).find_element("css selector", ".edge.end"), 0.5)

    end = monday + timedelta(hours=10, minutes=30)
    browser.wait(lambda: datetime.fromisoformat(read(console, identity)["endTime"]) == end)
    assert starts(console, identity, monday + timedelta(hours=9))


def test_a_move_that_is_refused(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """While it is moved onto another one the page says so, and a refused move leaves it where it was."""
    identity = book(console, monday + timedelta(hours=9))
    book(console, monday + timedelta(hours=11))
    see(browser, monday)
    booking(browser, identity).send_keys("m", *[Keys.ARROW_DOWN] * 8)
    browser.wait(lambda: "0 of 1 are free" in browser.text("#calendar-status"))

    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    browser.wait(lambda: "0 of 1" in browser.text("dialog[open] .reasons"))
    browser.find("dialog[open] > form button").click()

    browser.wait(lambda: not browser.all(".moving"))
    assert starts(console, identity, monday + timedelta(hours=9))
    browser.errors()  # the answer 409 is one


def test_move_by_keys(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """Arrows choose and move, with Shift they prolong, Enter confirms and Escape leaves it."""
    identity = book(console, monday + timedelta(hours=9))
    see(browser, monday)
    root = browser.find("#calendar")
    root.send_keys(Keys.ARROW_DOWN)
    focused = browser.driver.switch_to.active_element

    focused.send_keys("m", Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.ESCAPE)
    untouched = read(console, identity)["version"]
    focused.send_keys("m", Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.SHIFT, Keys.ARROW_DOWN, Keys.SHIFT, Keys.ENTER)
    browser.wait(lambda: read(console, identity)["version"] == 2)

    moved = read(console, identity)
    start, end = (datetime.fromisoformat(moved[name]) for name in ("startTime", "endTime"))
    assert untouched == 1
    assert start == monday + timedelta(days=1, hours=9, minutes=15)
    assert end - start == timedelta(minutes=75)


def test_keys_while_a_move_is_sent(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """It is sent once, however often Enter is pressed, and no key takes it back before it is answered."""
    identity = book(console, monday + timedelta(hours=9))
    see(browser, monday)
    browser.run(
        "const sent = window.fetch; window.patches = 0;"
        "window.fetch = async (path, options) => {"
        "  if (options.method === 'PATCH') {"
        "    window.patches += 1; await new Promise((answer) => { window.answer = answer; });"
        "  }"
        "  return sent(path, options);"
        "};"
    )
    booking(browser, identity).send_keys("m", Keys.ARROW_DOWN)

    browser.press(Keys.ENTER, Keys.ENTER, Keys.ARROW_DOWN, Keys.ESCAPE)
    browser.run("window.answer()")
    browser.reads("Moved.")

    assert browser.run("return window.patches") == 1
    assert starts(console, identity, monday + timedelta(hours=9, minutes=15))
    assert len(browser.all(".toast")) == 1


def test_move_by_buttons(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """Who has neither a mouse nor keys moves a booking by buttons."""
    identity = book(console, monday + timedelta(hours=9))
    see(browser, monday)
    booking(browser, identity).click()
    browser.find("dialog[open] button[value=move]").click()

    for key in ("ArrowDown", "ArrowRight", "Enter"):
        browser.wait(lambda: browser.find("#calendar-bar").is_displayed())
        browser.find(f"#calendar-bar [data-key={key}]").click()

    browser.wait(lambda: starts(console, identity, monday + timedelta(days=1, hours=9, minutes=15)))


def test_two_people(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """Whoever moves what somebody else has changed meanwhile is told, and sees it as it is now."""
    identity = book(console, monday + timedelta(hours=9))
    see(browser, monday)
    booking(browser, identity).send_keys("m", Keys.ARROW_DOWN)
    there = {"startTime": (monday + timedelta(hours=14)).isoformat()}
    console.http.patch(f"/v1/reservations/{identity}", json=there, headers={"If-Match": "*"}).raise_for_status()

    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)

    browser.wait(lambda: "Somebody else" in browser.text(".toast"))
    browser.wait(lambda: browser.run("return parseFloat(arguments[0].style.top)", booking(browser, identity)) == 672)
    browser.errors()  # the answer 412 is one


def test_changes_of_others(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """What others book appears without a reload, and what they cancel goes; the dates stay as they are written."""
    see(browser, monday)
    headings = [each.text for each in browser.all(".drawn h2")]
    identity = book(console, monday + timedelta(hours=9), notes="<i>new</i>")

    appeared = booking(browser, identity).text
    console.http.post(f"/v1/reservations/{identity}/cancel").raise_for_status()

    browser.wait(lambda: not browser.all(".drawn .booking"))
    assert "<i>new</i>" in appeared
    assert [each.text for each in browser.all(".drawn h2")] == headings


def test_cancel_asks_first(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """A booking opens with its details; to cancel it says that it is for good, and asks."""
    identity = book(console, monday + timedelta(hours=9), customer="mia", notes="<b>bold</b>")
    see(browser, monday)
    booking(browser, identity).click()
    notes = browser.find("dialog[open] textarea[name=notes]").get_attribute("value")
    browser.find("dialog[open] button[value=cancel]").click()

    browser.find("dialog[open] button[value=yes]")
    asked = browser.text("dialog[open] #dialog-title")
    browser.find("dialog[open] button[value=yes]").click()

    browser.wait(lambda: read(console, identity)["status"] == "cancelled")
    assert notes == "<b>bold</b>"
    assert "cannot be undone" in asked


def test_a_booking_that_goes_while_it_is_looked_at(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """On a phone, too, the day is there when its details are closed."""
    identity = book(console, monday + timedelta(hours=9))
    browser.resize(400, 800)
    see(browser, monday)
    booking(browser, identity).click()
    close = browser.find("dialog[open] button[value=close]")
    console.http.post(f"/v1/reservations/{identity}/cancel").raise_for_status()
    browser.wait(lambda: not browser.all(".drawn .booking"))

    close.click()
    browser.wait(lambda: not browser.all("dialog[open]"))
    shown = len(browser.all(".drawn .column.current"))
    browser.resize(1_280, 900)

    assert shown == 1


def test_undo_of_a_no_show(console: RunningConsole, browser: Browser) -> None:
    """What has begun is marked as a no-show by one click, and one more takes that back."""
    browser.sign_in(console.key)
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=20)
    times = {"startTime": begin.isoformat(), "endTime": (begin + timedelta(hours=1)).isoformat()}
    made = console.http.post("/v1/reservations", params={"force": "true"}, json={"resource": "ada", **times})
    identity = str(made.raise_for_status().json()["id"])
    browser.open("/console/calendar?of=resource:ada")
    booking(browser, identity).click()

    browser.find("dialog[open] button[value=no-show]").click()
    browser.wait(lambda: browser.all(f'.drawn .no-show[data-id="{identity}"]'))
    browser.find(".toast button").click()

    browser.wait(lambda: browser.all(f'.drawn .confirmed[data-id="{identity}"]'))
    assert browser.errors() == []


def test_a_key_that_only_reads(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """It sees no handles and no way to book; one that may not read reservations is told what it lacks."""
    identity = book(console, monday + timedelta(hours=9))
    browser.sign_in(console.make_key("reservations:read"))
    see(browser, monday)
    element = booking(browser, identity)
    edges = element.find_elements("css selector", ".edge")
    element.click()
    browser.find("dialog[open]")
    offered = [each.text for each in browser.all("dialog[open] button")]
    browser.sign_in(console.make_key("catalogue:write"))

    browser.open("/console/calendar")

    assert edges == []
    assert offered == ["Close"]
    assert "lacks the scope reservations:read" in browser.text()
    browser.errors()  # the answer 403 is one


def test_the_dialog(console: RunningConsole, browser: Browser, monday: datetime) -> None:
    """It is accessible."""
    see(browser, monday)
    browser.driver.find_element("css selector", "body").send_keys("n")
    browser.wait(lambda: browser.text("#book .said"))

    assert browser.violations() == []

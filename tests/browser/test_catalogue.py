"""The catalogue, in a browser."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.support.browser import Browser
from tests.support.running_console import RunningConsole

MONDAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=7)
MONDAY -= timedelta(days=MONDAY.weekday())
WEEK = {"weekly": [{"days": ["mon", "tue"], "from": "09:00", "to": "17:00"}]}


def make(console: RunningConsole, identity: str, **fields: Any) -> str:
    """A resource in UTC that is open on Mondays and Tuesdays from nine to five; the path of its page."""
    console.http.post("/v1/resources", json={"id": identity, "name": identity, **fields}).raise_for_status()
    hours = console.http.put(f"/v1/resources/{identity}/schedule", json=WEEK, headers={"If-Match": "*"})
    hours.raise_for_status()
    return f"/console/catalogue/resources/{identity}"


def book(console: RunningConsole, resource: str, hour: int) -> str:
    """A reservation of an hour on the next Monday; its id."""
    start = MONDAY + timedelta(hours=hour)
    times = {"startTime": start.isoformat(), "endTime": (start + timedelta(hours=1)).isoformat()}
    answer = console.http.post("/v1/reservations", json={"resource": resource, "customer": "mia", **times})
    return str(answer.raise_for_status().json()["id"])


@pytest.fixture(scope="module")
def signed_in(console: RunningConsole, browser: Browser) -> Browser:
    """The browser, signed in with every scope."""
    browser.sign_in(console.key)
    return browser


def write(browser: Browser, selector: str, text: str) -> None:
    """Write another text into an input."""
    browser.find(selector).send_keys(Keys.CONTROL + "a", Keys.NULL, text or Keys.DELETE)


def test_the_pages(console: RunningConsole, signed_in: Browser) -> None:
    """They are accessible in both themes, without errors, ask no other host, fit a phone, and show markup as text."""
    path = make(console, "shown", name="<i>Garden</i>", description="<script>alert(1)</script>")
    off = {"from": "2031-01-07", "to": "2031-01-08", "reason": "<b>painting</b>"}
    console.http.post("/v1/resources/shown/time-off", json=off).raise_for_status()

    closed = {
        "name": "<b>Works</b>",
        "resources": ["shown"],
        "from": "2031-02-01T10:00:00Z",
        "to": "2031-02-02T10:00:00Z",
    }
    console.http.post("/v1/closures", json=closed).raise_for_status()

    for each in ("resources", "services/yoga", "customers", "closures"):
        signed_in.check_page(f"/console/catalogue/{each}")
    signed_in.check_page(path)
    signed_in.find("#hours")

    assert signed_in.beyond(320) == 0
    assert signed_in.text("h1") == "<i>Garden</i>"
    assert "<b>painting</b>" in signed_in.text("#off")
    signed_in.open("/console/catalogue/resources")
    assert "<script>alert(1)</script>" in signed_in.text("#board")


def test_hours_that_strand_bookings(console: RunningConsole, signed_in: Browser) -> None:
    """An edit of the hours shows the bookings that would lose their place, and is made if that is wanted."""
    signed_in.open(make(console, "stranding"))
    book(console, "stranding", 15)

    write(signed_in, "[data-day=mon] .time:nth-of-type(2)", "14" + Keys.TAB)
    after = signed_in.run("return document.activeElement.getAttribute('aria-label')")
    signed_in.find("#save-hours").click()
    title = signed_in.text("dialog[open] h2")
    listed = signed_in.text("dialog[open] .plain")
    signed_in.find("dialog[open] [value=anyway]").click()

    assert signed_in.reads("The hours are saved.")
    assert after == "Monday: remove these hours"
    assert title == "1 booking would lose its place"
    assert "mia" in listed
    weekly = console.http.get("/v1/resources/stranding/schedule").json()["weekly"]
    assert weekly == [
        {"days": ["mon"], "from": "09:00", "to": "14:00"},
        {"days": ["tue"], "from": "09:00", "to": "17:00"},
    ]
    assert "Hours" in signed_in.text("#history")
    assert [each for each in signed_in.errors() if "409" not in each] == []


def test_an_edit_that_is_left(console: RunningConsole, signed_in: Browser) -> None:
    """Whoever does not want to strand bookings leaves all as it was."""
    signed_in.open(make(console, "leaving", capacity=2))
    for _ in range(2):
        book(console, "leaving", 10)

    write(signed_in, "#fields [name=capacity]", "1")
    signed_in.find("#save").click()
    title = signed_in.text("dialog[open] h2")
    signed_in.find("dialog[open] [value=no]").click()

    signed_in.wait(lambda: not signed_in.all("dialog[open]"))
    assert title == "2 bookings would lose their place"
    assert console.http.get("/v1/resources/leaving").json()["capacity"] == 2
    signed_in.errors()


def test_fields(console: RunningConsole, signed_in: Browser) -> None:
    """What was changed is sent alone; what another person has changed since is not overwritten."""
    signed_in.open(make(console, "fields", description="old"))
    write(signed_in, "#fields [name=name]", "Blue room")
    write(signed_in, "#fields [name=description]", "")
    signed_in.find("#fields [data-service=yoga]").click()

    signed_in.find("#save").click()

    assert signed_in.reads("Saved.")
    found = console.http.get("/v1/resources/fields").json()
    assert (found["name"], found["services"], "description" in found) == ("Blue room", ["yoga"], False)
    assert found["history"][-1]["changed"] == ["name", "description", "services"]
    console.http.patch("/v1/resources/fields", json={"name": "Red room"}, headers={"If-Match": "*"}).raise_for_status()
    write(signed_in, "#fields [name=name]", "Green room")
    signed_in.find("#save").click()
    told = signed_in.text("dialog[open] h2")
    signed_in.find("dialog[open] [value=yes]").click()
    signed_in.wait(lambda: signed_in.text("h1") == "Red room")
    assert "read it again" in told
    signed_in.errors()


def test_hours_are_drawn(console: RunningConsole, signed_in: Browser) -> None:
    """A pointer draws hours in steps of a quarter of an hour, as inputs that can be written as well."""
    signed_in.open(make(console, "drawing"))
    track = signed_in.find("[data-day=wed] .track")
    quarter = int(track.rect["width"] / 4)

    actions = ActionChains(signed_in.driver).move_to_element_with_offset(track, -quarter + 2, 0).click_and_hold()
    actions.move_by_offset(quarter // 2, 0).move_by_offset(quarter - quarter // 2, 0).release().perform()

    opens, closes = (each.get_attribute("value") for each in signed_in.all("[data-day=wed] .time"))
    assert (opens, closes) == ("06:00", "12:00")
    signed_in.find("#save-hours").click()
    assert signed_in.reads("The hours are saved.")
    weekly = console.http.get("/v1/resources/drawing/schedule").json()["weekly"]
    assert {"days": ["wed"], "from": "06:00", "to": "12:00"} in weekly
    assert signed_in.errors() == []


def test_time_off(console: RunningConsole, signed_in: Browser) -> None:
    """Whole days are added with the last one included, times of day in the zone of the resource."""
    signed_in.open(make(console, "absent", timezone="Europe/Berlin"))
    days = {"fromDate": "2031-07-07", "toDate": "2031-07-08"}
    hours = {"fromDate": "2031-07-09", "fromTime": "10:00", "toDate": "2031-07-09", "toTime": "12:30"}

    for number, fields in enumerate((days, hours), 1):
        for name, text in fields.items():
            signed_in.run("document.querySelector(`#add-off [name=${arguments[0]}]`).value = arguments[1]", name, text)
        signed_in.find("#add-off [name=reason]").send_keys(Keys.ENTER)
        signed_in.wait(lambda number=number: len(signed_in.all("#off li")) == number)

    found = console.http.get("/v1/resources/absent/time-off").json()["items"]
    assert [(each["from"], each["to"]) for each in found] == [
        ("2031-07-07", "2031-07-09"),
        ("2031-07-09T08:00:00.000Z", "2031-07-09T10:30:00.000Z"),
    ]
    signed_in.find("#off [data-do=remove-off]").click()
    signed_in.find("dialog[open] [value=yes]").click()
    signed_in.wait(lambda: len(signed_in.all("#off li")) == 1)
    assert signed_in.errors() == []


def test_closures(console: RunningConsole, signed_in: Browser) -> None:
    """One that strands bookings shows them, and is made all the same if that is wanted; it can be deleted."""
    make(console, "closing")
    book(console, "closing", 10)
    named = console.http.get("/v1/resources/closing").json()["name"]
    signed_in.open("/console/catalogue/closures")
    signed_in.find("#create").click()
    signed_in.find("#new [name=name]").send_keys("Floor works")
    for name in ("fromDate", "toDate"):
        signed_in.run(f"document.querySelector('#new [name={name}]').value = arguments[0]", MONDAY.date().isoformat())
    signed_in.find("#new [value=some]").click()
    signed_in.find("#new [data-choice=services] input")

    signed_in.find("#new .primary").click()
    nothing_chosen = signed_in.text("#new .problem")
    signed_in.find("#new [value=closing]").click()
    violations = signed_in.violations()
    signed_in.find("#new .primary").click()
    title, listed = (signed_in.text(f"dialog[open]:not(#new) {each}") for each in ("h2", ".plain"))
    day = signed_in.find("dialog[open]:not(#new) .plain a").get_attribute("href")
    signed_in.find("dialog[open]:not(#new) [value=no]").click()
    signed_in.find("#new[open] .primary:enabled").click()
    signed_in.find("dialog[open]:not(#new) [value=anyway]").click()

    assert signed_in.reads("The closure is made.")
    assert "at least 1 entry" in nothing_chosen
    assert (violations, title) == ([], "1 booking would lose its place")
    assert f"mia · {named}" in listed
    assert "resource%3Aclosing" in day
    (made,) = [each for each in console.http.get("/v1/closures").json()["items"] if each["name"] == "Floor works"]
    days = (MONDAY.date().isoformat(), (MONDAY + timedelta(days=1)).date().isoformat())
    assert (made["from"], made["to"]) == days
    assert (made["resources"], "services" in made) == (["closing"], False)
    row = f"#board [data-id='{made['id']}']"
    assert "closing" in signed_in.text(row)
    signed_in.find(f"{row} [data-do=delete]").click()
    signed_in.find("dialog[open] [value=yes]").click()
    signed_in.wait(lambda: not signed_in.all(row))
    assert console.http.get(f"/v1/closures/{made['id']}").status_code == 404
    assert [each for each in signed_in.errors() if "409" not in each and "422" not in each] == []


def test_a_new_resource(console: RunningConsole, signed_in: Browser) -> None:
    """It is made in a dialog, where a refusal is said in the words of the API, and its page opens."""
    signed_in.open("/console/catalogue/resources")
    signed_in.find("#create").click()
    signed_in.find("#new [name=name]").send_keys("Attic")
    signed_in.find("#new [name=id]").send_keys("room-1")
    signed_in.find("#new .primary").click()
    refused = signed_in.text("#new .problem")

    write(signed_in, "#new [name=id]", "attic")
    signed_in.find("#new .primary").click()

    signed_in.wait(lambda: signed_in.driver.current_url.endswith("/console/catalogue/resources/attic"))
    assert "room-1" in refused
    assert console.http.get("/v1/resources/attic").json()["name"] == "Attic"
    signed_in.errors()


def test_a_key_that_may_not_edit(console: RunningConsole, signed_in: Browser) -> None:
    """It reads the catalogue without customers and without reasons, and is told what it lacks."""
    path = make(console, "reading")
    off = {"from": "2031-01-07", "to": "2031-01-08", "reason": "painting"}
    console.http.post("/v1/resources/reading/time-off", json=off).raise_for_status()
    signed_in.sign_in(console.make_key("events:read"))

    signed_in.open(path)
    shown = signed_in.text()
    buttons = signed_in.all("main button")
    errors = signed_in.errors()
    signed_in.open("/console/catalogue/customers")

    assert "09:00\N{EN DASH}17:00" in shown
    assert "Editing needs a key with catalogue:write." in shown
    assert "painting" not in shown
    assert buttons == errors == []
    assert "lacks the scope reservations:read" in signed_in.text("[role=alert]")
    signed_in.errors()
    signed_in.sign_in(console.key)


def test_behind_a_proxy_that_compresses(console: RunningConsole, signed_in: Browser) -> None:
    """A proxy that compresses makes tags weak; an edit after another one still is about the version that is shown."""
    signed_in.open(make(console, "compressed"))
    signed_in.run(
        "const strong = Headers.prototype.get;"
        "Headers.prototype.get = function (name) { const found = strong.call(this, name);"
        "  return name === 'ETag' && found ? `W/${found}` : found; };"
    )
    for name in ("First", "Second"):
        write(signed_in, "#fields [name=name]", name)
        signed_in.find("#save").click()
        signed_in.wait(lambda name=name: signed_in.all(".toast, dialog[open]") and signed_in.text("h1") == name)

    assert console.http.get("/v1/resources/compressed").json()["name"] == "Second"
    assert signed_in.errors() == []


def test_hours_that_cannot_be_read(console: RunningConsole, signed_in: Browser) -> None:
    """They are not saved as what stood there before: the page says how they are written."""
    signed_in.open(make(console, "unreadable"))
    signed_in.find("#save-hours")
    signed_in.run(
        "[...document.querySelectorAll('#hours button')].find((each) => each.textContent === 'Add a date').click()"
    )
    signed_in.run("document.querySelector('.dates input[type=date]').value = '2031-01-07'")
    signed_in.run("document.querySelector('.dates input[type=date]').dispatchEvent(new Event('change'))")
    field = signed_in.find(".dates input:not([type=date])")
    field.send_keys("nine to five" + Keys.TAB)

    signed_in.find("#save-hours").click()

    said = signed_in.run("return arguments[0].validationMessage", field)
    assert "09:00" in said
    assert "overrides" not in console.http.get("/v1/resources/unreadable/schedule").json()


def test_what_is_written_before_the_script_is_there(console: RunningConsole, signed_in: Browser) -> None:
    """It is saved as any other change: what the page came with is compared, not what the script has found."""
    path = make(console, "early")
    signed_in.driver.execute_cdp_cmd("Network.enable", {})
    signed_in.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/edit.js"]})
    signed_in.visit(path)
    write(signed_in, "#fields [name=name]", "Early")
    signed_in.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    signed_in.run(
        "const late = document.createElement('script');"
        "late.type = 'module';"
        "late.src = `${document.querySelector('script[src*=\"/edit.js\"]').src}#late`;"
        "late.onload = () => { window.isLoaded = true; document.getElementById('save').disabled = false; };"
        "document.head.append(late);"
    )
    signed_in.wait(lambda: signed_in.run("return window.isLoaded"))

    signed_in.find("#save").click()

    assert signed_in.reads("Saved.")
    assert console.http.get("/v1/resources/early").json()["name"] == "Early"
    signed_in.errors()  # the script that was held up is one

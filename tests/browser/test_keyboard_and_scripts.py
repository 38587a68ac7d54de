"""The console by keyboard alone, without scripts, and with others at work, in a browser."""

from datetime import UTC, datetime, timedelta

import pytest
from selenium.webdriver import Keys

from tests.support.browser import Browser
from tests.support.running_console import RunningConsole


def now() -> datetime:
    """The beginning of this second."""
    return datetime.now(UTC).replace(microsecond=0)


def focused(browser: Browser) -> str:
    """The id of what has the focus, or its address."""
    return str(browser.run("return document.activeElement.id || document.activeElement.getAttribute('href')"))


def test_by_keyboard_alone(console: RunningConsole, browser: Browser) -> None:
    """The first step skips to the content; letters go to pages, rows and the help sheet; Escape closes what is open."""
    identity = console.book(now() + timedelta(minutes=30))
    browser.sign_in(console.key)
    browser.open("/console/today")

    browser.press(Keys.TAB)
    skip = focused(browser)
    browser.press(Keys.ENTER)
    skipped = browser.run("return location.hash")
    browser.press("?")
    browser.find("#help[open]")
    browser.press(Keys.ESCAPE)
    browser.wait(lambda: not browser.all("#help[open]"))
    browser.press("j")
    first = browser.run("return document.activeElement.className")
    browser.press("g", "o")
    browser.wait(lambda: browser.driver.current_url.endswith("/console/operator"))
    browser.press("g", "t")
    browser.wait(lambda: browser.driver.current_url.endswith("/console/today"))
    browser.find(f"#cancel-{identity}").send_keys(Keys.ENTER)
    browser.find("dialog[open]")
    browser.press(Keys.ESCAPE)
    browser.wait(lambda: not browser.all("dialog[open]"))

    assert (skip, skipped, first) == ("#content", "#content", "row")
    assert console.http.get(f"/v1/reservations/{identity}").json()["status"] == "confirmed"
    assert browser.errors() == []


def test_changes_of_others_appear(console: RunningConsole, browser: Browser) -> None:
    """What another client books and cancels appears and goes without a reload, and the focus stays where it was."""
    kept = console.book(now() + timedelta(minutes=95))
    browser.sign_in(console.key)
    browser.open("/console/today")
    browser.find("#live:not([hidden])")
    browser.run("document.getElementById(arguments[0]).focus(); window.loaded = true", f"cancel-{kept}")

    other = console.book(now() + timedelta(minutes=45))
    browser.find(f"#cancel-{other}")
    focus = focused(browser)
    console.http.post(f"/v1/reservations/{other}/cancel").raise_for_status()
    browser.wait(lambda: not browser.all(f"#cancel-{other}"))

    assert focus == f"cancel-{kept}"
    assert browser.run("return window.loaded")
    assert browser.errors() == []


@pytest.mark.parametrize(
    ("page", "module", "controls"),
    [
        ("keys", "keys.js", "#create, [data-do=revoke], #help-button"),
        ("calendar", "calendar-move.js", "#new-booking, #help-button"),
    ],
)
def test_before_the_modules_of_a_page_are_there(
    console: RunningConsole, browser: Browser, page: str, module: str, controls: str
) -> None:
    """What needs them is seen and waits, and if they do not come, the page says so; else it can be used."""
    browser.sign_in(console.key)
    browser.driver.execute_cdp_cmd("Network.enable", {})
    browser.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": [f"*/{module}"]})
    try:
        browser.visit(f"/console/{page}")
        said = browser.text("#unloaded")
        browser.errors()  # that it could not be loaded
        waiting = [each.is_displayed() and not each.is_enabled() for each in browser.all(controls)]
    finally:
        browser.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    browser.open(f"/console/{page}")
    browser.find(controls).click()

    browser.find("dialog[open]")
    assert {*waiting} == {True}
    assert "not loaded whole" in said
    assert browser.errors() == []


def test_without_scripts(console: RunningConsole, browser: Browser) -> None:
    """One can sign in, read, close a reservation and sign out by forms alone, and sees nothing that needs scripts."""
    identity = console.book(now() - timedelta(minutes=125))
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.sign_in(console.key)
        dead = [each for each in browser.all(".needs-script") if each.is_displayed()]
        browser.find(f"#no-show-{identity}").click()
        said = browser.text("main .notice")
        browser.find(".menu summary").click()
        browser.find("select[name=language]").send_keys("Deutsch")
        browser.find(".preferences button").click()
        title = browser.wait(lambda: browser.text("h1") != "Today" and browser.text("h1"))
        browser.find(".menu summary").click()
        browser.find("#sign-out").click()
        browser.find("#key")
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})

    assert dead == []
    assert said == "Marked as a no-show."
    assert title == "Heute"
    assert console.http.get(f"/v1/reservations/{identity}").json()["status"] == "no-show"

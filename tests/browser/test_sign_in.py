"""Signing in and out, in a browser."""

from tests.support.browser import Browser
from tests.support.running_console import RunningConsole


def test_with_a_key_and_out_again(console: RunningConsole, browser: Browser) -> None:
    """A key opens the first page that it may see; after signing out the page asks for a key again."""
    browser.sign_in(console.key)
    signed_in = browser.text("h1")

    browser.find(".menu summary").click()
    browser.find("#sign-out").click()
    browser.find("#key")
    browser.open("/console/today")

    assert signed_in == "Today"
    assert browser.driver.current_url.endswith("/console/sign-in?next=/console/today")
    browser.errors()


def test_by_the_link_of_the_trial(console: RunningConsole, browser: Browser) -> None:
    """The link that `reserva dev` prints signs in by itself, once."""
    link = console.sign_in_link.removeprefix(console.url)
    browser.driver.delete_all_cookies()

    browser.open(link)
    browser.wait(lambda: browser.driver.current_url.endswith("/console/today"))
    browser.driver.delete_all_cookies()
    browser.open("/console/static/0/mark.svg")  # else only the fragment would change
    browser.open(link)

    assert "used before" in browser.find("[role=alert]").text
    assert browser.driver.current_url.endswith("/console/sign-in")
    browser.errors()


def test_by_a_link_of_somebody_else(console: RunningConsole, browser: Browser) -> None:
    """A key in a link is not used, and who is signed in is asked before a one-time link takes the session away."""
    browser.sign_in(console.make_key("reservations:read"))
    signed_in = browser.driver.get_cookie("reserva")
    browser.open(f"/console/sign-in#token={console.key}")
    browser.wait(lambda: "#" not in browser.driver.current_url)
    typed = browser.find("#key").get_attribute("value")
    browser.open("/console/static/0/mark.svg")  # else only the fragment would change
    browser.open("/console/sign-in#token=once_nothing")
    asked = browser.text("#dialog-title")
    browser.find("dialog[open] [value=no]").click()
    browser.open("/console/today")

    assert (typed, asked) == ("", "Sign in by this link? The session of this browser ends.")
    assert browser.text("h1") == "Today"
    assert browser.driver.get_cookie("reserva") == signed_in


def test_the_page(console: RunningConsole, browser: Browser) -> None:
    """It is accessible in both themes, without errors, and asks no other host."""
    browser.driver.delete_all_cookies()

    browser.check_page("/console/sign-in")

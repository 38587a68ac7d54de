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


def test_the_page(console: RunningConsole, browser: Browser) -> None:
    """It is accessible in both themes, without errors, and asks no other host."""
    browser.driver.delete_all_cookies()

    browser.check_page("/console/sign-in")

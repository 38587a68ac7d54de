"""The page of the day, in a browser."""

from datetime import UTC, datetime, timedelta

from tests.support.browser import Browser
from tests.support.running_console import RunningConsole


def now() -> datetime:
    """The beginning of this second."""
    return datetime.now(UTC).replace(microsecond=0)


def test_the_page(console: RunningConsole, browser: Browser) -> None:
    """It is accessible in both themes, without errors, and asks no other host."""
    console.book(now() - timedelta(minutes=10), customer="mia", notes="<b>early</b>")
    console.book(now() + timedelta(hours=2), expiresInSeconds=600)
    browser.sign_in(console.key)

    browser.check_page("/console/today")

    assert "<b>early</b>" in browser.text(".running")
    assert "left" in browser.text(".waiting")


def test_a_button_closes_a_reservation(console: RunningConsole, browser: Browser) -> None:
    """One click completes what runs, says so, and the list is without it; another click takes that back."""
    identity = console.book(now() - timedelta(minutes=5))
    browser.sign_in(console.key)
    browser.open("/console/today")

    browser.find(f"#complete-{identity}").click()

    assert "Completed." in browser.text(".toast")
    browser.wait(lambda: not browser.all(f"#complete-{identity}"))
    assert console.http.get(f"/v1/reservations/{identity}").json()["status"] == "completed"
    browser.find(".toast button").click()
    browser.find(f"#complete-{identity}")
    assert console.http.get(f"/v1/reservations/{identity}").json()["status"] == "confirmed"
    assert browser.errors() == []


def test_a_fast_clock(console: RunningConsole, browser: Browser) -> None:
    """A hold that has no time left by the clock of the browser is looked at once more, and not every second."""
    identity = console.book(now() + timedelta(hours=2), expiresInSeconds=600)
    browser.sign_in(console.key)
    browser.open("/console/today")
    browser.find(f"#confirm-{identity}")

    browser.run(
        "window.looks = window.ticks = 0;"
        "const [ask, clock] = [window.fetch, Date.now];"
        "window.fetch = (...request) => { window.looks += 1; return ask(...request); };"
        "Date.now = () => clock() + 3_600_000;"
        "const isTick = ({ target }) => target.closest?.('.row')?.dataset.id === arguments[0];"
        "const count = (all) => { window.ticks += all.filter(isTick).length; };"
        "new MutationObserver(count).observe(document.body, { subtree: true, childList: true });",
        identity,
    )
    browser.wait(lambda: browser.run("return window.ticks") >= 5)

    assert browser.run("return window.looks") <= 2

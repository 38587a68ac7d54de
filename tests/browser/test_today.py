"""The page of the day, in a browser."""

from datetime import UTC, datetime, timedelta

from tests.support.browser import Browser
from tests.support.running_console import RunningConsole


def now() -> datetime:
    """The beginning of this second."""
    return datetime.now(UTC).replace(microsecond=0)


def book(console: RunningConsole, resource: str, start: datetime, **more: object) -> str:
    """A reservation of an hour without rules."""
    body = {
        "resource": resource,
        "startTime": start.isoformat(),
        "endTime": (start + timedelta(hours=1)).isoformat(),
        **more,
    }
    answer = console.http.post("/v1/reservations", json=body, params={"force": "true"})
    return str(answer.raise_for_status().json()["id"])


def test_the_page(console: RunningConsole, browser: Browser) -> None:
    """It is accessible in both themes, without errors, and asks no other host."""
    book(console, "room-1", now() - timedelta(minutes=10), customer="mia", notes="<b>early</b>")
    book(console, "room-1", now() + timedelta(hours=2), expiresInSeconds=600)
    browser.sign_in(console.key)

    browser.check_page("/console/today")

    assert "<b>early</b>" in browser.text(".running")
    assert "left" in browser.text(".waiting")


def test_a_button_closes_a_reservation(console: RunningConsole, browser: Browser) -> None:
    """One click completes what runs, says so, and the list is without it."""
    identity = book(console, "room-2", now() - timedelta(minutes=5))
    browser.sign_in(console.key)
    browser.open("/console/today")

    browser.find(f"#complete-{identity}").click()

    assert "Completed." in browser.text(".toast")
    browser.wait(lambda: not browser.all(f"#complete-{identity}"))
    assert console.http.get(f"/v1/reservations/{identity}").json()["status"] == "completed"
    assert browser.errors() == []

"""The queue of findings and one finding, in a browser."""

import pytest

from tests.support.browser import Browser
from tests.support.console_findings import Overlaps
from tests.support.running_console import RunningConsole


@pytest.fixture(scope="module")
def overlaps(console: RunningConsole, browser: Browser) -> Overlaps:
    """Makes overlaps; the browser is signed in."""
    browser.sign_in(console.key)
    return Overlaps(console, browser)


def test_the_pages(overlaps: Overlaps, browser: Browser) -> None:
    """They are accessible in both themes, without errors, ask no other host, and show markup as text."""
    finding = overlaps.make("pages", ["<b>Ann</b>", "Bob Ray", "Cleo <script>alert(1)</script>"], name="<i>Garden</i>")
    overlaps.ask("POST", f"/v1/findings/{finding['id']}/assign", {"note": "<u>look</u>", "assignee": "<s>max</s>"})

    browser.check_page("/console/review")
    listed = browser.text("#queue")
    browser.check_page(f"/console/review/{finding['id']}")
    shown = browser.text()

    assert "<i>Garden</i>" in listed
    assert "<b>Ann</b>" in listed
    assert all(text in shown for text in ("<i>Garden</i>", "Cleo <script>", "<u>look</u>"))
    assert browser.find("#assignee").get_attribute("value") == "<s>max</s>"


def test_accept_with_a_note(overlaps: Overlaps, browser: Browser) -> None:
    """An acceptance keeps the note, the person and the end, and the page shows it at once."""
    finding = overlaps.make("accepting", timezone="Europe/Berlin")
    browser.open(f"/console/review/{finding['id']}")
    browser.find("#note").send_keys("they share the room")
    browser.find("#actor").send_keys("Lena")
    browser.run("document.getElementById('until').value = '2031-02-01'")

    browser.find("#accept").click()

    browser.wait(lambda: browser.text("#state") == "Accepted")
    entry = overlaps.read(finding["id"])["history"][-1]
    assert (entry["to"], entry["by"], entry["note"]) == ("accepted", "Lena", "they share the room")
    assert browser.find("#accepted-until time").get_attribute("datetime") == "2031-01-31T23:00:00.000Z"
    assert "they share the room" in browser.text(".history")
    assert browser.find("#actor").get_attribute("value") == "Lena"
    assert browser.errors() == []


def test_a_proposal(overlaps: Overlaps, browser: Browser) -> None:
    """A button moves the reservation, and resolves the finding where nothing overlaps any more."""
    finding = overlaps.make("proposing")
    browser.open(f"/console/review/{finding['id']}")
    proposal = finding["proposals"][0]

    browser.find("#move-1").click()

    assert browser.reads("the finding is resolved")
    browser.wait(lambda: browser.text("#state") == "Resolved")
    moved = overlaps.ask("GET", f"/v1/reservations/{proposal['reservation']}")
    assert (moved["resource"], moved["startTime"]) == (proposal["resource"], proposal["startTime"])
    assert overlaps.read(finding["id"])["history"][-1]["note"] == "moved Bob Ray"
    assert browser.errors() == []


def test_resolve_what_still_overlaps(overlaps: Overlaps, browser: Browser) -> None:
    """It is refused in the words of the API, and the note stays to be sent with another decision."""
    finding = overlaps.make("resolving")
    browser.open(f"/console/review/{finding['id']}")
    browser.find("#note").send_keys("done")

    browser.find("#resolve").click()

    assert browser.reads("still take more than the resource has")
    assert browser.find("#note").get_attribute("value") == "done"
    assert browser.text("#state") == "Open"
    assert [each for each in browser.errors() if "409" not in each] == []

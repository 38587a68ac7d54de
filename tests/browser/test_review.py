"""The queue of findings and one finding, in a browser."""

import pytest
from selenium.webdriver.common.keys import Keys

from tests.support.browser import Browser
from tests.support.console_findings import Overlaps
from tests.support.running_console import RunningConsole


@pytest.fixture(scope="module")
def overlaps(console: RunningConsole, browser: Browser) -> Overlaps:
    """Makes overlaps; the browser is signed in."""
    browser.sign_in(console.key)
    return Overlaps(console, browser)


def test_the_pages(overlaps: Overlaps, browser: Browser) -> None:
    """They are accessible in both themes, without errors, ask no other host, fit a phone, and show markup as text."""
    finding = overlaps.make("pages", ["<b>Ann</b>", "Bob Ray", "Cleo <script>alert(1)</script>"], name="<i>Garden</i>")
    overlaps.ask("POST", f"/v1/findings/{finding['id']}/assign", {"note": "<u>look</u>", "assignee": "<s>max</s>"})

    browser.check_page("/console/review")
    listed = browser.text("#queue")
    wide = browser.beyond(320)
    browser.check_page(f"/console/review/{finding['id']}")
    shown = browser.text()

    assert max(wide, browser.beyond(320)) == 0
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


def test_two_reviewers(overlaps: Overlaps, browser: Browser) -> None:
    """The second of two who decide is told, and sees what the first has made of it."""
    finding = overlaps.make("deciding")
    browser.open(f"/console/review/{finding['id']}")
    browser.find("#acknowledge")
    browser.run("Object.defineProperty(document, 'hidden', { value: true })")  # this page hears of nobody else
    overlaps.ask("POST", f"/v1/findings/{finding['id']}/acknowledge", {"actor": "Max", "note": "calling them"})

    browser.find("#accept").click()

    assert browser.reads("decide again")
    browser.wait(lambda: browser.text("#state") == "Acknowledged")
    assert "calling them" in browser.text(".history")
    assert overlaps.read(finding["id"])["state"] == "acknowledged"
    assert [each for each in browser.errors() if "412" not in each] == []


def test_what_is_written_meanwhile(overlaps: Overlaps, browser: Browser) -> None:
    """What somebody else does appears, and a note that is being written stays, to its last letter."""
    finding = overlaps.make("writing")
    browser.open(f"/console/review/{finding['id']}")
    browser.run(
        "const ask = window.fetch;"
        "window.fetch = async (...request) => {"
        "  await new Promise((go) => { window.go = go; });"
        "  return ask(...request);"
        "};"
    )
    overlaps.ask("POST", f"/v1/findings/{finding['id']}/acknowledge", {"actor": "Max"})
    browser.wait(lambda: browser.run("return 'go' in window"))
    browser.find("#note").send_keys("they share")

    browser.run("window.go()")
    browser.wait(lambda: browser.text("#state") == "Acknowledged")

    assert browser.find("#note").get_attribute("value") == "they share"


def test_several_at_once(overlaps: Overlaps, browser: Browser) -> None:
    """One decision on what is selected: each is answered by itself, and what was refused stays selected."""
    first, second = overlaps.make("several-1"), overlaps.make("several-2")
    (booked, *_) = second["reservations"]
    overlaps.ask("POST", f"/v1/reservations/{booked['id']}/cancel")
    browser.open("/console/review")
    for finding in (first, second):
        browser.find(f"#pick-{finding['id']}").click()
    browser.find("#many [name=note]").send_keys("looked at")

    browser.find("#many [value=resolved]").click()

    assert browser.reads("1 finding: Resolve")
    assert browser.reads("1 refused: These reservations still take more than the resource has")
    browser.wait(lambda: not browser.all(f"#pick-{second['id']}"))
    assert browser.find(f"#pick-{first['id']}").is_selected()
    assert overlaps.read(second["id"])["history"][-1]["note"] == "looked at"
    assert (overlaps.read(first["id"])["state"], overlaps.read(second["id"])["state"]) == ("open", "resolved")
    assert browser.errors() == []


def test_by_keyboard(overlaps: Overlaps, browser: Browser) -> None:
    """In the queue `j` and `k` go from row to row, `x` selects, Enter opens; in a finding they go to its neighbours."""
    made = {overlaps.make(f"keyboard-{number}")["id"] for number in (1, 2)}
    browser.open("/console/review")
    ids = browser.wait(
        lambda: browser.run("return [...document.querySelectorAll('#queue .row')].map((row) => row.dataset.id)")
    )
    browser.find(".pick:not([hidden])")

    browser.press("j")
    browser.press("j")
    browser.press("x")
    picked = browser.find(f"#pick-{ids[1]}").is_selected()
    browser.press(Keys.ENTER)
    browser.wait(lambda: browser.driver.current_url.endswith(f"/{ids[1]}"))
    browser.find("#previous[href]")
    browser.press("k")

    browser.wait(lambda: browser.driver.current_url.endswith(f"/{ids[0]}"))
    assert picked
    assert made <= {*ids}
    assert browser.errors() == []


def test_a_key_with_less(console: RunningConsole, overlaps: Overlaps, browser: Browser) -> None:
    """Without `reservations:write` nothing can be moved; without `findings:review` the page says what is missing."""
    finding = overlaps.make("less")
    path = f"/console/review/{finding['id']}"

    browser.sign_in(console.make_key("findings:review"))
    browser.open(path)
    proposals = browser.text(".proposals")
    note = browser.text("main")
    buttons = browser.all("[data-move]")
    errors = browser.errors()
    browser.sign_in(console.make_key("reservations:read"))
    navigation = browser.text(".pages")
    browser.open(path)

    assert "Bob Ray" in proposals
    assert "Moving needs a key with reservations:write." in note
    assert buttons == errors == []
    assert "lacks the scope findings:review" in browser.text("[role=alert]")
    assert "Review" not in navigation
    browser.errors()
    browser.sign_in(console.key)


def test_a_run(overlaps: Overlaps, browser: Browser) -> None:
    """A button looks at everything; the page shows how far that is, and what came of it."""
    overlaps.make("running")
    browser.open("/console/runs")

    browser.find("#full").click()

    assert browser.reads("has ended")
    row = browser.text("tbody tr")
    assert "done" in row
    run = overlaps.ask("GET", "/v1/reconciliations", kind="full")["items"][0]
    assert run["id"] == browser.find("tbody tr").get_attribute("data-id")
    browser.check_page("/console/runs")

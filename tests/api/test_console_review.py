"""The pages of review and runs as the server renders them: read and decided without scripts."""

import re
import threading
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from bson import ObjectId

from app.console import review
from app.reconciliation.findings.answers import finding_answers
from app.reconciliation.findings.schemas import FindingAnswer
from app.reconciliation.findings.service import ShownFindings
from tests.support.api_client import ApiClient, ok
from tests.support.findings import insert_duplicate, insert_finding, only_finding, reconcile
from tests.support.http_client import create_key
from tests.support.log_lines import logging_to_text
from tests.support.times import HOUR, NINE

REVIEW = "/console/review"
MARKUP = '"><script>alert(1)</script>'
ESCAPED = "&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"


async def overlap(api: ApiClient, **fields: Any) -> Any:
    """The finding of a room on which two have the same hour, while a desk is free; it is alone in the list."""
    await api.service("talk")
    await api.resource("room", **{"services": ["talk"], "timezone": "Europe/Berlin", **fields})
    await api.resource("desk", services=["talk"], name="Desk <1>")
    booked = await api.booked(NINE, service="talk")
    await insert_duplicate(api, booked)
    await reconcile(api)
    return await only_finding(api)


async def send(browser: httpx.AsyncClient, path: str, **fields: Any) -> httpx.Response:
    """Send a form of the page of a finding with the token that the page has."""
    found = re.search(r'data-csrf="([^"]+)"', (await browser.get(REVIEW)).text)
    assert found
    return await browser.post(path, data={"csrf": found[1], **fields})


async def test_the_queue(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """It has the findings of one state, in the order that is asked for, and their number in the title."""
    soon = await insert_finding(api.store, 0)
    late = await insert_finding(api.store, 5, excess=4, resource="hall")
    accepted = await insert_finding(api.store, 2, state="accepted")

    async def listed(**filters: str) -> list[str]:
        answer = await browser.get(REVIEW, params=filters)
        assert "<title>(2) Review" in answer.text or "resource" in filters
        return re.findall(r'class="row" data-id="(\w+)"', answer.text)

    assert await listed() == [str(soon), str(late)]
    assert await listed(order="excess") == [str(late), str(soon)]
    assert await listed(state="accepted") == [str(accepted)]
    assert await listed(state="all", resource="hall") == [str(late)]
    assert (await browser.get(REVIEW, params={"state": "lost"})).status_code == 422
    assert (await browser.get(REVIEW, params={"cursor": "x"})).status_code == 422


async def test_a_long_queue(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """It goes on on a next page, which repeats and skips nothing."""
    made = [str(await insert_finding(api.store, number)) for number in range(101)]
    first = (await browser.get(REVIEW)).text
    (following,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = (await browser.get(following.replace("&amp;", "&"))).text

    rows = [re.findall(r'class="row" data-id="(\w+)"', page) for page in (first, second)]

    assert [len(each) for each in rows] == [100, 1]
    assert [*rows[0], *rows[1]] == made


async def test_a_heavy_queue(api: ApiClient, browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of hundreds of reservations those are read that are named; long histories are made beside the event loop."""
    history = [{"at": NINE, "by": "worker", "to": "open"}] * 100
    for number in range(11):
        ids = [ObjectId() for _ in range(100)]
        await insert_finding(api.store, number, reservations=ids, reservationCount=100, history=history)
    threads: list[threading.Thread] = []
    read: list[int] = []

    def noted(shown: ShownFindings) -> list[FindingAnswer]:
        threads.append(threading.current_thread())
        read.extend(len(each.reservations) for each in shown.findings)
        return finding_answers(shown)

    monkeypatch.setattr(review, "finding_answers", noted)
    answer = await browser.get(REVIEW)

    assert answer.text.count('class="row"') == answer.text.count("97 more") == 11
    assert read == [3] * 11
    assert threads
    assert threading.main_thread() not in threads


async def test_a_finding(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """It shows the reservations side by side by the clock of the resource, the load as text, and what would fit."""
    finding = await overlap(api, name="Room & board")

    shown = (await browser.get(f"{REVIEW}/{finding['id']}")).text

    assert "Room &amp; board" in shown
    assert "Load up to 2 of 1 units" in shown
    assert shown.count('class="above"') == 1
    assert shown.count('id="reservation-') == 2
    assert "Desk &lt;1&gt;" in shown
    assert ">10:00</time>" in shown  # nine in Berlin's winter
    assert not re.search(r"\sstyle=|<style|\son\w+=", shown)


async def test_a_decision_without_scripts(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """A form accepts with a note until a date of the resource, in the name of a person."""
    finding = await overlap(api)
    path = f"{REVIEW}/{finding['id']}"
    fields = {"version": finding["version"], "note": f"ok {MARKUP}", "actor": "Lena", "until": "2031-02-01"}

    done = await send(browser, f"{path}/accept", **fields)
    shown = (await browser.get(done.headers["location"])).text

    assert (done.status_code, done.headers["location"]) == (303, f"{path}?done=accept")
    after = await only_finding(api)
    assert (after["state"], after["history"][-1]["by"]) == ("accepted", "Lena")
    assert "2031-01-31T23:00:00.000Z" in shown
    assert f"ok {ESCAPED}" in shown
    assert MARKUP not in shown


async def test_the_second_of_two_decisions(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """Whoever decides about a version that is no longer there is told, and sees how it is now; nothing else is done."""
    finding = await overlap(api)
    path = f"{REVIEW}/{finding['id']}"
    await send(browser, f"{path}/acknowledge", version=finding["version"], actor="Max", note="mine")

    second = await send(browser, f"{path}/accept", version=finding["version"], actor="Lena")

    assert second.status_code == 412
    assert "read it again" in second.text
    assert "mine" in second.text
    assert (await only_finding(api))["state"] == "acknowledged"


@pytest.mark.parametrize(
    ("verb", "fields", "status"),
    [
        ("resolve", {}, 409),
        ("accept", {"until": "2020-01-01"}, 422),
        ("accept", {"until": "tomorrow"}, 422),
        ("accept", {"until": "9999-12-31"}, 422),
        ("acknowledge", {"version": "x"}, 412),
        ("acknowledge", {"version": '"'}, 422),
        ("acknowledge", {"actor": "worker"}, 422),
        ("acknowledge", {"note": "x" * 501}, 422),
        ("assign", {"assignee": "x" * 101}, 422),
        ("move", {}, 422),
        ("move", {"reservation": "x", "resource": "\ud83d", "startTime": "now", "version": "9" * 400}, 422),
        ("move", {"version": "9" * 4_301}, 422),
        ("paint", {}, 404),
    ],
)
async def test_what_is_refused(
    api: ApiClient, browser: httpx.AsyncClient, verb: str, fields: dict[str, str], status: int
) -> None:
    """A form that asks for what cannot be is told why, beside the finding as it is, and changes nothing."""
    finding = await overlap(api)
    encoded = {name: text.encode("utf-8", "replace").decode() for name, text in fields.items()}

    with logging_to_text() as log:
        answer = await send(browser, f"{REVIEW}/{finding['id']}/{verb}", **encoded)
    (line,) = [each for each in log.lines("request", "slow request") if each["method"] == "POST"]

    assert answer.status_code == line["status"] == status
    assert line.get("problem")
    assert 'role="alert"' in answer.text
    assert (await only_finding(api))["version"] == finding["version"]


async def test_a_move_without_scripts(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """The button of a proposal moves the reservation at the version that was shown."""
    finding = await overlap(api)
    shown = (await browser.get(f"{REVIEW}/{finding['id']}")).text
    form = shown.partition("data-move")[2].partition("</form>")[0]
    fields: dict[str, str] = dict(re.findall(r'name="(?!csrf)(\w+)" value="([^"]*)"', form))

    moved = await send(browser, f"{REVIEW}/{finding['id']}/move", **fields)
    again = await send(browser, f"{REVIEW}/{finding['id']}/move", **fields)
    resolved = await send(browser, f"{REVIEW}/{finding['id']}/resolve", version=finding["version"])

    assert moved.status_code == resolved.status_code == 303
    assert again.status_code in {409, 412, 422}
    reservation = ok(await api.get(f"/v1/reservations/{fields['reservation']}"))
    assert reservation["resource"] == fields["resource"] == "desk"


async def test_rows_of_other_programs(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """Whatever other programs have stored, the pages show it as text, and the picture what of it can be drawn."""
    rows: list[dict[str, Any]] = [
        {"endTime": datetime(9999, 12, 31, 23, tzinfo=UTC)},
        {"startTime": datetime(1, 1, 1, tzinfo=UTC)},
        {"startTime": MARKUP, "status": MARKUP, "customer": MARKUP, "key": [MARKUP]},
        {"units": "two", "createdAt": {"a": 1}, "version": "3"},
        {"status": 3, "startTime": None, "endTime": None},
    ]
    whole = {"resource": "room", "startTime": NINE, "endTime": NINE + HOUR, "status": "confirmed"}
    stored = [{"_id": ObjectId(), **whole, **row} for row in rows]
    await api.store.database["reservations"].insert_many(stored)
    ids = [*(row["_id"] for row in stored), MARKUP, ObjectId()]
    ends = {"from": datetime(1, 1, 1, tzinfo=UTC), "to": datetime(9999, 12, 31, 23, tzinfo=UTC)}
    more: list[dict[str, Any]] = [{}, ends, {"resource": MARKUP, "assignee": MARKUP}]
    for number, fields in enumerate(more):
        identity = await insert_finding(api.store, number, reservations=ids, **fields)
        one = await browser.get(f"{REVIEW}/{identity}")
        assert one.status_code == 200, one.text
        assert MARKUP not in one.text
        assert ESCAPED in one.text

    listed = await browser.get(REVIEW)

    assert listed.status_code == 200
    assert MARKUP not in listed.text


@pytest.mark.parametrize("identity", ["x", "0" * 24, "%00"])
async def test_there_is_no_such_finding(browser: httpx.AsyncClient, identity: str) -> None:
    """The page says so."""
    assert (await browser.get(f"{REVIEW}/{identity}")).status_code == 404
    assert (await send(browser, f"{REVIEW}/{identity}/accept")).status_code == 404


async def test_moving_needs_its_scope(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """A key that may only review sees what would fit, without buttons, and no form moves anything for it."""
    finding = await overlap(api)
    key = (await create_key(api.store, "test", ["findings:review"])).token
    await browser.post("/console/sign-in", data={"key": key})

    shown = (await browser.get(f"{REVIEW}/{finding['id']}")).text
    moved = await send(browser, f"{REVIEW}/{finding['id']}/move")

    assert "Desk &lt;1&gt;" in shown
    assert "data-move" not in shown
    assert "Moving needs a key with reservations:write." in shown
    assert moved.status_code == 403


async def test_runs(api: ApiClient, browser: httpx.AsyncClient) -> None:
    """A form asks for a reconciliation; what the last full one has left out is shown by reason."""
    await api.resource()
    bad = {"_id": ObjectId(), "resource": "room", "status": "confirmed", "startTime": NINE}
    await api.store.database["reservations"].insert_one(bad)
    await reconcile(api)

    asked = await send(browser, "/console/runs", kind="full")
    shown = (await browser.get("/console/runs")).text

    assert asked.status_code == 303
    assert 'data-state="queued"' in shown
    assert "<span>endTime is missing</span>" in shown

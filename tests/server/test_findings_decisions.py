"""Decisions about findings: their authors, what an acceptance covers, refusals, and one decision on many."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

from app import deadline
from app.deadline import Deadline
from app.domain.instants import render
from app.errors import Problem
from app.reconciliation.findings import service, transitions
from app.reconciliation.findings.transitions import FindingTransition
from app.storage.client import Store
from tests.support.api_client import ApiClient, ok, problem
from tests.support.findings import URL, insert_duplicate, insert_finding, only_finding, post_decision, reconcile
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("any")
VERBS = {"acknowledge": "acknowledged", "accept": "accepted", "resolve": "resolved", "reopen": "open"}


@pytest.fixture
async def reviewer(app_client: httpx.AsyncClient, store: Store) -> ApiClient:
    """A client with every scope, and a room."""
    api = ApiClient(app_client, store)
    await api.resource("room")
    return api


async def overlapping(reviewer: ApiClient) -> tuple[dict[str, Any], dict[str, Any]]:
    """A finding of two reservations, and the first of the two."""
    first = await reviewer.booked()
    await insert_duplicate(reviewer, first)
    await reconcile(reviewer)
    return await only_finding(reviewer), first


async def stored(reviewer: ApiClient, finding: dict[str, Any]) -> dict[str, Any]:
    """The stored document of a finding."""
    row: dict[str, Any] | None = await reviewer.store.database["findings"].find_one({"_id": ObjectId(finding["id"])})
    assert row is not None
    return row


async def test_a_decision_records_its_author(reviewer: ApiClient) -> None:
    """A decision records its actor, or else its key, and the window that it was about."""
    finding, _ = await overlapping(reviewer)
    await post_decision(reviewer, finding, "acknowledge", actor="Ann of the desk", note="calling them")
    accepted = ok(await post_decision(reviewer, finding, "accept"))
    of = {"from": finding["from"], "until": finding["to"], "peak": 2, "capacity": 1}
    decisions = [{name: value for name, value in each.items() if name != "at"} for each in accepted["history"][1:]]

    assert decisions == [
        {"by": "Ann of the desk", "to": "acknowledged", "note": "calling them"} | of,
        {"by": reviewer.prefix, "to": "accepted"} | of,
    ]
    assert [each.get("key") for each in (await stored(reviewer, finding))["history"][1:]] == [reviewer.prefix] * 2


async def test_an_acceptance_names_what_was_accepted(reviewer: ApiClient) -> None:
    """An acceptance stores the reservations, peak and excess, its end and its author."""
    finding, _ = await overlapping(reviewer)
    until = NINE + 9 * HOUR
    accepted = ok(await post_decision(reviewer, finding, "accept", until=render(until), actor="Ann"))
    row = await stored(reviewer, finding)
    acceptance = row["acceptance"]

    assert (accepted["state"], accepted["version"]) == ("accepted", 2)
    assert {str(each) for each in acceptance.pop("reservations")} == {each["id"] for each in finding["reservations"]}
    assert acceptance == {"peak": 2, "excess": 1, "until": until, "by": "Ann", "at": row["updatedAt"]}


async def test_repeating_an_acceptance_renews_it_where_it_differs(reviewer: ApiClient) -> None:
    """The same acceptance again changes nothing; another end or a changed finding is accepted anew."""
    finding, first = await overlapping(reviewer)
    for body, version in (({}, 2), ({}, 2), ({"until": render(NINE)}, 3), ({"until": render(NINE)}, 3), ({}, 4)):
        assert ok(await post_decision(reviewer, finding, "accept", **body))["version"] == version
    assert "until" not in (await stored(reviewer, finding))["acceptance"]
    other = ObjectId(first["id"])
    change = {"$set": {"reservations": [other]}, "$inc": {"version": 1}}
    await reviewer.store.database["findings"].update_one({"_id": ObjectId(finding["id"])}, change)
    assert ok(await post_decision(reviewer, finding, "accept"))["version"] == 6
    assert (await stored(reviewer, finding))["acceptance"]["reservations"] == [other]


async def test_a_decision_can_be_reversed(reviewer: ApiClient) -> None:
    """A finding can be reopened and is then announced again, after a resolution only while it overlaps."""
    finding, first = await overlapping(reviewer)
    mark = {"$set": {"toldAt": NINE}}
    await reviewer.store.database["findings"].update_one({"_id": ObjectId(finding["id"])}, mark)
    unchanged = ok(await post_decision(reviewer, finding, "reopen"))
    assert (unchanged["state"], unchanged["version"]) == ("open", 1)
    ok(await post_decision(reviewer, finding, "acknowledge"))
    assert "toldAt" in await stored(reviewer, finding)
    assert ok(await post_decision(reviewer, finding, "reopen"))["state"] == "open"
    assert not {"acknowledged", "toldAt"} & (await stored(reviewer, finding)).keys()
    ok(await post_decision(reviewer, finding, "accept"))
    assert ok(await post_decision(reviewer, finding, "reopen", note="too early"))["state"] == "open"
    assert "acceptance" not in await stored(reviewer, finding)

    await reviewer.overwrite(first, status="cancelled")
    ok(await post_decision(reviewer, finding, "resolve"))
    problem(await post_decision(reviewer, finding, "reopen"), "forbidden-transition")
    await reviewer.overwrite(first, status="confirmed")
    assert ok(await post_decision(reviewer, finding, "reopen"))["state"] == "open"


async def test_a_merged_finding_is_not_reopened(reviewer: ApiClient) -> None:
    """The reopening of a merged finding is refused with the id of the finding that it is part of."""
    other = ObjectId()
    merged = {"id": str(await insert_finding(reviewer.store, 0, state="resolved", mergedInto=other))}

    assert str(other) in problem(await post_decision(reviewer, merged, "reopen"), "forbidden-transition")["detail"]


@pytest.mark.parametrize("state", ["open", "acknowledged", "accepted", "resolved"])
async def test_each_state_allows_its_decisions(reviewer: ApiClient, state: str) -> None:
    """Each state of a finding that overlaps allows exactly its own decisions."""
    allowed = {
        "open": {"acknowledged", "accepted", "open"},
        "acknowledged": {"acknowledged", "accepted", "open"},
        "accepted": {"accepted", "open"},
        "resolved": {"resolved", "open"},
    }
    finding, _ = await overlapping(reviewer)
    for verb, to in VERBS.items():
        reset = {"$set": {"state": state}}
        await reviewer.store.database["findings"].update_one({"_id": ObjectId(finding["id"])}, reset)
        answer = await post_decision(reviewer, finding, verb)
        if to in allowed[state]:
            assert ok(answer)["state"] == to
        else:
            problem(answer, "forbidden-transition")


async def test_a_finding_has_an_assignee(reviewer: ApiClient) -> None:
    """A finding is assigned without a change of state, and without a name unassigned; the history has both."""
    finding, _ = await overlapping(reviewer)
    given = ok(await post_decision(reviewer, finding, "assign", assignee="zoe", actor="Ann", note="you know them"))
    again = ok(await post_decision(reviewer, finding, "assign", assignee="zoe"))
    taken = ok(await post_decision(reviewer, finding, "assign"))

    assert (given["assignee"], given["state"], given["version"], again) == ("zoe", "open", 2, given)
    assert ("assignee" in taken, taken["version"]) == (False, 3)
    assert [(each["by"], each["to"], each["note"]) for each in taken["history"][1:]] == [
        ("Ann", "open", "assigned to zoe: you know them"),
        (reviewer.prefix, "open", "assigned to nobody"),
    ]


async def test_a_history_is_bounded(reviewer: ApiClient) -> None:
    """The history has at most 50 entries, the last decision among them."""
    finding, _ = await overlapping(reviewer)
    for number in range(60):
        ok(await post_decision(reviewer, finding, "acknowledge", note=f"word {number}"))
    history = (await only_finding(reviewer))["history"]

    assert len(history) == 50
    assert history[-1]["note"] == "word 59"


async def test_if_match_is_respected(reviewer: ApiClient) -> None:
    """Another version is `stale` for every decision; weak tags and lists count, and `*` matches any version."""
    finding, _ = await overlapping(reviewer)

    async def say(verb: str, tag: str) -> httpx.Response:
        return await reviewer.request("POST", f"{URL}/{finding['id']}/{verb}", headers={"If-Match": tag})

    for verb in (*VERBS, "assign"):
        problem(await say(verb, '"7"'), "stale")
    problem(await say("accept", "7"), "invalid")
    assert ok(await say("acknowledge", 'W/"1"'))["version"] == 2
    problem(await say("acknowledge", '"1"'), "stale")
    assert ok(await say("accept", '"5", "2"'))["version"] == 3
    assert ok(await say("reopen", "*"))["version"] == 4


@pytest.mark.promise("decisions")
async def test_a_decision_is_about_the_version_in_if_match(
    reviewer: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change between reading and writing makes a decision `stale`; without If-Match it is retried."""
    finding, _ = await overlapping(reviewer)
    write = transitions._write
    store = reviewer.store

    async def overtaken(*args: Any) -> Any:
        monkeypatch.setattr(transitions, "_write", write)
        await transitions.transition(store, finding["id"], FindingTransition("assigned", "bob", assignee="bob"))
        return await write(*args)

    monkeypatch.setattr(transitions, "_write", overtaken)
    tag = {"If-Match": '"1"'}
    problem(await reviewer.request("POST", f"{URL}/{finding['id']}/accept", headers=tag), "stale")
    monkeypatch.setattr(transitions, "_write", overtaken)
    assert ok(await post_decision(reviewer, finding, "accept"))["assignee"] == "bob"


async def test_each_decision_takes_its_own_fields(reviewer: ApiClient) -> None:
    """A field of another decision, a past time, and a reserved or ill-sized name are `invalid`."""
    finding, _ = await overlapping(reviewer)
    later = render(NINE)
    for verb in ("acknowledge", "resolve", "reopen", "assign"):
        problem(await post_decision(reviewer, finding, verb, until=later), "invalid", "/until")
    for verb in VERBS:
        problem(await post_decision(reviewer, finding, verb, assignee="zoe"), "invalid", "/assignee")
    past = render(reviewer.store.clock.now() - timedelta(seconds=1))
    problem(await post_decision(reviewer, finding, "accept", until=past), "invalid", "/until")
    for actor in ("", "a" * 101, "worker"):
        problem(await post_decision(reviewer, finding, "accept", actor=actor), "invalid", "/actor")
    problem(await post_decision(reviewer, finding, "assign", assignee=""), "invalid", "/assignee")
    assert ok(await post_decision(reviewer, finding, "accept", actor="a" * 100, note="n" * 500))["version"] == 2


async def many(reviewer: ApiClient, body: dict[str, Any]) -> httpx.Response:
    """Request one decision on many findings."""
    return await reviewer.request("POST", f"{URL}/words", json=body, headers={"Idempotency-Key": "changes nothing"})


async def test_one_decision_on_many_findings(reviewer: ApiClient) -> None:
    """Each item of the answer, in the order of the request, is the finding or the problem of a single request."""
    store = reviewer.store
    ids = [str(await insert_finding(store, number)) for number in range(5)]
    await transitions.transition(store, ids[1], FindingTransition("accepted", "me"))
    unknown = "0" * 24
    asked = [ids[4], ids[1], unknown, ids[0]]
    body = {"ids": asked, "to": "acknowledged", "note": "seen", "actor": "Ann"}
    items = ok(await many(reviewer, body))["items"]
    again = ok(await many(reviewer, body))["items"]

    assert [(each["id"], each["status"]) for each in items] == list(zip(asked, (200, 409, 404, 200), strict=True))
    assert [each["finding"]["state"] for each in items if "finding" in each] == ["acknowledged"] * 2
    assert [each["finding"]["history"][-1]["by"] for each in items if "finding" in each] == ["Ann"] * 2
    assert [each["problem"]["type"] for each in items if "problem" in each] == [
        "/problems/forbidden-transition",
        "/problems/not-found",
    ]
    assert items[1]["problem"]["status"] == 409
    assert [each.get("finding") for each in again] == [each.get("finding") for each in items]


async def test_every_decision_can_be_made_on_many(reviewer: ApiClient) -> None:
    """Each decision on many takes the fields that it takes on one."""
    ids = [str(await insert_finding(reviewer.store, number)) for number in range(2)]
    for body in (
        {"to": "accepted", "until": render(NINE)},
        {"to": "open"},
        {"to": "assigned", "assignee": "zoe"},
        {"to": "acknowledged"},
        {"to": "resolved"},
    ):
        items = ok(await many(reviewer, {"ids": ids, **body}))["items"]
        assert [each["status"] for each in items] == [200, 200], body
    assert {each["finding"]["assignee"] for each in items} == {"zoe"}


async def test_an_invalid_decision_on_many_is_refused_as_a_whole(reviewer: ApiClient) -> None:
    """An invalid request changes no finding."""
    one = str(await insert_finding(reviewer.store, 0))
    for body, pointer in (
        ({"ids": []}, "/ids"),
        ({"ids": [one, one]}, "/ids"),
        ({"ids": [f"{number:024x}" for number in range(201)]}, "/ids"),
        ({"ids": [one, "x"]}, "/ids/1"),
        ({"ids": [one], "to": "closed"}, "/to"),
        ({"ids": [one], "to": "acknowledged", "until": render(NINE)}, "/until"),
        ({"ids": [one], "to": "accepted", "assignee": "zoe"}, "/assignee"),
        ({"ids": [one], "actor": "worker"}, "/actor"),
    ):
        problem(await many(reviewer, {"to": "acknowledged"} | body), "invalid", pointer)
    past = render(reviewer.store.clock.now() - timedelta(seconds=1))
    problem(await many(reviewer, {"ids": [one], "to": "accepted", "until": past}), "invalid", "/until")
    assert (await stored(reviewer, {"id": one}))["version"] == 1


async def test_only_reviewers_decide_on_many(reviewer: ApiClient) -> None:
    """A decision on many is forbidden without the scope of reviewers."""
    booker = await reviewer.with_scopes("reservations:admin")

    problem(await many(booker, {"ids": ["0" * 24], "to": "open"}), "forbidden")


async def test_findings_beyond_the_deadline_are_overloaded(reviewer: ApiClient) -> None:
    """Findings not reached before the deadline are `overloaded` and unchanged; the others are decided."""
    ids = [str(await insert_finding(reviewer.store, number)) for number in range(3)]
    at = 0.0
    limit = Deadline(service.RESERVE_SECONDS + 1, clock=lambda: at)
    review = service.Findings(reviewer.store, None)  # type: ignore[arg-type]  # no proposals are made here
    say = transitions.transition

    async def slow(*args: Any) -> Any:
        nonlocal at
        result = await say(*args)
        at += 1.5
        return result

    with pytest.MonkeyPatch.context() as patch, deadline.bound(limit):
        patch.setattr(transitions, "transition", slow)
        patch.setattr(service, "CONCURRENT_MAX", 1)
        came, _ = await asyncio.wait_for(review.transition_many(ids, FindingTransition("acknowledged", "me")), 30)

    names = [each.name if isinstance(each, Problem) else each.state for each in came]
    assert names == ["acknowledged", "overloaded", "overloaded"]
    assert [(await stored(reviewer, {"id": each}))["version"] for each in ids] == [2, 1, 1]


async def test_a_database_that_goes_away_among_many(reviewer: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost connection is `unavailable` for its finding alone; the others are decided."""
    ids = [str(await insert_finding(reviewer.store, number)) for number in range(3)]
    say = transitions.transition

    async def broken(store: Store, identity: str, *more: Any) -> Any:
        if identity == ids[1]:
            raise AutoReconnect("gone")
        return await say(store, identity, *more)

    monkeypatch.setattr(transitions, "transition", broken)
    items = ok(await many(reviewer, {"ids": ids, "to": "acknowledged"}))["items"]

    assert [each["status"] for each in items] == [200, 503, 200]
    assert items[1]["problem"]["type"] == "/problems/unavailable"

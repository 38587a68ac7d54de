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
    """Somebody who may do everything, before a room."""
    api = ApiClient(app_client, store)
    await api.resource("room")
    return api


async def overlapping(reviewer: ApiClient) -> tuple[dict[str, Any], dict[str, Any]]:
    """A finding of two reservations, and the first of these."""
    first = await reviewer.booked()
    await insert_duplicate(reviewer, first)
    await reconcile(reviewer)
    return await only_finding(reviewer), first


async def stored(reviewer: ApiClient, finding: dict[str, Any]) -> dict[str, Any]:
    """The document."""
    row: dict[str, Any] | None = await reviewer.store.database["findings"].find_one({"_id": ObjectId(finding["id"])})
    assert row is not None
    return row


async def test_who_spoke_is_written_down(reviewer: ApiClient) -> None:
    """The person if they say who they are, else the key; with the window of which they said it."""
    finding, _ = await overlapping(reviewer)
    await post_decision(reviewer, finding, "acknowledge", actor="Ann of the desk", note="calling them")
    accepted = ok(await post_decision(reviewer, finding, "accept"))
    of = {"from": finding["from"], "until": finding["to"], "peak": 2, "capacity": 1}
    said = [{name: value for name, value in each.items() if name != "at"} for each in accepted["history"][1:]]

    assert said == [
        {"by": "Ann of the desk", "to": "acknowledged", "note": "calling them"} | of,
        {"by": reviewer.prefix, "to": "accepted"} | of,
    ]
    assert [each.get("key") for each in (await stored(reviewer, finding))["history"][1:]] == [reviewer.prefix] * 2


async def test_an_acceptance_names_what_was_accepted(reviewer: ApiClient) -> None:
    """These reservations, this peak and excess, until when, by whom."""
    finding, _ = await overlapping(reviewer)
    until = NINE + 9 * HOUR
    accepted = ok(await post_decision(reviewer, finding, "accept", until=render(until), actor="Ann"))
    row = await stored(reviewer, finding)
    kept = row["acceptance"]

    assert (accepted["state"], accepted["version"]) == ("accepted", 2)
    assert {str(each) for each in kept.pop("reservations")} == {each["id"] for each in finding["reservations"]}
    assert kept == {"peak": 2, "excess": 1, "until": until, "by": "Ann", "at": row["updatedAt"]}


async def test_repeating_an_acceptance_renews_it_where_it_differs(reviewer: ApiClient) -> None:
    """The same again changes nothing; another end, or a finding that is another by now, is accepted anew."""
    finding, first = await overlapping(reviewer)
    for body, version in (({}, 2), ({}, 2), ({"until": render(NINE)}, 3), ({"until": render(NINE)}, 3), ({}, 4)):
        assert ok(await post_decision(reviewer, finding, "accept", **body))["version"] == version
    assert "until" not in (await stored(reviewer, finding))["acceptance"]
    other = ObjectId(first["id"])
    change = {"$set": {"reservations": [other]}, "$inc": {"version": 1}}
    await reviewer.store.database["findings"].update_one({"_id": ObjectId(finding["id"])}, change)
    assert ok(await post_decision(reviewer, finding, "accept"))["version"] == 6
    assert (await stored(reviewer, finding))["acceptance"]["reservations"] == [other]


async def test_what_was_said_can_be_taken_back(reviewer: ApiClient) -> None:
    """An acknowledgement, an acceptance; of a resolution only where it still overlaps. It is told of once more."""
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


async def test_what_is_part_of_another_is_spoken_of_there(reviewer: ApiClient) -> None:
    """A finding that was merged is not reopened beside the one that it is in."""
    other = ObjectId()
    merged = {"id": str(await insert_finding(reviewer.store, 0, state="resolved", mergedInto=other))}

    assert str(other) in problem(await post_decision(reviewer, merged, "reopen"), "forbidden-transition")["detail"]


@pytest.mark.parametrize("state", ["open", "acknowledged", "accepted", "resolved"])
async def test_which_words_are_heard_in_which_state(reviewer: ApiClient, state: str) -> None:
    """Acknowledged is what was open, accepted what is not over; what overlaps is not resolved."""
    heard = {
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
        if to in heard[state]:
            assert ok(answer)["state"] == to
        else:
            problem(answer, "forbidden-transition")


async def test_a_finding_has_somebody_who_takes_care_of_it(reviewer: ApiClient) -> None:
    """In any state, which stays as it is; nobody named, nobody does. The history says who gave it to whom."""
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
    """However often somebody speaks; the last word is there."""
    finding, _ = await overlapping(reviewer)
    for number in range(60):
        ok(await post_decision(reviewer, finding, "acknowledge", note=f"word {number}"))
    history = (await only_finding(reviewer))["history"]

    assert len(history) == 50
    assert history[-1]["note"] == "word 59"


async def test_if_match_is_heeded(reviewer: ApiClient) -> None:
    """412 when somebody was faster, also for what is so already; a weak tag counts, `*` and none at all are any."""
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
async def test_a_word_says_it_of_the_version_that_was_meant(
    reviewer: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who is faster between reading and writing makes it stale; without If-Match it is said once more."""
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


async def test_each_word_takes_its_own_fields(reviewer: ApiClient) -> None:
    """What another one takes is refused, as is a time that is over, and who calls themselves a run."""
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
    """Say something of many."""
    return await reviewer.request("POST", f"{URL}/words", json=body, headers={"Idempotency-Key": "changes nothing"})


async def test_one_word_on_many(reviewer: ApiClient) -> None:
    """Each is answered by itself, in the order of the request: the finding, or the problem that it alone would have."""
    store = reviewer.store
    ids = [str(await insert_finding(store, number)) for number in range(5)]
    await transitions.transition(store, ids[1], FindingTransition("accepted", "me"))
    nobody = "0" * 24
    asked = [ids[4], ids[1], nobody, ids[0]]
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


async def test_every_word_can_be_said_of_many(reviewer: ApiClient) -> None:
    """With the fields that it takes by itself."""
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


async def test_nonsense_on_many_is_refused_as_a_whole(reviewer: ApiClient) -> None:
    """Nothing is said of any then."""
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


async def test_only_reviewers_say_something_of_many(reviewer: ApiClient) -> None:
    """As of one."""
    booker = await reviewer.with_scopes("reservations:admin")

    problem(await many(booker, {"ids": ["0" * 24], "to": "open"}), "forbidden")


async def test_what_there_is_no_time_for_is_overloaded(reviewer: ApiClient) -> None:
    """It is said of those that were reached, and of the others it is sure that nothing was done."""
    ids = [str(await insert_finding(reviewer.store, number)) for number in range(3)]
    at = 0.0
    limit = Deadline(service.RESERVE_SECONDS + 1, clock=lambda: at)
    review = service.Findings(reviewer.store, None)  # type: ignore[arg-type]  # nothing free is looked for here
    say = transitions.transition

    async def slow(*args: Any) -> Any:
        nonlocal at
        heard = await say(*args)
        at += 1.5
        return heard

    with pytest.MonkeyPatch.context() as patch, deadline.bound(limit):
        patch.setattr(transitions, "transition", slow)
        patch.setattr(service, "CONCURRENT_MAX", 1)
        came, _ = await asyncio.wait_for(review.transition_many(ids, FindingTransition("acknowledged", "me")), 30)

    said = [each.name if isinstance(each, Problem) else each.state for each in came]
    assert said == ["acknowledged", "overloaded", "overloaded"]
    assert [(await stored(reviewer, {"id": each}))["version"] for each in ids] == [2, 1, 1]


async def test_a_database_that_goes_away_among_many(reviewer: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that it hit says so; the others are as they were answered."""
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

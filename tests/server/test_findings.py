"""Findings over HTTP and under runs: reading, deciding, and that no decision is lost."""

import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from bson import ObjectId

from app.domain.instants import EARLIEST, Millis, render
from app.domain.sweep import Window
from app.reconciliation import engine, findings_writer
from app.reconciliation.finding_changes import Change
from app.reconciliation.findings.transitions import FindingTransition, transition
from app.reconciliation.findings_batches import BatchWriter
from app.storage.client import Store
from app.storage.documents import Finding
from app.storage.leases import DEAD_SECONDS, Grant, LeaseStore, OwnershipLost
from app.storage.runs import RunStore
from app.storage.transactions import Session
from tests.support.api_client import ApiClient, created, ok, problem
from tests.support.findings import (
    URL,
    insert_duplicate,
    only_finding,
    post_decision,
    reconcile,
    reviewer_with_resources,
)
from tests.support.ids import ROOM_ID
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("any")


@pytest.fixture
async def reviewer(app_client: httpx.AsyncClient, store: Store) -> ApiClient:
    """A client with every scope, and a room and a desk that both can be booked for a talk."""
    return await reviewer_with_resources(app_client, store)


async def test_a_finding_shows_who_overlaps_and_what_could_be_done(reviewer: ApiClient) -> None:
    """A finding lists its reservations and proposes moves that work, those of the latest booking first."""
    await reviewer.add("customers", id="ann")
    first = await reviewer.booked(service="talk", customer="ann", length=None)
    second = await insert_duplicate(reviewer, first)
    run = await reconcile(reviewer)
    finding = await only_finding(reviewer, state="open", resource="room")

    assert (run.findings, run.conflicts, run.new, run.unaccepted) == (1, 1, 1, 1)
    assert {name: finding[name] for name in ("resource", "from", "to", "peak", "capacity", "state", "version")} == {
        "resource": "room",
        "from": render(NINE),
        "to": render(NINE + HOUR),
        "peak": 2,
        "capacity": 1,
        "state": "open",
        "version": 1,
    }
    row = {"customer": "ann", "startTime": render(NINE), "endTime": render(NINE + HOUR), "units": 1}
    row |= {"status": "confirmed", "by": reviewer.prefix, "customerName": "a name"}
    shown = {each["id"]: each for each in finding["reservations"]}
    assert shown.keys() == {first["id"], second}
    assert shown[first["id"]] == {"id": first["id"], "createdAt": first["createdAt"], **row}
    assert (finding["run"], finding["firstSeen"]) == (str(run.id), finding["lastSeen"])
    assert [(each["by"], each["to"]) for each in finding["history"]] == [("worker", "open")]
    assert [(each["reservation"], each["resource"], each["startTime"]) for each in finding["proposals"]] == [
        (second, "desk", render(NINE)),
        (second, "room", render(NINE + HOUR)),
        (first["id"], "desk", render(NINE)),
        (first["id"], "room", render(NINE + HOUR)),
    ]
    (listed,) = ok(await reviewer.get(URL))["items"]
    assert listed == {name: value for name, value in finding.items() if name != "proposals"}

    move = {name: value for name, value in finding["proposals"][1].items() if name != "resource"}
    ok(await reviewer.request("POST", "/v1/moves", json={"moves": [move | {"version": 1}]}))
    await reconcile(reviewer)
    gone = await only_finding(reviewer, state="resolved")
    assert (gone["id"], gone["state"], gone["version"], gone["proposals"]) == (finding["id"], "resolved", 2, [])
    assert gone["history"][-1] == {
        "at": gone["history"][-1]["at"],
        "by": "worker",
        "to": "resolved",
        "note": "nothing overlaps any more",
        "from": render(NINE),
        "until": render(NINE + HOUR),
        "peak": 2,
        "capacity": 1,
    }


async def test_a_proposal_is_judged_by_the_rules(reviewer: ApiClient) -> None:
    """No proposal names a resource that is taken or inactive, or a time outside the schedule."""
    first = await reviewer.booked(service="talk", length=None)
    await reviewer.booked(service="talk", resource="desk", length=None)
    weekly = {"weekly": [{"days": ["mon"], "from": "08:00", "to": "12:00"}]}
    ok(await reviewer.request("PUT", "/v1/resources/room/schedule", json=weekly, headers={"If-Match": "*"}))
    for hour in (1, 2):
        await reviewer.booked(NINE + hour * HOUR, service="talk", length=None)
    await insert_duplicate(reviewer, first)
    await reconcile(reviewer)
    finding = await only_finding(reviewer)
    assert {(each["resource"], each["startTime"]) for each in finding["proposals"]} == {
        ("room", render(NINE + timedelta(days=7) - HOUR))
    }

    force = {"headers": {"If-Match": "*"}, "params": {"force": "true"}}
    ok(await reviewer.request("PATCH", "/v1/resources/room", json={"active": False}, **force))
    assert (await only_finding(reviewer))["proposals"] == []


async def test_a_proposal_keeps_the_days_of_its_resource(reviewer: ApiClient) -> None:
    """London's day of 25 hours is proposed as one day again, whatever the zone of the request."""
    await reviewer.service("stay", durationType="full-day", maxDays=5)
    await reviewer.resource("attic", timezone="Europe/London", services=["stay"])
    day = {"resource": "attic", "service": "stay", "startTime": "2030-10-26T23:00:00Z", "timezone": "UTC"}
    await insert_duplicate(reviewer, created(await reviewer.post(day)))
    await reconcile(reviewer)

    proposals = (await only_finding(reviewer, resource="attic"))["proposals"]
    assert {(each["startTime"], each["endTime"]) for each in proposals} == {
        ("2030-10-28T00:00:00.000Z", "2030-10-29T00:00:00.000Z")
    }


async def test_a_proposal_may_begin_as_soon_as_it_did(reviewer: ApiClient) -> None:
    """A proposal of another resource at the same time needs no notice, because such a move needs none."""
    await reviewer.service("talk-soon", minimumNoticeMinutes=600)
    for name in ("attic", "studio"):
        await reviewer.resource(name, services=["talk-soon"])
    start = reviewer.store.clock.now() + HOUR
    soon = {"resource": "attic", "service": "talk-soon", "startTime": render(start)}
    first = created(await reviewer.post(soon, force="true"))
    second = await insert_duplicate(reviewer, first)
    await reconcile(reviewer)

    proposals = (await only_finding(reviewer, resource="attic"))["proposals"]
    assert [each["reservation"] for each in proposals if each["resource"] == "studio"] == [second, first["id"]]
    move = {"reservation": first["id"], "version": 1, "resource": "studio"}
    ok(await reviewer.request("POST", "/v1/moves", json={"moves": [move]}))


async def test_decisions_are_stored(reviewer: ApiClient) -> None:
    """Each decision is stored with author, instant and note; neither a repetition nor a run changes it."""
    await insert_duplicate(reviewer, await reviewer.booked())
    await reconcile(reviewer)
    finding = await only_finding(reviewer)
    seen = ok(await post_decision(reviewer, finding, "acknowledge", note="calling them"))
    again = ok(await post_decision(reviewer, finding, "acknowledge", note="calling them"))
    plain = ok(await reviewer.request("POST", f"{URL}/{finding['id']}/acknowledge"))
    accepted = ok(await post_decision(reviewer, finding, "accept"))
    run = await reconcile(reviewer)
    after = await only_finding(reviewer, state="accepted")

    assert (seen["state"], seen["version"], again, plain) == ("acknowledged", 2, seen, seen)
    assert (accepted["state"], accepted["version"]) == ("accepted", 3)
    assert [(each["by"], each["to"], each.get("note")) for each in accepted["history"]] == [
        ("worker", "open", None),
        (reviewer.prefix, "acknowledged", "calling them"),
        (reviewer.prefix, "accepted", None),
    ]
    assert {**after, "lastSeen": 0, "run": 0} == {**accepted, "lastSeen": 0, "run": 0}
    assert after["run"] == str(run.id)
    assert (run.findings, run.new, run.unaccepted) == (1, 0, 0)
    problem(await post_decision(reviewer, finding, "acknowledge"), "forbidden-transition")


async def test_what_still_overlaps_cannot_be_resolved(reviewer: ApiClient) -> None:
    """A finding can be resolved only once the overlap is gone from the database, and reopens if it returns."""
    first = await reviewer.booked()
    other = await insert_duplicate(reviewer, first)
    await reconcile(reviewer)
    finding = await only_finding(reviewer)
    problem(await post_decision(reviewer, finding, "resolve"), "forbidden-transition")
    await reviewer.verb(first, "cancel")
    resolved = ok(await post_decision(reviewer, finding, "resolve", note="cancelled one"))
    assert (resolved["state"], ok(await post_decision(reviewer, finding, "resolve"))["version"]) == ("resolved", 2)
    problem(await post_decision(reviewer, finding, "accept"), "forbidden-transition")
    assert (await reconcile(reviewer)).findings == 0

    third = await insert_duplicate(reviewer, {"id": other})
    run = await reconcile(reviewer, "incremental")
    back = await only_finding(reviewer)
    assert (run.new, back["id"], back["state"]) == (1, finding["id"], "open")
    assert {each["id"] for each in back["reservations"]} == {other, third}
    assert [each["to"] for each in back["history"]] == ["open", "resolved", "open"]


async def test_an_acceptance_covers_its_reservations_or_fewer(reviewer: ApiClient) -> None:
    """A longer window stays accepted, a new reservation reopens the finding, and its end restores the acceptance."""
    first = await reviewer.booked()
    other = await insert_duplicate(reviewer, first)
    await reconcile(reviewer)
    finding = await only_finding(reviewer)
    ok(await post_decision(reviewer, finding, "accept"))
    for each in (first["id"], other):
        await reviewer.overwrite({"id": each}, endTime=NINE + 2 * HOUR, blockEnd=NINE + 2 * HOUR)
    longer = await reconcile(reviewer)
    grown = await only_finding(reviewer)
    late = {"startTime": NINE + HOUR, "blockStart": NINE + 2 * HOUR, "blockEnd": NINE + 3 * HOUR}
    pair = [await insert_duplicate(reviewer, first, **late) for _ in range(2)]
    joined = await reconcile(reviewer)
    outgrown = await only_finding(reviewer)
    for each in pair:
        await reviewer.overwrite({"id": each}, status="cancelled")
    again = await reconcile(reviewer, "incremental")
    after = await only_finding(reviewer)

    assert (longer.new, longer.unaccepted) == (0, 0)
    assert (grown["id"], grown["state"], grown["to"]) == (finding["id"], "accepted", render(NINE + 2 * HOUR))
    assert (joined.new, joined.unaccepted, outgrown["peak"]) == (1, 1, 2)
    assert (outgrown["id"], outgrown["state"]) == (finding["id"], "open")
    assert outgrown["history"][-1]["note"] == "others joined"
    assert (again.new, again.unaccepted) == (0, 0)
    assert (after["id"], after["state"], after["history"][-1]["note"]) == (
        finding["id"],
        "accepted",
        "only what was accepted is left",
    )


async def test_halves_and_mergers_keep_their_names(reviewer: ApiClient) -> None:
    """A split leaves the id to the earlier half; a merger keeps that id, and the other finding names it."""
    hours = [await reviewer.booked(NINE + number * HOUR) for number in range(3)]
    whole = {"startTime": NINE, "blockStart": NINE, "endTime": NINE + 3 * HOUR, "blockEnd": NINE + 3 * HOUR}
    await insert_duplicate(reviewer, hours[0], **whole)
    await reconcile(reviewer)
    finding = await only_finding(reviewer)
    ok(await post_decision(reviewer, finding, "accept"))
    await reviewer.overwrite(hours[1], status="cancelled")
    split = await reconcile(reviewer)
    halves = ok(await reviewer.get(URL))["items"]
    await reviewer.overwrite(hours[1], status="confirmed")
    await reconcile(reviewer)
    surviving, swallowed = ok(await reviewer.get(URL))["items"]

    assert (split.findings, split.new, split.unaccepted) == (2, 0, 0)
    assert [(each["state"], each["from"]) for each in halves] == [
        ("accepted", render(NINE)),
        ("accepted", render(NINE + 2 * HOUR)),
    ]
    assert halves[0]["id"] == surviving["id"] == finding["id"]
    assert (surviving["state"], surviving["to"]) == ("accepted", render(NINE + 3 * HOUR))
    assert (swallowed["state"], swallowed["mergedInto"]) == ("resolved", finding["id"])


async def test_repeated_runs_change_nothing(reviewer: ApiClient) -> None:
    """Repeated runs change nothing of a finding but `lastSeen` and `run`."""
    for place in range(3):
        await insert_duplicate(reviewer, await reviewer.booked(NINE + 2 * place * HOUR))
    first = await reconcile(reviewer)
    before = ok(await reviewer.get(URL))["items"]
    again = [await reconcile(reviewer, kind) for kind in ("full", "incremental")]
    after = ok(await reviewer.get(URL))["items"]

    assert (first.new, [run.new for run in again], [run.findings for run in again]) == (3, [0, 0], [3, 3])
    ignored = {"lastSeen": "", "run": ""}
    assert [each | ignored for each in after] == [each | ignored for each in before]


async def test_a_hundred_runs_lose_no_decision(reviewer: ApiClient) -> None:
    """While overlaps come, go, grow, split and merge under a hundred runs, all notes stay, in order."""
    dice = random.Random(7)
    hours = [await reviewer.booked(NINE + number * HOUR) for number in range(4)]
    extras: list[str] = []
    expected: dict[str, list[str]] = {}
    for number in range(100):
        if extras and dice.random() < 0.5:
            gone = {"id": extras.pop(dice.randrange(len(extras)))}
            await reviewer.overwrite(gone, status=dice.choice(("cancelled", "expired")))
        else:
            start = NINE + dice.randrange(4) * HOUR
            end = start + dice.randrange(1, 4) * HOUR
            times = {"startTime": start, "blockStart": start, "endTime": end, "blockEnd": end}
            extras.append(await insert_duplicate(reviewer, dice.choice(hours), **times))
        await reconcile(reviewer, dice.choice(("full", "incremental")))
        known = ok(await reviewer.get(URL))["items"]
        if known:
            finding, note = dice.choice(known), f"word {number}"
            answer = await post_decision(
                reviewer, finding, dice.choice(("acknowledge", "accept", "resolve")), note=note
            )
            if answer.status_code == 200:
                expected.setdefault(finding["id"], []).append(note)
    stored = {
        finding["id"]: await notes_of(reviewer, finding["id"]) for finding in ok(await reviewer.get(URL))["items"]
    }

    assert sum(map(len, expected.values())) > 30
    assert len(stored) > 1
    assert {identity: notes for identity, notes in stored.items() if notes} == expected


async def notes_of(api: ApiClient, finding: str) -> list[str]:
    """The notes of decisions on a finding, in the order of its history."""
    history = ok(await api.get(f"{URL}/{finding}"))["history"]
    return [entry["note"] for entry in history if entry["by"] != "worker"]


async def test_a_decision_during_a_run_wins(reviewer: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run reads a finding again that was accepted before its write, and reopens it if its peak exceeds that."""
    first = await reviewer.booked()
    await insert_duplicate(reviewer, first)
    await reconcile(reviewer)
    finding = await only_finding(reviewer)
    await insert_duplicate(reviewer, first, startTime=NINE, endTime=NINE + HOUR / 2, blockEnd=NINE + HOUR / 2)
    write = BatchWriter.write
    decided: list[Finding] = []

    async def interrupted(writer: BatchWriter, changes: Sequence[Change], seen: Sequence[Any]) -> None:
        if not decided:
            decided.append(
                await transition(reviewer.store, finding["id"], FindingTransition("accepted", "me", note="mine"))
            )
        await write(writer, changes, seen)

    monkeypatch.setattr(BatchWriter, "write", interrupted)
    run = await reconcile(reviewer)
    after = await only_finding(reviewer)
    assert [each["to"] for each in after["history"]] == ["open", "accepted", "open"]
    assert (after["state"], after["peak"], run.new) == ("open", 3, 1)


async def test_a_decision_during_a_batch_hides_no_new_finding(
    reviewer: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that is repeated after a decision still counts its new findings."""
    first = await reviewer.booked()
    await insert_duplicate(reviewer, first)
    await reconcile(reviewer)
    finding = await only_finding(reviewer)
    await insert_duplicate(reviewer, first, startTime=NINE, endTime=NINE + HOUR / 2, blockEnd=NINE + HOUR / 2)
    await insert_duplicate(reviewer, await reviewer.booked(resource="desk"))
    under = LeaseStore.under
    decided: list[Finding] = []

    async def interrupted(leases: LeaseStore, lease: Grant, work: Callable[[Session], Awaitable[None]]) -> None:
        if not decided:
            decided.append(await transition(leases.store, finding["id"], FindingTransition("accepted", "me")))
        await under(leases, lease, work)

    monkeypatch.setattr(LeaseStore, "under", interrupted)
    run = await reconcile(reviewer)

    assert (run.findings, run.new) == (2, 2)


async def test_a_paused_run_writes_nothing(reviewer: ApiClient) -> None:
    """A silent process loses the lease, and its later writes are refused."""
    await insert_duplicate(reviewer, await reviewer.booked())
    store = reviewer.store
    paused = await LeaseStore(store).acquire("paused")
    assert paused is not None
    run = await RunStore(store).enqueue("full")
    assert await LeaseStore(store).acquire("other") is None
    assert await engine.carry_out(store, run.id) is None
    await _silence(store, store.clock.now() - timedelta(seconds=DEAD_SECONDS + 1))
    other = await LeaseStore(store).acquire("other")
    assert other is not None
    ids = {str(each): each for each in (ObjectId(), ObjectId())}
    window = Window(ROOM_ID, EARLIEST, Millis(1), 2, 1, tuple(ids), 1)

    for _ in range(2):
        with pytest.raises(OwnershipLost):
            await findings_writer.write_findings(store, paused, run, [ROOM_ID], [window], ids)
        await LeaseStore(store).release(paused)
    assert await store.database["findings"].count_documents({}) == 0
    await findings_writer.write_findings(store, other, run, [ROOM_ID], [window], ids)
    assert await store.database["findings"].count_documents({}) == 1


async def test_only_reviewers_see_findings(reviewer: ApiClient) -> None:
    """A client without the scope is refused with its name, invalid input is `invalid`, and unknown ids `not-found`."""
    await insert_duplicate(reviewer, await reviewer.booked())
    await reconcile(reviewer)
    finding = await only_finding(reviewer)
    booker = await reviewer.with_scopes("reservations:admin", "catalogue:write")
    for answer in (await booker.get(URL), await post_decision(booker, finding, "accept")):
        assert "findings:review" in problem(answer, "forbidden")["detail"]
    other = await reviewer.with_scopes("findings:review")
    assert ok(await post_decision(other, finding, "accept"))["history"][-1]["by"] == other.prefix
    problem(await other.get(URL, state="closed"), "invalid")
    problem(await other.get(URL, cursor="mine"), "invalid")
    for identity in ("0" * 24, "nothing"):
        problem(await other.get(f"{URL}/{identity}"), "not-found")
        problem(await other.request("POST", f"{URL}/{identity}/accept"), "not-found")
    problem(await other.request("POST", f"{URL}/{finding['id']}/accept", json={"note": ""}), "invalid")


async def test_findings_come_in_pages(reviewer: ApiClient) -> None:
    """Pages list each finding once, by id, narrowed by state and resource."""
    for place in range(3):
        await insert_duplicate(reviewer, await reviewer.booked(NINE + 2 * place * HOUR))
    await insert_duplicate(reviewer, await reviewer.booked(resource="desk"))
    await reconcile(reviewer)
    everything = await reviewer.ids(URL)
    first = ok(await reviewer.get(URL, limit=3))
    second = ok(await reviewer.get(URL, limit=3, cursor=first["next"]))

    assert [each["id"] for each in first["items"] + second["items"]] == everything == sorted(everything)
    assert (len(everything), "next" in second) == (4, False)
    assert len(await reviewer.ids(URL, resource="desk", state="open")) == 1
    assert await reviewer.ids(URL, state="resolved") == []


async def _silence(store: Store, since: datetime) -> None:
    await store.database["leases"].update_one({}, {"$set": {"beatAt": since}})

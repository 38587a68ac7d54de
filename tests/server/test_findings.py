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
    """Somebody who may do everything, before a room and a desk that both can be booked for a talk."""
    return await reviewer_with_resources(app_client, store)


async def test_a_finding_shows_who_overlaps_and_what_could_be_done(reviewer: ApiClient) -> None:
    """Its reservations side by side, and moves of the one booked last first; each of them is one that really works."""
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
    """Not onto a resource that is taken or inactive, and not beyond the schedule."""
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
    """London's day of 25 hours is proposed as one day again, in whichever zone somebody said it."""
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
    """On another resource at the same time the notice is not asked for, because a move is not asked for it either."""
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


async def test_what_people_say_is_kept(reviewer: ApiClient) -> None:
    """Acknowledged, then accepted, each with who, when and why; repeating is harmless; a run changes nothing of it."""
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
    """The database is asked, not the last run; once it is over, a person may say so, and it reopens if it returns."""
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


async def test_an_acceptance_is_for_these_or_fewer(reviewer: ApiClient) -> None:
    """Growing in length keeps it; whoever joins makes it open again, whatever the peak; gone again, it is accepted."""
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
    """A split leaves the name with the earlier half; a merger gives it back, and says where the other one went."""
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
    kept, swallowed = ok(await reviewer.get(URL))["items"]

    assert (split.findings, split.new, split.unaccepted) == (2, 0, 0)
    assert [(each["state"], each["from"]) for each in halves] == [
        ("accepted", render(NINE)),
        ("accepted", render(NINE + 2 * HOUR)),
    ]
    assert halves[0]["id"] == kept["id"] == finding["id"]
    assert (kept["state"], kept["to"]) == ("accepted", render(NINE + 3 * HOUR))
    assert (swallowed["state"], swallowed["mergedInto"]) == ("resolved", finding["id"])


async def test_repeated_runs_change_nothing(reviewer: ApiClient) -> None:
    """But for the time of the last look, findings are as they were, versions included."""
    for place in range(3):
        await insert_duplicate(reviewer, await reviewer.booked(NINE + 2 * place * HOUR))
    first = await reconcile(reviewer)
    before = ok(await reviewer.get(URL))["items"]
    again = [await reconcile(reviewer, kind) for kind in ("full", "incremental")]
    after = ok(await reviewer.get(URL))["items"]

    assert (first.new, [run.new for run in again], [run.findings for run in again]) == (3, [0, 0], [3, 3])
    looked = {"lastSeen": "", "run": ""}
    assert [each | looked for each in after] == [each | looked for each in before]


async def test_a_hundred_runs_lose_no_word(reviewer: ApiClient) -> None:
    """While overlaps come, go, grow, split and merge under a hundred runs, all that people said stays, in order."""
    dice = random.Random(7)
    hours = [await reviewer.booked(NINE + number * HOUR) for number in range(4)]
    extras: list[str] = []
    said: dict[str, list[str]] = {}
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
                said.setdefault(finding["id"], []).append(note)
    kept = {finding["id"]: await words_of(reviewer, finding["id"]) for finding in ok(await reviewer.get(URL))["items"]}

    assert sum(map(len, said.values())) > 30
    assert len(kept) > 1
    assert {identity: words for identity, words in kept.items() if words} == said


async def words_of(api: ApiClient, finding: str) -> list[str]:
    """What people noted on a finding, in its order."""
    history = ok(await api.get(f"{URL}/{finding}"))["history"]
    return [entry["note"] for entry in history if entry["by"] != "worker"]


async def test_a_word_in_between_wins(reviewer: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody accepts while a run is about to write what it read: it is read again, and the size beyond it seen."""
    first = await reviewer.booked()
    await insert_duplicate(reviewer, first)
    await reconcile(reviewer)
    finding = await only_finding(reviewer)
    await insert_duplicate(reviewer, first, startTime=NINE, endTime=NINE + HOUR / 2, blockEnd=NINE + HOUR / 2)
    write = BatchWriter.write
    said: list[Finding] = []

    async def interrupted(writer: BatchWriter, changes: Sequence[Change], seen: Sequence[Any]) -> None:
        if not said:
            said.append(
                await transition(reviewer.store, finding["id"], FindingTransition("accepted", "me", note="mine"))
            )
        await write(writer, changes, seen)

    monkeypatch.setattr(BatchWriter, "write", interrupted)
    run = await reconcile(reviewer)
    after = await only_finding(reviewer)
    assert [each["to"] for each in after["history"]] == ["open", "accepted", "open"]
    assert (after["state"], after["peak"], run.new) == ("open", 3, 1)


async def test_a_word_in_between_hides_no_new_finding(reviewer: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody speaks while a batch is written: the findings that it had made by then are counted all the same."""
    first = await reviewer.booked()
    await insert_duplicate(reviewer, first)
    await reconcile(reviewer)
    finding = await only_finding(reviewer)
    await insert_duplicate(reviewer, first, startTime=NINE, endTime=NINE + HOUR / 2, blockEnd=NINE + HOUR / 2)
    await insert_duplicate(reviewer, await reviewer.booked(resource="desk"))
    under = LeaseStore.under
    said: list[Finding] = []

    async def interrupted(leases: LeaseStore, lease: Grant, work: Callable[[Session], Awaitable[None]]) -> None:
        if not said:
            said.append(await transition(leases.store, finding["id"], FindingTransition("accepted", "me")))
        await under(leases, lease, work)

    monkeypatch.setattr(LeaseStore, "under", interrupted)
    run = await reconcile(reviewer)

    assert (run.findings, run.new) == (2, 2)


async def test_a_paused_run_writes_nothing(reviewer: ApiClient) -> None:
    """Whoever fell silent loses the lease; what it still wants to write down afterwards is refused."""
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
    """Every other scope is refused by name; nonsense is refused, what is not there is not found."""
    await insert_duplicate(reviewer, await reviewer.booked())
    await reconcile(reviewer)
    finding = await only_finding(reviewer)
    booker = await reviewer.with_scopes("reservations:admin", "catalogue:write")
    for answer in (await booker.get(URL), await post_decision(booker, finding, "accept")):
        assert "findings:review" in problem(answer, "forbidden")["detail"]
    looker = await reviewer.with_scopes("findings:review")
    assert ok(await post_decision(looker, finding, "accept"))["history"][-1]["by"] == looker.prefix
    problem(await looker.get(URL, state="closed"), "invalid")
    problem(await looker.get(URL, cursor="mine"), "invalid")
    for identity in ("0" * 24, "nothing"):
        problem(await looker.get(f"{URL}/{identity}"), "not-found")
        problem(await looker.request("POST", f"{URL}/{identity}/accept"), "not-found")
    problem(await looker.request("POST", f"{URL}/{finding['id']}/accept", json={"note": ""}), "invalid")


async def test_findings_come_in_pages(reviewer: ApiClient) -> None:
    """By id, each once, narrowed by state and resource."""
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

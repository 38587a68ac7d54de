"""An erasure and the events: followers are told of it, and no event keeps a text of the customer."""

from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from app.booking import erase_texts_of
from app.privacy import export
from app.privacy.erasure import carry_out_pending, mark
from app.storage import erased_customers, erased_events
from app.storage.client import Store
from app.storage.erased_customers import SETTLED_SECONDS
from app.storage.erased_events import ErasedEvents
from tests.support.api_client import ApiClient, ok
from tests.support.findings import insert_duplicate, only_finding, post_decision, reconcile
from tests.support.http_client import serving
from tests.support.relaying import new_grant, place_all, placing
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("any")
MARK = "their-own-word"


@pytest.fixture
async def api(store: Store) -> Any:
    """A room and two customers."""
    async with serving(store) as http:
        api = ApiClient(http, store)
        await api.resource("room", capacity=3)
        for name in ("ann", "bob"):
            await api.add("customers", id=name, name=name)
        yield api


def let_a_minute_pass(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Move the clock behind the instant at which erased customers are swept once more."""
    now = store.clock.now
    monkeypatch.setattr(store.clock, "now", lambda: now() + timedelta(seconds=SETTLED_SECONDS + 1))


async def erase(api: ApiClient, customer: str = "ann") -> None:
    """Erase a customer."""
    ok(await api.request("POST", f"/v1/customers/{customer}/erase"))


async def marked_events(store: Store) -> list[str]:
    """The types of the events that have the mark, wherever; in the outbox and in the log."""
    rows = [row for name in ("outbox", "events") for row in await store.database[name].find().to_list(None)]
    return [row["type"] for row in rows if MARK in repr(row)]


async def announced(store: Store) -> list[dict[str, Any]]:
    """The events of erasures in the outbox."""
    return [row async for row in store.database["outbox"].find({"type": "customer.erased"})]


async def test_an_erasure_leaves_its_event(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the customer's id and the version that the mark has made; the sweeps after it leave no other."""
    await erase(api)
    let_a_minute_pass(api.store, monkeypatch)
    await carry_out_pending(api.store)

    (event,) = await announced(api.store)
    assert (event["subject"], event["version"], event["by"]) == ("ann", 2, api.prefix)
    row = await api.store.database["customers"].find_one({"_id": "ann"})
    assert row is not None
    assert event["at"] == row["erasedAt"]


async def test_one_that_is_repeated_at_once_leaves_one(api: ApiClient) -> None:
    """While the customer is being erased nothing new happens to it."""
    for _ in "12":
        await mark(api.store, "ann", "test")

    assert len(await announced(api.store)) == 1


@pytest.mark.servers("transactions")
async def test_a_failed_event_undoes_the_mark(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A customer is not erased without an event of that."""

    async def failing(*_: object) -> None:
        raise OperationFailure("no space")

    monkeypatch.setattr(erased_customers, "add_events", failing)
    with pytest.raises(OperationFailure):
        await mark(api.store, "ann", "test")
    row = await api.store.database["customers"].find_one({"_id": "ann"})

    assert row is not None
    assert (row["name"], "erasedAt" in row) == ("ann", False)


@pytest.mark.servers("standalone")
@pytest.mark.parametrize("swept", [True, False])
async def test_what_a_crash_left_out_is_written_again(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch, *, swept: bool
) -> None:
    """Without a transaction a process can die before the event; the worker's next sweep writes the same."""
    await mark(api.store, "ann", "test")
    if swept:
        await carry_out_pending(api.store)
    before = await announced(api.store)
    await api.store.database["outbox"].delete_many({})
    let_a_minute_pass(api.store, monkeypatch)

    assert [await carry_out_pending(api.store) for _ in "12"] == [1, 0]
    assert await announced(api.store) == before


async def test_no_event_keeps_a_text(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all versions that were placed with their texts none has one, whoever had the reservation at that time."""
    monkeypatch.setattr(erased_events, "BATCH", 2)
    texts: dict[str, Any] = {"notes": MARK, "metadata": {"a": MARK}}
    theirs = await api.booked(customer="ann", **texts)
    anonymous = await api.booked(NINE + HOUR, **texts)
    given_away = await api.booked(NINE + 2 * HOUR, customer="ann", **texts)
    await place_all(api.store)
    ok(await api.change(theirs, notes=f"{MARK} anew"))
    ok(await api.change(anonymous, customer="ann"))
    ok(await api.change(given_away, customer="bob", notes="for bob", metadata=None))
    await place_all(api.store)
    ok(await api.verb(theirs, "cancel", reason=MARK))
    ok(await api.change(given_away, notes="for bob anew"))
    await place_all(api.store)
    before = await marked_events(api.store)
    await erase(api)
    await place_all(api.store)

    assert len(before) == 6
    assert await marked_events(api.store) == []
    rows = await api.store.database["events"].find({"subject": (await api.stored(given_away))["_id"]}).to_list(None)
    assert [row["state"].get("notes") for row in rows[:3]] == [None, "for bob", "for bob anew"]
    assert all(row["state"]["status"] for row in rows)


@pytest.mark.promise("erasure")
async def test_what_another_program_removed_or_gave_away(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The events, and the answers, of reservations that no longer say whose they were lose that customer's texts."""
    monkeypatch.setattr(erased_events, "BATCH", 2)
    removed, given_away, anonymous, kept = [
        await api.booked(NINE + number * HOUR, customer="ann", notes=MARK, key=str(number)) for number in range(4)
    ]
    for each in (removed, given_away, kept):
        ok(await api.change(each, notes=f"{MARK} anew"))
    await place_all(api.store)
    rows = api.store.database["reservations"]
    ids = [(await api.stored(each))["_id"] for each in (removed, given_away, anonymous)]
    await rows.delete_one({"_id": ids[0]})
    await rows.update_one({"_id": ids[1]}, {"$set": {"customer": "bob", "notes": "of bob"}})
    await rows.update_one({"_id": ids[2]}, {"$unset": {"customer": "", "notes": ""}})
    before = await marked_events(api.store)
    await erase(api)
    await place_all(api.store)

    assert len(before) == 7
    assert await marked_events(api.store) == []
    assert MARK not in repr(await rows.find().to_list(None))
    assert (await rows.find_one({"_id": ids[1]}) or {})["notes"] == "of bob"


@pytest.mark.promise("erasure")
async def test_what_the_relay_has_read_already(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that the relay has read before the erasure and places after it is found by the sweep a minute later."""
    await api.booked(customer="ann", notes=MARK)
    relay = placing(api.store, await new_grant(api.store))
    await relay.before("events.insert")
    await erase(api)
    await relay.finish()
    await relay.close()
    late = await marked_events(api.store)
    let_a_minute_pass(api.store, monkeypatch)

    assert late == ["reservation.created"]
    assert await carry_out_pending(api.store) == 1
    assert await marked_events(api.store) == []


async def test_two_customers_of_one_reservation(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two erasures at the same moment neither brings back what the other one has cleared."""
    booked = await api.booked(customer="ann", expiresInSeconds=600)
    ok(await api.verb(booked, "confirm", reason=f"{MARK} of ann"))
    ok(await api.change(booked, customer="bob"))
    ok(await api.verb(booked, "cancel", reason=f"{MARK} of bob"))
    await place_all(api.store)
    identity = (await api.stored(booked))["_id"]
    clear, others = ErasedEvents._clear, iter(["bob"])

    async def overtaken(self: ErasedEvents, *arguments: Any) -> None:
        for other in others:
            await erase_texts_of(api.store, [identity], other, "test")
        await clear(self, *arguments)

    monkeypatch.setattr(ErasedEvents, "_clear", overtaken)
    assert len(await marked_events(api.store)) > 0
    await erase_texts_of(api.store, [identity], "ann", "test")

    assert await marked_events(api.store) == []


async def test_the_state_of_another_program(api: ApiClient) -> None:
    """Its texts are cleared as far as their fields are known, and a history that is none goes as a whole."""
    row = {"resource": "room", "customer": "ann", "status": "confirmed", "startTime": NINE, "endTime": NINE + HOUR}
    row |= {"_id": "theirs", "notes": {"x": MARK}, "history": MARK}
    await api.store.database["reservations"].insert_one(row)
    event = {"key": "1", "type": "reservation.changed", "subject": "theirs", "version": 1, "at": NINE, "by": "test"}
    states: list[dict[str, Any]] = [row, {**row, "history": [1, {"reason": MARK}, None]}, {"_id": 1}]
    await api.store.database["events"].insert_many(
        [{**event, "_id": place, "state": state} for place, state in enumerate(states, 1)]
    )
    await api.store.database["events"].insert_one({**event, "_id": 4})

    await erase(api)

    assert await marked_events(api.store) == []
    states = [row.get("state") async for row in api.store.database["events"].find().sort("_id", 1)]
    assert [state and state.get("history") for state in states] == [[], [1, {}, None], None, None]


async def test_notes_on_findings_are_in_no_event(api: ApiClient) -> None:
    """What people note is in the finding alone; that it was erased is a change like others."""
    booked = await api.booked(customer="ann")
    for _ in range(3):
        await insert_duplicate(api, booked)
    await reconcile(api)
    ok(await post_decision(api, await only_finding(api), "acknowledge", note=MARK, actor="bob"))
    await place_all(api.store)
    await erase(api)
    await place_all(api.store)

    assert await marked_events(api.store) == []
    rows = await api.store.database["events"].find({"type": {"$regex": "^finding"}}).to_list(None)
    assert [row["type"] for row in rows] == ["finding.opened", "finding.changed", "finding.changed"]
    assert [row.get("changed") for row in rows] == [None, ["state"], ["history"]]
    shown = ok(await api.get("/v1/events", type="finding.changed"))["items"]
    assert [(each["version"], each["finding"]["state"]) for each in shown] == [(2, "acknowledged"), (3, "acknowledged")]


@pytest.mark.parametrize("part_bytes", [1, 2**16])
async def test_an_export_has_the_events(api: ApiClient, monkeypatch: pytest.MonkeyPatch, part_bytes: int) -> None:
    """Each reservation has its events as the feed shows them, up to the last place; what waits for one is left out."""
    monkeypatch.setattr(export, "PART_BYTES", part_bytes)
    changed = await api.booked(customer="ann", notes="window")
    quiet = await api.booked(NINE - HOUR, customer="ann")
    ok(await api.verb(await api.booked(customer="bob"), "cancel"))
    await place_all(api.store)
    ok(await api.change(changed, notes="door"))
    ok(await api.verb(changed, "cancel", reason="ill"))
    await place_all(api.store)
    ok(await api.change(quiet, notes="late"))

    exported = ok(await api.get("/v1/customers/ann/export"))["reservations"]

    shown = [each for each in ok(await api.get("/v1/events"))["items"] if each["reservation"]["customer"] == "ann"]
    assert [each["id"] for each in exported] == [changed["id"], quiet["id"]]
    assert [len(each["events"]) for each in exported] == [3, 1]
    assert sorted((event for each in exported for event in each["events"]), key=lambda event: event["id"]) == shown


async def test_an_export_has_nothing_of_the_customer_before(api: ApiClient) -> None:
    """The events of a reservation that was another customer's are there without that customer's texts."""
    booked = await api.booked(customer="bob", notes=MARK)
    anonymous = await api.booked(NINE - HOUR, notes="window")
    await place_all(api.store)
    for each in (booked, anonymous):
        ok(await api.change(each, customer="ann", notes="hers"))
    await place_all(api.store)

    answer = await api.get("/v1/customers/ann/export")

    assert MARK not in answer.text
    theirs, before = ok(answer)["reservations"]
    assert [each["reservation"].get("notes") for each in theirs["events"]] == [None, "hers"]
    assert [each["reservation"].get("notes") for each in before["events"]] == ["window", "hers"]

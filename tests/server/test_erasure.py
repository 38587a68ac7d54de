"""An erased customer: none of its texts is left anywhere in the database, and everything else stays."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.booking import erase_texts_of
from app.caller import Caller
from app.catalogue.queries import read
from app.domain.instants import render
from app.importing.catalogue_ids import CatalogueIds
from app.privacy.erasure import carry_out_pending, mark
from app.privacy.export import export
from app.storage import erased_reservations
from app.storage.client import Store
from app.storage.documents import Customer
from app.storage.erased_customers import SETTLED_SECONDS
from tests.support.api_client import RESERVATIONS, ApiClient, booking_body, created, ok, problem
from tests.support.commands import run_reserva
from tests.support.findings import insert_duplicate, only_finding, post_decision, reconcile
from tests.support.http_client import serving
from tests.support.relaying import place_all
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("any")
MARK = "their-own-word"


@pytest.fixture
async def api(store: Store) -> Any:
    """A room and a hall, two customers; all texts of one of them have the mark."""
    async with serving(store) as http:
        api = ApiClient(http, store)
        await api.service()
        for name in ("room", "hall"):
            await api.resource(name, services=["cut"], capacity=3)
        texts = {name: f"{MARK}-{name}" for name in ("name", "phone", "externalId")}
        await api.add("customers", id="ann", email=f"{MARK}@example.com", **texts)
        await api.add("customers", id="bob")
        yield api


def marks() -> Iterator[str]:
    """Texts with the mark, each another one."""
    number = 0
    while True:
        yield f"{MARK} {(number := number + 1)}"


async def places_of_marks(store: Store) -> list[str]:
    """Where the mark is in the database: every collection as its bytes are stored."""
    found: list[str] = []
    for name in await store.database.list_collection_names():
        found += [f"{name}: {row}" async for row in store.database[name].find() if MARK in repr(row)]
    return found


async def plant(api: ApiClient) -> list[dict[str, Any]]:
    """Every text that the API takes, of one customer; the requests that can be repeated."""
    text = marks()
    repeatable = []

    async def post(path: str, key: str, body: dict[str, Any], status: int = 201) -> dict[str, Any]:
        request: dict[str, Any] = {"method": "POST", "path": path, "json": body, "headers": {"Idempotency-Key": key}}
        answer = await api.request(**request)
        assert answer.status_code == status, answer.text
        await place_all(api.store)
        repeatable.append(request)
        made: dict[str, Any] = answer.json()
        return made

    def body(hour: int, **fields: Any) -> dict[str, Any]:
        metadata = {"a": next(text), "b": 1}
        return booking_body(NINE + hour * HOUR, customer="ann", notes=next(text), metadata=metadata, **fields)

    plain = await post(RESERVATIONS, "plain", body(0))
    ok(await api.change(plain, notes=next(text), metadata={"c": next(text)}))
    ok(await api.verb(plain, "cancel", reason=next(text)))
    hold = await post(RESERVATIONS, "hold", body(1, expiresInSeconds=600))
    ok(await api.verb(hold, "confirm", reason=next(text)))
    group = await post("/v1/groups", "group", {"reservations": [body(2)]})
    cancelled = await api.request("POST", f"/v1/groups/{group['id']}/cancel", json={"reason": next(text)})
    ok(cancelled)
    moved = created(await api.post(body(3)))
    where = {"reservation": moved["id"], "version": 1, "startTime": render(NINE + 4 * HOUR)}
    await post("/v1/moves", "move", {"moves": [where], "reason": next(text)}, status=200)
    anonymous = await post(RESERVATIONS, "anonymous", {**booking_body(NINE + 5 * HOUR), "notes": next(text)})
    ok(await api.change(anonymous, customer="ann"))
    handed_over = await post(RESERVATIONS, "handed-over", body(6))
    ok(await api.change(handed_over, customer="bob", notes="for bob", metadata=None))
    for _ in range(3):
        await insert_duplicate(api, moved)
    await reconcile(api)
    finding = await only_finding(api)
    for verb in ("acknowledge", "accept"):
        ok(await post_decision(api, finding, verb, note=next(text)))
    await place_all(api.store)
    return repeatable


async def erase(api: ApiClient, customer: str = "ann") -> Any:
    """Erase a customer."""
    return await api.request("POST", f"/v1/customers/{customer}/erase")


@pytest.mark.promise("erasure")
async def test_nothing_is_left(api: ApiClient) -> None:
    """Neither in the customer nor in its reservations, their histories, stored answers and findings."""
    repeatable = await plant(api)
    assert len(await places_of_marks(api.store)) > 8
    before = {row["_id"]: row async for row in api.store.database["reservations"].find()}

    answer = ok(await erase(api))

    assert await places_of_marks(api.store) == []
    assert (answer["id"], answer["name"], "erasing" in answer) == ("ann", "", False)
    assert [each.get("customerName") for each in (await only_finding(api))["reservations"]] == [None] * 4
    for request in repeatable:
        replayed = await api.request(**request)
        assert replayed.headers["Idempotent-Replayed"] == "true"
        assert MARK not in replayed.text
    kept = ("resource", "status", "startTime", "endTime", "blockStart", "blockEnd", "units", "customer", "group")
    async for row in api.store.database["reservations"].find():
        assert [row.get(name) for name in kept] == [before[row["_id"]].get(name) for name in kept]


async def test_it_is_a_change_of_each_reservation_that_had_texts(api: ApiClient) -> None:
    """A new version and a line that says by whom; what had none is not changed, nor is it a second time."""
    noted = await api.booked(customer="ann", notes=MARK, metadata={"a": MARK})
    plain = await api.booked(NINE + HOUR, customer="ann")
    others = await api.booked(NINE + 2 * HOUR, customer="bob", notes="bob's", key="bob")

    ok(await erase(api))
    again = await api.read(noted)
    ok(await erase(api))

    assert await api.read(noted) == again
    assert again["version"] == 2
    assert again["updatedAt"] >= noted["updatedAt"]
    line = again["history"][-1]
    assert (line["by"], line["reason"], line["changed"]) == (api.prefix, "erased", ["metadata", "notes"])
    assert again.keys() == noted.keys() - {"notes", "metadata"}
    assert await api.read(plain) == plain
    assert await api.read(others) == others
    assert created(await api.book(NINE + 2 * HOUR, customer="bob", notes="bob's", key="bob")) == others


async def test_nothing_more_is_stored_for_an_erased_customer(api: ApiClient) -> None:
    """It is neither booked for nor edited; what is booked can be moved and cancelled; a bound key books nothing."""
    bound = await api.with_scopes("reservations:read", "reservations:write", customer="ann")
    booked = await api.booked(customer="ann")
    created(await bound.book(NINE + HOUR, None, service="cut"))
    ok(await erase(api))

    problem(await api.book(NINE + 2 * HOUR, customer="ann"), "invalid", "/customer")
    problem(await bound.book(NINE + 2 * HOUR, None, service="cut"), "invalid", "/customer")
    group = {"reservations": [booking_body(NINE + 2 * HOUR, customer="ann")]}
    problem(await api.request("POST", "/v1/groups", json=group), "invalid", "/reservations/0/customer")
    problem(await api.edit("/v1/customers/ann", phone="1"), "forbidden-transition")
    ok(await api.change(booked, startTime=render(NINE + 5 * HOUR)))
    ok(await api.verb(booked, "cancel"))
    problem(await erase(api, "nobody"), "not-found")
    assert MARK not in (await api.get("/v1/customers")).text


@pytest.mark.promise("erasure")
async def test_what_is_booked_meanwhile_loses_its_texts_too(api: ApiClient) -> None:
    """Bookings under way while the customer is erased are answered, and none of them leaves a text."""
    noted: dict[str, Any] = {"customer": "ann", "notes": MARK, "metadata": {"a": MARK}}

    async def book(number: int) -> int:
        return (await api.book(NINE + number * HOUR, key=f"k{number}", **noted)).status_code

    *answers, erased = await asyncio.gather(*(book(number) for number in range(10)), erase(api))

    ok(erased)
    assert set(answers) <= {201, 422, 503}
    assert 201 in answers
    assert await places_of_marks(api.store) == []


@pytest.mark.promise("erasure")
async def test_the_worker_looks_once_more(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute later, for what another process had begun to write before it knew; then no more."""
    booked = await api.booked(customer="ann", notes=MARK)
    ok(await erase(api))
    await api.overwrite(booked, notes=MARK)

    assert await carry_out_pending(api.store) == 0
    now = api.store.clock.now
    monkeypatch.setattr(api.store.clock, "now", lambda: now() + timedelta(seconds=SETTLED_SECONDS + 1))
    assert [await carry_out_pending(api.store) for _ in "12"] == [1, 0]
    assert await places_of_marks(api.store) == []
    row = await api.store.database["customers"].find_one({"_id": "ann"})
    assert row is not None
    assert "sweepAt" not in row


async def test_the_worker_goes_on_where_a_request_has_no_time(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is 202 and the customer is being erased until the worker has cleared the rest."""
    monkeypatch.setattr(erased_reservations, "BATCH", 1)
    monkeypatch.setattr("app.privacy.erasure.within", lambda _: 0.0)
    for hour in range(3):
        await api.booked(NINE + hour * HOUR, customer="ann", notes=MARK)

    answer = await erase(api)
    assert (answer.status_code, answer.json()["erasing"], answer.json()["name"]) == (202, True, "")
    assert len(await places_of_marks(api.store)) == 2

    assert await carry_out_pending(api.store) == 1
    assert await places_of_marks(api.store) == []
    customer = ok(await api.get("/v1/customers/ann"))
    assert "erasing" not in customer
    assert customer["version"] == answer.json()["version"] + 1


async def test_another_writer_is_not_overwritten(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change between the reading and the clearing of a reservation stays, and its texts are cleared as well."""
    booked = await api.booked(customer="ann", notes=MARK)
    read_batch = erased_reservations.ErasedReservations.read
    changes = iter([{"guests": 2, "notes": f"{MARK} anew"}])

    async def read_and_be_overtaken(self: Any, ids: Any) -> Any:
        rows = await read_batch(self, ids)
        for change in changes:
            ok(await api.change(booked, **change))
        return rows

    monkeypatch.setattr(erased_reservations.ErasedReservations, "read", read_and_be_overtaken)
    ok(await erase(api))

    now = await api.read(booked)
    assert (now["guests"], now["version"], "notes" in now) == (2, 3, False)


async def test_a_reservation_of_another_program(api: ApiClient) -> None:
    """Its texts are cleared as far as their fields are known; one without a version or a history gets them."""
    row = {"resource": "room", "customer": "ann", "status": "confirmed", "startTime": NINE, "endTime": NINE + HOUR}
    texts = {"notes": MARK, "cancellationReason": MARK, "history": MARK}
    reservations = api.store.database["reservations"]
    versions: list[dict[str, Any]] = [{}, {"version": "1"}, {"version": True}]
    await reservations.insert_many([{**row, **texts, "_id": number, **each} for number, each in enumerate(versions)])

    ok(await erase(api))

    assert await places_of_marks(api.store) == []
    assert [each["version"] async for each in reservations.find().sort("_id", 1)] == [1, "1", True]


@pytest.mark.servers("wire")
async def test_one_that_fails_does_not_stop_the_others(api: ApiClient) -> None:
    """The worker goes on with the next customer where the server refuses to clear a reservation of one."""
    full = {"resource": "room", "customer": "ann", "status": "confirmed", "startTime": NINE, "endTime": NINE + HOUR}
    await api.store.database["reservations"].insert_one({**full, "notes": MARK, "version": 2**63 - 1})
    await api.booked(NINE + 2 * HOUR, customer="bob", notes="theirs")
    for customer in ("ann", "bob"):
        await mark(api.store, customer, "test")

    assert await carry_out_pending(api.store) == 1
    rows = {row["_id"]: "erasing" in row async for row in api.store.database["customers"].find()}
    assert rows == {"ann": True, "bob": False}


async def test_one_that_another_program_marked(api: ApiClient) -> None:
    """An erased customer of which nobody says who erased it is swept like the others."""
    await api.booked(customer="ann", notes=MARK)
    await mark(api.store, "ann", "test")
    await api.store.database["customers"].update_one({"_id": "ann"}, {"$unset": {"erasedBy": ""}})

    assert await carry_out_pending(api.store) == 1
    assert await places_of_marks(api.store) == []


async def test_a_long_import_learns_of_it(api: ApiClient) -> None:
    """An import that has booked for a customer books no more for it after its erasure."""
    ids = CatalogueIds(api.store, create=True)
    await ids.resolve([], ["ann", "bob"])
    before = [ids.has(Customer, name) for name in ("ann", "bob")]
    await mark(api.store, "ann", "test")
    await ids.resolve([], ["ann", "bob"])

    assert before == [True, True]
    assert [ids.has(Customer, name) for name in ("ann", "bob")] == [False, True]


async def test_only_their_part_of_an_answer_is_cleared(api: ApiClient) -> None:
    """A group of two customers is repeated with the texts of the other."""
    both = [booking_body(NINE + hour * HOUR, customer=who, notes=who) for hour, who in enumerate(("ann", "bob"))]
    body = '{"reservations":[{"id":"1","customer":"ann","notes":"ann"},{"id":"2","customer":"bob","notes":"bob"}]}'
    made = [created(await api.post(each)) for each in both]
    ids = [(await api.stored(each))["_id"] for each in made]
    record = {"_id": "k", "requestHash": "h", "status": 201, "headers": {}, "body": body}
    await api.store.database["answers"].insert_one(record | {"reservations": ids, "at": api.store.clock.now()})

    await erase_texts_of(api.store, ids, "ann", "test")

    row = await api.store.database["answers"].find_one({"_id": "k"})
    assert row is not None
    assert row["body"] == '{"reservations":[{"id":"1","customer":"ann"},{"id":"2","customer":"bob","notes":"bob"}]}'


class TestExport:
    """All of it as one document."""

    async def test_it_has_everything_that_an_erasure_clears(self, api: ApiClient) -> None:
        """Every text that is theirs, in the forms that the other routes show; after the erasure none."""
        await plant(api)
        whole = ok(await api.get("/v1/customers/ann/export"))

        assert whole["customer"] == ok(await api.get("/v1/customers/ann"))
        for each in whole["reservations"]:
            del each["events"]  # see `test_erasure_events`
        assert whole["reservations"] == ok(await api.get("/v1/customers/ann/reservations"))["items"]
        assert [MARK in note["note"] for finding in whole["findings"] for note in finding["notes"]] == [True, True]
        assert "next" not in whole
        ok(await erase(api))
        after = await api.get("/v1/customers/ann/export")
        assert MARK not in after.text
        assert len(ok(after)["reservations"]) == len(whole["reservations"])

    async def test_it_comes_in_parts_where_a_request_has_no_time(
        self, api: ApiClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each part is a whole document and names the next; together they have each reservation once."""
        monkeypatch.setattr("app.privacy.export.PAGE", 2)
        made = [await api.booked(NINE + hour * HOUR, customer="ann") for hour in range(5)]
        assert len(ok(await api.get("/v1/customers/ann/export"))["reservations"]) == 5

        monkeypatch.setattr("app.privacy.export.LAST_PAGE_SECONDS", 1_000.0)
        parts = [ok(await api.get("/v1/customers/ann/export"))]
        while "next" in parts[-1]:
            parts.append(ok(await api.get("/v1/customers/ann/export", cursor=parts[-1]["next"])))
        assert [len(part["reservations"]) for part in parts] == [2, 2, 1]
        ids = [each["id"] for part in parts for each in part["reservations"]]
        assert ids == [each["id"] for each in reversed(made)]

    @pytest.mark.parametrize("gone", ["reservations", "findings"])
    async def test_what_goes_while_it_is_written(
        self, api: ApiClient, monkeypatch: pytest.MonkeyPatch, gone: str
    ) -> None:
        """It stays a whole document where the rest of a page is gone by the time that it is read."""
        monkeypatch.setattr("app.privacy.export.PAGE", 1)
        for hour in (0, 2):  # apart, so that each has a finding of its own
            booked = await api.booked(NINE + hour * HOUR, customer="ann")
            for _ in range(3):
                await insert_duplicate(api, booked)
        await reconcile(api)
        for finding in ok(await api.get("/v1/findings"))["items"]:
            ok(await post_decision(api, finding, "acknowledge", note=MARK))
        customer = await read(api.store, Customer, "ann")
        text = b""
        async for part in export(api.store, customer, Caller("test", frozenset()), None):
            text += part
            if gone in text.decode() and (gone == "findings" or b'"id"' in text.partition(b'"reservations"')[2]):
                await api.store.database[gone].delete_many({})

        whole = json.loads(text)
        assert (len(whole["reservations"]), len(whole["findings"])) == ((8, 0) if gone == "findings" else (1, 1))

    async def test_what_is_refused(self, api: ApiClient) -> None:
        """An unknown customer, a cursor of nothing, a key without the scope `admin`."""
        problem(await api.get("/v1/customers/nobody/export"), "not-found")
        problem(await api.get("/v1/customers/ann/export", cursor="x"), "invalid")
        other = await api.with_scopes("reservations:read", "reservations:write", "reservations:admin")
        problem(await other.get("/v1/customers/ann/export"), "forbidden")
        problem(await erase(other), "forbidden")
        assert (await api.request("HEAD", "/v1/customers/ann/export")).content == b""


@pytest.mark.servers("fast")
async def test_the_command(api: ApiClient, database_url: str, tmp_path: Path) -> None:
    """`reserva erase` does the same, also to imported rows, and says how much; an unknown customer is exit 2."""
    await api.booked(customer="ann", notes=MARK)
    start = NINE + 5 * HOUR
    row = {"reference": f"{MARK}-1", "resource": "hall", "customer": "ann", "notes": MARK}
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row | {"startTime": render(start), "endTime": render(start + HOUR)}))
    imported = await asyncio.to_thread(run_reserva, "import", str(file), MONGODB_URL=database_url)
    await place_all(api.store)
    planted = await places_of_marks(api.store)
    done = await asyncio.to_thread(run_reserva, "erase", "ann", MONGODB_URL=database_url)
    unknown = await asyncio.to_thread(run_reserva, "erase", "nobody", MONGODB_URL=database_url)

    assert (imported.returncode, len(planted)) == (0, 5), imported.stderr
    assert (done.returncode, done.stdout) == (0, "Erased ann. Reservations: 2.\n")
    assert MARK not in done.stderr
    assert await places_of_marks(api.store) == []
    assert unknown.returncode == 2

"""Files of reservations over HTTP: what an import of them books, and how they end."""

from collections.abc import AsyncIterator
from typing import Any
from weakref import WeakValueDictionary

import httpx
import pytest
from bson import ObjectId
from pymongo.errors import NetworkTimeout

from app import deadline
from app.access.service import Keys
from app.domain.instants import render
from app.exporting import service
from app.exporting.rows import export_row
from app.importing.records import records_of
from app.importing.report import Report
from app.importing.service import Importer
from app.importing.source import Source
from app.migration.migrate import migrate
from app.storage.client import Store
from app.storage.reservations import ReservationStore
from tests.support.api_client import ApiClient, ok, problem
from tests.support.mongomock import mock_client
from tests.support.step_driver import running_booking_service
from tests.support.times import DAY, HOUR, NINE

URL = "/v1/reservations/export"
COLUMNS = ["resource", "startTime", "endTime", "customer", "service", "guests", "status", "notes", "reference"]


@pytest.fixture
async def api(api: ApiClient) -> ApiClient:
    """A room that takes two, with a service that has buffers, and two customers."""
    await api.service(bufferAfterMinutes=15)
    await api.resource(services=["cut"], capacity=2)
    await api.resource("-1", capacity=3, capacityMode="guests")
    for name in ("ann", "bob"):
        await api.add("customers", id=name)
    return api


async def bookings(api: ApiClient) -> None:
    """Bookings of every kind: with and without a reference, twice the same, with formulas and lines as notes."""
    await api.booked(service="cut", customer="ann", reference="7", notes="=1+1")
    await api.booked(service="cut", customer="bob", reference="7", notes='two\nlines, "quoted"')
    for day in (1, 2, 3):
        await api.booked(NINE + day * DAY, resource="-1", guests=day, notes="-")
    ok(await api.verb(await api.booked(NINE + 4 * DAY), "cancel"))
    absent = await api.booked(NINE + 5 * DAY)
    await api.overwrite(absent, status="no-show")
    await api.booked(NINE + 6 * DAY, expiresInSeconds=60)
    await api.expire(await api.booked(NINE + 7 * DAY, expiresInSeconds=60))


async def everything(store: Store) -> list[dict[str, Any]]:
    """What matters of all reservations, in an order of its own."""
    names = [*COLUMNS, "blockStart", "blockEnd", "units"]
    rows = await store.database["reservations"].find().to_list(None)
    return sorted(({name: row.get(name) for name in names} for row in rows), key=str)


@pytest.fixture
async def elsewhere(api: ApiClient) -> AsyncIterator[Store]:
    """Another database with the same catalogue, and no reservation."""
    store = await Store.over(mock_client(), "reserva_test_elsewhere")
    for name in ("resources", "services", "customers", "guards"):
        await store.database[name].insert_many(await api.store.database[name].find().to_list(None))
    await migrate(store)
    yield store
    await store.close()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
async def test_what_was_exported_is_imported(api: ApiClient, elsewhere: Store, tmp_path: Any, form: str) -> None:
    """An import into an empty database makes the same bookings, and another import of the file changes nothing."""
    await bookings(api)
    file = tmp_path / "file"
    answer = await api.get(URL, format=form)
    file.write_bytes(answer.content)
    complaints: list[Any] = []

    async def imported() -> Report:
        source = Source(file)
        try:
            async with running_booking_service(elsewhere) as booking:
                importer = Importer(elsewhere, booking, on_problem=complaints.append)
                return await importer.run(records_of(source))
        finally:
            source.close()

    first, second = await imported(), await imported()

    assert complaints == []
    assert first == Report(rows=8, accepted=8)
    assert second == Report(rows=8, unchanged=8)
    over = {"expiresAt": {"$lt": api.store.clock.now()}}
    await api.store.database["reservations"].update_many(over, {"$set": {"status": "expired"}})
    assert await everything(elsewhere) == [row for row in await everything(api.store) if row["status"] != "pending"]


async def test_how_it_is_sent(api: ApiClient) -> None:
    """CSV unless JSON lines are asked for, as a file with a name; HEAD has the head alone."""
    await bookings(api)

    comma, lines = await api.get(URL), await api.get(URL, format="jsonl")
    head = await api.request("HEAD", URL)

    assert comma.headers["Content-Type"] == head.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    assert comma.headers["Content-Disposition"] == 'attachment; filename="reservations.csv"'
    assert lines.headers["Content-Type"] == "application/x-ndjson"
    assert comma.text.splitlines()[0] == "id,reference,resource,startTime,endTime,customer,service,guests,status,notes"
    assert "'=1+1" in comma.text
    assert '"=1+1"' in lines.text
    assert (head.status_code, head.content) == (200, b"")
    assert (await api.get(URL, customer="nobody", format="jsonl")).content == b""


async def test_filters_and_pages(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The filters of the list, in pages that follow each other without a gap; what is unknown is refused."""
    monkeypatch.setitem(service.PAGE_ROWS, "single", 2)
    await bookings(api)

    async def exported(**filters: Any) -> int:
        return len((await api.get(URL, format="jsonl", **filters)).content.splitlines())

    assert await exported() == 8
    assert await exported(resource="-1") == 3
    assert await exported(customer=["ann", "bob"]) == 2
    assert await exported(status=["cancelled", "no-show"]) == 2
    assert await exported(**{"from": render(NINE + 2 * DAY), "to": render(NINE + 4 * DAY)}) == 2
    problem(await api.get(URL, format="xlsx"), "invalid", "?format")
    problem(await api.get(URL, service="cut"), "invalid", "?service")
    problem(await api.get(URL, limit=5), "invalid", "?limit")


class TrackedRow(dict[str, Any]):
    """A row that tells, by a weak reference, how long somebody holds it."""


async def test_a_long_file_takes_no_more_memory(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many reservations there are, two pages of them are in memory at most, and none once it is written."""
    rows_a_page, rows = 5, 60
    monkeypatch.setitem(service.PAGE_ROWS, "single", rows_a_page)
    [row] = [await api.stored(await api.booked())]
    places = ({**row, "_id": ObjectId(), "startTime": NINE + number * HOUR} for number in range(1, rows))
    await api.store.database["reservations"].insert_many(places)
    held: WeakValueDictionary[int, TrackedRow] = WeakValueDictionary()
    most: list[int] = []
    read, write = ReservationStore.list_by_start, export_row

    async def tracked(self: ReservationStore, *arguments: Any, **more: Any) -> Any:
        found = [TrackedRow(each) for each in await read(self, *arguments, **more)]
        held.update((id(each), each) for each in found)
        most.append(len(held))
        return found

    def written(row: Any, now: Any) -> Any:
        most.append(len(held))
        return write(row, now)

    monkeypatch.setattr(ReservationStore, "list_by_start", tracked)
    monkeypatch.setattr(service, "export_row", written)
    for form in ("csv", "jsonl"):
        assert len((await api.get(URL, format=form)).content.splitlines()) == rows + (form == "csv")

    assert len(most) > 2 * rows
    assert max(most) <= 2 * rows_a_page
    assert len(held) == 0


async def test_a_key_that_is_bound_to_a_customer(api: ApiClient) -> None:
    """It gets its customer's reservations alone, whatever it asks for."""
    await bookings(api)
    bound = await api.with_scopes("reservations:read", customer="ann")

    own, others = await bound.get(URL, format="jsonl"), await bound.get(URL, format="jsonl", customer="bob")

    assert own.text.count("\n") == 1
    assert '"customer":"ann"' in own.text
    assert others.content == b""


async def test_a_request_that_arrives_slowly(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that its client takes to send it is no part of the answer, which comes to its end."""
    monkeypatch.setattr(deadline, "NEGLIGIBLE_SECONDS", -1.0)
    monkeypatch.setitem(service.PAGE_ROWS, "single", 1)
    await bookings(api)

    for _ in range(3):
        assert len((await api.get(URL)).text.splitlines()) > 8


class TestTheEnd:
    """Of a file that cannot be written to its end, no client takes a part for the whole."""

    @pytest.fixture(autouse=True)
    async def pages(self, api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """Pages of one reservation."""
        monkeypatch.setitem(service.PAGE_ROWS, "single", 1)
        await bookings(api)

    async def broken(self, api: ApiClient) -> None:
        """Read a file that breaks off: httpx misses the end of the answer."""
        with pytest.raises(AssertionError):
            await api.get(URL)

    async def test_database(self, api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """A database that fails before the first page is a problem; after it, the answer breaks off."""
        read, failing = ReservationStore.list_by_start, {True}

        async def fail(self: ReservationStore, filters: Any, after: Any, **more: Any) -> Any:
            if after is not None or failing:
                raise NetworkTimeout("it does not answer")
            return await read(self, filters, after, **more)

        monkeypatch.setattr(ReservationStore, "list_by_start", fail)
        problem(await api.get(URL), "unavailable")
        failing.clear()
        await self.broken(api)

    async def test_key(self, api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """So does the file of a key that is revoked meanwhile."""
        monkeypatch.setattr(service, "KEY_SECONDS", 0)
        other = await api.with_scopes("reservations:read")
        page = service.Exports._page

        async def revoke(self: service.Exports, filters: Any, after: Any) -> Any:
            await Keys(self.store).revoke(other.prefix, "test")
            return await page(self, filters, after)

        monkeypatch.setattr(service.Exports, "_page", revoke)
        monkeypatch.setattr("app.access.keyring.CACHE_SECONDS", 0.0)
        await self.broken(other)

    async def test_time(self, api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """And one that would take too long, or longer than the process lives."""
        monkeypatch.setattr(service, "EXPORT_SECONDS_MAX", 0.0)
        await self.broken(api)

    async def test_many(self, api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process writes so many and no more, and gives a place back however a file ended."""
        monkeypatch.setattr(service, "EXPORTS_PER_KEY_MAX", 1)
        started: list[httpx.Response] = []
        page = service.Exports._page

        async def ask_again(self: service.Exports, filters: Any, after: Any) -> Any:
            if not started:
                started.append(await api.get(URL))
            return await page(self, filters, after)

        monkeypatch.setattr(service.Exports, "_page", ask_again)
        assert (await api.get(URL)).status_code == 200
        problem(started[0], "overloaded")
        assert (await api.get(URL)).status_code == 200
        assert (await api.request("HEAD", URL)).status_code == 200
        assert (await api.get(URL)).status_code == 200

"""Importing: each row is judged like a booking, in the order of the file; a second import changes nothing."""

import gzip
import json
import os
from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from app.booking import Book, BookingService
from app.domain.ids import ResourceId
from app.errors import Problem
from app.importing.records import records_of
from app.importing.report import Report, RowProblem
from app.importing.service import Importer
from app.importing.source import Source
from app.migration.migrate import migrate
from app.storage.client import Store
from app.storage.documents import Service
from app.storage.guards import make_service_row
from tests.support.api_client import RESERVATIONS, ApiClient, booking_body, created, ok
from tests.support.commands import run_reserva
from tests.support.data_files import flights_file
from tests.support.http_client import serving
from tests.support.ids import CUT_ID
from tests.support.import_rows import import_row, import_rows
from tests.support.mongodb_proxy import connected
from tests.support.servers import new_database
from tests.support.step_driver import add_resource
from tests.support.times import DAY, HOUR, NINE

pytestmark = pytest.mark.servers("wire")


async def references(store: Store, **where: Any) -> set[str]:
    """The references of the reservations that match."""
    return {each["reference"] async for each in store.database["reservations"].find(where)}


FLIGHTS = int(os.environ.get("TEST_FLIGHTS", "7000"))
"""How many rows of the file of flights are imported; it has 26,223, of which the first 7,000 are a week."""

REFUSED_FLIGHTS = [
    (6507, "conflict", ["DL120-JFK-LAX-20130108T1400Z"]),
    (6777, "conflict", ["UA583-EWR-SFO-20130108T1859Z"]),
    (8312, "conflict", ["DL120-JFK-LAX-20130110T1355Z"]),
    (14049, "conflict", ["DL1889-JFK-SEA-20130117T1312Z"]),
    (20034, "conflict", ["DL120-JFK-LAX-20130124T1358Z"]),
    (24245, "conflict", ["DL120-JFK-LAX-20130129T1409Z"]),
]
"""The lines of that file that overlap an earlier flight, with that flight."""


@pytest.mark.servers("fast")
async def test_the_flights_of_a_month(booking: BookingService, tmp_path: Path) -> None:
    """Of 26,223 flights six are refused, each naming the flight it overlaps; the second import changes nothing."""
    file, rows = tmp_path / "flights.csv", FLIGHTS
    with gzip.open(flights_file(), "rt", encoding="utf-8") as month:
        file.write_text("".join(islice(month, rows + 1)), encoding="utf-8")
    expected = [each for each in REFUSED_FLIGHTS if each[0] <= rows + 1]

    async def fly() -> tuple[Report, list[RowProblem]]:
        complaints: list[RowProblem] = []
        source = Source(file)
        try:
            importer = Importer(booking.store, booking, create=True, on_problem=complaints.append)
            return await importer.run(records_of(source)), complaints
        finally:
            source.close()

    first, refused = await fly()
    second, again = await fly()

    assert first == Report(rows=rows, accepted=rows - len(expected), refused=len(expected))
    assert [(each["line"], each["problem"], each["inTheWay"]) for each in refused] == expected
    assert second == Report(rows=rows, unchanged=rows - len(expected), refused=len(expected))
    assert again == refused


async def test_a_row_becomes_a_reservation(store: Store, booking: BookingService) -> None:
    """With its reference, `import` in its history, and all that the file says; the past is allowed."""
    values = import_row("a", -200_000, customer="ann", guests=2, notes="by the window")
    report, _ = await import_rows(booking, [values])
    (found,) = await store.database["reservations"].find().to_list(None)

    assert report == Report(rows=1, accepted=1)
    assert (found["reference"], "metadata" in found) == ("a", False)
    assert (found["status"], found["customer"], found["guests"], found["notes"]) == (
        "confirmed",
        "ann",
        2,
        "by the window",
    )
    assert [(entry["by"], entry["to"]) for entry in found["history"]] == [("import", "confirmed")]
    assert found["startTime"] == NINE - 200_000 * HOUR


async def test_the_past_is_allowed_with_a_service(store: Store, booking: BookingService) -> None:
    """A service's notice does not refuse a row of the past; its length and buffers apply."""
    now = store.clock.now()
    cut = Service(
        id="cut",
        name="Cut",
        duration_type="fixed",
        duration_minutes=60,
        buffer_after_minutes=30,
        minimum_notice_minutes=60,
        created_at=now,
        updated_at=now,
    )
    await make_service_row(store, CUT_ID)
    await store.database["services"].insert_one(cut.to_mongo())
    await add_resource(store, services=["cut"])
    rows = [import_row(f"{hours}", hours, service="cut") for hours in (-90_000, -89_999, -89_998.5)]
    rows.append(
        {name: value for name, value in import_row("open", -80_000, service="cut").items() if name != "endTime"}
    )
    report, complaints = await import_rows(booking, rows)

    assert report == Report(rows=4, accepted=3, refused=1)
    assert [each["reference"] for each in complaints] == ["-89999"]


async def test_rows_of_a_resource_are_taken_in_the_order_of_the_file(booking: BookingService) -> None:
    """With hundreds of rows in flight on two dozen resources, the first row that wants a time gets it."""
    rows = [
        import_row(f"{resource}-{hours}-{place}", hours, f"r{resource}")
        for hours in range(5)
        for place in range(4)
        for resource in range(24)
    ]
    report, complaints = await import_rows(booking, rows)

    assert report == Report(rows=480, accepted=120, refused=360)
    assert await references(booking.store) == {f"{resource}-{hours}-0" for resource in range(24) for hours in range(5)}
    assert [each["line"] for each in complaints] == sorted(each["line"] for each in complaints)
    assert all(each["inTheWay"] == [each["reference"][:-1] + "0"] for each in complaints)


async def test_a_second_time_changes_nothing(store: Store, booking: BookingService) -> None:
    """What is booked is unchanged, what was cancelled here since differs; what was refused is judged again."""
    rows = [import_row("a"), import_row("b"), import_row("c", 1)]
    first, _ = await import_rows(booking, rows)
    before = await store.database["reservations"].find().sort("_id").to_list(None)
    second, _ = await import_rows(booking, rows)
    after = await store.database["reservations"].find().sort("_id").to_list(None)
    (taken,) = [each for each in before if each["reference"] == "a"]
    await booking.close(taken["_id"], "cancelled", by="staff")
    third, complaints = await import_rows(booking, rows)

    assert (first.accepted, first.refused) == (2, 1)
    assert second == Report(rows=3, unchanged=2, refused=1)
    assert before == after
    assert third == Report(rows=3, accepted=1, unchanged=1, differs=1)
    assert [(each["reference"], each["problem"]) for each in complaints] == [("a", "differs")]
    assert "cancelled" in complaints[0]["detail"]
    assert await references(store, status="cancelled") == {"a"}


async def test_a_reference_that_stands_twice_is_booked_once(booking: BookingService) -> None:
    """Right behind itself or far away; if the first one was refused, the second is judged."""
    rows = [
        import_row("a"),
        import_row("a", 5),
        import_row("b"),
        import_row("b", 6),
        *(import_row(f"x{hour}", 10 + hour) for hour in range(300)),
    ]
    report, complaints = await import_rows(booking, [*rows, import_row("a"), import_row("b", 6), import_row("b", 8)])

    assert report == Report(rows=307, accepted=302, unchanged=2, differs=2, refused=1)
    assert [(each["line"], each["reference"], each["problem"]) for each in complaints] == [
        (3, "a", "differs"),
        (4, "b", "conflict"),
        (308, "b", "differs"),
    ]


async def test_what_is_refused_says_why(store: Store, booking: BookingService) -> None:
    """Conflicts list the occupants by reference or by id; rules and faults say what is wrong."""
    await add_resource(store, "shut", active=False)
    await add_resource(store, "hall", capacity=5, capacity_mode="guests")
    direct = await booking.book(Book(by="someone", resource=ResourceId("hall"), start=NINE, end=NINE + HOUR, guests=4))
    rows = [
        import_row("a", resource="hall"),
        import_row("b", resource="hall", guests=2),
        import_row("c", resource="hall", guests=6),
        import_row("d", resource="shut"),
        import_row("e", service="none", resource="hall"),
        import_row("f", length=-1),
        {**import_row("g"), "endTime": "soon"},
    ]
    report, complaints = await import_rows(booking, rows)

    assert report == Report(rows=7, accepted=1, refused=3, invalid=3)
    assert [each["problem"] for each in complaints] == ["conflict", "rule", "rule", "invalid", "invalid", "invalid"]
    assert complaints[0]["line"] == 3
    assert set(complaints[0]["inTheWay"]) == {"a", str(direct.id)}  # type: ignore[union-attr]  # not a replay
    assert [each["errors"][0]["pointer"] for each in complaints[3:]] == ["/service", "/endTime", "/endTime"]
    assert all(each["detail"] for each in complaints)


async def test_nothing_is_made_unless_asked(store: Store, booking: BookingService) -> None:
    """Without `create`, unknown resources and customers make a row invalid; with it they are made, with guards."""
    await add_resource(store, "known")
    rows = [
        import_row("a", resource="known"),
        import_row("b"),
        import_row("c", 2, "known", customer="ann"),
        import_row("d", resource="any"),
    ]
    without, complaints = await import_rows(booking, rows, create=False)
    assert without == Report(rows=4, accepted=1, invalid=3)
    assert [each["errors"][0]["pointer"] for each in complaints] == ["/resource", "/customer", "/resource"]
    assert await store.database["resources"].count_documents({}) == 1

    created, complaints = await import_rows(booking, rows)
    assert created == Report(rows=4, accepted=2, unchanged=1, invalid=1)
    assert [each["reference"] for each in complaints] == ["d"]
    room = await store.database["resources"].find_one({"_id": "room"})
    assert room is not None
    assert (room["capacity"], room["timezone"], room["name"]) == (1, "UTC", "room")
    assert await store.database["guards"].count_documents({"_id": {"$in": ["room", "known"]}}) == 2
    assert await store.database["customers"].count_documents({"_id": "ann"}) == 1


async def test_a_made_resource_reaches_what_was_there_before(store: Store, booking: BookingService) -> None:
    """Reservations older than their resource are seen, however long they are."""
    old = {"resource": "room", "status": "confirmed", "startTime": NINE - 90 * HOUR, "endTime": NINE + 90 * HOUR}
    await store.database["reservations"].insert_one(old)
    report, complaints = await import_rows(booking, [import_row("a")])

    assert report == Report(rows=1, refused=1)
    assert complaints[0]["inTheWay"] == [str(old["_id"])]


async def test_what_is_over_takes_no_room(booking: BookingService) -> None:
    """Rows with a final status are stored as they are and block no time; pending ones block theirs."""
    statuses = ["cancelled", "no-show", "completed", "expired", "pending", "confirmed"]
    report, complaints = await import_rows(booking, [import_row(status, status=status) for status in statuses])

    assert report == Report(rows=6, accepted=5, refused=1)
    assert [(each["reference"], each["inTheWay"]) for each in complaints] == [("confirmed", ["pending"])]


class Faulty(BookingService):
    """A write path whose answers get lost: before it was asked, or after it had booked."""

    def __init__(self, store: Store, faults: Sequence[str]) -> None:
        super().__init__(store)
        self.faults = list(faults)

    @override
    async def book(self, intent: Book) -> Any:
        """Book, or do not, and answer `outcome-unknown`."""
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "before":
            raise Problem("overloaded", "Too much is waiting already; nothing was done.")
        made = await super().book(intent)
        if fault == "after":
            raise Problem("outcome-unknown", "The outcome is unknown.")
        return made


async def test_a_lost_answer_is_no_lost_row(store: Store) -> None:
    """What was not done is done again, what was done is found: every row is booked once."""
    booking = Faulty(store, ["before", "after", "before"])
    await booking.start()
    report, _ = await import_rows(booking, [import_row(f"r{hour}", hour) for hour in range(4)])
    await booking.stop()

    assert report == Report(rows=4, accepted=4)
    assert await store.database["reservations"].count_documents({}) == 4


async def test_the_command(database_url: str, store: Store, tmp_path: Path) -> None:
    """Counts on standard output, complaints in a file, exit codes for clean, refused and unreadable."""
    file, refused = tmp_path / "rows.csv", tmp_path / "refused.jsonl"
    rows = [import_row("a"), import_row("b", 0.5), import_row("c", 1), import_row("d", 2, guests="many")]
    header = list(rows[-1])
    lines = [",".join(header), *(",".join(str(each.get(name, "")) for name in header) for each in rows)]
    file.write_text("\n".join(lines))
    first = run_reserva("import", str(file), "--create", "--json", "--refused", str(refused), MONGODB_URL=database_url)
    report = json.loads(first.stdout)

    assert (first.returncode, first.stdout.count("\n")) == (1, 1), first.stderr
    assert report.pop("seconds") > 0
    assert report == {
        "rows": 4,
        "accepted": 2,
        "updated": 0,
        "unchanged": 0,
        "differs": 0,
        "refused": 1,
        "invalid": 1,
    }
    complaints = [json.loads(line) for line in refused.read_text().splitlines()]
    assert [(each["line"], each["reference"], each["problem"]) for each in complaints] == [
        (3, "b", "conflict"),
        (5, "d", "invalid"),
    ]
    assert (complaints[0]["rules"], complaints[0]["inTheWay"], complaints[0]["resource"]) == (
        ["capacity"],
        ["a"],
        "room",
    )

    file.write_text("\n".join(lines[:2]))
    clean = run_reserva("import", str(file), MONGODB_URL=database_url)
    assert (clean.returncode, clean.stdout.split(" in ")[0]) == (
        0,
        "1 rows: 0 accepted, 0 updated, 1 unchanged, 0 differs, 0 refused, 0 invalid,",
    )
    file.write_text("reference,resource\n")
    unreadable = run_reserva("import", str(file), "--json", MONGODB_URL=database_url)
    assert (unreadable.returncode, unreadable.stdout) == (2, "")
    assert "startTime" in unreadable.stderr
    assert await references(store) == {"a", "c"}


EXPORTED = [
    *("resource", "startTime", "endTime", "blockStart", "blockEnd", "timezone", "customer", "service"),
    *("guests", "units", "status", "notes", "reference"),
]
"""What of a reservation is in an export, or follows from that."""


@pytest.mark.servers("fast")
async def test_an_export_comes_back(server: str, store: Store, tmp_path: Path) -> None:
    """The file of a running app, imported into a new database, makes the same reservations; holds are left out.

    Those of a series and of a group are single ones there. The other form of the file says the same.
    """
    files = {form: tmp_path / f"reservations.{form}" for form in ("csv", "jsonl")}
    async with serving(store) as client:
        await _book_all_kinds(api := ApiClient(client, store))
        for form, file in files.items():
            file.write_bytes((await api.get(f"{RESERVATIONS}/export", format=form)).content)
        expected = await _listed(api)

    url = new_database(server, "reserva_imported")
    async with connected(url) as elsewhere:
        await migrate(elsewhere)
        async with serving(elsewhere) as client:
            await _make_catalogue(api := ApiClient(client, elsewhere))
            reports = [
                run_reserva("import", str(file), "--create", "--json", MONGODB_URL=url) for file in files.values()
            ]
            made = await _listed(api)
            customers = [each["id"] for each in ok(await api.get("/v1/customers"))["items"]]
        await elsewhere.client.drop_database(elsewhere.database.name)

    assert len(expected) == 11
    for report, outcome in zip(reports, ("accepted", "unchanged"), strict=True):
        assert (report.returncode, json.loads(report.stdout)[outcome]) == (0, 11), report
    assert made == expected
    assert customers == ["ann", "bob"]


async def _make_catalogue(api: ApiClient) -> None:
    """What an import does not make: a service with buffers, and resources that are not for one at a time."""
    await api.service(bufferAfterMinutes=15)
    await api.service("loan", durationType="full-day", maxDays=3, approval=True)
    await api.resource(services=["cut", "loan"], capacity=2, timezone="Europe/Berlin")
    await api.resource("bus", capacity=9, capacityMode="guests")


async def _book_all_kinds(api: ApiClient) -> None:
    """A series over a change of the clocks, a group, guests, a request, a cancelled one, a hold; some by reference."""
    await _make_catalogue(api)
    await api.resource("desk")
    for name in ("ann", "bob"):
        await api.add("customers", id=name)
    lesson = {"resource": "room", "service": "cut", "customer": "ann", "localStart": "2030-03-17T10:00"}
    weekly = {"reservation": lesson | {"reference": "7"}, "rule": "FREQ=WEEKLY;COUNT=4", "onConflict": "refuse"}
    series = created(await api.request("POST", "/v1/series", json=weekly))
    ok(await api.verb(series["reservations"][1], "cancel"))
    notes = '=1+1, "so"\nto say'
    pair = [booking_body(resource=name, customer="bob", guests=2, notes=notes) for name in ("desk", "bus")]
    created(await api.request("POST", "/v1/groups", json={"reservations": pair}))
    for day in range(1, 4):
        await api.booked(NINE + day * DAY, resource="bus", guests=day, customer="ann")
    ok(await api.verb(await api.booked(NINE + 4 * DAY, resource="desk"), "cancel"))
    await api.booked(NINE + 5 * DAY, expiresInSeconds=600)
    days = {"localStart": "2030-03-30T00:00", "localEnd": "2030-04-01T00:00"}
    created(await api.post({"resource": "room", "service": "loan", "customer": "bob"} | days))


async def _listed(api: ApiClient) -> list[dict[str, Any]]:
    """What a client sees of all reservations but holds, without what only its own database knows."""
    items = [each for each in ok(await api.get(RESERVATIONS, limit=200))["items"] if "expiresAt" not in each]
    return sorted(({name: each.get(name) for name in EXPORTED} for each in items), key=str)


async def test_what_was_imported_reconciles(database_url: str, store: Store, booking: BookingService) -> None:
    """`reserva reconcile` finds nothing in what was imported, and finds what was put past it; its exit code says so."""
    await import_rows(booking, [import_row(f"r{hour}", hour) for hour in range(20)])
    clean = run_reserva("reconcile", "--full", "--json", MONGODB_URL=database_url)
    await store.database["reservations"].insert_one(
        {"resource": "room", "status": "pending", "startTime": NINE, "endTime": NINE + timedelta(minutes=5)}
    )
    found = run_reserva("reconcile", "--resource", "room", "--json", MONGODB_URL=database_url)
    nowhere = run_reserva("reconcile", "--resource", "nowhere", "--json", MONGODB_URL=database_url)

    assert clean.returncode == 0, clean.stderr
    record = json.loads(clean.stdout)
    assert (record["kind"], record["state"], record["scanned"], record["findings"], record["conflicts"]) == (
        "full",
        "succeeded",
        20,
        0,
        0,
    )
    assert found.returncode == 1
    assert (json.loads(found.stdout)["findings"], json.loads(found.stdout)["resource"]) == (1, "room")
    assert "Conflict detected" in found.stderr
    assert (nowhere.returncode, nowhere.stdout) == (2, "")

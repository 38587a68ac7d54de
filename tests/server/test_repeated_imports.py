"""Importing again: a row is identified by reference and resource, booked once, and changed only on request."""

import asyncio
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from app.booking import Book, BookingService, BookRow, ChangeRow, import_key
from app.booking.outcomes import Accepted
from app.domain.instants import render
from app.importing import pages, service
from app.importing.imported import find_imported
from app.importing.records import Record
from app.importing.report import Report, RowProblem
from app.importing.rows import Row
from app.importing.service import IN_FLIGHT_ROWS, Importer
from app.storage.client import Store
from app.storage.documents import Schedule, Service
from app.storage.guards import make_service_row
from app.storage.imported_reservations import ImportedReservation
from tests.support.commands import running_reserva
from tests.support.database_check import peak_load
from tests.support.ids import CUT_ID, ROOM_ID
from tests.support.import_rows import import_row, import_rows
from tests.support.step_driver import StepDriver, add_resource
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("wire")


async def stored(store: Store, **where: Any) -> list[dict[str, Any]]:
    """The reservations that match, in the order in which they were made."""
    return await store.database["reservations"].find(where).sort("_id", 1).to_list(None)


async def test_one_number_for_two_rooms(store: Store, booking: BookingService) -> None:
    """A confirmation number that stands for two rooms books both, once."""
    rows = [import_row("R7"), import_row("R7", resource="other")]
    first, _ = await import_rows(booking, rows)
    second, _ = await import_rows(booking, rows)

    assert (first, second) == (Report(rows=2, accepted=2), Report(rows=2, unchanged=2))
    assert {each["resource"] for each in await stored(store, reference="R7")} == {"room", "other"}


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"startTime": render(NINE + HOUR / 2)}, ["startTime"]),
        ({"endTime": render(NINE + 2 * HOUR)}, ["endTime"]),
        ({"guests": 3}, ["guests"]),
        ({"status": "cancelled"}, ["status"]),
        ({"status": "pending"}, ["status"]),
    ],
)
async def test_a_row_that_says_otherwise(
    store: Store, booking: BookingService, change: dict[str, Any], fields: list[str]
) -> None:
    """Other times, guests or another status are reported with the field, and nothing is done."""
    await import_rows(booking, [import_row("a")])
    before = await stored(store)
    report, complaints = await import_rows(booking, [import_row("a") | change])

    assert report == Report(rows=1, differs=1)
    assert [error["pointer"] for error in complaints[0]["errors"]] == [f"/{name}" for name in fields]
    assert await stored(store) == before


async def test_what_is_beside_the_time_does_not_count(booking: BookingService) -> None:
    """Other notes are no difference, nor is the same instant written otherwise, nor an end that the service says."""
    await import_rows(booking, [import_row("a", notes="one")])
    report, _ = await import_rows(booking, [import_row("a", notes="two") | {"startTime": "2030-01-07T10:00:00+01:00"}])

    assert report == Report(rows=1, unchanged=1)


async def test_update(store: Store, booking: BookingService) -> None:
    """Changes go through the write path: times, guests and status at once, in one entry of the history."""
    await import_rows(booking, [import_row("a"), import_row("b", 2), import_row("c", 4, status="pending")])
    changed = [
        import_row("a", 0.5, guests=2),
        import_row("b", 3, status="cancelled"),
        import_row("c", 4, status="confirmed"),
        import_row("d", 6),
    ]
    first, _ = await import_rows(booking, changed, update=True)
    second, _ = await import_rows(booking, changed, update=True)
    found = {each["reference"]: each for each in await stored(store)}

    assert first == Report(rows=4, accepted=1, updated=3)
    assert second == Report(rows=4, unchanged=4)
    assert (found["a"]["startTime"], found["a"]["blockEnd"], found["a"]["guests"]) == (
        NINE + HOUR / 2,
        NINE + 1.5 * HOUR,
        2,
    )
    assert (found["b"]["status"], found["b"]["startTime"]) == ("cancelled", NINE + 3 * HOUR)
    assert found["c"]["status"] == "confirmed"
    last = found["b"]["history"][-1]
    assert (last["by"], last["from"], last["to"], last["changed"]) == (
        "import",
        "confirmed",
        "cancelled",
        ["endTime", "startTime"],
    )


async def test_an_update_is_judged_like_a_booking(store: Store, booking: BookingService) -> None:
    """An update to a taken time is refused with the occupants, and the reservation stays as it is."""
    await import_rows(booking, [import_row("a"), import_row("b", 1)])
    report, complaints = await import_rows(booking, [import_row("a", 0.5), import_row("b", 1)], update=True)

    assert report == Report(rows=2, unchanged=1, refused=1)
    assert (complaints[0]["problem"], complaints[0]["inTheWay"], complaints[0]["rules"]) == (
        "conflict",
        ["b"],
        ["capacity"],
    )
    assert (await stored(store, reference="a"))[0]["startTime"] == NINE
    assert await peak_load(store) == 1


async def test_rows_of_a_resource_are_changed_in_the_order_of_the_file(store: Store, booking: BookingService) -> None:
    """One moves away and the next takes its place, also where hundreds are in flight."""
    rooms = [f"r{number}" for number in range(40)]
    await import_rows(booking, [import_row("old", resource=room) for room in rooms])
    moved = [
        each
        for room in rooms
        for each in (import_row("old", 5, room), import_row("new", 0, room), import_row("late", 5, room))
    ]
    report, complaints = await import_rows(booking, moved, update=True)

    assert report == Report(rows=120, updated=40, accepted=40, refused=40)
    assert {(each["reference"], *each["inTheWay"]) for each in complaints} == {("late", "old")}


async def test_what_is_final_stays(booking: BookingService, store: Store) -> None:
    """A cancelled reservation is not revived by its row, with `update` either: the row differs and says why."""
    await import_rows(booking, [import_row("a", status="cancelled"), import_row("b", 2)])
    (other,) = await stored(store, reference="b")
    await booking.close(other["_id"], "cancelled", by="staff")
    report, complaints = await import_rows(booking, [import_row("a"), import_row("b", 2)], update=True)

    assert report == Report(rows=2, differs=2)
    assert {each["problem"] for each in complaints} == {"forbidden-transition"}
    assert {each["status"] for each in await stored(store)} == {"cancelled"}


async def test_what_was_completed_since_is_as_it_was(store: Store, booking: BookingService) -> None:
    """A confirmed row leaves a completed reservation unchanged; over a no-show it is reported as a difference."""
    rows = [import_row("a", -90_000), import_row("b", -90_002)]
    await import_rows(booking, rows)
    for reference, status in (("a", "completed"), ("b", "no-show")):
        (found,) = await stored(store, reference=reference)
        await booking.close(found["_id"], status, by="worker")  # type: ignore[arg-type]  # two literals
    report, complaints = await import_rows(booking, rows)

    assert report == Report(rows=2, unchanged=1, differs=1)
    assert [each["reference"] for each in complaints] == ["b"]


async def test_what_people_moved_is_known(store: Store, booking: BookingService) -> None:
    """What was moved to another resource is not booked again: its row differs, and `update` takes it back."""
    await import_rows(booking, [import_row("a"), import_row("b", resource="other", hours=5)])
    (found,) = await stored(store, reference="a")
    await booking.change(found["_id"], {"resource": "other"}, version=None, by="staff")
    report, complaints = await import_rows(booking, [import_row("a")])
    back, _ = await import_rows(booking, [import_row("a")], update=True)

    assert report == Report(rows=1, differs=1)
    assert [error["pointer"] for error in complaints[0]["errors"]] == ["/resource"]
    assert back == Report(rows=1, updated=1)
    assert [each["resource"] for each in await stored(store, reference="a")] == ["room"]


async def test_references_of_others_do_not_count(store: Store, booking: BookingService) -> None:
    """What a customer wrote as reference, or into the metadata, makes no row known."""
    await add_resource(store, capacity=3)
    await booking.book(
        Book(by="abcdefgh", resource=ROOM_ID, start=NINE, end=NINE + HOUR, metadata={"reference": "a"}, reference="a")
    )
    report, _ = await import_rows(booking, [import_row("a")])

    assert report == Report(rows=1, accepted=1)
    assert len(await stored(store)) == 2


async def test_what_was_imported_into_the_metadata_is_known(store: Store, booking: BookingService) -> None:
    """Reservations with the reference in their metadata are found by it; a change stores the present form."""
    await add_resource(store)
    old = Book(by="import", resource=ROOM_ID, start=NINE, end=NINE + HOUR, metadata={"reference": "a"})
    await booking.book(old)
    unchanged, _ = await import_rows(booking, [import_row("a")])
    updated, _ = await import_rows(booking, [import_row("a", 1)], update=True)
    (found,) = await stored(store)

    assert (unchanged, updated) == (Report(rows=1, unchanged=1), Report(rows=1, updated=1))
    assert (found["startTime"], found["reference"], found["importKey"]) == (NINE + HOUR, "a", import_key(ROOM_ID, "a"))
    assert found["history"][-1]["changed"] == ["endTime", "reference", "startTime"]


async def test_history(store: Store, booking: BookingService) -> None:
    """What has ended is judged by capacity alone and what does not block by nothing; what is to come by every rule."""
    await add_resource(store, active=False, schedule=Schedule(weekly=[]))
    rows = [
        import_row("past", -90_000),
        import_row("past-twice", -90_000),
        import_row("past-cancelled", -90_000, status="cancelled"),
        import_row("coming", 0),
        import_row("coming-cancelled", 0, status="cancelled"),
    ]
    report, complaints = await import_rows(booking, rows)

    assert report == Report(rows=5, accepted=3, refused=2)
    assert [(each["reference"], each["problem"], each["rules"]) for each in complaints] == [
        ("past-twice", "conflict", ["capacity"]),
        ("coming", "rule", ["resource-active", "schedule"]),
    ]


async def test_a_change_of_history(store: Store, booking: BookingService) -> None:
    """What has ended can be corrected whatever today's rules say, but not over the time of another reservation."""
    await add_resource(store, schedule=Schedule(weekly=[]))
    await import_rows(booking, [import_row("a", -90_000), import_row("b", -90_001)])
    report, complaints = await import_rows(
        booking, [import_row("a", -90_000, length=2), import_row("b", -90_001, length=2)], update=True
    )

    assert report == Report(rows=2, updated=1, refused=1)
    assert [(each["reference"], each["problem"]) for each in complaints] == [("b", "conflict")]


async def test_force(store: Store, booking: BookingService) -> None:
    """Notice, horizon, schedule and time off are judged for what is to come, unless they are lifted for all rows."""
    await add_resource(store, services=["cut"], schedule=Schedule(weekly=[]))
    now = store.clock.now()
    cut = Service(
        id="cut", name="Cut", duration_type="fixed", duration_minutes=60, horizon_days=1, created_at=now, updated_at=now
    )
    await make_service_row(store, CUT_ID)
    await store.database["services"].insert_one(cut.to_mongo())
    refused, complaints = await import_rows(booking, [import_row("a", service="cut")])
    accepted, _ = await import_rows(
        booking, [import_row("a", service="cut"), import_row("b", service="cut")], force=True
    )

    assert refused == Report(rows=1, refused=1)
    assert complaints[0]["rules"] == ["horizon", "schedule"]
    assert accepted == Report(rows=2, accepted=1, refused=1)


class Paused(BookingService):
    """A write path that waits before it books until it is let go."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.reached, self.go = asyncio.Event(), asyncio.Event()

    @override
    async def book(self, intent: Book) -> Any:
        """Wait, then book."""
        self.reached.set()
        await self.go.wait()
        return await super().book(intent)


@pytest.mark.parametrize("update", [False, True])
async def test_two_runs_between_lookup_and_transaction(store: Store, booking: BookingService, *, update: bool) -> None:
    """A run whose lookup found nothing, and which another run overtook, books nothing twice."""
    await add_resource(store, capacity=5)
    rows = [import_row(f"r{number}", number) for number in range(20)]
    slow = Paused(store)
    await slow.start()
    first = asyncio.create_task(import_rows(slow, rows, update=update))
    await slow.reached.wait()
    second, _ = await import_rows(booking, rows)
    slow.go.set()
    overtaken, _ = await first
    await slow.stop()

    assert second == Report(rows=20, accepted=20)
    assert overtaken == Report(rows=20, unchanged=20)
    assert len(await stored(store)) == 20


class Late(BookingService):
    """A write path that changes nothing until it is let go."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.go = asyncio.Event()

    @override
    async def change_row(self, intent: ChangeRow) -> Any:
        """Wait, then change."""
        await self.go.wait()
        return await super().change_row(intent)


async def test_the_last_row_of_a_reference_counts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that was lookups up while one before it was still being written is compared with what that one wrote."""
    monkeypatch.setattr(service, "LOOKUP_ROWS", 2)
    monkeypatch.setattr(service, "IN_FLIGHT_ROWS", 2)
    booking = Late(store)
    await booking.start()
    await import_rows(booking, [import_row("a")])
    lookups = 0

    async def find(store: Store, rows: Collection[Row], **options: Any) -> dict[str, ImportedReservation]:
        nonlocal lookups
        found = await find_imported(store, rows, **options)
        lookups += 1
        if lookups == 2:
            booking.go.set()
        return found

    monkeypatch.setattr(service, "find_imported", find)
    report, _ = await import_rows(
        booking, [import_row("a", 3), import_row("x", 5), import_row("y", 7), import_row("a")], update=True
    )
    await booking.stop()

    assert report == Report(rows=4, accepted=2, updated=2)
    assert [each["startTime"] for each in await stored(store, reference="a")] == [NINE]


def booked_row(**fields: Any) -> BookRow:
    """The intent of a row."""
    wanted: dict[str, Any] = {
        "by": "import",
        "resource": "room",
        "start": NINE,
        "end": NINE + HOUR,
        "reference": "a",
        "lifted_rules": frozenset(),
    }
    return BookRow(**(wanted | fields), status="confirmed", import_key=import_key(ROOM_ID, "a"))


@pytest.mark.servers("transactions")
async def test_two_runs_step_by_step(store: Store) -> None:
    """Wherever the one stops inside its transaction, the other one's row is there once."""
    await add_resource(store, capacity=5)
    alone = StepDriver(store, [booked_row(resource="room", reference="a")])
    steps = 0
    while await alone.advance():
        steps += 1
    await alone.close()
    for stop in range(steps):
        await store.database["reservations"].delete_many({})
        first, second = StepDriver(store, [booked_row()]), StepDriver(store, [booked_row()])
        for _ in range(stop):
            await first.advance()
        made = 0
        for driver in (second, first):
            try:
                (outcome,) = await driver.finish()
                made += isinstance(outcome, Accepted) and outcome.writes
            except Exception as lost:  # noqa: BLE001  # the second of two goes again
                assert type(lost).__name__ in {"Lost", "WriteConflict", "BulkWriteError"}, lost  # noqa: PT017  # either may lose, or none
        await first.close()
        await second.close()
        assert (made, len(await stored(store))) == (1, 1), stop


@pytest.mark.servers("fast")
async def test_two_processes(database_url: str, store: Store, tmp_path: Path) -> None:
    """Two processes that import one file at once book each of 600 rows once, though the resource has room for five."""
    file = tmp_path / "rows.jsonl"
    rows = [import_row(f"r{number}", number, f"room-{number % 3}") for number in range(600)]
    file.write_text("".join(json.dumps(each) + "\n" for each in rows))
    for number in range(3):
        await add_resource(store, f"room-{number}", capacity=5)
    command = ("import", str(file), "--json")
    with (
        running_reserva(*command, MONGODB_URL=database_url) as one,
        running_reserva(*command, MONGODB_URL=database_url) as other,
    ):
        codes = [await asyncio.to_thread(each.end) for each in (one, other)]
    reports = [json.loads(each.out[-1]) for each in (one, other)]

    assert codes == [0, 0], (one.err, other.err)
    assert sum(each["accepted"] for each in reports) == 600
    assert sum(each["unchanged"] for each in reports) == 600
    assert len(await stored(store)) == 600


@pytest.mark.servers("fast")
async def test_the_file_is_not_read_far_ahead(booking: BookingService, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a file is, no more of its rows are read ahead than a page and those in flight."""
    monkeypatch.setattr(pages, "PAGE_ROWS", 300)
    read = 0

    def records() -> Iterator[Record]:
        nonlocal read
        for read in range(1, 2_001):
            yield Record(read, import_row(f"a{read}", resource=f"room-{read % 7}", status="cancelled"))

    ahead: list[int] = []
    importer = Importer(
        booking.store, booking, create=True, on_progress=lambda report, _: ahead.append(read - report.rows)
    )
    await importer.run(records())

    assert importer.report.accepted == 2_000
    assert max(ahead) <= IN_FLIGHT_ROWS + 300


async def test_rows_are_submitted_by_resource(booking: BookingService, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of a page that name one resource are submitted one behind the other, in the order of the file."""
    monkeypatch.setattr(pages, "FIRST_PAGE_ROWS", 6)
    submitted: list[str | None] = []
    book = booking.book

    async def recording_book(intent: Book) -> Any:
        submitted.append(intent.reference)
        return await book(intent)

    monkeypatch.setattr(booking, "book", recording_book)
    await import_rows(booking, [import_row(f"{number}", number, "ba"[number % 2]) for number in range(9)])

    assert submitted == ["1", "3", "5", "0", "2", "4", "7", "6", "8"]


async def test_a_stopped_import_reports_what_was_submitted(
    booking: BookingService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more rows of the page are submitted; what was submitted by then is booked, counted and reported."""
    monkeypatch.setattr(service, "LOOKUP_ROWS", 3)
    complaints: list[RowProblem] = []
    importer = Importer(booking.store, booking, create=True, on_problem=complaints.append)
    book = booking.book

    async def last_book(intent: Book) -> Any:
        importer.stop()
        return await book(intent)

    monkeypatch.setattr(booking, "book", last_book)
    rows = [import_row("a"), import_row("b"), *(import_row(f"c{hour}", hour) for hour in range(1, 7))]
    report = await importer.run([Record(line, values) for line, values in enumerate(rows, start=2)])

    assert report.accepted == len(await stored(booking.store))
    assert (report.refused, [each["reference"] for each in complaints]) == (1, ["b"])
    assert report.rows < len(rows)

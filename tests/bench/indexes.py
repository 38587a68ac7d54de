"""What each index of reservations costs those who book, as a share of a create.

An index costs less than the noise of the rate at which an app books. So it is measured where it is paid: the CPU that
the server needs to insert the documents of creates into a collection that has the index alone, less that of one that
has none, by turns. A create is what app and server compute for one, in the same run; creates without any of these
indexes show the sum.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bson import ObjectId
from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.write_concern import WriteConcern

from app.storage.documents import Reservation
from tests.bench.cpu import computed_seconds, listeners
from tests.bench.history import PREFIX, ROOMS, UNTIL, customer, fill
from tests.bench.report import Bench, Report
from tests.support.load_client import Call
from tests.support.slot_bookings import LENGTH, require
from tests.support.staged_app import App

SEEDS = {"reservation_conflict_lookup", "reservation_customer_history", "reservation_idempotency"}
NEEDED = {"reservation_long", "reservation_items"}
"""The first are the seed's; without the others a booking would read its conflicts in another way."""
STORED = 20_000
INSERTS, AT_ONCE = 5_000, 100
"""Documents of one turn, and of one command."""
CREATES, CONNECTIONS = 1_000, 16
DEAREST = 0.02
"""Of a create: an index that costs more is not worth its filter."""
MICROSECONDS = 1e6


@dataclass(slots=True)
class Pair:
    """Two collections of equal documents, of which one has an index, and what an insert into each has cost."""

    model: IndexModel
    without: Collection[dict[str, Any]]
    ours: Collection[dict[str, Any]]
    sample: dict[str, Any]
    costs: list[tuple[float, float]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name of the index."""
        return _name(self.model)

    def prepare(self, server: Sequence[int]) -> None:
        """Build the index, and fill both."""
        self.ours.create_indexes([self.model])
        for collection in (self.without, self.ours):
            _insert(collection, self.sample, STORED, server)

    def compare(self, server: Sequence[int], *, ours_first: bool) -> None:
        """Insert into both, one after the other."""
        order = (self.ours, self.without) if ours_first else (self.without, self.ours)
        first, second = (_insert(each, self.sample, INSERTS, server) for each in order)
        self.costs.append((second, first) if ours_first else (first, second))


def _insert(collection: Collection[dict[str, Any]], sample: dict[str, Any], count: int, server: Sequence[int]) -> float:
    """Insert copies of a document, each with a start of its own, on all rooms: microseconds of the server for each."""
    copies = [*_copies(sample, count)]
    before = computed_seconds(server)
    for first in range(0, count, AT_ONCE):
        collection.insert_many(copies[first : first + AT_ONCE])
    return MICROSECONDS * (computed_seconds(server) - before) / count


def _copies(sample: dict[str, Any], count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        slot, room = divmod(number, ROOMS)
        start = UNTIL - (slot + 1) * LENGTH
        times = {"startTime": start, "endTime": start + LENGTH, "blockStart": start, "blockEnd": start + LENGTH}
        names = {"resource": f"{PREFIX}-{room}", "customer": customer(number % 2_000), "reference": f"WEB-{number}"}
        yield {**sample, **times, **names, "_id": ObjectId()}


@dataclass(slots=True)
class Place:
    """An app with rooms to book."""

    app: App
    reservations: Collection[dict[str, Any]]
    server: Sequence[int]
    booked: int = 0

    def create(self) -> float:
        """Book through the app: microseconds of app and server for each."""
        processes = [self.app.running.process.pid, *self.server]
        calls = [Call("/v1/reservations", self.body()) for _ in range(CREATES)]
        before = computed_seconds(processes)
        require(201, self.app.client.in_flow(calls, CONNECTIONS))
        return MICROSECONDS * (computed_seconds(processes) - before) / CREATES

    def body(self, **more: object) -> dict[str, Any]:
        """A booking of the next free slot, with all that an index may be about."""
        slot, room = divmod(self.booked, ROOMS)
        self.booked += 1
        start = UNTIL + slot * LENGTH
        times = {"startTime": start.isoformat(), "endTime": (start + LENGTH).isoformat()}
        about = {"customer": customer(7), "reference": f"WEB-{self.booked}", "metadata": {"reference": "x"}}
        return {"resource": f"{PREFIX}-{room}", **times, **about, **more}

    def stored(self, **more: object) -> dict[str, Any]:
        """The document of a booking."""
        answer = self.app.client.post(Call("/v1/reservations", self.body(**more)))
        require(201, [answer])
        row = self.reservations.find_one({"_id": ObjectId(answer.json()["id"])})
        if row is None:
            raise RuntimeError("a reservation was booked, and is not there")
        return row


def run(bench: Bench) -> Report:
    """Each index in each round, with and without it by turns; then creates with and without all of them."""
    columns = ("index", "insert us without", "with", "cost us", "from", "to", "of a create")
    report = Report(f"Indexes of reservations beside {STORED:,} of them", columns)
    models = [*Reservation.Settings.indexes, *Reservation.Settings.planner_indexes]
    new = [each for each in models if _name(each) not in SEEDS | NEEDED]
    kept = [each for each in models if each not in new]
    with ExitStack() as stack:
        bare, place = (_place(bench, stack, each) for each in (kept, models))
        database = place.reservations.database
        booking = place.stored() | {"group": ObjectId()}
        hold = place.stored(expiresInSeconds=86_400, holder="visitor")
        pairs = [_pair(database, model, hold if _is_of_holds(model) else booking) for model in new]
        for pair in pairs:
            pair.prepare(place.server)
        for each in (bare, place):
            each.create()
        creates: list[tuple[float, float]] = []
        for number in range(bench.rounds):
            for pair in pairs:
                pair.compare(place.server, ours_first=bool(number % 2))
            ours = place.create() if number % 2 else None
            without = bare.create()
            creates.append((without, place.create() if ours is None else ours))
    create = median(ours for _, ours in creates)
    for pair in pairs:
        _tell(report, pair, create)
    ratios = [ours / without for without, ours in creates]
    sides = [median(side) for side in zip(*creates, strict=True)]
    report.notes.append(
        f"a create takes {sides[1]:,.0f} us of CPU of app and server, without these indexes {sides[0]:,.0f};"
        f" of that with them: {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
    )
    return report


def _pair(database: Database[dict[str, Any]], model: IndexModel, sample: dict[str, Any]) -> Pair:
    """Two empty collections, whose inserts wait for no disk."""
    options: Any = {"write_concern": WriteConcern(w=1, j=False)}
    without, ours = (database.get_collection(f"{side}_{_name(model)}", **options) for side in ("without", "with"))
    return Pair(model, without, ours, sample)


def _place(bench: Bench, stack: ExitStack, models: Sequence[IndexModel]) -> Place:
    """A database with these indexes of reservations, and an app on it, which looks for all of them as it starts."""
    stage = stack.enter_context(bench.stage())
    app = stack.enter_context(stage.app(1))
    fill(app.client, stage.database, STORED)
    reservations = stage.database["reservations"]
    reservations.drop_indexes()
    reservations.create_indexes([*models])
    return Place(app, reservations, listeners(stage.url))


def _tell(report: Report, pair: Pair, create: float) -> None:
    costs = [ours - without for without, ours in pair.costs]
    sides = [f"{median(side):.0f}" for side in zip(*pair.costs, strict=True)]
    share = median(costs) / create
    figures = (f"{cost:.1f}" for cost in (median(costs), min(costs), max(costs)))
    report.rows.append((pair.name, *sides, *figures, f"{share:.2%}"))
    report.promise(f"{pair.name} costs at most {DEAREST:.0%} of a create", holds=share <= DEAREST)


def _is_of_holds(model: IndexModel) -> bool:
    return model.document.get("partialFilterExpression") == {"status": "pending"}


def _name(model: IndexModel) -> str:
    name: str = model.document["name"]
    return name

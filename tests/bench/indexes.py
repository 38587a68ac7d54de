"""What each index of reservations costs those who book: creates with it against the same creates without.

One database begins with the indexes of the seed; each other one is built, and dropped again, in each round, and creates
carry what it is about: a customer, a reference, a group's or a hold's fields. An index costs less than the noise of the
rate at which an app books, so the cost is the CPU that the server needs more for a create, as a share of what app and
server need together. It is more than an insert needs more: a server also chooses among more indexes for each find.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from pymongo import IndexModel
from pymongo.collection import Collection

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
STORED = 5_000
"""Few, so that the server is through with building an index before the turn begins."""
CREATES, CONNECTIONS = 500, 16
DEAREST = 0.02
"""Of a create: an index that costs more is not worth its filter."""
MICROSECONDS = 1e6


class Turn(NamedTuple):
    """The CPU microseconds of a create: of the server, and of the app and the server."""

    server: float
    all: float


@dataclass(slots=True)
class Place:
    """An app with rooms to book, and the process of its server."""

    app: App
    reservations: Collection[dict[str, Any]]
    server: Sequence[int]
    booked: int = 0

    def create(self, model: IndexModel) -> Turn:
        """Book with all that an index may be about."""
        calls = [Call("/v1/reservations", self._body() | _about(model)) for _ in range(CREATES)]
        processes = (self.server, [self.app.running.process.pid])
        before = [computed_seconds(each) for each in processes]
        require(201, self.app.client.in_flow(calls, CONNECTIONS))
        server, app = (computed_seconds(each) - was for each, was in zip(processes, before, strict=True))
        return Turn(MICROSECONDS * server / CREATES, MICROSECONDS * (server + app) / CREATES)

    def compare(self, model: IndexModel, *, ours_first: bool) -> tuple[Turn, Turn]:
        """Create without an index, and with it; it is dropped again."""
        without = None if ours_first else self.create(model)
        self.reservations.create_indexes([model])
        ours = self.create(model)
        self.reservations.drop_index(_name(model))
        return without or self.create(model), ours

    def _body(self) -> dict[str, Any]:
        """The next free slot."""
        slot, room = divmod(self.booked, ROOMS)
        self.booked += 1
        start = UNTIL + slot * LENGTH
        times = {"startTime": start.isoformat(), "endTime": (start + LENGTH).isoformat()}
        return {"resource": f"{PREFIX}-{room}", "reference": f"WEB-{self.booked}", **times}


def run(bench: Bench) -> Report:
    """Each index in each round, with and without it by turns."""
    columns = ("index", "server us without", "with", "cost us", "from", "to", "of a create")
    report = Report(
        f"Creates beside {STORED:,} reservations with the seed's indexes, against those with one more", columns
    )
    models = [*Reservation.Settings.indexes, *Reservation.Settings.planner_indexes]
    new = [each for each in models if _name(each) not in SEEDS | NEEDED]
    turns: dict[str, list[tuple[Turn, Turn]]] = {_name(model): [] for model in new}
    with ExitStack() as stack:
        place = _place(bench, stack, [each for each in models if each not in new])
        place.create(models[0])
        for number in range(bench.rounds):
            for model in new:
                turns[_name(model)].append(place.compare(model, ours_first=bool(number % 2)))
    create = median(without.all for known in turns.values() for without, _ in known)
    for name, known in turns.items():
        _tell(report, name, known, create)
    report.notes.append(f"us: microseconds of CPU for a create, of which app and server need {create:,.0f} together")
    return report


def _place(bench: Bench, stack: ExitStack, models: Sequence[IndexModel]) -> Place:
    """A database with these indexes of reservations, and an app on it, which looks for all of them as it starts."""
    stage = stack.enter_context(bench.stage())
    app = stack.enter_context(stage.app(1))
    fill(app.client, stage.database, STORED)
    reservations = stage.database["reservations"]
    reservations.drop_indexes()
    reservations.create_indexes([*models])
    return Place(app, reservations, listeners(stage.url))


def _about(model: IndexModel) -> dict[str, Any]:
    """What else a create carries, so that the index gets an entry of it if a create can have one."""
    if model.document.get("partialFilterExpression") != {"status": "pending"}:
        return {"customer": customer(7), "metadata": {"reference": "x"}}
    owner = {"holder": "visitor"} if _name(model) == "reservation_key_holds" else {"customer": customer(7)}
    return {**owner, "expiresInSeconds": 86_400}


def _tell(report: Report, name: str, turns: Sequence[tuple[Turn, Turn]], create: float) -> None:
    sides = [f"{median(turn.server for turn in side):,.0f}" for side in zip(*turns, strict=True)]
    costs = [ours.server - without.server for without, ours in turns]
    share = median(costs) / create
    figures = (f"{cost:,.0f}" for cost in (median(costs), min(costs), max(costs)))
    report.rows.append((name, *sides, *figures, f"{share:.1%}"))
    report.promise(f"{name} costs at most {DEAREST:.0%} of a create", holds=share <= DEAREST)


def _name(model: IndexModel) -> str:
    name: str = model.document["name"]
    return name

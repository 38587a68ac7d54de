"""What events cost those who book: creates with their events against the same creates without."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

from app.bench.loads import Load
from tests.bench.cpu import computed_seconds, listeners
from tests.bench.eventless import EVENTLESS
from tests.bench.load import Calendar
from tests.bench.placing import placing
from tests.bench.report import Bench, Report
from tests.support.commands import eventually
from tests.support.slot_bookings import make_rooms
from tests.support.staged_app import App, Stage

CONNECTIONS = (8, 32, 128)
ROOMS = 200
WARM_SECONDS = 1.0
ENOUGH = 0.93
"""Of the rate without events."""
MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Turn:
    """A load, and the CPU seconds that the app, the server and the worker spent meanwhile."""

    load: Load
    computed: Sequence[float]

    @property
    def each(self) -> Sequence[float]:
        """Microseconds of each of them for a create."""
        return [MICROSECONDS * seconds / self.load.accepted for seconds in self.computed]


@dataclass(slots=True)
class Side:
    """One of the two apps, with rooms of its own, and its turns by the number of connections.

    `others` are the processes of the server and those of the worker.
    """

    app: App
    calendar: Calendar
    others: tuple[Sequence[int], Sequence[int]]
    turns: dict[int, list[Turn]] = field(default_factory=dict)

    def play(self, connections: int, seconds: float) -> Turn:
        """One load."""
        processes = ([self.app.running.process.pid], *self.others)
        before = [computed_seconds(each) for each in processes]
        load = self.calendar.create(self.app.client, seconds, connections)
        return Turn(load, [computed_seconds(each) - was for each, was in zip(processes, before, strict=True)])


def run(bench: Bench) -> Report:
    """Both apps by turns, first where no worker runs, and then where one gives the events their places."""
    report = Report(
        f"Creates over {ROOMS} resources with events, against those without",
        (
            *("events get places", "connections", "without/s", "with/s", "of the rate", "from", "to"),
            *("app us without", "with", "server us without", "with", "worker us without", "with", "of the CPU"),
        ),
    )
    for placed in (False, True):
        with bench.stage() as stage, ExitStack() as stack:
            placer = stack.enter_context(placing(stage)) if placed else None
            others = listeners(stage.url), [] if placer is None else [placer.pid]
            env = {} if placer is None else placer.env
            without, ours = (
                Side(stack.enter_context(stage.app(1, factory, env=env)), Calendar(name, ROOMS), others)
                for name, factory in (("without", EVENTLESS), ("with", None))
            )
            for side in (without, ours):
                make_rooms(side.app.client, side.calendar.resources[0].rpartition("-")[0], ROOMS)
                side.play(CONNECTIONS[0], WARM_SECONDS)
            for number in range(bench.rounds):
                for connections in CONNECTIONS:
                    for side in (without, ours) if number % 2 else (ours, without):
                        if placed:
                            _await_places(stage)
                        side.turns.setdefault(connections, []).append(side.play(connections, bench.seconds))
            _check(report, stage, ours, placed=placed)
        for connections in CONNECTIONS:
            _tell(report, connections, without.turns[connections], ours.turns[connections], placed=placed)
    report.notes.append("us: microseconds of CPU for a create")
    return report


def _tell(report: Report, connections: int, without: Sequence[Turn], ours: Sequence[Turn], *, placed: bool) -> None:
    rates = [mine.load.rate / base.load.rate for mine, base in zip(ours, without, strict=True)]
    pairs = zip(*(_medians(turns) for turns in (without, ours)), strict=True)
    each = [micros for pair in pairs for micros in pair]
    report.rows.append(
        (
            "yes" if placed else "no",
            str(connections),
            *(f"{median(turn.load.rate for turn in turns):,.0f}" for turns in (without, ours)),
            *(f"{rate:.2f}" for rate in (median(rates), min(rates), max(rates))),
            *(f"{micros:,.0f}" for micros in each),
            f"{sum(each[1::2]) / sum(each[::2]):.2f}",
        )
    )
    if not placed:
        name = f"{connections} connections: at least {ENOUGH} of the rate without events"
        report.promise(name, holds=median(rates) >= ENOUGH)


def _medians(turns: Sequence[Turn]) -> list[float]:
    """Microseconds of the app, the server and the worker for a create."""
    return [median(each) for each in zip(*(turn.each for turn in turns), strict=True)]


def _check(report: Report, stage: Stage, ours: Side, *, placed: bool) -> None:
    """One app wrote an event for each create, and the other none; else it was not that which was measured."""
    where = "events" if placed else "outbox"
    if placed:
        _await_places(stage)
    created = stage.database["reservations"].count_documents({"resource": {"$in": ours.calendar.resources}})
    events = stage.database[where].count_documents({})
    report.promise(f"an event for each create, and no other ({events:,} for {created:,})", holds=events == created)


def _await_places(stage: Stage) -> None:
    if not eventually(lambda: stage.database["outbox"].find_one({}) is None):
        raise RuntimeError("the events get no places")

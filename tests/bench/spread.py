"""One, two and four app processes, on many resources and on few: whether they help or hinder one another."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

from app.bench.loads import Load
from tests.bench.load import CONNECTIONS, Calendar
from tests.bench.report import Bench, Report
from tests.bench.watched import WATCHED, Seen, Watch
from tests.support.database_check import peak_loads
from tests.support.slot_bookings import make_rooms
from tests.support.staged_app import App

PROCESSES = (1, 2, 4)
ROOMS = (200, 10)
WARM_SECONDS = 1.0


@dataclass(slots=True)
class Case:
    """So many processes on so many resources, and its rounds."""

    app: App
    watch: Watch
    processes: int
    rooms: int
    rounds: list[tuple[Load, Seen]] = field(default_factory=list)

    def play(self, calendar: Calendar, seconds: float) -> None:
        """One more round."""
        self.watch.seen()
        load = calendar.create(self.app.client, seconds)
        self.rounds.append((load, self.watch.seen()))

    def middle(self, name: str) -> float:
        """The median of one of the load's figures."""
        figures: list[float] = [getattr(load, name) for load, _ in self.rounds]
        return median(figures)


def run(bench: Bench) -> Report:
    """Every case once in each round; all their processes stand by all the time."""
    report = Report(
        f"Creates by {CONNECTIONS} connections",
        ("resources", "processes", "creates/s", "of 1 process", "p99 ms", "creates/transaction", "lost", "unanswered"),
    )
    with bench.stage() as stage, ExitStack() as stack:
        cases = []
        for processes in PROCESSES:
            watch = stack.enter_context(bench.watch())
            app = stack.enter_context(stage.app(processes, WATCHED, env=watch.env))
            cases += [Case(app, watch, processes, rooms) for rooms in ROOMS]
        calendars = {}
        for rooms in ROOMS:
            make_rooms(cases[0].app.client, f"of{rooms}", rooms)
            calendars[rooms] = Calendar(f"of{rooms}", rooms)
        for case in cases:
            calendars[case.rooms].create(case.app.client, WARM_SECONDS)
        for _ in range(bench.rounds):
            for case in cases:
                case.play(calendars[case.rooms], bench.seconds)
        highest = max(peak_loads(stage.database).values())
    for case in sorted(cases, key=lambda case: ROOMS.index(case.rooms)):
        _tell(report, case, cases)
    report.notes.append("lost: transactions that met another process's, of all that were begun to write")
    report.promise("no resource above its capacity", holds=highest == 1)
    return report


def _tell(report: Report, case: Case, cases: Sequence[Case]) -> None:
    alone = next(each for each in cases if each.rooms == case.rooms and each.processes == 1)
    share = [mine.rate / base.rate for (mine, _), (base, _) in zip(case.rounds, alone.rounds, strict=True)]
    committed = sum(seen.committed for _, seen in case.rounds)
    lost = sum(seen.lost for _, seen in case.rounds)
    created = sum(load.accepted for load, _ in case.rounds)
    refused = sum(load.refused + load.failed for load, _ in case.rounds)
    unanswered = sum(load.broken + load.unanswered for load, _ in case.rounds)
    report.rows.append(
        (
            str(case.rooms),
            str(case.processes),
            f"{case.middle('rate'):,.0f}",
            f"{median(share):.2f}",
            f"{case.middle('p99_ms'):.1f}",
            f"{created / max(committed, 1):.1f}",
            f"{lost / max(committed + lost, 1):.0%} ({lost})",
            str(unanswered),
        )
    )
    name = f"{case.processes} processes on {case.rooms} resources"
    report.promise(f"{name}: every request ended", holds=unanswered == 0)
    report.promise(f"{name}: every request booked its free slot ({refused} did not)", holds=refused == 0)

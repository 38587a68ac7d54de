"""What a crowd costs: a thousand requests at once for one taken slot, beside as many for taken slots of their own."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic

from tests.bench.report import Bench, Report
from tests.support.load_client import Call
from tests.support.loop_meter import FILE, METERED, read_stretches
from tests.support.slot_bookings import booking, make_rooms, require
from tests.support.staged_app import LOOP, App

CROWD, WIDTH = 1_000, 32
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Refusals:
    """One crowd: the process's time for each answer, and the seconds from the first request to the last answer."""

    cpu_ms: float
    seconds: float


def run(bench: Bench) -> Report:
    """Rounds of both in turn on one process; then both on a process that measures its event loop."""
    report = Report(
        f"{CROWD:,} refusals at once, 1 app process",
        ("", "CPU ms each", "of own slots", "last after s", "loop held ms"),
    )
    with bench.stage() as stage, TemporaryDirectory(prefix="reserva-bench-") as folder:
        notes = Path(folder) / "stretches"
        with stage.app(1) as app:
            (room,) = make_rooms(app.client, "crowd", 1)
            own, same = [booking(room, slot) for slot in range(CROWD)], [booking(room)] * CROWD
            require(201, app.client.in_flow(own, WIDTH))
            _refused(app, same)  # the first time takes longer
            rounds = [(_refused(app, same), _refused(app, own)) for _ in range(bench.rounds)]
        with stage.app(1, METERED, env={FILE: str(notes), LOOP: "asyncio"}) as app:
            held = [_held_ms(app, calls, notes) for calls in (same, own)]
    shares = [crowd.cpu_ms / others.cpu_ms for crowd, others in rounds]
    crowds, others = zip(*rounds, strict=True)
    report.rows.append(_row("of one slot", crowds, median(shares), held[0]))
    report.rows.append(_row("of slots of their own", others, 1.0, held[1]))
    report.notes.append("rounds: " + " ".join(f"{each:.2f}" for each in shares))
    return report


def _refused(app: App, calls: Sequence[Call]) -> Refusals:
    """Send all of them at once; each is refused."""
    began, cpu = monotonic(), _cpu_seconds(app)
    answers = app.client.at_once(calls)
    seconds, cpu = monotonic() - began, _cpu_seconds(app) - cpu
    require(409, answers)
    return Refusals(1_000 * cpu / len(calls), seconds)


def _cpu_seconds(app: App) -> float:
    """The processor time of the process that answers, over all its threads."""
    (process,) = app.workers
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def _held_ms(app: App, calls: Sequence[Call], notes: Path) -> float:
    """For how long at a stretch the second crowd keeps the loop from everything else."""
    _refused(app, calls)
    os.truncate(notes, 0)
    _refused(app, calls)
    return max((stretch.ms for stretch in read_stretches(notes)), default=0.0)


def _row(name: str, rounds: Sequence[Refusals], share: float, held_ms: float) -> tuple[str, ...]:
    cpu_ms, seconds = median(each.cpu_ms for each in rounds), median(each.seconds for each in rounds)
    return name, f"{cpu_ms:.2f}", f"{share:.2f}", f"{seconds:.2f}", f"{held_ms:.0f}" if held_ms else "under 10"

"""Followers against writers: whether each change reaches each follower once and in order, whatever is killed."""

from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from app.cli.configuration import CommandFailed
from tests.bench.report import Bench, Report
from tests.support.change_writers import OPERATIONS
from tests.support.following_storm import PROCESSES, WRITERS, Fault, Outcome, Plan, follow
from tests.support.servers import NotAtHand

FAULT_SECONDS = 5.0
PAUSE_SECONDS = 0.1
FAULTS: tuple[Fault, ...] = (
    "relay killed",
    "relay killed",
    "app killed",
    "relay killed",
    "database killed",
    "relay killed",
    "relay suspended",
)
SHOWN = 3
"""So many of the faults of a follower are told."""


def run(bench: Bench) -> Report:
    """Twelve rounds of five seconds of the usual seconds, on a server of its own, which is killed as well."""
    faults = [*islice(cycle(FAULTS), round(12 * bench.seconds / FAULT_SECONDS))]
    report = Report(
        f"{WRITERS} writers on {PROCESSES} app processes and {PROCESSES} workers, and their followers",
        ("follower", "changes", "received", "missed", "repeated, out of order or wrong", "interruptions"),
    )
    with TemporaryDirectory(prefix="reserva-bench-") as folder:
        try:
            outcome = follow(Path(folder), Plan(faults, FAULT_SECONDS, PAUSE_SECONDS))
        except NotAtHand as reason:
            raise CommandFailed(f"No server that may be killed: {reason}.") from reason
    _enter(report, outcome)
    report.notes.append("faults: " + ", ".join(f"{faults.count(kind)} x {kind}" for kind in dict.fromkeys(faults)))
    return report


def _enter(report: Report, outcome: Outcome) -> None:
    for name, followed in outcome.followed.items():
        numbers = (outcome.changes, followed.received, len(followed.missed), len(followed.faults))
        report.rows.append((name, *(f"{each:,}" for each in numbers), f"{followed.interruptions:,}"))
        report.notes += [f"{name}: {each}" for each in followed.faults[:SHOWN]]
        report.promise(f"{name}: none is missed ({followed.missed[:SHOWN]})", holds=not followed.missed)
        report.promise(f"{name}: each once, in order, as it is stored", holds=not followed.faults)
    done = ", ".join(f"{outcome.done[name]:,} x {name}" for name in OPERATIONS)
    report.notes.append(f"writers: {done}; {outcome.interruptions:,} lost connections")
    report.notes.append(f"after the last change it took {outcome.drain_seconds:.1f} s until all followers had it")
    report.promise(f"it goes on after {outcome.stuck}", holds=outcome.stuck is None)
    report.promise(f"all have got the same ({outcome.disagreements[:SHOWN]})", holds=not outcome.disagreements)
    report.promise(f"what was acknowledged is stored ({outcome.lost} were not)", holds=not outcome.lost)
    report.promise(f"every webhook is signed ({outcome.forged} were not)", holds=not outcome.forged)

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
RELAY_SECONDS = 5.0
PAUSE_SECONDS = 0.1
FAULTS: tuple[Fault, ...] = ("app killed", "database killed", "relay suspended")
"""What is played beside the kills of the relay."""
LATE_SECONDS = 3.0
"""By so much a kill of the relay may be late: after the one before, the other worker takes over within two seconds."""
SHOWN = 3
"""So many of the faults of a follower are told."""


def run(bench: Bench) -> Report:
    """A minute by the usual seconds, on a server of its own, which is killed as well; the relay every five seconds."""
    faults = [*islice(cycle(FAULTS), round(12 * bench.seconds / FAULT_SECONDS))]
    report = Report(
        f"{WRITERS} writers on {PROCESSES} app processes and {PROCESSES} workers, and their followers",
        ("follower", "changes", "received", "missed", "repeated, out of order or wrong", "interruptions"),
    )
    with TemporaryDirectory(prefix="reserva-bench-") as folder:
        try:
            outcome = follow(Path(folder), Plan(faults, FAULT_SECONDS, PAUSE_SECONDS, relay_seconds=RELAY_SECONDS))
        except NotAtHand as reason:
            raise CommandFailed(f"No server that may be killed: {reason}.") from reason
    _enter(report, outcome)
    report.notes.append("faults: " + ", ".join(f"{faults.count(kind)} x {kind}" for kind in dict.fromkeys(faults)))
    kills = outcome.relay_kills
    report.notes.append(f"and the relay killed {len(kills)} times, at most {max(kills, default=0):.1f} s apart")
    on_time = len(kills) >= len(faults) - 1 and max(kills, default=0) <= RELAY_SECONDS + LATE_SECONDS
    report.promise(f"the relay is killed every {RELAY_SECONDS:.0f} seconds", holds=on_time)
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

"""Creates against one unchecked insert a request: what the promise costs."""

from statistics import median

from tests.bench.load import CONNECTIONS, Calendar, Load
from tests.bench.prefill import RESERVATIONS, copy_all, fill
from tests.bench.report import Bench, Report
from tests.support.database_check import peak_loads

ROOMS = 200
PROCESSES = 2
ENOUGH = 0.99
WARM_SECONDS = 1.0


def run(bench: Bench) -> Report:
    """Rounds of both in turn, each with its own database on the same server."""
    report = Report(
        f"Creates over {ROOMS} resources, {CONNECTIONS} connections, {PROCESSES} app processes, "
        f"{RESERVATIONS:,} reservations there",
        ("", "creates/s", "p50 ms", "p99 ms", "201", "of unchecked"),
    )
    with bench.stage() as stage, bench.stage() as bare:
        with stage.app(PROCESSES) as app, bare.app(PROCESSES, UNCHECKED) as unchecked:
            fill(app.client, stage.database, "room", ROOMS, RESERVATIONS // ROOMS)
            copy_all(stage.database, bare.database)
            ours, theirs = (Calendar("room", ROOMS, RESERVATIONS // ROOMS) for _ in range(2))
            ours.create(app.client, WARM_SECONDS)
            theirs.create(unchecked.client, WARM_SECONDS)
            rounds = [
                (ours.create(app.client, bench.seconds), theirs.create(unchecked.client, bench.seconds))
                for _ in range(bench.rounds)
            ]
        made = sum(load.answered - load.refused for load, _ in rounds)
        asked = sum(load.answered for load, _ in rounds)
        highest = max(peak_loads(stage.database).values())
    share = [mine.rate / base.rate for mine, base in rounds]
    report.rows.append(("Reserva", *_medians([mine for mine, _ in rounds]), f"{median(share):.2f}"))
    report.rows.append(("one unchecked insert_one a request", *_medians([base for _, base in rounds]), "1"))
    report.notes.append("rounds: " + " ".join(f"{each:.2f}" for each in share))
    report.promise(f"at least {ENOUGH:.0%} of the answers are 201", holds=made >= ENOUGH * asked)
    report.promise("no resource above its capacity", holds=highest == 1)
    return report


def _medians(rounds: list[Load]) -> tuple[str, str, str, str]:
    created = sum(load.answered - load.refused for load in rounds) / sum(load.answered for load in rounds)
    p50, p99 = (median(getattr(load, name) for load in rounds) for name in ("p50", "p99"))
    return f"{median(load.rate for load in rounds):,.0f}", f"{p50:.1f}", f"{p99:.1f}", f"{created:.1%}"


UNCHECKED = "tests.bench.unchecked:application"

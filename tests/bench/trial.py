"""A trial with a month of flights beside an empty one: whether it still books as fast."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from app.bench.loads import Load
from tests.bench.load import CONNECTIONS, Calendar
from tests.bench.report import Bench, Report
from tests.support.commands import environment_with, reserva, running_reserva
from tests.support.data_files import flights_file
from tests.support.load_client import Client
from tests.support.slot_bookings import make_rooms

ROOMS = 50
ENOUGH = 0.8
"""Of the empty one's speed."""
ACCEPTED, REFUSED = 26_217, 6
"""Of the month; it has an aircraft in two places six times."""


def run(bench: Bench) -> Report:
    """Two trials, one of which took the month in since it was started; rounds of both in turn."""
    report = Report(
        f"The trial, creates over {ROOMS} resources by {CONNECTIONS} connections",
        ("", "creates/s", "p50 ms", "p99 ms", "of the empty one"),
    )
    with ExitStack() as stack:
        (folder, full), (_, empty) = (stack.enter_context(_trial()) for _ in range(2))
        result = _import(folder)
        ours, theirs = (Calendar("room", ROOMS) for _ in range(2))
        ours.create(full, 1)
        theirs.create(empty, 1)
        rounds = [(ours.create(full, bench.seconds), theirs.create(empty, bench.seconds)) for _ in range(bench.rounds)]
    share = [mine.rate / base.rate for mine, base in rounds]
    report.rows.append(("empty", *_figures([base for _, base in rounds]), "1"))
    report.rows.append((f"{ACCEPTED:,} flights", *_figures([mine for mine, _ in rounds]), f"{median(share):.2f}"))
    report.notes.append("rounds: " + " ".join(f"{each:.2f}" for each in share))
    report.notes.append(f"import: {json.dumps(result)}")
    report.promise(
        "all of the month but six flights", holds=(result["accepted"], result["refused"]) == (ACCEPTED, REFUSED)
    )
    report.promise(f"at least {ENOUGH:.0%} of the speed of an empty trial", holds=median(share) >= ENOUGH)
    return report


@contextmanager
def _trial() -> Iterator[tuple[Path, Client]]:
    """A trial in a folder of its own, with rooms."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(prefix="reserva-trial-")))
        trial = stack.enter_context(running_reserva("dev", "--port", "0", "--no-demo", cwd=home))
        url, key = trial.wait_until_ready()
        client = Client(urlsplit(url).port or 0, key)
        make_rooms(client, "room", ROOMS)
        yield home, client
        trial.end(signal.SIGTERM)  # so that it ends its servers; the folder goes with them


def _import(folder: Path) -> dict[str, int]:
    command = reserva("import", str(flights_file()), "--create", "--json")
    done = subprocess.run(command, cwd=folder, env=environment_with({}), capture_output=True, text=True, check=False)
    report: dict[str, int] = json.loads(done.stdout)
    return report


def _figures(rounds: list[Load]) -> tuple[str, str, str]:
    rate, p50, p99 = (median(getattr(load, name) for load in rounds) for name in ("rate", "p50_ms", "p99_ms"))
    return f"{rate:,.0f}", f"{p50:.1f}", f"{p99:.1f}"

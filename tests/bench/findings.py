"""Runs over very many findings, moved ones, and one of a hundred thousand reservations."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from bson import encode
from pymongo.database import Database

from tests.bench.report import Bench, Report
from tests.support.commands import environment_with, eventually, running_reserva
from tests.support.redis_server import OwnRedis
from tests.support.reservation_rows import reservation_row
from tests.support.staged_app import Stage

MOST_SECONDS = 60.0
MOST_SILENCE = 5.0
MOST_END = 2 * MOST_SILENCE
"""From SIGTERM to the end of the worker, which lets its jobs go on for five seconds when it has heard it."""
MOMENTS = (0.1, 0.5, 0.9)
"""When SIGTERM comes, as parts of the time that a run takes."""
MOST_BYTES = 2**20
"""Of one finding, and of all that a run logs of it."""

_START = datetime(2031, 1, 1, tzinfo=UTC)
_QUARTER = timedelta(minutes=15)
_BATCH = 5_000
_Data: TypeAlias = Database[dict[str, Any]]


def run(bench: Bench) -> Report:
    """Each case on a database of its own: a run that finds everything, then one that finds it as it was, or moved."""
    columns = (
        "case",
        "findings",
        "first run s",
        "second run s",
        "of them new",
        "longest silence s",
        "SIGTERM s",
        "MiB",
    )
    report = Report("Findings by the thousand", columns)
    _case(bench, report, "25,000 on one resource, unchanged", lambda data: _pairs(data, 1, 25_000), _nothing, 0)
    _case(bench, report, "25,000 on 2,500 resources, unchanged", lambda data: _pairs(data, 2_500, 10), _nothing, 0)
    _case(bench, report, "9,000 on one resource, moved", lambda data: _pairs(data, 1, 9_000), _move, 9_000)
    _case(bench, report, "100,000 chained bookings, unchanged", _chain, _nothing, 0)
    return report


def _case(
    bench: Bench,
    report: Report,
    title: str,
    plant: Callable[[_Data], None],
    change: Callable[[_Data], None],
    new: int,
) -> None:
    with bench.stage() as stage:
        plant(stage.database)
        first = _reconciled(stage.url)
        change(stage.database)
        second = _reconciled(stage.url)
        with _redis() as redis:
            ends = [_ended(stage, redis, moment * second["seconds"]) for moment in MOMENTS]
        largest = max(len(encode(row)) for row in stage.database["findings"].find())
    silence = max(first["silence"], second["silence"])
    figures = [f"{first['findings']:,}", f"{first['seconds']:.1f}", f"{second['seconds']:.1f}", f"{second['new']:,}"]
    report.rows.append(
        (title, *figures, f"{silence:.2f}", f"{max(ends):.1f}", f"{max(first['memory'], second['memory']) / 1024:.0f}")
    )
    report.promise(f"{title}: under {MOST_SECONDS:.0f} s", holds=second["seconds"] < MOST_SECONDS)
    report.promise(f"{title}: a signal is heard within {MOST_SILENCE:.0f} s", holds=silence < MOST_SILENCE)
    report.promise(f"{title}: SIGTERM ends the worker within {MOST_END:.0f} s", holds=max(ends) < MOST_END)
    report.promise(f"{title}: {new} of the second run are new", holds=second["new"] == new)
    report.promise(f"{title}: a finding is below {MOST_BYTES} bytes", holds=largest < MOST_BYTES)
    report.promise(f"{title}: a line of the log too", holds=max(first["line"], second["line"]) < MOST_BYTES)


def _reconciled(url: str) -> dict[str, Any]:
    """One run in a process of its own; with the longest line that it logged."""
    command = [sys.executable, "-m", "tests.bench.silence", url]
    env = environment_with({"MONGODB_URL": url})
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    *logged, last = done.stdout.splitlines()
    outcome: dict[str, Any] = json.loads(last)
    if outcome["state"] != "succeeded":
        raise RuntimeError(outcome["error"])
    return outcome | {"line": max(map(len, [*logged, *done.stderr.splitlines()]), default=0)}


@contextmanager
def _redis() -> Iterator[str]:
    """The address of a Redis."""
    with TemporaryDirectory() as folder:
        own = OwnRedis(Path(folder))
        own.start()
        yield own.url
        own.kill()


def _ended(stage: Stage, redis: str, after: float) -> float:
    """How long the worker takes to end at SIGTERM, so many seconds after it began a run."""
    runs = stage.database["reconciliations"]
    runs.delete_many({})  # the worker finds that today's run is missing, and begins it
    with running_reserva("worker", MONGODB_URL=stage.url, REDIS_URL=redis, RESERVA_LOG_LEVEL="error") as worker:
        if not eventually(lambda: runs.find_one({"state": "running"}) is not None):
            raise RuntimeError("the worker began no run")
        time.sleep(after)
        began = time.monotonic()
        worker.end(signal.SIGTERM)
        return time.monotonic() - began


def _pairs(database: _Data, resources: int, each: int) -> None:
    """So many pairs that share an hour on each of so many resources of capacity one."""
    for number in range(resources):
        starts = (_START + place * 8 * _QUARTER for place in range(each) for _ in range(2))
        _book(database, f"room-{number}", [(start, start + 4 * _QUARTER) for start in starts])


def _chain(database: _Data) -> None:
    """A hundred thousand, each of which overlaps the next two: one window."""
    starts = (_START + place * _QUARTER for place in range(100_000))
    _book(database, "room", [(start, start + _QUARTER + timedelta(minutes=20)) for start in starts])


def _book(database: _Data, resource: str, times: list[tuple[datetime, datetime]]) -> None:
    database["resources"].insert_one({"_id": resource, "name": resource, "capacity": 1})
    for place in range(0, len(times), _BATCH):
        rows = [
            reservation_row(resource, start, end, createdAt=start, updatedAt=start, history=[])
            for start, end in times[place : place + _BATCH]
        ]
        database["reservations"].insert_many(rows, ordered=False)


def _nothing(_: _Data) -> None:
    """Leave all as it is."""


def _move(database: _Data) -> None:
    """An hour later, all of them: not one shares an instant with where it was."""
    moved = []
    for row in database["reservations"].find():
        times = {name: row[name] + 4 * _QUARTER for name in ("startTime", "endTime", "blockStart", "blockEnd")}
        moved.append({**row, **times})
    database["reservations"].delete_many({})
    for place in range(0, len(moved), _BATCH):
        database["reservations"].insert_many(moved[place : place + _BATCH], ordered=False)

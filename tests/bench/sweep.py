"""A full reconciliation of ten thousand, a hundred thousand and a million reservations, beside a bare cursor."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from pymongo.database import Database

from tests.bench.faults import EACH, Window, plant
from tests.bench.report import Bench, Report
from tests.support.commands import environment_with, reserva

SIZES = (10_000, 100_000, 1_000_000)
LEAST_RATIO = 0.6
MOST_MEMORY = 256 * 1024
FLAT = 1.5
"""The time per row at one size may be that many times the time at the smallest."""


@dataclass(frozen=True, slots=True)
class Round:
    """One reconciliation and one bare cursor: seconds, and the most memory of the reconciling process in KiB."""

    sweep: float
    cursor: float
    memory: int


def run(bench: Bench) -> Report:
    """Every size in a database of its own; the findings are forgotten between two rounds."""
    report = Report(
        "A full reconciliation in a process of its own",
        ("reservations", "resources", "faults", "found", "rows/s", "µs a row", "of a bare cursor", "peak MiB"),
    )
    pace: dict[int, float] = {}
    for size in SIZES:
        with bench.stage() as stage:
            planted = plant(stage.database, size)
            rounds, exact = [], True
            for _ in range(bench.rounds):
                for name in ("findings", "reconciliations"):
                    stage.database[name].delete_many({})
                rounds.append(_round(stage.url, size))
                exact = exact and found(stage.database) == planted
        seconds = median(each.sweep for each in rounds)
        share = median(each.cursor / each.sweep for each in rounds)
        memory = max(each.memory for each in rounds)
        pace[size] = seconds / size
        figures = (f"{size / seconds:,.0f}", f"{1e6 * pace[size]:.1f}", f"{share:.2f}", f"{memory / 1024:.0f}")
        known = "all, none else" if exact else "other faults"
        report.rows.append((f"{size:,}", f"{size // EACH:,}", f"{len(planted):,}", known, *figures))
        report.promise(f"{size:,}: all faults and no other are found", holds=exact)
        report.promise(f"{size:,}: at most {MOST_MEMORY // 1024} MiB", holds=memory <= MOST_MEMORY)
    report.promise(f"at the largest at least {LEAST_RATIO} of a bare cursor", holds=share >= LEAST_RATIO)
    report.promise("the time per row is flat", holds=max(pace.values()) <= FLAT * pace[SIZES[0]])
    return report


def _round(url: str, size: int) -> Round:
    output, memory = _measured([*reserva("reconcile"), "--full", "--json"], url)
    run = json.loads(output)
    if run["scanned"] != size:
        raise RuntimeError(f"{run} is not of {size:,} reservations")
    began, ended = (datetime.fromisoformat(run[name]) for name in ("startedAt", "finishedAt"))
    count, cursor = _measured([sys.executable, "-m", "tests.bench.cursor", url], url)[0].split()
    if int(count) != size:
        raise RuntimeError(f"the cursor gave {count} of {size:,} reservations")
    return Round((ended - began).total_seconds(), float(cursor), memory)


def _measured(command: list[str], url: str) -> tuple[str, int]:
    """What a command prints, and the most memory that it ever had, in KiB."""
    env = environment_with({"MONGODB_URL": url, "RESERVA_LOG_LEVEL": "error"})
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if process.stdout is None:
        raise RuntimeError("no pipe")
    with process.stdout as pipe:
        output = pipe.read()
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return output, usage.ru_maxrss


def found(database: Database[dict[str, Any]]) -> set[Window]:
    """The windows of the findings."""
    return {Window(row["resource"], row["from"], row["to"]) for row in database["findings"].find()}

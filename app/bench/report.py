"""The result as JSON: what was measured, on what, and every load of every round."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic.alias_generators import to_camel

from app.bench.competitors import BASES
from app.bench.figures import Spread, ratios, spread_of
from app.bench.loads import Case, Load
from app.bench.run import Options, Outcome
from app.storage.errors import shown

VERSION = 1
"""Of the shape of the report; a change that breaks a reader raises it."""


def report(options: Options, outcome: Outcome) -> dict[str, Any]:
    """The whole report."""
    field = outcome.field
    return {
        "version": VERSION,
        "endedAt": datetime.now(UTC).isoformat(timespec="seconds"),
        "reserva": version("reserva"),
        "machine": machine(),
        "servers": field.versions,
        "options": {
            "mongodb": None if options.mongodb is None else shown(options.mongodb),
            "rounds": options.rounds,
            "seconds": options.seconds,
            "connections": [*options.connections],
            "processes": options.processes,
        },
        "competitors": [{"name": each.name, "title": each.title} for each in field.competitors],
        "leftOut": [{"name": name, "reason": reason} for name, reason in field.left_out.items()],
        "cases": [_case(case, loads) for case, loads in outcome.loads.items()],
        "counts": [
            {
                "name": name,
                "accepted": outcome.accepted[name],
                "stored": count.stored,
                "doubleBookings": count.double,
                "peak": count.peak,
            }
            for name, count in outcome.counts.items()
        ],
    }


def _case(case: Case, loads: Mapping[str, Sequence[Load]]) -> dict[str, Any]:
    return {
        "workload": case.workload,
        "connections": case.connections,
        "competitors": [
            {
                "name": name,
                "bookedPerSecond": _spread(spread_of([load.rate for load in rounds])),
                "decidedPerSecond": _spread(spread_of([load.decision_rate for load in rounds])),
                **{
                    to_camel(f"of_{base}"): _spread(spread_of(ratios(rounds, loads[base])))
                    for base in BASES
                    if base in loads
                },
                "p50Ms": _spread(spread_of([load.p50_ms for load in rounds])),
                "p99Ms": _spread(spread_of([load.p99_ms for load in rounds])),
                "rounds": [_camel(asdict(load)) for load in rounds],
            }
            for name, rounds in loads.items()
        ],
    }


def _spread(spread: Spread) -> dict[str, float]:
    return {name: round(value, 3) for name, value in spread._asdict().items()}


def _camel(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {to_camel(name): round(value, 3) if isinstance(value, float) else value for name, value in fields.items()}


def machine() -> dict[str, Any]:
    """What the benchmark ran on."""
    return {
        "system": platform.platform(),
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "usableCpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
    }


def _cpu() -> str:
    """The model of the processor; where the system does not tell, its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()

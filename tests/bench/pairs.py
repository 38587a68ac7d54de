"""The seed's handler, as it is written, beside the sweep: every pair of one resource against one pass."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from app.domain.instants import Millis, to_millis
from app.domain.sweep import Row, sweep
from tests.bench.report import Bench, Report
from tests.support.slot_bookings import LENGTH, start_of

SIZES = (1_000, 4_000, 16_000)
OVERLAPPING = 100
"""Every hundredth reservation ends ten minutes too late."""


def run(bench: Bench) -> Report:
    """Both over the same rows in memory; nothing is read and nothing written."""
    del bench
    report = Report(
        "One resource: the seed's handler in Python, and the sweep",
        ("reservations", "pairs s", "sweep s", "ratio", "conflicts of each"),
    )
    for size in SIZES:
        documents = _documents(size)
        began = time.perf_counter()
        theirs = seeds_handler(documents)
        between = time.perf_counter()
        ours = sum(window.conflicts for window in sweep(_rows(documents), {}))
        ended = time.perf_counter()
        pairs, one_pass = between - began, ended - between
        figures = (f"{pairs:.2f}", f"{one_pass:.4f}", f"{pairs / one_pass:,.0f}", f"{theirs:,} and {ours:,}")
        report.rows.append((f"{size:,}", *figures))
        report.promise(f"{size:,}: both count the same conflicts", holds=theirs == ours)
    return report


def seeds_handler(documents: Sequence[dict[str, Any]]) -> int:
    """The loops of the seed document, line by line, but for its limit of 1,000 rows."""
    by_resource: dict[str, list[dict[str, Any]]] = {}
    for document in documents:
        by_resource.setdefault(str(document["resource"]), []).append(document)
    conflicts = 0
    for reservations in by_resource.values():
        for i in range(len(reservations)):
            for j in range(i + 1, len(reservations)):
                a, b = reservations[i], reservations[j]
                a_start, a_end = datetime.fromisoformat(a["startTime"]), datetime.fromisoformat(a["endTime"])
                b_start, b_end = datetime.fromisoformat(b["startTime"]), datetime.fromisoformat(b["endTime"])
                if a_start < b_end and a_end > b_start:
                    conflicts += 1
    return conflicts


def _documents(size: int) -> list[dict[str, Any]]:
    late = timedelta(minutes=10)
    spans = [
        (start_of(slot), start_of(slot) + LENGTH + (0 if slot % OVERLAPPING else 1) * late) for slot in range(size)
    ]
    return [
        {"id": number, "resource": "room", "startTime": start.isoformat(), "endTime": end.isoformat()}
        for number, (start, end) in enumerate(spans)
    ]


def _rows(documents: Sequence[dict[str, Any]]) -> list[Row]:
    """What the sweep reads of them; turning text into instants is its work as well."""
    return [
        Row(each["resource"], _millis(each["startTime"]), each["id"], _millis(each["endTime"]), 1) for each in documents
    ]


def _millis(text: str) -> Millis:
    return to_millis(datetime.fromisoformat(text))

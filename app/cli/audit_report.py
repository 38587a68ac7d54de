"""The output of `reserva audit`: the table of windows, the summary, and the CSV file."""

import csv
from collections import Counter
from typing import IO

from rich import box
from rich.table import Table
from rich.text import Text

from app.audit import Report
from app.audit.people import customer_names
from app.audit.report import ReasonCounts
from app.cli.common import console
from app.cli.output import SideFile
from app.domain.instants import MINUTE, Millis, from_millis, render
from app.domain.sweep import Window
from app.storage.readonly import ReadOnlyDatabase
from app.storage.values import printable

WINDOWS_SHOWN = 50
"""Windows in the table; the file has all."""
_NAMED_MAX = 6
_COLUMNS = ("resource", "name", "from", "to", "peak", "capacity", "excess", "reservations")


async def table(reading: ReadOnlyDatabase, collection: str, report: Report) -> Table:
    """The table of windows: resource, time, excess and reservations."""
    shown = report.windows[:WINDOWS_SHOWN]
    wanted = [identity for window in shown for identity in window.reservations[:_NAMED_MAX]]
    names = await customer_names(reading, collection, wanted)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_lines=True)
    for heading in ("Resource", "Window (UTC)", "Too many", "Reservations"):
        table.add_column(heading, overflow="fold")
    for window in shown:
        name = printable(report.names.get(window.resource, ""))
        who = [f"{printable(each)} {names.get(each, '')}".rstrip() for each in window.reservations[:_NAMED_MAX]]
        if len(window.reservations) > _NAMED_MAX:
            who.append(f"… and {len(window.reservations) - _NAMED_MAX:,} more")
        table.add_row(
            Text("\n".join(part for part in (name, printable(window.resource)) if part)),
            Text(_window_text(window)),
            Text(f"{window.peak - window.capacity:,}\n({window.peak:,} of {window.capacity:,})"),
            Text("\n".join(who)),
        )
    return table


def _window_text(window: Window) -> str:
    return f"{_instant_text(window.start)} to\n{_instant_text(window.end)}"


def _instant_text(instant: Millis) -> str:
    return render(instant) if instant % MINUTE else f"{from_millis(instant):%Y-%m-%d %H:%M}"


def omitted(report: Report) -> list[Text]:
    """A line with the number of windows that are not in the table, if there are any."""
    omitted = len(report.windows) - WINDOWS_SHOWN
    return [Text(f"… and {omitted:,} more windows; --csv FILE writes all of them.")] if omitted > 0 else []


def summary(report: Report) -> list[Text]:
    """The lines on what was read, what was left out and why."""
    lines = [f"Read {report.read:,} reservations. Blocking: {counted(report.active)}."]
    idle = report.idle + Counter({"expired hold": report.lapsed} if report.lapsed else {})
    if idle:
        lines.append(f"Not blocking: {counted(idle)}.")
    lines += _lines("Left out", report.left_out)
    lines += _lines("Unknown status, taken for one that does not block", report.unknown_statuses)
    if report.unknown_statuses.counts:
        lines.append("Say of unknown statuses which ones block by --blocking, and which not by --free-if status=NAME.")
    lines += _lines("Note", report.notes)
    windows = f"{len(report.windows):,} windows above capacity, {report.conflicts:,} conflicts"
    found = windows if report.windows else "no conflict"
    lines.append(f"{report.occupancies:,} occupancies of {report.resources:,} resources: {found}")
    return [Text(line) for line in lines]


def counted(counts: "Counter[str]") -> str:
    """Statuses with their counts, the most frequent first."""
    return ", ".join(f"{printable(name)} {count:,}" for name, count in counts.most_common()) or "none"


def _lines(what: str, counts: ReasonCounts) -> list[str]:
    return [
        f"{what}: {reason} ({count:,}), as in {', '.join(printable(each) for each in counts.examples[reason])}"
        for reason, count in counts.counts.items()
    ]


def write(file: IO[str], report: Report) -> str | None:
    """Write all windows as CSV; returns why that failed, if it did."""
    side_file = SideFile(file, "The file of --csv", lambda why: console.print(why, soft_wrap=True))
    rows = csv.writer(side_file, lineterminator="\n")
    rows.writerow(_COLUMNS)
    for window in report.windows:
        span = (render(window.start), render(window.end), window.peak, window.capacity, window.peak - window.capacity)
        names = (_cell(window.resource), _cell(report.names.get(window.resource, "")))
        rows.writerow([*names, *span, _cell(" ".join(window.reservations))])
    side_file.flush()
    return side_file.failure


def _cell(text: str) -> str:
    """A foreign text as a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text

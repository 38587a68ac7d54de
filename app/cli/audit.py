"""`reserva audit`: looks for conflicts in a database that Reserva may never have written, and only looks."""

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import click
from rich import box
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from app.audit import Report, audit
from app.audit.people import people
from app.audit.report import Tally
from app.cli.common import DONE, FOUND, CouldNot, asynchronous, console, environment, result, say, shown
from app.cli.output import Beside
from app.storage.reading import Reading, open_for_reading
from app.storage.values import printable
from app.timeline.instants import MINUTE, Millis, from_millis, render
from app.timeline.lifecycle import BLOCKING
from app.timeline.sweep import Window

SHOWN = 50
"""Windows that people are shown; a file gets all."""
_WHO = 6
_COLUMNS = ("resource", "name", "from", "to", "peak", "capacity", "excess", "reservations")


def _names(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if not names:
        raise click.BadParameter("Name at least one status.")
    return names


@click.command(
    "audit", epilog="Example:  reserva audit --mongodb mongodb://127.0.0.1:27017/payload --csv conflicts.csv"
)
@click.option("--mongodb", metavar="URL", required=True, help="The server, with the database as its path.")
@click.option("--database", metavar="D", help="The database, if not the address's; without both: reserva.")
@click.option(
    "--collection", metavar="C", default="reservations", show_default=True, help="Where the reservations are."
)
@click.option(
    "--blocking",
    metavar="S,S",
    default=",".join(BLOCKING),
    show_default=True,
    callback=_names,
    help="The statuses that occupy a resource.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one line of JSON.")
@click.option("--csv", "file", type=click.File("w", encoding="utf-8", lazy=False), help="Write a row per window.")
@asynchronous
async def audit_(
    *,
    mongodb: str,
    database: str | None,
    collection: str,
    blocking: tuple[str, ...],
    as_json: bool,
    file: IO[str] | None,
) -> int:
    """Look for resources that are booked above their capacity, in any database.

    Reads Reserva's own reservations and those of payload-reserve: capacities from `resources`, `items` each on their
    own resource. Buffers count only where a document states what it blocks. Nothing is ever written to the database.

    Exit codes: 0 nothing found, 1 conflicts found, 2 could not look, or nothing there could be read.
    """
    environment()
    reading = await open_for_reading(mongodb, database)
    try:
        with _spinner() as watch:
            report = await audit(reading, collection, blocking, watch)
        unwritten = None if file is None else _write(file, report)
        if as_json:
            result(report.as_json())
            for line in _told(report):
                console.print(line, soft_wrap=True)
        else:
            table = [await _table(reading, collection, report)] if report.windows else []
            say(shown(*table, *_more(report), *_told(report)))
        if unwritten is not None:
            raise CouldNot("The report above is whole, the file is not.")
        if not report.readable:
            raise CouldNot(await _nothing(reading, collection, report))
    finally:
        await reading.close()
    return FOUND if report.windows or report.unknown_statuses.counts else DONE


@contextmanager
def _spinner() -> "Iterator[_Watch]":
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield _Watch(progress)


class _Watch:
    """Says on a terminal how far it is."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("starting")

    def __call__(self, report: Report) -> None:
        self._progress.update(self._task, description=f"{report.read:,} reservations")


async def _table(reading: Reading, collection: str, report: Report) -> Table:
    """Resource, window, who, and how many too many."""
    shown = report.windows[:SHOWN]
    wanted = [identity for window in shown for identity in window.reservations[:_WHO]]
    names = await people(reading, collection, wanted)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_lines=True)
    for heading in ("Resource", "Window (UTC)", "Too many", "Reservations"):
        table.add_column(heading, overflow="fold")
    for window in shown:
        name = printable(report.names.get(window.resource, ""))
        who = [f"{printable(each)} {names.get(each, '')}".rstrip() for each in window.reservations[:_WHO]]
        if len(window.reservations) > _WHO:
            who.append(f"… and {len(window.reservations) - _WHO:,} more")
        table.add_row(
            Text("\n".join(part for part in (name, printable(window.resource)) if part)),
            Text(_span(window)),
            Text(f"{window.peak - window.capacity:,}\n({window.peak:,} of {window.capacity:,})"),
            Text("\n".join(who)),
        )
    return table


def _span(window: Window) -> str:
    return f"{_moment(window.start)} to\n{_moment(window.end)}"


def _moment(instant: Millis) -> str:
    return render(instant) if instant % MINUTE else f"{from_millis(instant):%Y-%m-%d %H:%M}"


def _more(report: Report) -> list[Text]:
    """How many windows are not in the table."""
    more = len(report.windows) - SHOWN
    return [Text(f"… and {more:,} more windows; --csv FILE writes all of them.")] if more > 0 else []


def _told(report: Report) -> list[Text]:
    """What was read, what was left out and why."""
    lines = [f"Read {report.read:,} reservations. Blocking: {_counted(report.active)}."]
    idle = report.idle + Counter({"expired hold": report.lapsed} if report.lapsed else {})
    if idle:
        lines.append(f"Not blocking: {_counted(idle)}.")
    lines += _lines("Left out", report.left_out)
    lines += _lines("Status that nobody knows, taken for one that does not block", report.unknown_statuses)
    lines += _lines("Note", report.notes)
    windows = f"{len(report.windows):,} windows above capacity, {report.conflicts:,} conflicts"
    found = windows if report.windows else "no conflict"
    lines.append(f"{report.taken:,} occupancies of {report.resources:,} resources: {found}")
    return [Text(line) for line in lines]


def _counted(counts: "Counter[str]") -> str:
    return ", ".join(f"{printable(name)} {count:,}" for name, count in counts.most_common()) or "none"


def _lines(what: str, tally: Tally) -> list[str]:
    return [
        f"{what}: {reason} ({count:,}), as in {', '.join(printable(each) for each in tally.examples[reason])}"
        for reason, count in tally.counts.items()
    ]


async def _nothing(reading: Reading, collection: str, report: Report) -> str:
    """Why there was nothing to judge, and what to try."""
    if not report.read:
        known = ", ".join(printable(name) for name in await reading.collections()) or "none that this user may see"
        return f"There is nothing in {collection!r} of the database {reading.name!r}. Its collections: {known}."
    others = report.idle + Counter(report.unknown_statuses.counts)
    if others and not report.active:
        return (
            f"No reservation has a status of {', '.join(report.blocking)}. Name those that occupy a resource with "
            f"--blocking; there are: {_counted(others)}."
        )
    return "No reservation that blocks could be read; what is left out above says why."


def _write(file: IO[str], report: Report) -> str | None:
    """Write all windows; why that was not possible, if it was not."""
    beside = Beside(file, "The file of --csv", lambda why: console.print(why, soft_wrap=True))
    rows = csv.writer(beside, lineterminator="\n")
    rows.writerow(_COLUMNS)
    for window in report.windows:
        span = (render(window.start), render(window.end), window.peak, window.capacity, window.peak - window.capacity)
        names = (_cell(window.resource), _cell(report.names.get(window.resource, "")))
        rows.writerow([*names, *span, _cell(" ".join(window.reservations))])
    beside.flush()
    return beside.failure


def _cell(text: str) -> str:
    """Text of others that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text

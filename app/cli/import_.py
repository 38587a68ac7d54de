"""`reserva import`: books the rows of a file."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from app.booking import Booking
from app.cli.common import DONE, FOUND, CouldNot, asynchronous, console, opened, result, warn_if_optimistic
from app.importing.records import Source, UnreadableError
from app.importing.service import Complaint, Importer, Report

SHOWN = 10
"""Complaints that people are shown; a file gets all."""


@click.command("import", epilog="Example:  reserva import flights.csv.gz --create --refused refused.jsonl")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@click.option("--create", is_flag=True, help="Make unknown resources (capacity 1, UTC) and customers.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as one line of JSON.")
@click.option(
    "--refused", type=click.File("w", encoding="utf-8", lazy=False), help="Write a JSON line per refused row."
)
@asynchronous
async def import_(file: Path, *, create: bool, as_json: bool, refused: IO[str] | None) -> int:
    """Book the rows of FILE: CSV with a header, gzipped or not, or JSON lines.

    Columns: reference, resource, startTime, endTime, and optionally customer, service, guests, status, notes. A row
    whose reference has a reservation already is left unchanged, so a file can be imported again. Rows of one resource
    are taken in the order of the file; the past is allowed.

    Exit codes: 0 every row is booked, 1 some were refused or invalid, 2 the file could not be read or booked.
    """
    shown: list[Complaint] = []

    def complain(complaint: Complaint) -> None:
        if refused is not None:
            refused.write(json.dumps(complaint, ensure_ascii=False) + "\n")
        if len(shown) < SHOWN:
            shown.append(complaint)

    began = time.monotonic()
    async with opened() as store:
        warn_if_optimistic(store)
        booking = Booking(store)
        try:
            await booking.start()
            with _source(file) as source, _bar(source) as watch:
                importer = Importer(store, booking, create=create, complain=complain, watch=watch)
                report = await importer.run(source.records())
        except UnreadableError as error:
            raise CouldNot(str(error)) from error
        finally:
            await booking.stop()
    seconds = time.monotonic() - began
    if as_json:
        result({**asdict(report), "seconds": round(seconds, 3)})
    else:
        _tell(report, shown, seconds)
    return DONE if report.clean else FOUND


@contextmanager
def _source(file: Path) -> Iterator[Source]:
    source = Source(file)
    try:
        yield source
    finally:
        source.close()


@contextmanager
def _bar(source: Source) -> "Iterator[Watch]":
    """Progress on a terminal: how much of the file is read, and how many rows a second are done."""
    columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield Watch(progress, source)


class Watch:
    """Moves the bar as rows are done."""

    def __init__(self, progress: Progress, source: Source) -> None:
        self._progress = progress
        self._source = source
        self._task = progress.add_task("0 rows", total=source.size)
        self._began = time.monotonic()

    def __call__(self, report: Report) -> None:
        """Show where we are."""
        if self._progress.disable:
            return
        speed = report.rows / max(time.monotonic() - self._began, 0.001)
        said = f"{report.rows:,} rows, {speed:,.0f} a second, {report.refused + report.invalid} refused"
        self._progress.update(self._task, completed=self._source.read_bytes, description=said)


def _tell(report: Report, shown: list[Complaint], seconds: float) -> None:
    for complaint in shown:
        way = f" In the way: {', '.join(complaint['inTheWay'])}." if "inTheWay" in complaint else ""
        reference = complaint.get("reference", "")
        console.print(f"line {complaint['line']} {reference}: {complaint['problem']}. {complaint['detail']}{way}")
    more = report.refused + report.invalid - len(shown)
    if more > 0:
        console.print(f"… and {more:,} more; --refused FILE writes all of them.")
    click.echo(
        f"{report.rows:,} rows: {report.accepted:,} accepted, {report.unchanged:,} unchanged, "
        f"{report.refused:,} refused, {report.invalid:,} invalid, in {seconds:.1f} seconds"
    )

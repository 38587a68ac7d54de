"""`reserva import`: books the rows of a file."""

import asyncio
import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from app.booking import BookingService
from app.cli.common import (
    DONE,
    FOUND,
    CouldNot,
    asynchronous,
    console,
    explained,
    opened,
    result,
    write_line,
)
from app.cli.output import Beside
from app.cli.start import warn_if_optimistic
from app.domain.zones import zone
from app.importing.column_names import ColumnNames, parse_column_names
from app.importing.records import records_of
from app.importing.report import Report, RowProblem
from app.importing.rows import Zone
from app.importing.service import Importer
from app.importing.source import InterruptedReadingError, Source, UnreadableError
from app.storage.values import printable

SHOWN = 10
"""Complaints that people are shown; a file gets all."""

ReadOption = Callable[[click.Context, click.Parameter, str | None], Any]


def _read(parse: Callable[[str], object]) -> ReadOption:
    """An option that is refused with the sentence of what reads it."""

    def read(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Any:
        try:
            return None if value is None else parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return read


@click.command("import", epilog="Example:  reserva import flights.csv.gz --create --refused refused.jsonl")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path, allow_dash=True))
@click.option("--create", is_flag=True, help="Make unknown resources (capacity 1, UTC) and customers.")
@click.option("--update", is_flag=True, help="Change what is booked already where its row says otherwise.")
@click.option("--force", is_flag=True, help="Lift notice, horizon, schedule and time off for all rows.")
@click.option(
    "--columns",
    "naming",
    metavar="OURS=THEIRS,…",
    callback=_read(parse_column_names),
    help="What the file calls the columns, like startTime=from,resource=room.",
)
@click.option(
    "--timezone", metavar="ZONE", callback=_read(zone), help="Times without an offset are local times of this zone."
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as one line of JSON.")
@click.option(
    "--refused",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Write a JSON line per refused, invalid or differing row.",
)
def import_(file: Path, *, refused: Path | None, **options: Any) -> None:
    """Book the rows of FILE, or of standard input (-): CSV with a header, JSON lines or a JSON array, gzipped or not.

    Columns: reference, resource, startTime, endTime, and optionally customer, service, guests, status, notes. Commas,
    semicolons or tabs between them and UTF-8 or UTF-16 are recognised.

    A row is known by its reference and its resource, so a file can be imported again: what is booked and alike is
    left unchanged, what is booked otherwise differs, and is changed with --update. Rows of one resource are taken in
    the order of the file. What has ended, and what is no longer on, is taken whatever today's rules say.

    Ctrl-C and SIGTERM end the reading; what was read by then is finished and counted. A second one ends at once.

    Exit codes: 0 every row is booked, 1 some differ, were refused or invalid, 2 the file could not be read or booked
    to its end, or a report could not be written; 130 after Ctrl-C, 143 after SIGTERM.
    """
    # Opened before there is a loop, so that Ctrl-C ends the waiting for the first bytes of a pipe.
    with _source(file) as source, _report(refused, source) as report:
        _import(source, _Complaints(report), **options)


@asynchronous
async def _import(  # one argument an option
    source: Source,
    complaints: "_Complaints",
    *,
    create: bool,
    update: bool,
    force: bool,
    naming: ColumnNames | None,
    timezone: Zone,
    as_json: bool,
) -> int:
    """Import and tell; the exit code."""
    began = time.monotonic()
    async with opened() as store:
        warn_if_optimistic(store)
        booking = BookingService(store)
        with _bar(source) as watch:
            importer = Importer(
                store,
                booking,
                create=create,
                update=update,
                force=force,
                timezone=timezone,
                on_problem=complaints.take,
                on_progress=watch,
            )
            failure = await _ended(booking, importer, source, naming)
    seconds = time.monotonic() - began
    report = importer.report
    if report.rows or failure is None:
        complaints.tell(report)
        if as_json:
            result({**asdict(report), "seconds": round(seconds, 3)})
        else:
            write_line(_summary(report, seconds))
    if failure is not None:
        raise failure
    if complaints.lost:
        raise CouldNot("The counts are right, but the file of --refused is not whole; importing again writes it anew.")
    return FOUND if report.problems else DONE


class _Interrupted(click.ClickException):
    """Ctrl-C ended the import; the exit code is what shells say of a process that a signal has ended."""

    exit_code = 128 + signal.SIGINT

    def __init__(self) -> None:
        super().__init__("Interrupted before the end of the file; importing it again goes on from there.")


class _Terminated(_Interrupted):
    """SIGTERM ended the import."""

    exit_code = 128 + signal.SIGTERM


_SIGNALS = {signal.SIGINT: _Interrupted, signal.SIGTERM: _Terminated}


async def _ended(
    booking: BookingService, importer: Importer, source: Source, naming: ColumnNames | None
) -> click.ClickException | None:
    """Import; what ended it early, if something did. What was booked until then is in the importer's report."""
    try:
        with explained(), _stopped_by_signals(source) as signals:
            try:
                await booking.start()
                await importer.run(records_of(source, naming))
            finally:
                await booking.stop()
    except CouldNot as failure:
        return failure
    except InterruptedReadingError:
        return _SIGNALS[signals[0]]()
    except UnreadableError as failure:
        return CouldNot(str(failure))
    return None


@contextmanager
def _stopped_by_signals(source: Source) -> Iterator[list[signal.Signals]]:
    """Let the first signal end the reading, and the next one the process; the list has the first one."""
    loop = asyncio.get_running_loop()
    came: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        came.append(number)
        for each in _SIGNALS:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        source.stop()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        yield came
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


@contextmanager
def _source(file: Path) -> Iterator[Source]:
    try:
        source = Source(file)
    except UnreadableError as error:
        raise CouldNot(str(error)) from error
    try:
        yield source
    finally:
        source.close()


@contextmanager
def _report(path: Path | None, source: Source) -> Iterator[IO[str] | None]:
    """The file of --refused, emptied; never the one that is read."""
    if path is None:
        yield None
        return
    if source.size is not None and source.is_at(path):
        raise CouldNot(f"--refused names {path}, the file that is imported; name another one.")
    try:
        file = click.open_file(str(path), "w", encoding="utf-8")
    except OSError as error:
        raise CouldNot(f"{_REPORT} {path} cannot be opened: {(error.strerror or str(error)).lower()}.") from error
    with file:
        yield file


class _Complaints:
    """The rows that are not booked as the file has them: all into the file, some for people."""

    def __init__(self, file: IO[str] | None) -> None:
        self._shown: list[RowProblem] = []
        self._file = None if file is None else Beside(file, _REPORT, _warn)

    def take(self, complaint: RowProblem) -> None:
        """One more."""
        if self._file is not None:
            self._file.write(json.dumps(complaint, ensure_ascii=False) + "\n")
            self._file.flush()
        if len(self._shown) < SHOWN:
            self._shown.append(complaint)

    @property
    def lost(self) -> bool:
        """Whether the file could not take all of them."""
        return self._file is not None and self._file.failure is not None

    def tell(self, report: Report) -> None:
        """Show the first ones, and how many there are besides."""
        for complaint in self._shown:
            conflicts = f" In the way: {', '.join(complaint['inTheWay'])}." if "inTheWay" in complaint else ""
            row = " ".join([f"line {complaint['line']}", *(complaint[name] for name in _NAMES if name in complaint)])
            _warn(printable(f"{row}: {complaint['problem']}. {complaint['detail']}{conflicts}"))
        more = report.problems - len(self._shown)
        if more > 0:
            _warn(f"… and {more:,} more; --refused FILE writes all of them.")


_REPORT = "The file of --refused"
_NAMES = ("reference", "resource")


def _warn(text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)


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
        description = f"{report.rows:,} rows, {speed:,.0f} a second, {report.problems:,} not as they say"
        self._progress.update(self._task, completed=self._source.read_bytes, description=description)


def _summary(report: Report, seconds: float) -> str:
    counts = ", ".join(f"{count:,} {fate}" for fate, count in asdict(report).items() if fate != "rows")
    return f"{report.rows:,} rows: {counts}, in {seconds:.1f} seconds"

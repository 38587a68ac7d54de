"""`reserva import`: books the rows of a file."""

import asyncio
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from app.booking import BookingService
from app.cli.common import asynchronous, explain_failures, open_store, result, write_line
from app.cli.configuration import DONE, FOUND, CommandFailed
from app.cli.import_report import ProblemReport, progress_of, refused_file, summary
from app.domain.zones import zone
from app.importing.column_names import ColumnNames, parse_column_names
from app.importing.records import records_of
from app.importing.rows import Zone
from app.importing.service import Importer
from app.importing.source import InterruptedReadingError, Source, UnreadableError
from app.operations.start import warn_if_optimistic

ReadOption = Callable[[click.Context, click.Parameter, str | None], Any]


def _parsing_option(parse: Callable[[str], object]) -> ReadOption:
    """A callback that parses an option; the parser's ValueError is the message of a refusal."""

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
    callback=_parsing_option(parse_column_names),
    help="What the file calls the columns, like startTime=from,resource=room.",
)
@click.option(
    "--timezone",
    metavar="ZONE",
    callback=_parsing_option(zone),
    help="Times without an offset are local times of this zone.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as one line of JSON.")
@click.option(
    "--refused",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Write a JSON line per refused, invalid or differing row.",
)
def import_(file: Path, *, refused: Path | None, **options: Any) -> None:
    """Book the rows of FILE, or of standard input (-): CSV with a header, JSON lines or a JSON array, gzipped or not.

    Columns: reference, resource, startTime, endTime, and optionally customer, service, guests, status, notes; a file of
    /v1/reservations/export has an id as well, and may lack references. Commas, semicolons or tabs between them and
    UTF-8 or UTF-16 are recognised.

    A row is known by its resource and its id, or else its reference, so a file can be imported again: what is booked
    and alike is left unchanged, what is booked otherwise differs, and is changed with --update. Rows of one resource
    are taken in the order of the file. What has ended, and what is no longer on, is taken whatever today's rules say.

    Ctrl-C and SIGTERM end the import after the rows under way, which are counted. A second one ends it at once.

    Exit codes: 0 every row is booked, 1 some differ, were refused or invalid, 2 the file could not be read or booked
    to its end, or a report could not be written; 130 after Ctrl-C, 143 after SIGTERM.
    """
    # Opened before the event loop starts, so that Ctrl-C ends the wait for the first bytes of a pipe.
    with _source(file) as source, refused_file(refused, source) as report:
        _import(source, ProblemReport(report), **options)


@asynchronous
async def _import(  # one argument an option
    source: Source,
    problems: "ProblemReport",
    *,
    create: bool,
    update: bool,
    force: bool,
    naming: ColumnNames | None,
    timezone: Zone,
    as_json: bool,
) -> int:
    """Import, print the counts, and return the exit code."""
    started_at = time.monotonic()
    async with open_store() as store:
        warn_if_optimistic(store)
        booking = BookingService(store)
        with progress_of(source) as on_progress:
            importer = Importer(
                store,
                booking,
                create=create,
                update=update,
                force=force,
                timezone=timezone,
                on_problem=problems.add,
                on_progress=on_progress,
            )
            failure = await _run_importer(booking, importer, source, naming)
    seconds = time.monotonic() - started_at
    report = importer.report
    if report.rows or failure is None:
        problems.print_first(report)
        if as_json:
            result({**asdict(report), "seconds": round(seconds, 3)})
        else:
            write_line(summary(report, seconds))
    if failure is not None:
        raise failure
    if problems.is_incomplete:
        raise CommandFailed(
            "The counts are right, but the file of --refused is not whole; importing again writes it anew."
        )
    return FOUND if report.problems else DONE


class _Interrupted(click.ClickException):
    """Ctrl-C ended the import; the exit code is that of a process ended by a signal."""

    exit_code = 128 + signal.SIGINT

    def __init__(self) -> None:
        super().__init__("Interrupted before the end of the file; importing it again goes on from there.")


class _Terminated(_Interrupted):
    """SIGTERM ended the import."""

    exit_code = 128 + signal.SIGTERM


_SIGNALS = {signal.SIGINT: _Interrupted, signal.SIGTERM: _Terminated}


async def _run_importer(
    booking: BookingService, importer: Importer, source: Source, naming: ColumnNames | None
) -> click.ClickException | None:
    """Run the importer; returns why it ended early, if it did. Its report counts what was booked until then."""
    try:
        with explain_failures(), _stopped_by_signals(source, importer) as signals:
            try:
                await booking.start()
                await importer.run(records_of(source, naming))
            finally:
                await booking.stop()
    except CommandFailed as failure:
        return failure
    except InterruptedReadingError:
        return _SIGNALS[signals[0]]()
    except UnreadableError as failure:
        return CommandFailed(str(failure))
    return None


@contextmanager
def _stopped_by_signals(source: Source, importer: Importer) -> Generator[list[signal.Signals]]:
    """Let the first signal end the import, and a second one the process; yields a list that receives the first."""
    loop = asyncio.get_running_loop()
    received: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        received.append(number)
        for each in _SIGNALS:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        source.stop()
        importer.stop()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        yield received
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


@contextmanager
def _source(file: Path) -> Generator[Source]:
    try:
        source = Source(file)
    except UnreadableError as error:
        raise CommandFailed(str(error)) from error
    try:
        yield source
    finally:
        source.close()

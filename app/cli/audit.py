"""`reserva audit`: finds conflicts in a database that Reserva may never have written, without writing to it."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.audit import Report, ShapeError, UnknownFieldsError, audit, read_pipeline
from app.cli.audit_advice import AuditRequest, advice, unknown_fields_message
from app.cli.audit_options import PIPELINE, Grouped, shape_of, shape_options
from app.cli.audit_report import omitted, summary, table, write
from app.cli.common import asynchronous, console, render_text, result, write_line
from app.cli.configuration import DONE, FOUND, CommandFailed, environment
from app.domain.lifecycle import BLOCKING
from app.storage.readonly import open_read_only


def _parse_names(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if not names:
        raise click.BadParameter("Name at least one status.")
    return names


@click.command(
    "audit",
    cls=Grouped,
    epilog="Example:  reserva audit --mongodb mongodb://127.0.0.1:27017/payload --csv conflicts.csv",
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
    callback=_parse_names,
    help="The statuses that occupy a resource.",
)
@shape_options
@PIPELINE
@click.option("--json", "as_json", is_flag=True, help="Print the report as one line of JSON.")
@click.option("--csv", "file", type=click.File("w", encoding="utf-8", lazy=False), help="Write a row per window.")
@asynchronous
async def audit_(
    *,
    mongodb: str,
    database: str | None,
    collection: str,
    blocking: tuple[str, ...],
    pipeline: Path | None,
    as_json: bool,
    file: IO[str] | None,
    **fields: object,
) -> int:
    """Find resources that are booked above their capacity, in any database.

    Reads Reserva's own reservations and those of payload-reserve: capacities from `resources`, `items` each on their
    own resource. Buffers count only where a document states what it blocks. Other schemas are read by the options
    that name their fields, with dotted paths (`slot.start`); where nothing could be read, a guess of them is printed.
    Nothing is ever written to the database.

    Exit codes: 0 nothing found, 1 conflicts or unknown statuses found, 2 the audit failed, or could read almost
    nothing.
    """
    environment()
    shape = shape_of(click.get_current_context(), fields)
    with _explained_options():
        stages = [] if pipeline is None else read_pipeline(pipeline)
    request = AuditRequest(await open_read_only(mongodb, database), collection, blocking, shape, pipeline, stages)
    try:
        return await _audit(request, as_json=as_json, file=file)
    finally:
        await request.reading.close()


async def _audit(request: AuditRequest, *, as_json: bool, file: IO[str] | None) -> int:
    reading, collection = request.reading, request.collection
    try:
        with _explained_options(), _spinner() as on_progress:
            report = await audit(reading, collection, request.blocking, on_progress, request.shape, request.stages)
    except UnknownFieldsError as error:
        raise CommandFailed(await unknown_fields_message(request, error.paths)) from error
    file_failure = None if file is None else write(file, report)
    if as_json:
        result(report.as_json())
        for line in summary(report):
            console.print(line, soft_wrap=True)
    else:
        tables = [await table(reading, collection, report)] if report.windows else []
        write_line(render_text(*tables, *omitted(report), *summary(report)))
    if file_failure is not None:
        raise CommandFailed("The report above is whole, the file is not.")
    if not report.is_readable:
        raise CommandFailed(await advice(request, report))
    return FOUND if report.windows or report.unknown_statuses.counts else DONE


@contextmanager
def _explained_options() -> Generator[None]:
    """Turn a `ShapeError` into `CommandFailed`."""
    try:
        yield
    except ShapeError as error:
        raise CommandFailed(str(error)) from error


@contextmanager
def _spinner() -> "Generator[_ProgressLine]":
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield _ProgressLine(progress)


class _ProgressLine:
    """The progress line on a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("starting")

    def __call__(self, report: Report) -> None:
        self._progress.update(self._task, description=f"{report.read:,} reservations")

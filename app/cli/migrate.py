"""`reserva migrate`: prepares a database, or reports the obstacles."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

import click
from rich.progress import BarColumn, Progress, TextColumn

from app.cli.common import asynchronous, console, open_store, write_line
from app.cli.configuration import DONE, FOUND, read_configuration
from app.migration.migrate import migrate as run_migration
from app.migration.report import DUPLICATE_KEY_KINDS, MigrationFinding, MigrationReport, OnProgress, examples
from app.operations.start import log_start
from app.storage.values import printable

LINES_MAX = 100
"""Lines of one kind, and ids in one line."""


@click.command("migrate", epilog="Example:  MONGODB_URL=mongodb://db:27017/reserva reserva migrate --check")
@click.option("--check", is_flag=True, help="Only report; exit code 1 if something is missing or different.")
@click.option("--apply", is_flag=True, help="Also unset unique keys that are null or on several reservations.")
@asynchronous
async def migrate(*, check: bool, apply: bool) -> int:
    """Build the missing indexes and guards of a database.

    Everything is checked before anything is built. Nothing is dropped or removed, and while something is in the way
    nothing is built. What would change reservations waits for --apply; until then the exit code is 1.
    """
    if check and apply:
        raise click.UsageError("--check only reports and --apply changes; choose one.")
    settings = read_configuration()
    async with open_store(settings, require_migrated=False) as store:
        log_start(settings, store)
        with _progress() as on_progress:
            report = await run_migration(store, check=check, apply=apply, on_progress=on_progress)
        name = store.database.name
    _print_report(report)
    if report.clean:
        console.print(f"The database {name} is ready.")
        return DONE
    if report.obstacles and not check:
        console.print(f"Nothing was built or changed. {_remedy(report)}")
    else:
        console.print(f"The database {name} is not ready.")
    return FOUND


def _remedy(report: MigrationReport) -> str:
    """The remedy for the obstacles."""
    if all(finding.kind in DUPLICATE_KEY_KINDS for finding in report.obstacles):
        return "`reserva migrate --apply` unsets these keys and builds the rest."
    kinds = ", ".join(sorted({finding.kind for finding in report.obstacles} - DUPLICATE_KEY_KINDS))
    return f"First take out of the way what is found under {kinds}, each with what helps."


def _print_report(report: MigrationReport) -> None:
    """Print a line for each change and finding; of one kind the first hundred, and the number of the others."""
    lines: dict[str, list[tuple[str, str]]] = {
        "changed": [("", line) for line in report.changed],
        "built": [("", line) for line in report.built],
        "note": [(note.kind, f"{note.kind}: {note.detail}") for note in report.notes],
        "found": [(finding.kind, _line(finding)) for finding in report.findings],
    }
    for verb, kind_lines in lines.items():
        counts: Counter[str] = Counter()
        for kind, line in kind_lines:
            counts[kind] += 1
            if counts[kind] <= LINES_MAX:
                write_line(printable(f"{verb:9}{line}"))
        for kind, count in counts.items():
            if count > LINES_MAX:
                write_line(f"{verb:9}… and {count - LINES_MAX:,} more{kind and ' of ' + kind}")


def _line(finding: MigrationFinding) -> str:
    ids = f" Reservations: {examples(finding.ids, LINES_MAX)}" if finding.kind in DUPLICATE_KEY_KINDS else ""
    return f"{finding.kind}: {finding.detail}{ids}"


@contextmanager
def _progress() -> Generator[OnProgress]:
    """Show progress on a terminal: the current step, and how much of it is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,}"))
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("looking")

        def on_progress(what: str, done: int, total: int | None) -> None:
            progress.update(task, description=what, completed=done, total=total)

        yield on_progress

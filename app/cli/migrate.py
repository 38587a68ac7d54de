"""`reserva migrate`: prepares a database, or says what keeps it from being prepared."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.progress import BarColumn, Progress, TextColumn

from app.cli.common import DONE, FOUND, asynchronous, console, opened, write_line
from app.migration.migrate import migrate as bring_up
from app.migration.report import DUPLICATE_KEY_KINDS, MigrationFinding, MigrationReport, OnProgress, examples
from app.storage.values import printable

LINES = 100
"""Of one kind; and ids in one line."""


@click.command("migrate", epilog="Example:  MONGODB_URL=mongodb://db:27017/reserva reserva migrate --check")
@click.option("--check", is_flag=True, help="Only report; exit code 1 if something is missing or different.")
@click.option("--apply", is_flag=True, help="Also unset unique keys that are null or on several reservations.")
@asynchronous
async def migrate(*, check: bool, apply: bool) -> int:
    """Build the missing indexes and guards of a database.

    Everything is looked at before anything is built. Nothing is dropped or removed, and while something is in the way
    nothing is built. What would change reservations waits for --apply; until then the exit code is 1.
    """
    if check and apply:
        raise click.UsageError("--check only reports and --apply changes; choose one.")
    async with opened(verified=False) as store:
        with _bar() as watch:
            report = await bring_up(store, check=check, apply=apply, on_progress=watch)
        name = store.database.name
    _tell(report)
    if report.clean:
        console.print(f"The database {name} is ready.")
        return DONE
    if report.obstacles and not check:
        console.print(f"Nothing was built or changed. {_helps(report)}")
    else:
        console.print(f"The database {name} is not ready.")
    return FOUND


def _helps(report: MigrationReport) -> str:
    """What to do about what is in the way."""
    if all(finding.kind in DUPLICATE_KEY_KINDS for finding in report.obstacles):
        return "`reserva migrate --apply` unsets these keys and builds the rest."
    kinds = ", ".join(sorted({finding.kind for finding in report.obstacles} - DUPLICATE_KEY_KINDS))
    return f"First take out of the way what is found under {kinds}, each with what helps."


def _tell(report: MigrationReport) -> None:
    """A line for each thing, on standard output; of very many alike the first ones, and how many there are."""
    lines: dict[str, list[tuple[str, str]]] = {
        "changed": [("", line) for line in report.changed],
        "built": [("", line) for line in report.built],
        "note": [(note.kind, f"{note.kind}: {note.detail}") for note in report.notes],
        "found": [(finding.kind, _line(finding)) for finding in report.findings],
    }
    for verb, those in lines.items():
        counts: Counter[str] = Counter()
        for kind, line in those:
            counts[kind] += 1
            if counts[kind] <= LINES:
                write_line(printable(f"{verb:9}{line}"))
        for kind, count in counts.items():
            if count > LINES:
                write_line(f"{verb:9}… and {count - LINES:,} more{kind and ' of ' + kind}")


def _line(finding: MigrationFinding) -> str:
    ids = f" Reservations: {examples(finding.ids, LINES)}" if finding.kind in DUPLICATE_KEY_KINDS else ""
    return f"{finding.kind}: {finding.detail}{ids}"


@contextmanager
def _bar() -> Iterator[OnProgress]:
    """Progress on a terminal: what is done, and how much of it."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,}"))
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("looking")

        def watch(what: str, done: int, total: int | None) -> None:
            progress.update(task, description=what, completed=done, total=total)

        yield watch

"""What `reserva import` shows: its progress, the rows that are not booked as the file has them, and the counts."""

import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli.common import console
from app.cli.configuration import CommandFailed
from app.cli.output import SideFile
from app.importing.report import Report, RowProblem
from app.importing.source import Source
from app.storage.values import printable

PROBLEMS_SHOWN = 10
"""Problems that are printed; the file of `--refused` has all."""
_REPORT = "The file of --refused"
_NAMES = ("reference", "id", "resource")


@contextmanager
def refused_file(path: Path | None, source: Source) -> Generator[IO[str] | None]:
    """Open and empty the file of --refused.

    Raises:
        CommandFailed: the file cannot be opened, or is the one that is imported.
    """
    if path is None:
        yield None
        return
    if source.size is not None and source.is_at(path):
        raise CommandFailed(f"--refused names {path}, the file that is imported; name another one.")
    try:
        file = click.open_file(str(path), "w", encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"{_REPORT} {path} cannot be opened: {(error.strerror or str(error)).lower()}.") from error
    with file:
        yield file


class ProblemReport:
    """Rows that are not booked as the file has them: all go to the file of --refused, the first to the console."""

    def __init__(self, file: IO[str] | None) -> None:
        self._shown: list[RowProblem] = []
        self._file = None if file is None else SideFile(file, _REPORT, _print_warning)

    def add(self, problem: RowProblem) -> None:
        """Add a row."""
        if self._file is not None:
            self._file.write(json.dumps(problem, ensure_ascii=False) + "\n")
            self._file.flush()
        if len(self._shown) < PROBLEMS_SHOWN:
            self._shown.append(problem)

    @property
    def is_incomplete(self) -> bool:
        """Whether the file lacks rows, because it could not be written."""
        return self._file is not None and self._file.failure is not None

    def print_first(self, report: Report) -> None:
        """Print the first rows, and the number of the others."""
        for problem in self._shown:
            conflicts = f" In the way: {', '.join(problem['inTheWay'])}." if "inTheWay" in problem else ""
            row = " ".join([f"line {problem['line']}", *(problem[name] for name in _NAMES if name in problem)])
            _print_warning(printable(f"{row}: {problem['problem']}. {problem['detail']}{conflicts}"))
        more = report.problems - len(self._shown)
        if more > 0:
            _print_warning(f"… and {more:,} more; --refused FILE writes all of them.")


def _print_warning(text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)


@contextmanager
def progress_of(source: Source) -> "Generator[ProgressBar]":
    """Show progress on a terminal: the part of the file that is done, and rows per second."""
    columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield ProgressBar(progress, source)


class ProgressBar:
    """A progress bar that advances with the rows."""

    def __init__(self, progress: Progress, source: Source) -> None:
        self._progress = progress
        self._source = source
        self._task = progress.add_task("0 rows", total=source.size)
        self._started_at = time.monotonic()

    def __call__(self, report: Report, read_rows: int) -> None:
        """Show the progress of a report; of the bytes that were read, the same part is done as of the rows."""
        if self._progress.disable:
            return
        speed = report.rows / max(time.monotonic() - self._started_at, 0.001)
        description = f"{report.rows:,} rows, {speed:,.0f} a second, {report.problems:,} not as they say"
        done_bytes = self._source.read_bytes * report.rows / read_rows
        self._progress.update(self._task, completed=done_bytes, description=description)


def summary(report: Report, seconds: float) -> str:
    """The counts of an import, and the seconds that it took, as a sentence."""
    counts = ", ".join(f"{count:,} {fate}" for fate, count in asdict(report).items() if fate != "rows")
    return f"{report.rows:,} rows: {counts}, in {seconds:.1f} seconds"

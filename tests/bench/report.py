"""What a benchmark shows: a table, and the promises that did not hold."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from tests.bench.watched import Watch
from tests.support.servers import new_database
from tests.support.staged_app import Stage, staged


@dataclass(slots=True)
class Report:
    """One table with its notes; `broken` says which promises did not hold."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def promise(self, what: str, *, holds: bool) -> None:
        """Note what did not hold."""
        if not holds:
            self.broken.append(what)

    def show(self, console: Console) -> None:
        """Print it."""
        table = Table(title=self.title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for index, column in enumerate(self.columns):
            table.add_column(column, justify="right" if index else "left")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)
        for note in self.notes:
            console.print(note, style="dim")
        for each in self.broken:
            console.print(f"BROKEN: {each}", style="bold red")
        console.print()


@dataclass(frozen=True, slots=True)
class Bench:
    """The settings of all benchmarks: the server, and how long to go on.

    Args:
        server_url: Scratch databases are made there.
        rounds: How often what is measured is repeated; storms and kills too.
        seconds: How long a round of load lasts.
        repetitions: Of the hold that expires under a storm, and of the event that is waited for.
        requests: How many requests a process answers while its memory is measured.
        stored: How many reservations the largest of several databases has, and how many events a log.
    """

    server_url: str
    rounds: int
    seconds: float
    repetitions: int
    requests: int
    stored: int

    @contextmanager
    def stage(self) -> Iterator[Stage]:
        """A new database, prepared."""
        with staged(new_database(self.server_url, "reserva_bench")) as stage:
            yield stage

    @contextmanager
    def watch(self) -> Iterator[Watch]:
        """Notes of what transactions do."""
        with TemporaryDirectory(prefix="reserva-bench-") as folder:
            yield Watch(Path(folder) / "notes")


def status_counts(counts: Counter[int]) -> str:
    """Counts of answers by status, as text."""
    return ", ".join(f"{count} x {status}" for status, count in sorted(counts.items()))

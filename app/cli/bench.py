"""`reserva bench`: Reserva beside other ways to book, on this machine."""

import asyncio
import json
import signal
from collections.abc import Generator
from contextlib import contextmanager
from typing import IO

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from app.bench.chart import Group, chart
from app.bench.competitors import BASE
from app.bench.figures import ratios, spread_of
from app.bench.processes import BenchError
from app.bench.report import report
from app.bench.run import OnLoad, Options, Outcome, measure
from app.cli.bench_tables import tables
from app.cli.common import asynchronous, console, render_text, write_line
from app.cli.configuration import DONE, FOUND, CommandFailed, environment
from app.cli.output import SideFile
from app.trial.errors import TrialError

CONNECTIONS = (1, 8, 32, 128)
_MOST_CONNECTIONS = 1_000
_MOST_PROCESSES = 8


@click.command(epilog="Example:  reserva bench --rounds 9 --processes 2 --json bench.json --svg bench.svg")
@click.option("--mongodb", metavar="URL", help="A server of MongoDB; without it, the one of `reserva dev` is started.")
@click.option(
    "--rounds", type=click.IntRange(1, 1_000), default=5, show_default=True, help="How often all is repeated."
)
@click.option(
    "--seconds", type=click.FloatRange(0.1, 3_600), default=3.0, show_default=True, help="The time of each load."
)
@click.option(
    "--connections",
    type=click.IntRange(1, _MOST_CONNECTIONS),
    multiple=True,
    default=CONNECTIONS,
    show_default=True,
    help="Requests at a time, in the workload `spread`; may be repeated.",
)
@click.option(
    "--processes", type=click.IntRange(1, _MOST_PROCESSES), default=1, show_default=True, help="How many of each app."
)
@click.option(
    "--json", "json_file", type=click.File("w", encoding="utf-8", lazy=False), help="Write all that was seen."
)
@click.option("--svg", "svg_file", type=click.File("w", encoding="utf-8", lazy=False), help="Write the ratios as bars.")
@asynchronous
async def bench(
    *,
    mongodb: str | None,
    rounds: int,
    seconds: float,
    connections: tuple[int, ...],
    processes: int,
    json_file: IO[str] | None,
    svg_file: IO[str] | None,
) -> int:
    """Measure how fast Reserva books, beside other ways to do it, and count the double bookings of each.

    Side by side on this machine, in turn within each round: Reserva; one unchecked insert a request; a check followed
    by an insert, as applications do it; PostgreSQL with an exclusion constraint, if it is installed. Each has the same
    framework, processes of its own and a database of its own, which is dropped at the end; data that are there already
    are not touched.

    Exit codes: 0 measured, 1 Reserva made a double booking or lost a booking, 2 the benchmark could not be run.
    """
    environment()
    options = Options(mongodb, rounds, seconds, tuple(dict.fromkeys(connections)), processes)
    with _progress() as on_load:
        outcome = await _measure(options, on_load)
    write_line(render_text(*tables(options, outcome)))
    written = [
        _write(json_file, "The file of --json", json.dumps(report(options, outcome), indent=1) + "\n"),
        _write(svg_file, "The file of --svg", _picture(outcome)),
    ]
    if not all(written):
        raise CommandFailed("The tables above are whole, a file is not.")
    for sentence in outcome.broken:
        console.print(sentence, style="bold red", soft_wrap=True)
    return FOUND if outcome.broken else DONE


class _Terminated(click.ClickException):
    """SIGTERM ended the benchmark; the exit code is that of a process ended by a signal."""

    exit_code = 128 + signal.SIGTERM


async def _measure(options: Options, on_load: OnLoad) -> Outcome:
    """Measure; a signal ends it as Ctrl-C does, with nothing left behind.

    Raises:
        CommandFailed: if something cannot be started, or ended by itself.
    """
    task = asyncio.ensure_future(measure(options, on_load))
    ended: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        ended.append(number)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, end, number)
    try:
        return await task
    except (BenchError, TrialError) as error:
        raise CommandFailed(str(error)) from error
    except asyncio.CancelledError:
        if not ended:
            raise
        raise _Terminated("Terminated; the databases of the benchmark are dropped.") from None


def _write(file: IO[str] | None, what: str, text: str) -> bool:
    """Write one of the files, if it is wanted; whether it could be written."""
    if file is None:
        return True
    side = SideFile(file, what, lambda failure: console.print(failure, markup=False, soft_wrap=True))
    side.write(text)
    side.flush()
    return side.failure is None


def _picture(outcome: Outcome) -> str:
    """The ratios of all cases as bars."""
    series = [each for each in outcome.field.competitors if each.name != BASE]
    groups = [
        Group(
            f"{case.workload}, {case.connections}",
            [spread_of(ratios(loads[each.name], loads[BASE])) for each in series],
        )
        for case, loads in outcome.loads.items()
    ]
    title = "Slots booked a second, as a multiple of one unchecked insert a request, by workload and connections"
    return chart(title, "one unchecked insert", [each.title for each in series], groups)


@contextmanager
def _progress() -> Generator[OnLoad]:
    """Show what is measured on a terminal, and how long it still takes."""
    columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("starting", total=1)
        yield lambda what, part: progress.update(task, description=what, completed=part)

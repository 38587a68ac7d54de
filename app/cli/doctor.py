"""`reserva doctor`: looks at everything that a deployment rests on, and names what is wrong with its remedy."""

from collections import Counter
from collections.abc import Sequence

import click
from rich.table import Table
from rich.text import Text

from app.cli.common import asynchronous, console, render_text, result, write_line
from app.cli.configuration import DONE, FOUND, read_configuration
from app.migration.report import number
from app.open_files import open_files
from app.operations.doctor.examination import Line, examine
from app.operations.doctor.observation import State
from app.operations.doctor.subject import read_subject
from app.storage.client import connect
from app.storage.values import printable

_COLOURS: dict[State, str] = {"ok": "green", "warning": "yellow", "problem": "bold red"}


@click.command(epilog="Example:  MONGODB_URL=mongodb://db:27017/?replicaSet=rs0 REDIS_URL=redis://queue reserva doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@asynchronous
async def doctor(*, as_json: bool) -> int:
    """Look at servers, indexes, plans, transactions, clocks, limits, the worker, runs, keys and settings.

    Each line is ok, a warning or a problem, with its remedy. Nothing that it writes stays. The exit code is 1 if there
    is a problem.
    """
    settings = read_configuration()
    store = await connect(settings, mode="auto", appname="reserva doctor")  # a lack of transactions is one of the lines
    try:
        subject = await read_subject(store, settings, open_files())
        lines = [line async for line in examine(subject)]
    finally:
        await store.close()
    counts = Counter(line.observation.state for line in lines)
    if as_json:
        result({"problems": counts["problem"], "warnings": counts["warning"], "checks": [*map(_json, lines)]})
    else:
        write_line(_table(lines))
        console.print(
            f"{number(counts['problem'], 'problem')}, {number(counts['warning'], 'warning')}, {counts['ok']} ok."
        )
    return FOUND if counts["problem"] else DONE


def _json(line: Line) -> dict[str, str]:
    observation = line.observation
    found = {"check": line.check, "state": observation.state, "detail": observation.detail}
    return found if observation.remedy is None else {**found, "remedy": observation.remedy}


def _table(lines: Sequence[Line]) -> str:
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check, observation in lines:
        words = " ".join(filter(None, (observation.detail, observation.remedy)))
        table.add_row(Text(observation.state, _COLOURS[observation.state]), check, Text(printable(words)))
    return render_text(table)

"""What `reserva bench` prints: a table for each workload, what is stored, and what to think of it."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from app.bench.competitors import BASE, BASES, POSTGRESQL, Field
from app.bench.figures import Spread, ratios, spread_of
from app.bench.loads import WANTED, Case, Load, Workload
from app.bench.report import machine
from app.bench.run import RESOURCES, Options, Outcome

_TITLES: dict[Workload, str] = {
    "spread": f"spread: each request asks for a free slot of one of {len(RESOURCES['spread'])} resources",
    "hot": f"hot: all connections ask for the {WANTED} next free slots of one resource",
}
_BUSY_GENERATOR = 0.8
"""The share of a core from which the load generator may be what limits a rate."""


def tables(options: Options, outcome: Outcome) -> Iterator[RenderableType]:
    """All that is printed, from top to bottom."""
    yield Text(_conditions(options, outcome.field))
    for workload, title in _TITLES.items():
        cases = {case: loads for case, loads in outcome.loads.items() if case.workload == workload}
        yield Text("")
        yield _loads(title, cases, outcome.field)
    yield Text("")
    yield _counts(outcome)
    yield Text("")
    for name, reason in outcome.field.left_out.items():
        yield Text(f"{name} is left out: {reason}.")
    yield Text(_generator_share(outcome))


def _conditions(options: Options, field: Field) -> str:
    here = machine()
    servers = [f"MongoDB server {field.versions['mongodb']} ({field.versions['mode']})"]
    servers += [version for name, version in field.versions.items() if name == POSTGRESQL]
    how = f"rounds: {options.rounds} of {options.seconds:g} s each; processes of each app: {options.processes}"
    return f"{here['cpu']}, {here['usableCpus']} CPUs, Python {here['python']}, {', '.join(servers)}; {how}"


def _loads(title: str, cases: Mapping[Case, Mapping[str, Sequence[Load]]], field: Field) -> Table:
    table = _table(title)
    table.add_column("connections", justify="right")
    table.add_column("")
    bases = {BASE: "of unchecked", POSTGRESQL: "of PostgreSQL"}
    compared = [base for base in BASES if base not in field.left_out]
    others = ("decided/s", "p50 ms", "p99 ms", "refused", "failed")
    for heading in ("booked/s", *(bases[base] for base in compared), *others):
        table.add_column(heading, justify="right")
    for case, loads in cases.items():
        for place, each in enumerate(field.competitors):
            rounds = loads[each.name]
            table.add_row(
                "" if place else str(case.connections),
                each.title,
                f"{spread_of([load.rate for load in rounds]).median:,.0f}",
                *("1" if each.name == base else _ratio(spread_of(ratios(rounds, loads[base]))) for base in compared),
                f"{spread_of([load.decision_rate for load in rounds]).median:,.0f}",
                f"{spread_of([load.p50_ms for load in rounds]).median:,.1f}",
                f"{spread_of([load.p99_ms for load in rounds]).median:,.1f}",
                _share([load.refused for load in rounds], rounds),
                _share([load.failed + load.broken + load.unanswered for load in rounds], rounds),
                end_section=place == len(field.competitors) - 1,
            )
    return table


def _counts(outcome: Outcome) -> Table:
    table = _table("stored at the end, counted without a line of the code that books")
    table.add_column("")
    for heading in ("accepted", "stored", "double bookings", "highest load of one resource"):
        table.add_column(heading, justify="right")
    for each in outcome.field.competitors:
        count = outcome.counts[each.name]
        figures = (outcome.accepted[each.name], count.stored, count.double, count.peak)
        table.add_row(each.title, *(f"{figure:,}" for figure in figures))
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)


def _ratio(spread: Spread) -> str:
    return f"{spread.median:.2f} ({spread.least:.2f} to {spread.most:.2f})"


def _share(counts: Sequence[int], rounds: Sequence[Load]) -> str:
    """The part of all requests, empty for none."""
    asked = sum(load.asked for load in rounds)
    return f"{sum(counts) / asked:.1%}" if sum(counts) else ""


def _generator_share(outcome: Outcome) -> str:
    """How much of a core the load generator used at most, and what that means."""
    loads = [load for those in outcome.loads.values() for rounds in those.values() for load in rounds]
    share = max(load.generator_share for load in loads)
    limit = " The highest rates are its limit, not the servers'." if share > _BUSY_GENERATOR else ""
    return f"The load generator used {share:.0%} of one core at most.{limit}"

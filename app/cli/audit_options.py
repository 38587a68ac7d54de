"""The options of `reserva audit` for the fields of a foreign schema, in groups with an example each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from typing_extensions import override

from app.audit import Shape, ShapeError, parse_condition
from app.audit.shape import Condition
from app.storage.values import COUNT_MAX

_Command = TypeVar("_Command", bound=Callable[..., object])

_REST = "What is read, and what is reported"
GROUPS = {
    "Where and when": "--resource-field room --start checkIn --end checkOut",
    "Times in texts": "--date-field day --time-field slot --date-format DD/MM/YYYY --timezone Europe/Paris",
    "What occupies": "--status-field state --blocking booked,seated --free-if isCancelled=true",
    "How much": "--units-field seats --capacity-from tours.maxSeats",
}
"""The groups of the help, each with an example."""


class Grouped(click.Command):
    """A command whose help shows its options by group."""

    @override
    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each group with its example, then the rest."""
        groups: dict[str, list[tuple[str, str]]] = {name: [] for name in (_REST, *GROUPS)}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                groups[getattr(parameter, "group", _REST)].append(record)
        for name, records in groups.items():
            with formatter.section(name):
                formatter.write_dl(records)
                if name in GROUPS:
                    formatter.write_paragraph()
                    formatter.write_text(f"Example:  {GROUPS[name]}")


class _InGroup(click.Option):
    """An option of a group."""

    def __init__(self, *names: Any, group: str, **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.group = group


def _option(group: str, name: str, field: str, explanation: str, **settings: object) -> Callable[[_Command], _Command]:
    return click.option(name, field, cls=_InGroup, group=group, help=explanation, **settings)


def _conditions(_context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> tuple[Condition, ...]:
    return tuple(parse_condition(text) for text in value)


_WHERE, _TEXTS, _WHAT, _HOW_MUCH = GROUPS
_OPTIONS = (
    _option(_WHERE, "--resource-field", "resource", "What is occupied; an array: each element.", metavar="PATH"),
    _option(_WHERE, "--start", "start", "The instant at which it starts.", metavar="PATH"),
    _option(_WHERE, "--end", "end", "The instant, or the time of day, at which it ends.", metavar="PATH"),
    _option(_WHERE, "--minutes", "minutes", "Each lasts so long.", type=click.IntRange(1, COUNT_MAX), metavar="N"),
    _option(_WHERE, "--minutes-field", "minutes_field", "How many minutes one lasts.", metavar="PATH"),
    _option(
        _WHERE, "--date-field", "date", "The local day; without a time the whole day; an array: each.", metavar="PATH"
    ),
    _option(_WHERE, "--time-field", "time", "The time of day: 9:30, 2 PM, or 10:00 - 11:30.", metavar="PATH"),
    _option(
        _TEXTS, "--date-format", "date_format", "How days or instants are written, if not as ISO 8601.", metavar="F"
    ),
    _option(
        _TEXTS, "--timezone", "timezone", "Whose clocks texts without an offset mean; default UTC.", metavar="ZONE"
    ),
    _option(_WHAT, "--status-field", "status", "The status.", metavar="PATH"),
    _option(_WHAT, "--no-status", "no_status", "There is no status: every row occupies.", is_flag=True),
    _option(
        _WHAT,
        "--free-if",
        "free_if",
        "A row with this value occupies nothing; PATH alone: any but null, false or empty. May be repeated.",
        metavar="PATH=VALUE",
        multiple=True,
        callback=_conditions,
    ),
    _option(_HOW_MUCH, "--units-field", "units", "How many units one takes; absent: 1.", metavar="PATH"),
    _option(
        _HOW_MUCH, "--capacity", "capacity", "What each resource holds.", type=click.IntRange(0, COUNT_MAX), metavar="N"
    ),
    _option(
        _HOW_MUCH,
        "--capacity-from",
        "capacity_from",
        "The field with the capacity of each resource, which is found by its _id.",
        metavar="COLLECTION.PATH",
    ),
)

PIPELINE = click.option(
    "--pipeline",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="An aggregation in JSON that goes before everything; it may only read.",
)


def shape_options(command: _Command) -> _Command:
    """Add all options of a shape to a command; `shape_of` builds the shape from their values."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def shape_of(context: click.Context, options: dict[str, Any]) -> Shape:
    """The shape that the options describe.

    Raises:
        click.UsageError: if they contradict each other.
    """
    try:
        shape = Shape(**options)
    except ShapeError as error:
        raise click.UsageError(str(error)) from error
    if shape.no_status and context.get_parameter_source("blocking") is not click.core.ParameterSource.DEFAULT:
        raise click.UsageError("--no-status says that there is no status, --blocking which ones occupy; give one.")
    return shape

"""The fields of a foreign schema that an audit reads: the options of `reserva audit`, and which exclude each other."""

from dataclasses import dataclass, fields

from typing_extensions import override

from app.audit.texts import DateFormat
from app.domain.zones import zone
from app.storage.row_reader import folded
from app.storage.values import identity

_PLACE_FIELDS = ("resource", "start", "end", "minutes", "minutes_field", "date", "time", "units")
_TIME_FIELDS = ("start", "end", "minutes", "minutes_field", "date", "time")
_OPTIONS = {
    "resource": "--resource-field",
    "start": "--start",
    "end": "--end",
    "minutes": "--minutes",
    "minutes_field": "--minutes-field",
    "date": "--date-field",
    "time": "--time-field",
    "date_format": "--date-format",
    "timezone": "--timezone",
    "status": "--status-field",
    "units": "--units-field",
    "capacity": "--capacity",
    "capacity_from": "--capacity-from",
}


class ShapeError(ValueError):
    """Options contradict each other or do not fit the database; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition under which a row occupies nothing.

    Args:
        path: The field.
        value_text: Its value as text; None: any value but null, false and the empty text.
    """

    path: str
    value_text: str | None = None

    @override
    def __str__(self) -> str:
        """The condition as the command line has it."""
        return self.path if self.value_text is None else f"{self.path}={self.value_text}"

    def holds(self, value: object) -> bool:
        """Whether a value of the field meets the condition; of a list, whether an element does."""
        if isinstance(value, list):
            return any(self.holds(each) for each in value)
        if self.value_text is None:
            return value not in (None, False, "")
        return folded(option_text(value)) == folded(self.value_text)


def parse_condition(text: str) -> Condition:
    """Parse a condition: `cancelled=true`, or `cancelledAt` for any value of that field."""
    path, separator, value_text = text.partition("=")
    return Condition(path.strip(), value_text.strip() if separator else None)


def option_text(value: object) -> str:
    """A value as it is written on a command line: true, 3, a text, an id."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return identity(value) or str(value)


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of a schema, as dotted paths; None means the field of payload-reserve and Reserva.

    Attributes:
        resource: The resource; an array means each of its elements.
        start: The first instant, as a date or text.
        end: The instant after the last one, as a date or text; with `time` a time of day.
        minutes: The length of every reservation.
        minutes_field: The length of a reservation, in minutes.
        date: The local day; an array means each of its elements.
        time: The time of day of the start, or a span; without it the whole day is occupied.
        date_format: The format of texts in `date`, or in `start` and `end`.
        timezone: The zone of texts that name no offset; by default UTC.
        status: The status.
        no_status: There is no status: every row occupies.
        free_if: Conditions under which a row occupies nothing, whatever its status.
        units: The units of the resource that a row occupies.
        capacity: The capacity of every resource.
        capacity_from: Collection and field of the capacities, by `_id`, like `rooms.quantity`.

    Raises:
        ShapeError: if options contradict each other.
    """

    resource: str | None = None
    start: str | None = None
    end: str | None = None
    minutes: int | None = None
    minutes_field: str | None = None
    date: str | None = None
    time: str | None = None
    date_format: str | None = None
    timezone: str | None = None
    status: str | None = None
    no_status: bool = False
    free_if: tuple[Condition, ...] = ()
    units: str | None = None
    capacity: int | None = None
    capacity_from: str | None = None

    def __post_init__(self) -> None:
        """Refuse options that contradict each other."""
        for name in self.paths:
            _check_path(name)
        self._check_times()
        if self.no_status and self.status is not None:
            raise ShapeError("--no-status says that there is no status, --status-field where it is; give one of them.")
        if self.capacity is not None and self.capacity_from is not None:
            raise ShapeError("--capacity is for all resources, --capacity-from for each its own; give one of them.")
        if self.capacity_from is not None and not all(self.capacity_from.partition(".")):
            raise ShapeError("Write --capacity-from as collection and field, like rooms.quantity.")
        try:
            zone(self.timezone or "UTC")
            if self.date_format is not None:
                DateFormat(self.date_format)
        except ValueError as error:
            raise ShapeError(str(error)) from error

    def _check_times(self) -> None:
        lengths = self._options_given("end", "minutes", "minutes_field")
        if len(lengths) > 1:
            raise ShapeError(f"{' and '.join(lengths)} both say when one ends; give one of them.")
        if self.start is not None and (days := self._options_given("date", "time")):
            raise ShapeError(
                f"--start is an instant, {days[0]} a part of one; give --start, or --date-field with --time-field."
            )
        if self.time is not None and self.date is None:
            raise ShapeError("--time-field is a time of day and needs --date-field; for an instant use --start.")
        if self.date is not None and self.time is None and lengths:
            raise ShapeError(
                f"--date-field alone takes the whole day, so {lengths[0]} needs --time-field; if the field has the "
                "time as well, use --start."
            )
        if given := self._options_given("timezone", "date_format"):
            if not self._options_given("start", "end", "date"):
                raise ShapeError(f"{given[0]} is for texts: name their fields by --start and --end, or --date-field.")
            if self.date is not None and self.date == self.time:
                raise ShapeError("--date-field and --time-field are the same field; use --start for an instant.")
        if self.start is not None and self.start == self.end:
            raise ShapeError("--start and --end are the same field, so nothing would last.")

    def _options_given(self, *names: str) -> list[str]:
        """The options of the named fields that are set."""
        return [_OPTIONS[name] for name in names if getattr(self, name) is not None]

    @property
    def paths(self) -> list[str]:
        """The paths that are set, in the order of the options."""
        names = ("resource", "start", "end", "minutes_field", "date", "time", "status", "units")
        paths = [path for name in names if (path := getattr(self, name)) is not None]
        return list(dict.fromkeys([*paths, *(each.path for each in self.free_if)]))

    @property
    def sets_place(self) -> bool:
        """Whether it sets where or when a row lies: then only the named fields are read, and no `items`."""
        return any(getattr(self, name) is not None for name in _PLACE_FIELDS)

    @property
    def sets_times(self) -> bool:
        """Whether it sets when a row lies."""
        return any(getattr(self, name) is not None for name in _TIME_FIELDS)

    @property
    def is_default(self) -> bool:
        """Whether rows are read without translation: no option but a capacity is set."""
        rest = ("capacity", "capacity_from")
        return all(getattr(self, each.name) == each.default for each in fields(self) if each.name not in rest)


DEFAULT_SHAPE = Shape()


def _check_path(path: str) -> None:
    steps = path.split(".")
    if not all(steps) or "\0" in path or any(step.startswith("$") for step in steps):
        raise ShapeError(f"{path!r} is no field; write the path of one, like room or slot.start, without $.")

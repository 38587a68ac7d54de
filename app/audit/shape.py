"""Where a schema of others keeps what an audit asks for: the options of `reserva audit`, and what they exclude."""

from dataclasses import dataclass, fields

from typing_extensions import override

from app.audit.texts import Format
from app.domain.zones import zone
from app.storage.row_reader import folded
from app.storage.values import identity

_PLACES = ("resource", "start", "end", "minutes", "minutes_field", "date", "time", "units")
_TIMES = ("start", "end", "minutes", "minutes_field", "date", "time")
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
    """Options that contradict each other, or fit nothing that is there; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a row says that occupies nothing.

    Args:
        path: The field.
        wanted: Its value as text; None: anything but null, false and nothing.
    """

    path: str
    wanted: str | None = None

    @override
    def __str__(self) -> str:
        """As it is written on the command line."""
        return self.path if self.wanted is None else f"{self.path}={self.wanted}"

    def holds(self, value: object) -> bool:
        """Whether a value is the one that is meant; of a list, whether one of them is."""
        if isinstance(value, list):
            return any(self.holds(each) for each in value)
        if self.wanted is None:
            return value not in (None, False, "")
        return folded(plain(value)) == folded(self.wanted)


def condition(text: str) -> Condition:
    """A condition as it is written: `cancelled=true`, or `cancelledAt` for what only has to be there."""
    path, separator, wanted = text.partition("=")
    return Condition(path.strip(), wanted.strip() if separator else None)


def plain(value: object) -> str:
    """A value as people write it on a command line: true, 3, a text, an id."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return identity(value) or str(value)


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of a schema, as dotted paths; what is None is where payload-reserve and Reserva have it.

    Attributes:
        resource: What is occupied; an array: each of its elements.
        start: The first instant, or a text.
        end: The instant after the last one, a text, or with `time` a time of day.
        minutes: How long each one lasts.
        minutes_field: How long one lasts, in minutes.
        date: The local day; an array: each of them.
        time: The time of day at which it starts, or from when to when; without it the whole day is taken.
        date_format: How texts of `date`, or of `start` and `end`, are written.
        timezone: Whose clocks texts mean that name no offset; by default UTC's.
        status: The status.
        no_status: There is none: every row occupies.
        free_if: What a row says that occupies nothing all the same.
        units: How much of the resource is taken.
        capacity: What every resource holds.
        capacity_from: Collection and field, `rooms.quantity`, that say what a resource holds, by `_id`.

    Raises:
        ShapeError: if they contradict each other.
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
        """Refuse what makes no sense together."""
        for name in self.named:
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
                Format(self.date_format)
        except ValueError as error:
            raise ShapeError(str(error)) from error

    def _check_times(self) -> None:
        lengths = self._given("end", "minutes", "minutes_field")
        if len(lengths) > 1:
            raise ShapeError(f"{' and '.join(lengths)} both say when one ends; give one of them.")
        if self.start is not None and (days := self._given("date", "time")):
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
        if given := self._given("timezone", "date_format"):
            if not self._given("start", "end", "date"):
                raise ShapeError(f"{given[0]} is for texts: name their fields by --start and --end, or --date-field.")
            if self.date is not None and self.date == self.time:
                raise ShapeError("--date-field and --time-field are the same field; use --start for an instant.")
        if self.start is not None and self.start == self.end:
            raise ShapeError("--start and --end are the same field, so nothing would last.")

    def _given(self, *names: str) -> list[str]:
        """The options among these that are given."""
        return [_OPTIONS[name] for name in names if getattr(self, name) is not None]

    @property
    def named(self) -> list[str]:
        """The paths that are given, in the order of the options."""
        names = ("resource", "start", "end", "minutes_field", "date", "time", "status", "units")
        paths = [path for name in names if (path := getattr(self, name)) is not None]
        return list(dict.fromkeys([*paths, *(each.path for each in self.free_if)]))

    @property
    def places(self) -> bool:
        """Whether it says where or when: then the fields that are named are all, and `items` are not read."""
        return any(getattr(self, name) is not None for name in _PLACES)

    @property
    def times(self) -> bool:
        """Whether it says when."""
        return any(getattr(self, name) is not None for name in _TIMES)

    @property
    def is_plain(self) -> bool:
        """Whether rows are read as they are."""
        rest = ("capacity", "capacity_from")
        return all(getattr(self, each.name) == each.default for each in fields(self) if each.name not in rest)


PLAIN = Shape()


def _check_path(path: str) -> None:
    steps = path.split(".")
    if not all(steps) or "\0" in path or any(step.startswith("$") for step in steps):
        raise ShapeError(f"{path!r} is no field; write the path of one, like room or slot.start, without $.")

"""Schedules and time off on the wire."""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from app.domain.schedule_json import DAYS, OVERRIDES_MAX, WEEKLY_MAX, WINDOWS_MAX, read_schedule
from app.errors import Fault
from app.http.bounds import Bounded
from app.http.models import Answer, Body
from app.http.validation_messages import from_faults

TIMES_OFF_MAX = 1_000
"""Times off of one resource, past ones included."""

_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]"

Opens: TypeAlias = Annotated[
    str, Field(alias="from", pattern=f"^{_TIME}$", description="Local wall time.", examples=["09:00"])
]
Closes: TypeAlias = Annotated[
    str,
    Field(
        pattern=f"^({_TIME}|24:00)$",
        description="Local wall time; at or before `from` it is one of the next day. `24:00` is the end of the day.",
        examples=["17:00"],
    ),
]
Weekday: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Day: TypeAlias = Annotated[str, Field(description="A local date.", examples=["2026-12-24"])]
Edge: TypeAlias = Annotated[
    str, Field(description="A local date, or an instant; both edges alike.", examples=["2026-12-24"])
]
Reason: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=500, description="Shown only to keys with `catalogue:write`.")
]


class NewOpeningWindow(Body):
    """Open from one wall time to another, in the zone of the resource."""

    from_: Opens
    """When it opens: local wall time."""
    to: Closes
    """When it closes: local wall time; at or before `from` it is one of the next day."""


class NewWeeklyOpeningWindow(NewOpeningWindow):
    """A window that starts on each of these days."""

    days: Annotated[list[Weekday], Bounded(len(DAYS), least=1)]
    """The days on which it opens."""


class NewScheduleOverride(Body):
    """The windows that start on one date, instead of the weekly ones; without weekly ones, instead of the whole day."""

    date: Day
    """The local date."""
    windows: Annotated[list[NewOpeningWindow], Bounded(WINDOWS_MAX), Field(description="None: closed.")]
    """The windows; closed on that date if there is none."""


class NewSchedule(Body):
    """When a resource is open.

    Overlapping windows are one. A time in a gap of the clocks is later by the gap, one in a fold is the first.
    """

    weekly: Annotated[
        Annotated[list[NewWeeklyOpeningWindow], Bounded(WEEKLY_MAX)] | None,
        Field(description=f"Left out: always open; empty: never. At most {WINDOWS_MAX} windows start on a day."),
    ] = None
    overrides: Annotated[
        Annotated[list[NewScheduleOverride], Bounded(OVERRIDES_MAX)] | None,
        Field(description=f"One a date, at most {OVERRIDES_MAX:,}."),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _is_a_schedule(cls, shape: Any) -> Any:
        """Validate by the reader that parses schedules for bookings as well."""
        _, faults = read_schedule(shape)
        if faults:
            raise from_faults([Fault(*found) for found in faults])
        return shape


class NewTimeOff(Body):
    """A time at which a resource is unavailable, whatever its schedule says: `to` is excluded."""

    from_: Annotated[Edge, Field(alias="from")]
    """A local date or an instant."""
    to: Edge
    """A local date or an instant, as `from` is; excluded."""
    reason: Reason | None = None
    """Shown only to keys with `catalogue:write`."""


class OpeningWindow(Answer):
    """Open from one wall time to another."""

    from_: Annotated[str, Field(alias="from")]
    """When it opens: local wall time."""
    to: str
    """When it closes: local wall time; at or before `from` it is one of the next day."""


class WeeklyOpeningWindow(OpeningWindow):
    """A window that starts on each of these days."""

    days: list[Weekday]
    """The days on which it opens."""


class ScheduleOverride(Answer):
    """The windows that start on one date, instead of the weekly ones."""

    date: str
    """The local date."""
    windows: list[OpeningWindow]
    """The windows; closed on that date if there is none."""


class ScheduleAnswer(Answer):
    """When a resource is open, as it was requested. No `weekly`: always; an empty one: never."""

    weekly: list[WeeklyOpeningWindow] | None = None
    """The windows of every week; always open if there is no such list, never if it is empty."""
    overrides: list[ScheduleOverride] | None = None
    """The dates that have windows of their own."""


class TimeOffAnswer(Answer):
    """A time at which a resource is unavailable, `to` excluded: dates as requested, instants in UTC."""

    id: str
    """Its id."""
    from_: Annotated[str, Field(alias="from")]
    """When it begins: a local date or an instant."""
    to: str
    """When it is over, excluded: a local date or an instant."""
    reason: Annotated[str | None, Field(description="Only for keys with `catalogue:write`.")] = None

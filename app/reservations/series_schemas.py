"""Series on the wire."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from app.domain.zones import parse_day
from app.http.bounds import Bounded
from app.http.models import Answer, Body, Instant, ResourceReference
from app.http.problem_schemas import ConflictAnswer, RuleCheckAnswer
from app.reservations.schemas import Reason, ReservationAnswer, ReservationDetails, StatusChange

EXCEPTIONS_MAX = 366
RULE_CHARACTERS_MAX = 500
LOCAL_TIME_CHARACTERS_MAX = 30


def _checked_day(text: str) -> str:
    parse_day(text)
    return text


LocalDate = Annotated[str, AfterValidator(_checked_day), Field(max_length=10, json_schema_extra={"format": "date"})]
LocalTime = Annotated[str, Field(max_length=LOCAL_TIME_CHARACTERS_MAX)]

From = Annotated[
    LocalTime | None,
    Field(
        alias="from",
        description="The id of a reservation of the series, or a local time like `2026-06-01T00:00`: this occurrence "
        "and those that the rule puts after it, wherever they were moved. Left out: all.",
    ),
]


class SeriesReservation(ReservationDetails):
    """What recurs: a reservation with local times."""

    local_start: Annotated[
        LocalTime,
        Field(
            description="Like `2026-03-09T09:30`: the time of day of all, and the earliest day. The first occurrence "
            "is the first time from then on that the rule gives."
        ),
    ]
    local_end: Annotated[
        LocalTime | None,
        Field(description="When it ends if it began at `localStart`; may be left out where the service sets the end."),
    ] = None
    timezone: Annotated[
        str | None,
        Field(
            max_length=64,
            description="The zone of the local times; stored. Default: the resource's, or that of all of the pool.",
        ),
    ] = None


class NewSeries(Body):
    """A reservation that recurs."""

    reservation: SeriesReservation
    """What recurs."""
    rule: Annotated[
        str,
        Field(
            min_length=1,
            max_length=RULE_CHARACTERS_MAX,
            description="A rule of RFC 5545, like `FREQ=WEEKLY;BYDAY=MO,WE;COUNT=20`: `FREQ` DAILY, WEEKLY or MONTHLY, "
            "with `INTERVAL`, `BYDAY`, `BYMONTHDAY` and `WKST`, and with `COUNT` or `UNTIL` (a local date, which is "
            "included, a local time, or an instant in UTC). At most 104 occurrences, within two years.",
        ),
    ]
    on_conflict: Annotated[
        Literal["refuse", "skip"],
        Field(
            description="Where an occurrence cannot be booked: `refuse` books none; `skip` books the others, if there "
            "is one."
        ),
    ]
    except_: Annotated[
        Annotated[list[LocalDate], Bounded(EXCEPTIONS_MAX)] | None,
        Field(alias="except", description="Local dates that are left out. They count for the rule's `COUNT`."),
    ] = None


class SeriesMove(Body):
    """Where the occurrences go: at least one of `localStart`, `localEnd` and `resource`."""

    from_: From = None
    local_start: Annotated[
        LocalTime | None,
        Field(description="When the first of them begins; the others move by as much of their local time."),
    ] = None
    local_end: Annotated[
        LocalTime | None, Field(description="When the first of them ends; without it their lengths stay.")
    ] = None
    resource: ResourceReference | None = None
    """The resource to which they go."""
    reason: Reason | None = None
    """The reason, for the history of each."""


class SeriesStatusChange(StatusChange):
    """Which occurrences change their status, and why."""

    from_: From = None


class SkippedOccurrence(Answer):
    """An occurrence that was left out; the reasons are in the answer that made the series alone."""

    local_start: str
    """The local time that the rule gives."""
    conflicts: list[ConflictAnswer] | None = None
    """Up to 10 reservations that are in its way."""
    checks: list[RuleCheckAnswer] | None = None
    """Every rule's verdict, always in the same order."""
    next_free: Annotated[list[Instant] | None, Field(max_length=3)] = None
    """Of the first ones whose time is taken: up to three starts, within 7 days; advice."""


class SeriesAnswer(Answer):
    """A series with its reservations, in the order of its rule.

    The rule is that by which it was booked; what became of an occurrence is in its reservation alone. `version` is 1
    more than the number of changes of all its reservations.
    """

    id: str
    """Its id."""
    rule: str
    """The rule, as it was given."""
    timezone: str
    """The zone of its local times."""
    except_: Annotated[list[str] | None, Field(alias="except", description="The dates that it leaves out.")] = None
    reservations: list[ReservationAnswer]
    """Its reservations, in the order of the rule, wherever they were moved."""
    skipped: list[SkippedOccurrence]
    """The occurrences that could not be booked."""
    version: int
    """From 1, one more with each change of a reservation; its `ETag`."""

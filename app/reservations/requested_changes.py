"""The changes that a body requests of one reservation: a `PATCH`, or a move among others."""

from dataclasses import dataclass
from typing import Any

from pydantic.alias_generators import to_camel

from app.reservations.move_schemas import ReservationMove
from app.reservations.requested_times import requested_times
from app.reservations.schemas import ANY, ReservationPatch, ReservationTime

_TARGET_FIELDS = frozenset({"reservation", "version"})
"""The fields of a move that say what it moves."""
_TIME_FIELDS = frozenset(ReservationTime.model_fields)


@dataclass(frozen=True, slots=True)
class RequestedChange:
    """A merge patch by stored names, whose times may be local ones; without the resource where any will do."""

    patch: dict[str, Any]
    any_resource: bool


def requested_change(wanted: ReservationPatch | ReservationMove) -> RequestedChange:
    """The change that a body requests.

    Raises:
        Problem: `invalid` where something is unset that every reservation has; `local-time`.
    """
    sent = wanted.sent_fields()
    patch = {to_camel(name): value for name, value in sent.items() if name not in _TARGET_FIELDS | _TIME_FIELDS}
    if "guests" in patch and patch["guests"] is None:
        patch["guests"] = 1
    any_resource = patch.get("resource") == ANY
    if any_resource:
        del patch["resource"]
    times = requested_times(wanted, resource_named=not any_resource)
    new = {"startTime": times.start, "endTime": times.end, "timezone": times.timezone}
    return RequestedChange(patch | {name: value for name, value in new.items() if value is not None}, any_resource)

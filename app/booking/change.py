"""Changing a reservation: its times, resource, service or details, under the guards of both resources."""

from dataclasses import dataclass, field

from typing_extensions import override

from app.booking.confirm_extend import hold_expired
from app.booking.existing import ExistingIntent, check_version
from app.booking.intents import Lane, View, guard_lanes, rules_for
from app.booking.outcomes import Accepted, Refused
from app.booking.patches import DETAIL_FIELDS, Patch, patched
from app.booking.permission import check_cancellation_notice, check_service_change, check_service_given
from app.domain.ids import ServiceId
from app.domain.instants import Millis, from_millis, to_millis
from app.domain.lengths import LENGTH_MIN, end_of_same_length, length_fault
from app.domain.lifecycle import is_final
from app.domain.rules import LEAD_TIME_RULES, RULES, BookingRequest, ResourceRules, ServiceRules, block_of, judge
from app.errors import Problem, invalid_field
from app.storage.documents import Reservation
from app.storage.occupancy import occupancy
from app.storage.row_reader import is_long
from app.storage.span import Span

_MOVING = ("start_time", "resource", "service")
"""The fields whose change gives up a confirmed time or its conditions."""


@dataclass(slots=True, kw_only=True)
class Change(ExistingIntent):
    """A merge patch of one reservation, with the stored names of its fields; None unsets a field.

    A change that could add load is judged like a booking. One that cannot (of details alone, or to a part of the time
    with no more units) is never refused for an overlap.
    """

    patch: Patch
    version: int | None = None
    admin: bool = False
    bound: bool = False
    reason: str | None = None
    lifted_rules: frozenset[str] = field(default_factory=frozenset)

    @override
    def lanes(self) -> frozenset[Lane]:
        """The guards of the present resource and of the new one."""
        return guard_lanes(self.resource, self.patch.get("resource", self.resource))

    @override
    def services(self) -> frozenset[ServiceId]:
        """The present service and the new one."""
        return frozenset(service for service in (self.service, self.patch.get("service")) if service)

    @override
    def spans(self, view: View) -> list[Span]:
        """The block after the change."""
        stored = self.stored(view)
        if stored is None or not self._touches_load or is_final(stored.status):
            return []
        after, _, _ = self._changed(stored, view)
        return [Span(after.resource, to_millis(after.block_start), to_millis(after.block_end))]

    @override
    def judge(self, view: View) -> Accepted[Reservation]:
        """The changed reservation.

        Raises:
            Problem: `not-found`, `stale`, `hold-expired`, `forbidden-transition`, `forbidden`, `invalid`.
            Refused: with the verdict, where the rules say no.
            ReservationMoved: the reservation lies on a resource whose guard the intent did not name.
        """
        stored, now, status = self.require_current(view)
        check_version(self.version, stored.version)
        if status == "expired":
            raise hold_expired()
        if is_final(status) and not self.patch.keys() <= DETAIL_FIELDS:
            raise Problem("forbidden-transition", f"It is {status}; only its notes and metadata can be changed.")
        if not self._touches_load or is_final(status):
            return self._change_details(stored, now)
        if self.row.get("items"):
            raise invalid_field("items", "It has items, which say where it is; move it in the system that wrote it.")
        after, resource_rules, service_rules = self._changed(stored, view)
        self._check_permission(stored, after, service_rules, view)
        self._check_rules(stored, after, resource_rules, service_rules, view)
        return self._change_time(stored, after, view, now)

    def without_load(self, stored: Reservation, view: View) -> Reservation | None:
        """The changed reservation if the change adds load at no instant of any resource; None if it could.

        Raises:
            Problem: `invalid`, `unavailable`.
        """
        if not self._touches_load:
            return stored
        after, _, _ = self._changed(stored, view)
        return None if _could_add_load(stored, after) else after

    @property
    def _touches_load(self) -> bool:
        return not self.patch.keys() <= DETAIL_FIELDS | {"customer"}

    def _change_details(self, stored: Reservation, now: Millis) -> Accepted[Reservation]:
        """Accept a change of details, which no rule judges."""
        return self.accept_change(stored, patched(stored, self.patch), now, taken=[], reason=self.reason)

    def _change_time(self, stored: Reservation, after: Reservation, view: View, now: Millis) -> Accepted[Reservation]:
        taken = Span(after.resource, to_millis(after.block_start), to_millis(after.block_end))
        view.calendar(stored.resource).remove(stored.id)
        view.calendar(after.resource).add(occupancy(after))
        return self.accept_change(stored, after, now, taken=[taken], reason=self.reason)

    def _changed(self, stored: Reservation, view: View) -> tuple[Reservation, ResourceRules, ServiceRules | None]:
        """The changed reservation, with the rules by which it is judged."""
        after = patched(stored, self.patch)
        resource_rules, service_rules = rules_for(view, after.resource, after.service)
        rules_before = view.resource_rules(stored.resource) or resource_rules
        start, end = self._times(stored, after, service_rules, rules_before, resource_rules)
        after = after.model_copy(update={"start_time": from_millis(start), "end_time": from_millis(end)})
        if self.patch.keys() & {"startTime", "service"}:
            block_start, block_end = block_of(start, end, service_rules)
        else:
            block_start = Millis(start - (to_millis(stored.start_time) - to_millis(stored.block_start)))
            block_end = Millis(end + (to_millis(stored.block_end) - to_millis(stored.end_time)))
        update = {
            "block_start": from_millis(block_start),
            "block_end": from_millis(block_end),
            "long": is_long(block_start, block_end) or None,
            "units": resource_rules.units(after.guests),
            "timezone": stored.timezone if after.resource == stored.resource else resource_rules.timezone,
        }
        return after.model_copy(update=update), resource_rules, service_rules

    def _times(
        self,
        stored: Reservation,
        after: Reservation,
        service_rules: ServiceRules | None,
        rules_before: ResourceRules,
        resource_rules: ResourceRules,
    ) -> tuple[Millis, Millis]:
        """The new start and end: a new start alone keeps the length, a new service of fixed length sets it."""
        start, end = to_millis(after.start_time), to_millis(after.end_time)
        if "endTime" not in self.patch:
            if service_rules and service_rules.kind == "fixed" and "service" in self.patch:
                end = Millis(start + service_rules.duration)
            elif "startTime" in self.patch:
                before = (to_millis(stored.start_time), to_millis(stored.end_time))
                end = end_of_same_length(start, before, service_rules, rules_before.timezone, resource_rules.timezone)
        shortest = (
            LENGTH_MIN if self.patch.keys() & {"startTime", "endTime"} else 0
        )  # a length that stays may be older than that bound
        if (flaw := length_fault(start, end, shortest)) is not None:
            raise invalid_field("endTime", flaw)
        return start, end

    def _check_permission(
        self, stored: Reservation, after: Reservation, service_rules: ServiceRules | None, view: View
    ) -> None:
        """Refuse what the caller's key may not do.

        Giving up some of a confirmed time needs the permission of a cancellation, a change of service that of a
        confirmation. The stored start and service decide: else a client would first change them and then cancel.
        """
        if self.bound:
            check_service_given(after.service, is_in_request="service" in self.patch)
        if after.service != stored.service:
            check_service_change(stored, service_rules, admin=self.admin)
        if stored.status == "confirmed" and not self.admin and _gives_up(stored, after):
            promised = view.service_rules(stored.service) if stored.service else None
            check_cancellation_notice(to_millis(stored.start_time), promised, view.now(stored.resource))

    def _check_rules(
        self,
        stored: Reservation,
        after: Reservation,
        resource_rules: ResourceRules,
        service_rules: ServiceRules | None,
        view: View,
    ) -> None:
        request = BookingRequest(
            to_millis(after.start_time),
            to_millis(after.end_time),
            after.guests,
            self.lifted_rules | _lifted_rules_of(stored, after),
            ignore=stored.id,
        )
        block = (to_millis(after.block_start), to_millis(after.block_end))
        verdict = judge(request, resource_rules, service_rules, view.calendar(after.resource), block=block)
        if not verdict.bookable:
            raise Refused(verdict)


def _gives_up(stored: Reservation, after: Reservation) -> bool:
    """Whether the change gives up some of what is confirmed: moved, ended earlier, or with fewer guests."""
    moved = any(getattr(stored, name) != getattr(after, name) for name in _MOVING)
    return moved or after.end_time < stored.end_time or after.guests < stored.guests


def _lifted_rules_of(stored: Reservation, after: Reservation) -> frozenset[str]:
    """The rules that are not judged again for a reservation that was allowed once.

    A start that stays is not judged for how far ahead it lies. A part of the reserved time is judged for its length
    alone, for its horizon if its start is new (else a long booking could be shortened to one beyond the horizon), and
    for its guests if they are more. A
    change that adds no load but is no such part is judged by every rule but the capacity: a time that grows into its
    own buffers, which may lie in closed hours, and another service, which may have other hours than the first.
    """
    stays = after.start_time == stored.start_time
    ahead = LEAD_TIME_RULES if stays else frozenset()
    if _could_add_load(stored, after):
        return ahead
    grows = after.start_time < stored.start_time or after.end_time > stored.end_time
    if grows or after.service != stored.service:
        return ahead | {"capacity"}
    judged = {"duration"} | (set() if stays else {"horizon"}) | ({"guests"} if after.guests > stored.guests else set())
    return frozenset(RULES) - judged


def _could_add_load(stored: Reservation, after: Reservation) -> bool:
    """Whether the change could add load at some instant of some resource."""
    within = stored.block_start <= after.block_start and after.block_end <= stored.block_end
    return not (within and after.resource == stored.resource and after.units <= stored.units)

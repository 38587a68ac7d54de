"""Changing a reservation: its times, resource, service or details, under the guards of both resources."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from typing_extensions import override

from app.booking.change_rules import could_add_load, gives_up, lifted_by_history
from app.booking.confirm_extend import hold_expired
from app.booking.existing import ExistingIntent, check_version
from app.booking.intents import Lane, View, guard_lanes, rules_for
from app.booking.moments import LocalTime, check_length, instant_of, rough_instant
from app.booking.outcomes import Accepted, Refused
from app.booking.patches import DETAIL_FIELDS, Patch, patched
from app.booking.permission import check_cancellation_notice, check_service_change, check_service_given
from app.booking.pool_choice import answering_verdict, candidates_in_order, new_pool_seed
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import EARLIEST, Millis, from_millis, to_millis
from app.domain.lengths import LENGTH_MIN, end_of_same_length
from app.domain.lifecycle import is_final
from app.domain.rules import LEAD_TIME_RULES, BookingRequest, ResourceRules, ServiceRules, Verdict, block_of, judge
from app.errors import Problem, invalid_field
from app.storage.documents import Reservation
from app.storage.occupancy import occupancy
from app.storage.reservations import RESERVATIONS
from app.storage.row_reader import is_long
from app.storage.span import Span


class _Times(NamedTuple):
    """The times of a reservation after a change."""

    start: Millis
    end: Millis
    block_start: Millis
    block_end: Millis

    @property
    def block(self) -> tuple[Millis, Millis]:
        return self.block_start, self.block_end


@dataclass(slots=True, kw_only=True)
class Change(ExistingIntent):
    """A merge patch of one reservation, with the stored names of its fields; None unsets a field.

    A change that could add load is judged like a booking. One that cannot (of details alone, or to a part of the time
    with no more units) is never refused for an overlap. With a `pool` the reservation moves to a free resource of it,
    which may be the present one; that is judged like a booking. Times may be `LocalTime`s of the clocks of the resource
    on which it will be, which is then no pool's.
    """

    patch: Patch
    pool: tuple[ResourceId, ...] = ()
    pool_seed: int = field(default_factory=new_pool_seed)
    pool_round: int | None = 0
    pool_choice: ResourceId | None = None
    version: int | None = None
    admin: bool = False
    bound: bool = False
    reason: str | None = None
    lifted_rules: frozenset[str] = field(default_factory=frozenset)

    @property
    def candidates(self) -> tuple[ResourceId, ...]:
        """The resources on which it may be after the change."""
        return self.pool or (self.patch.get("resource", self.resource),)

    @override
    def lanes(self) -> frozenset[Lane]:
        """The guards of the present resource and of those on which it may be."""
        return guard_lanes(self.resource, *self.candidates)

    @override
    def guards(self) -> frozenset[Lane]:
        """The same; of a pool only that of the chosen resource is changed, after the choice."""
        return guard_lanes(self.resource) if self.pool else self.lanes()

    @override
    def services(self) -> frozenset[ServiceId]:
        """The present service and the new one."""
        return frozenset(service for service in (self.service, self.patch.get("service")) if service)

    @override
    def spans(self, view: View) -> list[Span]:
        """The block after the change, on each resource on which it may be."""
        stored = self.stored(view)
        if stored is None or not self._touches_load or is_final(stored.status):
            return []
        candidates = self.candidates if self.pool else (self._named_resource(stored),)
        return [
            Span(each, *self._times_on(stored, *self._rules_on(stored, each, view), view).block) for each in candidates
        ]

    def rough_start(self, view: View) -> int:
        """About when it begins after the change."""
        if "startTime" in self.patch:
            return rough_instant(self.patch["startTime"])
        start = (view.target(RESERVATIONS, self.reservation) or {}).get("startTime")
        return to_millis(start) if isinstance(start, datetime) else EARLIEST

    @override
    def judge(self, view: View) -> Accepted[Reservation]:
        """The changed reservation.

        Raises:
            Problem: `not-found`, `stale`, `hold-expired`, `forbidden-transition`, `too-late`, `forbidden`,
                `local-time`, `invalid`.
            Refused: with the verdict, where the rules say no; of a pool with the `answering_verdict`.
            ReservationMoved: the reservation lies on a resource whose guard the intent did not name.
        """
        stored, now, status = self.require_current(view)
        check_version(self.version, stored.version)
        if status == "expired":
            raise hold_expired()
        if is_final(status) and not self._touches_details_alone:
            raise Problem("forbidden-transition", f"It is {status}; only its notes and metadata can be changed.")
        if not self._touches_load or is_final(status):
            return self._change_details(stored, now)
        if self.row.get("items"):
            raise invalid_field("items", "It has items, which say where it is; move it in the system that wrote it.")
        if self.pool:
            return self._move_into_pool(stored, view, now)
        after, resource_rules, service_rules = self._changed(stored, view)
        self._check_permission(stored, service_rules, view, gives_up=gives_up(stored, after))
        self._check_rules(stored, after, resource_rules, service_rules, view)
        return self._change_time(stored, after, view, now)

    def without_load(self, stored: Reservation, view: View) -> Reservation | None:
        """The changed reservation if the change adds load at no instant of any resource; None if it could.

        Raises:
            Problem: `local-time`, `invalid`, `unavailable`.
        """
        if not self._touches_load:
            return stored
        if self.pool:
            return None
        after, _, _ = self._changed(stored, view)
        return None if could_add_load(stored, after) else after

    def verdict_on(self, resource: ResourceId, view: View) -> Verdict:
        """The verdict of every rule on one of the resources on which it may be."""
        return self._verdict_on(self.require_stored(view), resource, view)

    @property
    def _touches_details_alone(self) -> bool:
        return not self.pool and self.patch.keys() <= DETAIL_FIELDS

    @property
    def _touches_load(self) -> bool:
        return bool(self.pool) or not self.patch.keys() <= DETAIL_FIELDS | {"customer"}

    def _change_details(self, stored: Reservation, now: Millis) -> Accepted[Reservation]:
        """Accept a change of details, which no rule judges."""
        return self.accept_change(stored, patched(stored, self.patch), now, taken=[], reason=self.reason)

    def _change_time(self, stored: Reservation, after: Reservation, view: View, now: Millis) -> Accepted[Reservation]:
        taken = Span(after.resource, to_millis(after.block_start), to_millis(after.block_end))
        view.calendar(stored.resource).remove(stored.id)
        view.calendar(after.resource).add(occupancy(after))
        return self.accept_change(stored, after, now, taken=[taken], reason=self.reason)

    def _move_into_pool(self, stored: Reservation, view: View, now: Millis) -> Accepted[Reservation]:
        """Move it to the first resource in order that is free; it gives its present one up, whatever it gets."""
        _, service_rules = self._rules_on(stored, stored.resource, view)
        self._check_permission(stored, service_rules, view, gives_up=True)
        verdicts: dict[ResourceId, Verdict] = {}
        for candidate in candidates_in_order(self, service_rules, view):
            verdict = self._verdict_on(stored, candidate, view)
            if verdict.bookable:
                after, _, _ = self._changed(stored, view, candidate)
                return self._change_time(stored, after, view, now)
            verdicts[candidate] = verdict
        raise Refused(answering_verdict(verdicts))

    def _verdict_on(self, stored: Reservation, resource: ResourceId, view: View) -> Verdict:
        """The verdict on a resource of the pool, as of a booking there without the reservation itself."""
        resource_rules, service_rules = self._rules_on(stored, resource, view)
        times = self._times_on(stored, resource_rules, service_rules, view)
        stays = times.start == to_millis(stored.start_time)
        lifted = self.lifted_rules | (LEAD_TIME_RULES if stays else frozenset())
        guests = self.patch.get("guests", stored.guests)
        request = BookingRequest(times.start, times.end, guests, lifted, ignore=stored.id)
        return judge(request, resource_rules, service_rules, view.calendar(resource), block=times.block)

    def _named_resource(self, stored: Reservation) -> ResourceId:
        return ResourceId(self.patch.get("resource", stored.resource))

    def _named_service(self, stored: Reservation) -> ServiceId | None:
        service: ServiceId | None = self.patch.get("service", stored.service)
        return service

    def _rules_on(
        self, stored: Reservation, resource: ResourceId, view: View
    ) -> tuple[ResourceRules, ServiceRules | None]:
        """The rules by which it is judged on a resource."""
        return rules_for(view, resource, self._named_service(stored))

    def _changed(
        self, stored: Reservation, view: View, resource: ResourceId | None = None
    ) -> tuple[Reservation, ResourceRules, ServiceRules | None]:
        """The changed reservation on the named resource, or another one, with the rules by which it is judged."""
        resource = resource or self._named_resource(stored)
        resource_rules, service_rules = self._rules_on(stored, resource, view)
        times = self._times_on(stored, resource_rules, service_rules, view)
        start, end = from_millis(times.start), from_millis(times.end)
        after = patched(stored, {**self.patch, "resource": resource, "startTime": start, "endTime": end})
        update = {
            "block_start": from_millis(times.block_start),
            "block_end": from_millis(times.block_end),
            "long": is_long(*times.block) or None,
            "units": resource_rules.units(after.guests),
            "timezone": self._timezone(stored, resource_rules),
        }
        return after.model_copy(update=update), resource_rules, service_rules

    def _timezone(self, stored: Reservation, resource_rules: ResourceRules) -> str:
        """The zone in which it is booked: the one that the request names, or whose clocks it means, else the stored."""
        if "timezone" in self.patch:
            return str(self.patch["timezone"])
        stays = resource_rules.id == stored.resource and not any(
            isinstance(value, LocalTime) for value in self.patch.values()
        )
        return stored.timezone if stays else resource_rules.timezone

    def _times_on(
        self, stored: Reservation, resource_rules: ResourceRules, service_rules: ServiceRules | None, view: View
    ) -> _Times:
        """The times on a resource; a block keeps its stored buffers unless the start or the service is new."""
        start, end = self._start_and_end(stored, resource_rules, service_rules, view)
        if self.patch.keys() & {"startTime", "service"}:
            return _Times(start, end, *block_of(start, end, service_rules))
        block_start = Millis(start - (to_millis(stored.start_time) - to_millis(stored.block_start)))
        block_end = Millis(end + (to_millis(stored.block_end) - to_millis(stored.end_time)))
        return _Times(start, end, block_start, block_end)

    def _start_and_end(
        self, stored: Reservation, resource_rules: ResourceRules, service_rules: ServiceRules | None, view: View
    ) -> tuple[Millis, Millis]:
        """The new start and end: a new start alone keeps the length, a new service of fixed length sets it.

        Raises:
            Problem: `local-time`, `invalid`.
        """
        timezone = resource_rules.timezone
        start = instant_of(self.patch.get("startTime", stored.start_time), timezone)
        end = instant_of(self.patch.get("endTime", stored.end_time), timezone)
        if "endTime" not in self.patch:
            if service_rules and service_rules.kind == "fixed" and "service" in self.patch:
                end = Millis(start + service_rules.duration)
            elif "startTime" in self.patch:
                before = (to_millis(stored.start_time), to_millis(stored.end_time))
                rules_before = view.resource_rules(stored.resource) or resource_rules
                end = end_of_same_length(start, before, service_rules, rules_before.timezone, timezone)
        is_new = self.patch.keys() & {"startTime", "endTime"}  # a length that stays may be older than that bound
        check_length(start, end, LENGTH_MIN if is_new else 0)
        return start, end

    def _check_permission(
        self, stored: Reservation, service_rules: ServiceRules | None, view: View, *, gives_up: bool
    ) -> None:
        """Refuse what the caller's key may not do.

        Giving up some of a confirmed time needs the permission of a cancellation, a change of service that of a
        confirmation. The stored start and service decide: else a client would first change them and then cancel.
        """
        service = self._named_service(stored)
        if self.bound:
            check_service_given(service, is_in_request="service" in self.patch)
        if service != stored.service:
            check_service_change(stored, service_rules, admin=self.admin)
        if stored.status == "confirmed" and not self.admin and gives_up:
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
            self.lifted_rules | lifted_by_history(stored, after),
            ignore=stored.id,
        )
        block = (to_millis(after.block_start), to_millis(after.block_end))
        verdict = judge(request, resource_rules, service_rules, view.calendar(after.resource), block=block)
        if not verdict.bookable:
            raise Refused(verdict)

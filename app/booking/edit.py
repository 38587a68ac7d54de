"""Editing a resource or a service: under its guard, so that no booking commits between check and edit."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from typing_extensions import override

from app.booking.existing import ReservationMoved, check_version
from app.booking.intents import Intent, Lane, Target, View, guard_lanes
from app.booking.outcomes import Accepted, Update
from app.booking.stranding_survey import Survey, is_upcoming
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import Millis
from app.domain.load import Occupancy
from app.domain.rules import ResourceRules, ServicesById
from app.domain.stranding import stranded
from app.errors import not_found
from app.storage.bson_types import UpdateDocument
from app.storage.catalogue import RESOURCES, SERVICES
from app.storage.catalogue_updates import proof_of_edit, service_update, with_operation
from app.storage.documents import Service, service_row
from app.storage.guard_steps import GUARDS, rules_update
from app.storage.guards import new_rules
from app.storage.span import Span
from app.storage.stored_catalogue import object_of, version_of


def invalidate_rules(identity: str, rules: str | None = None) -> Update:
    """The update that invalidates every process's cached rules of a resource or service.

    Args:
        identity: The id of the guard.
        rules: The new id of the rules; None: a random one.
    """
    return Update(GUARDS, {"_id": identity}, rules_update(rules or new_rules()))


class PlanOutdated(ReservationMoved):
    """The resource has changed since the edit was planned; the caller has to plan again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An edit of a resource, worked out before its transaction, for one version of it.

    Args:
        version: The version of the stored resource.
        before: Its rules before the edit.
        after: Its rules after it.
        change: The update of the stored document, without its version.
        stretches: Where the edit can strand bookings; empty where it cannot or may.
        survey: The bookings in the stretches, none of which it strands; None without stretches.
        services: The services that were offered.
    """

    version: int
    before: ResourceRules
    after: ResourceRules
    change: UpdateDocument
    stretches: Sequence[tuple[Millis, Millis]] = ()
    survey: Survey | None = None
    services: ServicesById = field(default_factory=dict)

    def stranded_among(self, bookings: Iterable[Occupancy], now: Millis) -> list[Occupancy]:
        """The bookings that the edit strands; one that has ended and only occupies its buffer is not stranded."""
        return [each for each in stranded(bookings, self.before, self.after, self.services) if each.own_end > now]

    def strands_any_of(self, fresh: Sequence[Occupancy], now: Millis) -> bool:
        """Whether the edit strands one of the bookings that were made or changed since the survey."""
        if not fresh:
            return False
        if self.before.by_guests != self.after.by_guests:
            return True
        if self.survey is None or self.after.capacity >= self.before.capacity:
            return bool(self.stranded_among(fresh, now))
        known = {each.key: each for each in (*self.survey.bookings, *fresh)}
        return bool(self.stranded_among(known.values(), now))


@dataclass(slots=True, kw_only=True)
class EditResource(Intent[int]):
    """A planned edit, which is done if the resource is unchanged and it strands no booking made since the survey.

    `version` is the one that the caller has seen; None: any. `rules` is the new id of the rules in the guard. The
    value is the new version.
    """

    identity: ResourceId
    plan: Plan
    version: int | None = None
    rules: str = field(default_factory=new_rules)

    @override
    def lanes(self) -> frozenset[Lane]:
        """The guard of the resource, so that no booking commits meanwhile."""
        return guard_lanes(self.identity)

    @override
    def targets(self) -> frozenset[Target]:
        """The stored resource, for its version."""
        return frozenset(((RESOURCES, self.identity),))

    @override
    def spans(self, view: View) -> list[Span]:
        """The stretches in which the edit can strand bookings, for those changed since the survey."""
        survey = self.plan.survey
        if survey is None or view.resource_rules(self.identity) is None or view.seq(self.identity) == survey.seq + 1:
            return []
        return [Span(self.identity, start, end, survey.since) for start, end in self.plan.stretches]

    @override
    def judge(self, view: View) -> Accepted[int]:
        """Accept the edit, and show its rules to the intents that follow.

        Raises:
            Problem: `not-found`, `stale`, `unavailable`.
            PlanOutdated: it has to be planned again.
        """
        row = view.target(RESOURCES, self.identity)
        if row is None:
            raise not_found("resource", self.identity)
        check_version(self.version, row.get("version"))
        current = view.resource_rules(self.identity)  # raises if the guard is missing
        closed_otherwise = current is not None and current.closures.stamp != self.plan.before.closures.stamp
        if row.get("version") != self.plan.version or closed_otherwise:
            raise PlanOutdated
        if self.plan.survey is not None and self._strands(view):
            raise PlanOutdated
        view.replace(self.plan.after)
        return self._accepted()

    def _strands(self, view: View) -> bool:
        """Whether the edit strands a booking that this transaction has read, for itself or for another intent."""
        calendar = view.calendar(self.identity)
        fresh = [each for each in calendar.live.values() if is_upcoming(each, calendar.now)]
        return self.plan.strands_any_of(fresh, calendar.now)

    def _accepted(self) -> Accepted[int]:
        version = self.plan.version + 1
        query = {"_id": self.identity, "version": self.plan.version}
        return Accepted(
            version,
            proof=(RESOURCES, proof_of_edit(self.identity, self.operation)),
            updates=[
                Update(RESOURCES, query, with_operation(self.plan.change, version, self.operation)),
                invalidate_rules(self.identity, self.rules),
            ],
        )


@dataclass(slots=True, kw_only=True)
class EditService(Intent[Service]):
    """An edit of a service: `apply` makes the new one from the stored one, and may raise Problem.

    Reservations keep their blocks, which are stored. `version` is the one that the caller has seen; None: any.
    """

    identity: ServiceId
    apply: Callable[[Service], Service]
    version: int | None = None

    @override
    def lanes(self) -> frozenset[Lane]:
        """The service's row among the guards."""
        return guard_lanes(service_row(self.identity))

    @override
    def services(self) -> frozenset[ServiceId]:
        """The service itself, so that a missing row is noticed."""
        return frozenset((self.identity,))

    @override
    def targets(self) -> frozenset[Target]:
        """The stored service."""
        return frozenset(((SERVICES, self.identity),))

    @override
    def spans(self, view: View) -> list[Span]:
        """Needs no occupants."""
        del view
        return []

    @override
    def judge(self, view: View) -> Accepted[Service]:
        """Accept the edit.

        Raises:
            Problem: `not-found`, `stale`, `unavailable`, or what `apply` raises.
        """
        row = view.target(SERVICES, self.identity)
        if row is None:
            raise not_found("service", self.identity)
        before = object_of(Service, row)
        version_of(Service, row)
        check_version(self.version, before.version)
        after = self.apply(before).model_copy(update={"version": before.version + 1})
        view.service_rules(self.identity)  # raises if the guard is missing
        return Accepted(
            after,
            proof=(SERVICES, proof_of_edit(self.identity, self.operation)),
            updates=[
                Update(
                    SERVICES,
                    {"_id": self.identity, "version": before.version},
                    service_update(after, self.operation),
                ),
                invalidate_rules(service_row(self.identity)),
            ],
        )

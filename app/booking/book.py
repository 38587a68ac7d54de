"""Booking a time: the most frequent intent."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from bson import ObjectId
from typing_extensions import override

from app.booking.intents import TYPICAL_BYTES, Intent, Lane, View, guard_lanes, rules_for
from app.booking.moments import LocalTime, Moment, check_length, instant_of, rough_instant
from app.booking.outcomes import Accepted, Refused
from app.booking.pool_choice import answering_verdict, candidates_in_order, new_pool_seed
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import SECOND, Millis, from_millis
from app.domain.lengths import UNDETERMINED_END, end_by_service
from app.domain.lifecycle import BLOCKING, Status
from app.domain.rules import BookingRequest, ResourceRules, ServiceRules, Verdict, block_of, judge
from app.errors import invalid_field
from app.storage.documents import HistoryEntry, Reservation
from app.storage.occupancy import occupancy
from app.storage.reservations import RESERVATIONS
from app.storage.row_reader import is_long
from app.storage.span import LENGTHY_FROM, Span

BYTES_PER_CHARACTER = 4
"""At most, in UTF-8."""


@dataclass(slots=True, kw_only=True)
class Book(Intent[Reservation]):
    """A new reservation on a named resource, or on a free one of a `pool`.

    `end` may be left out where the service sets it. `hold_seconds` makes it a hold; `status` is the one that an import
    demands, else the service decides. The rules in `lifted_rules` are not judged. `timezone` is the one in which the
    caller gave the time, if not the resource's; local times of the resource's own zone are for a named resource only.
    """

    resource: ResourceId | None
    pool: tuple[ResourceId, ...] = ()
    start: Moment
    end: Moment | None = None
    service: ServiceId | None = None
    customer: str | None = None
    guests: int = 1
    notes: str | None = None
    reference: str | None = None
    metadata: Mapping[str, object] | None = None
    hold_seconds: int | None = None
    holder: str | None = None
    status: Status | None = None
    lifted_rules: frozenset[str] = frozenset()
    timezone: str | None = None
    group: ObjectId | None = None
    series: ObjectId | None = None
    reservation: ObjectId = field(default_factory=ObjectId)
    pool_seed: int = field(default_factory=new_pool_seed)
    pool_round: int | None = 0
    pool_choice: ResourceId | None = None

    @override
    def lanes(self) -> frozenset[Lane]:
        """The guard of the resource, or of every member of the pool."""
        return guard_lanes(*self.candidates)

    @override
    def guards(self) -> frozenset[Lane]:
        """The guard of the resource; of a pool only that of the chosen resource is changed, after the choice."""
        return guard_lanes(self.resource) if self.resource else frozenset()

    @property
    def candidates(self) -> tuple[ResourceId, ...]:
        """The resources on which it may be booked."""
        return (self.resource,) if self.resource else self.pool

    def rough_start(self, view: View) -> int:
        """About when it begins."""
        del view
        return rough_instant(self.start)

    @property
    @override
    def size(self) -> int:
        """Grows with notes and metadata, which an Idempotency-Key stores twice: its answer has them as well."""
        extra = sum(len(key) + len(str(value)) for key, value in (self.metadata or {}).items()) + len(self.notes or "")
        return TYPICAL_BYTES + BYTES_PER_CHARACTER * extra * (2 if self.token else 1)

    @property
    @override
    def lengthy(self) -> bool:
        """Whether the requested times are longer than `LENGTHY_FROM`; no service sets such a length."""
        return self.end is not None and rough_instant(self.end) - rough_instant(self.start) > LENGTHY_FROM

    @override
    def services(self) -> frozenset[ServiceId]:
        """The service that sets length and buffers."""
        return frozenset((self.service,)) if self.service else frozenset()

    @override
    def reservations(self) -> list[ObjectId]:
        """The reservation that it makes."""
        return [self.reservation]

    @property
    @override
    def question(self) -> Hashable | None:
        """The time on the resource or pool; who books it, as what and with which notes refuses nobody."""
        return self.resource, self.pool, self.service, self.start, self.end, self.guests, self.lifted_rules

    @override
    def spans(self, view: View) -> list[Span]:
        """The block on each resource on which it may be booked, as far as it can be determined."""
        service_rules = view.service_rules(self.service) if self.service else None
        if not self._blocking or (self.service and service_rules is None):
            return []
        spans = []
        for candidate in self.candidates:
            resource_rules = view.resource_rules(candidate)
            if resource_rules is None:
                continue
            start, end = self._times(resource_rules, service_rules)
            if end is not None:
                spans.append(Span(candidate, *block_of(start, end, service_rules)))
        return spans

    @override
    def judge(self, view: View) -> Accepted[Reservation]:
        """Judge every rule and make the reservation; of a pool the first resource in order that is free is chosen.

        Raises:
            Problem: `invalid` for an unknown resource or service, or an end that nothing determines.
            Refused: with the verdict; of a pool with the `answering_verdict`.
        """
        service_rules = view.service_rules(self.service) if self.service else None
        verdicts: dict[ResourceId, Verdict] = {}
        for candidate in candidates_in_order(self, service_rules, view):
            verdict = self.verdict_on(candidate, view)
            if verdict.bookable:
                return self._accept(candidate, verdict, view)
            verdicts[candidate] = verdict
        raise Refused(answering_verdict(verdicts))

    def verdict_on(self, resource: ResourceId, view: View) -> Verdict:
        """The verdict of every rule on one of the resources.

        Raises:
            Problem: `invalid` for an unknown resource or service, or an end that nothing determines; `local-time`.
        """
        resource_rules, service_rules = rules_for(view, resource, self.service)
        start, end = self._times(resource_rules, service_rules)
        if end is None:
            raise invalid_field("endTime", UNDETERMINED_END)
        if any(isinstance(each, LocalTime) for each in (self.start, self.end)):  # else it was looked at on arrival
            check_length(start, end)
        calendar = view.calendar(resource)
        request = BookingRequest(start, end, self.guests, self.lifted_rules_until(end, calendar.now))
        return judge(request, resource_rules, service_rules, calendar)

    def _accept(self, resource: ResourceId, verdict: Verdict, view: View) -> Accepted[Reservation]:
        resource_rules, service_rules = rules_for(view, resource, self.service)
        calendar = view.calendar(resource)
        reservation = self._reservation(verdict, resource_rules, service_rules, calendar.now)
        accepted = Accepted(reservation, proof=(RESERVATIONS, {"_id": self.reservation}), inserts=[reservation])
        if self._blocking:
            accepted.taken = [Span(resource, verdict.block_start, verdict.block_end)]
            accepted.blocks = [reservation]
            calendar.add(occupancy(reservation))
        return accepted

    @property
    def _blocking(self) -> bool:
        return self.status is None or self.status in BLOCKING

    def lifted_rules_until(self, end: Millis, now: Millis) -> frozenset[str]:
        """The rules that are not judged for a time that ends at `end`, by the database's clock `now`."""
        del end, now
        return self.lifted_rules

    def _times(self, resource_rules: ResourceRules, service_rules: ServiceRules | None) -> tuple[Millis, Millis | None]:
        """The start, and the end as far as something determines it.

        Raises:
            Problem: `local-time`.
        """
        start = instant_of(self.start, resource_rules.timezone)
        if self.end is not None:
            return start, instant_of(self.end, resource_rules.timezone)
        return start, end_by_service(start, service_rules, resource_rules.timezone)

    def _reservation(
        self,
        verdict: Verdict,
        resource_rules: ResourceRules,
        service_rules: ServiceRules | None,
        now_millis: Millis,
    ) -> Reservation:
        now = from_millis(now_millis)
        status = self.status or (
            "pending" if self.hold_seconds or (service_rules and service_rules.requires_approval) else "confirmed"
        )
        return Reservation(
            id=self.reservation,
            resource=resource_rules.id,
            service=self.service,
            customer=self.customer,
            status=status,
            start_time=from_millis(verdict.request.start),
            end_time=from_millis(verdict.request.end),
            block_start=from_millis(verdict.block_start),
            block_end=from_millis(verdict.block_end),
            long=is_long(verdict.block_start, verdict.block_end) or None,
            guests=self.guests,
            units=verdict.units,
            timezone=self.timezone or resource_rules.timezone,
            group=self.group,
            series=self.series,
            notes=self.notes,
            reference=self.reference,
            metadata=self.metadata,
            holder=self.holder,
            expires_at=from_millis(Millis(now_millis + self.hold_seconds * SECOND)) if self.hold_seconds else None,
            created_at=now,
            updated_at=now,
            history=[HistoryEntry(at=now, by=self.by, operation=self.operation, to=status)],  # pyright: ignore[reportArgumentType]  # Beanie's ObjectId
            key=self.by,
        )

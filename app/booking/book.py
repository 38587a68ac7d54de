"""Booking a time: the most frequent intent."""

import random
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bson import ObjectId
from typing_extensions import override

from app.booking.intents import TYPICAL_BYTES, Intent, Lane, View, guard_lanes, rules_for
from app.booking.outcomes import Accepted, Refused
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import SECOND, Millis, from_millis, to_millis
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
POOL_SEEDS = random.Random()  # noqa: S311  # which member of a pool serves a booking is no secret
"""The generator of the seeds by which pools are shuffled."""


@dataclass(slots=True, kw_only=True)
class Book(Intent[Reservation]):
    """A new reservation on a named resource, or on a free one of a `pool`.

    `end` may be left out where the service sets it. `hold_seconds` makes it a hold; `status` is the one that an import
    demands, else the service decides. The rules in `lifted_rules` are not judged. `timezone` is the one in which the
    caller gave the time, if not the resource's.
    """

    resource: ResourceId | None
    pool: tuple[ResourceId, ...] = ()
    start: datetime
    end: datetime | None = None
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
    reservation: ObjectId = field(default_factory=ObjectId)
    pool_seed: int = field(default_factory=lambda: POOL_SEEDS.getrandbits(64))
    """The seed of the order in which an even assignment tries the pool; it is the same in all attempts."""
    pool_round: int | None = 0
    """The number of the try in one transaction, each of which has another order; None: by id."""
    pool_choice: ResourceId | None = None
    """The resource of the pool that a group's search has assigned."""

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

    def _candidates_in_order(self, view: View) -> Sequence[ResourceId]:
        """The resources on which it may be booked, in the order in which they are tried.

        An even assignment shuffles the pool for each booking. A rotation from a random start would choose the
        successor of a full resource twice as often.
        """
        if self.pool_choice is not None:
            return (self.pool_choice,)
        service_rules = view.service_rules(self.service) if self.service else None
        if self.resource or service_rules is None or service_rules.assignment == "first":
            return self.candidates
        turns = [*self.pool]
        if self.pool_round is not None:
            random.Random(self.pool_seed + self.pool_round).shuffle(turns)  # noqa: S311  # the order of a pool is no secret
        if service_rules.assignment == "smallest":
            turns.sort(key=lambda candidate: _room_of(view.resource_rules(candidate)))
        return turns

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
        return self.end is not None and to_millis(self.end) - to_millis(self.start) > LENGTHY_FROM

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
            end = self._end(resource_rules, service_rules) if resource_rules else None
            if end is not None:
                spans.append(Span(candidate, *block_of(to_millis(self.start), end, service_rules)))
        return spans

    @override
    def judge(self, view: View) -> Accepted[Reservation]:
        """Judge every rule and make the reservation; of a pool the first resource in order that is free is chosen.

        Raises:
            Problem: `invalid` for an unknown resource or service, or an end that nothing determines.
            Refused: with the verdict; of a pool that of the resource with the fewest failed rules, among equals one
                that fails the capacity alone, then the first by id: a repeated request is refused in the same way.
        """
        refused: dict[str, Refused] = {}
        for candidate in self._candidates_in_order(view):
            try:
                return self._judge_on(candidate, view)
            except Refused as refusal:
                refused[candidate] = refusal.with_traceback(None)  # it would refer to this frame, and so to itself
        raise min(refused.items(), key=_fewest_failures)[1]

    def verdict_on(self, resource: ResourceId, view: View) -> Verdict:
        """The verdict of every rule on one of the resources.

        Raises:
            Problem: `invalid` for an unknown resource or service, or an end that nothing determines.
        """
        resource_rules, service_rules = rules_for(view, resource, self.service)
        end = self._end(resource_rules, service_rules)
        if end is None:
            raise invalid_field("endTime", UNDETERMINED_END)
        calendar = view.calendar(resource)
        request = BookingRequest(to_millis(self.start), end, self.guests, self.lifted_rules_until(end, calendar.now))
        return judge(request, resource_rules, service_rules, calendar)

    def _judge_on(self, resource: ResourceId, view: View) -> Accepted[Reservation]:
        verdict = self.verdict_on(resource, view)
        if not verdict.bookable:
            raise Refused(verdict)
        resource_rules, service_rules = rules_for(view, resource, self.service)
        calendar = view.calendar(resource)
        reservation = self._reservation(verdict, verdict.request.end, resource_rules, service_rules, calendar.now)
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

    def _end(self, resource_rules: ResourceRules, service_rules: ServiceRules | None) -> Millis | None:
        if self.end is not None:
            return to_millis(self.end)
        return end_by_service(to_millis(self.start), service_rules, resource_rules.timezone)

    def _reservation(
        self,
        verdict: Verdict,
        end: Millis,
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
            start_time=self.start,
            end_time=from_millis(end),
            block_start=from_millis(verdict.block_start),
            block_end=from_millis(verdict.block_end),
            long=is_long(verdict.block_start, verdict.block_end) or None,
            guests=self.guests,
            units=verdict.units,
            timezone=self.timezone or resource_rules.timezone,
            group=self.group,
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


def _room_of(resource_rules: ResourceRules | None) -> tuple[float, int]:
    """The sort key of a resource by its size: the guests that one reservation can have, then the capacity."""
    return (0, 0) if resource_rules is None else (resource_rules.guests_limit, resource_rules.capacity)


def _fewest_failures(refused: tuple[str, Refused]) -> tuple[int, bool, str]:
    """The sort key of a pool's refusals, whose first is the answer."""
    candidate, refusal = refused
    return len(refusal.verdict.failed), not refusal.verdict.is_conflict, candidate

"""The reads of one transaction: guards first, then rules, targets and occupants, all in the same snapshot."""

from collections.abc import Generator, Hashable, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

import structlog
from bson import ObjectId
from typing_extensions import override

from app.booking.intents import AnyIntent, Lane, View
from app.booking.priority import YIELD_MILLISECONDS
from app.booking.timestamps import check_skew
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import SECOND, Millis, to_millis
from app.domain.load import Calendar
from app.domain.rules import ResourceRules, ServiceRules
from app.errors import Problem
from app.storage.bson_types import BsonDocument, Row
from app.storage.catalogue import RESOURCES, SERVICES
from app.storage.conflict_lookup import glimpse, read
from app.storage.documents import CLOSURES_ROW, GuardRow, service_row
from app.storage.guard_steps import (
    bump_chosen_guard,
    bump_guards,
    has_reach,
    read_chosen_guard,
    read_guards,
    yield_until,
)
from app.storage.occupancy import occupancies_of
from app.storage.reach import Reach
from app.storage.rule_cache import RuleCache
from app.storage.span import Span
from app.storage.steps import Steps, by_ids, by_values, find
from app.storage.stored_closures import read_closures_within
from app.storage.versioned_cache import F, Id, VersionedCache

log = structlog.get_logger()

TARGET_FIELDS = {RESOURCES: ("version",)}
"""The fields that are read of a target, by its collection; of other targets the whole document is read.

The plan of an edit has read the whole resource, so the transaction only checks that its version is the same.
"""


class ClockSkew(Exception):  # noqa: N818  # the clocks differ by a moment; the batch runs again
    """The process judged by a clock that was ahead of the database's."""


class Snapshot(View):
    """The view of a batch: read once by `load` and `read_occupants`, then changed by each accepted intent.

    Args:
        rules: The process's cache of rules.
        clock: The database's clock as this process knows it, for guards that are only read.
    """

    def __init__(self, rules: RuleCache, clock: Millis) -> None:
        self.rules = rules
        self.clock = clock
        self.changed: frozenset[Lane] = frozenset()
        """The guards that this transaction has changed."""
        self.guards: dict[str, GuardRow] = {}
        self.reaches: dict[ResourceId, Reach] = {}
        self._resource_rules: dict[ResourceId, ResourceRules] = {}
        self._service_rules: dict[ServiceId, ServiceRules] = {}
        self._calendars: dict[ResourceId, Calendar] = {}
        self._unreadable: dict[tuple[str, str], Problem] = {}
        self._targets: dict[tuple[str, Hashable], BsonDocument] = {}

    @override
    def resource_rules(self, resource: ResourceId) -> ResourceRules | None:
        """The rules of a resource; None if there is no such resource.

        Raises:
            Problem: `invalid` where it cannot be read, `unavailable` where its guard is missing.
        """
        return self._guarded(self._readable(self._resource_rules, RESOURCES, resource), resource)

    @override
    def replace(self, rules: ResourceRules) -> None:
        """Show these rules of their resource to the intents that follow in the transaction."""
        self._resource_rules[rules.id] = rules

    @override
    def service_rules(self, service: ServiceId) -> ServiceRules | None:
        """The rules of a service; None if there is no such service.

        Raises:
            Problem: `invalid` where it cannot be read, `unavailable` where its guard is missing.
        """
        return self._guarded(self.stored_service_rules(service), service_row(service))

    @override
    def stored_service_rules(self, service: ServiceId) -> ServiceRules | None:
        """The rules of a service, whether or not its guard exists; it raises as `service_rules` does."""
        return self._readable(self._service_rules, SERVICES, service)

    def _readable(self, rules: Mapping[Id, F], collection: str, identity: Id) -> F | None:
        if (problem := self._unreadable.get((collection, identity))) is not None:
            raise problem
        return rules.get(identity)

    def _guarded(self, rules: F | None, guard: str) -> F | None:
        """Rules whose guard exists: guards are made with documents, and never here."""
        if rules is not None and guard not in self.guards:
            raise missing_guard(guard)
        return rules

    @override
    def seq(self, resource: ResourceId) -> int:
        """How many transactions have changed the resource's guard, this one included."""
        return self.guards[resource]["seq"]

    @override
    def now(self, resource: ResourceId) -> Millis:
        """The database's clock at this batch's change of the guard; where it is only read, not before its last."""
        at = self._changed_at(resource)
        if Lane(resource) in self.changed or at is None:
            return self.clock if at is None else to_millis(at)
        return max(self.clock, to_millis(at))

    @override
    def calendar(self, resource: ResourceId) -> Calendar:
        """The occupants of a resource in the spans that the batch's intents asked for."""
        if resource not in self._calendars:
            self._calendars[resource] = Calendar(self.now(resource))
        return self._calendars[resource]

    @contextmanager
    @override
    def undoing(self, *failures: type[Exception]) -> Generator[None]:
        """Take back what the block enters into calendars if one of these failures leaves it."""
        before = {resource: (calendar.live.copy(), calendar.expired.copy()) for resource, calendar in self._known()}
        try:
            yield
        except failures:
            for resource, calendar in self._known():
                calendar.live, calendar.expired = before.get(resource, ({}, {}))
            raise

    def _known(self) -> list[tuple[ResourceId, Calendar]]:
        return [*self._calendars.items()]

    @override
    def target(self, collection: str, identity: Hashable) -> BsonDocument | None:
        """A document that an intent named as its target."""
        return self._targets.get((collection, identity))

    def load(self, intents: Sequence[AnyIntent]) -> Steps[None]:
        """Change and read the guards, then read the rules and targets of these intents."""
        lanes = frozenset[Lane]().union(*(intent.lanes() for intent in intents))
        services = frozenset[ServiceId]().union(*(intent.services() for intent in intents))
        self.changed = frozenset[Lane]().union(*(intent.guards() for intent in intents))
        rows = lanes - self.changed | {service_row(service) for service in services}
        yield from self._take_guards(sorted(self.changed), sorted(rows - self.changed))
        yield from self._read_rules(lanes, services)
        yield from self._read_targets(intents)

    def yield_requests(self, owner: ObjectId) -> dict[Lane, float]:
        """The guards on which another process requests priority, with the seconds for which to leave them alone.

        The end of a request is compared with the database's clock in this batch: `at` of a guard that is only read can
        be days old.
        """
        now = self._clock_of_batch()
        left = {
            identity: to_millis(until) - now
            for identity, guard in self.guards.items()
            if (until := yield_until(guard, owner)) is not None
        }
        return {Lane(guard): min(wait, YIELD_MILLISECONDS) / SECOND for guard, wait in left.items() if wait > 0}

    def _changed_at(self, guard: str) -> datetime | None:
        """When a guard was changed last; None for one that nothing has changed yet, or that is missing."""
        found = self.guards.get(guard)
        return None if found is None else found.get("at")

    def _clock_of_batch(self) -> Millis:
        """The database's clock at this batch's own change of a guard, else as this process knows it."""
        stamps = [to_millis(at) for guard in self.changed if (at := self._changed_at(guard))]
        return max(stamps, default=self.clock)

    def _spans(self, intent: AnyIntent) -> list[Span]:
        try:
            return intent.spans(self)
        except Problem:  # raised again, and answered, when the intent is judged
            return []

    def take_chosen_guards(self, resources: frozenset[ResourceId]) -> Steps[None]:
        """Change the guards of the resources that were chosen from pools, after their occupants were read.

        If another transaction has changed one of them since this snapshot began, the change fails. So one that succeeds
        shows that what was read is still true.

        Raises:
            ClockSkew: a hold that was judged as expired is live by the clock of this change.
            StaleTimestamp: the clock by which this process judged is too far behind the database's.
        """
        for resource in sorted(resources - self.changed):
            yield bump_chosen_guard(resource)
            [guard] = yield read_chosen_guard(resource)
            holds = self.calendar(resource).expired.values()
            if any(hold.expires is not None and hold.expires > to_millis(guard["at"]) for hold in holds):
                raise ClockSkew
            check_skew(self.now(resource), to_millis(guard["at"]))

    def _take_guards(self, lanes: list[str], rows: list[str]) -> Steps[None]:
        """Change these guards; the second of two transactions fails here or at its commit, and never in between."""
        if lanes:
            yield bump_guards(lanes)
        found = yield read_guards([*lanes, *rows, CLOSURES_ROW])
        self.guards = {guard["_id"]: guard for guard in found}
        for identity, guard in self.guards.items():
            if has_reach(guard):
                self.reaches[ResourceId(identity)] = Reach.of_guard(guard)

    def _read_rules(self, lanes: frozenset[Lane], services: frozenset[ServiceId]) -> Steps[None]:
        """The rules of resources and services: cached under the guard's `rules` id, else read in this snapshot."""
        resources = [ResourceId(lane) for lane in sorted(lanes) if ":" not in lane]
        if resources:
            rules = yield from self._read_rules_of(self.rules.resources, resources)
            closures = self.rules.closures.valid(self.guards)
            if closures is None:
                stamp = self.guards[CLOSURES_ROW]["rules"]
                closures = self.rules.closures.keep((yield from read_closures_within(stamp)))
            self._resource_rules = self.rules.closures.applied(closures, rules)
        self._service_rules = yield from self._read_rules_of(self.rules.services, sorted(services))

    def _read_rules_of(self, cache: VersionedCache[Id, F], identities: Sequence[Id]) -> Steps[dict[Id, F]]:
        rows: Sequence[BsonDocument] = [{"_id": identity} for identity in identities]
        if identities and not cache.atomic:
            rows = yield find(f"{cache.collection}.versions", cache.collection, by_ids(identities), "version")
        found = cache.valid(self.guards, rows)
        unknown = [identity for identity in identities if identity not in found]
        if unknown:
            for row in (yield find(f"{cache.collection}.read", cache.collection, by_ids(unknown))):
                try:
                    found[row["_id"]] = cache.put(row, cache.stamp(self.guards, row))
                except Problem as problem:  # other intents of the batch may not need it
                    self._unreadable[cache.collection, row["_id"]] = problem
        return found

    def _read_targets(self, intents: Sequence[AnyIntent]) -> Steps[None]:
        wanted: dict[str, list[Hashable]] = {}
        for intent in intents:
            for place, identity in intent.targets():
                wanted.setdefault(place, []).append(identity)
        for place, identities in wanted.items():
            collection, _, field = place.partition(".")
            field = field or "_id"
            for row in (
                yield find("targets.read", collection, by_values(field, identities), *TARGET_FIELDS.get(place, ()))
            ):
                self._targets[place, row[field]] = row

    def read_occupants(self, intents: Sequence[AnyIntent], branches_a_find: int) -> Steps[None]:
        """Read all occupants of the intents' spans."""
        spans = [span for intent in intents for span in self._spans(intent)]
        self._add_occupants((yield from read(spans, self.reaches, branches_a_find)) if spans else ())

    def read_first_occupants(self, intents: Sequence[AnyIntent]) -> Steps[bool | None]:
        """Read the first occupants of a lengthy intent; whether these are all. None: all must be read at once.

        A judgement by some of the occupants can accept what all would refuse, and never the reverse.
        """
        spans = self._spans(intents[0]) if len(intents) == 1 else []
        if not any(span.lengthy for span in spans):
            return None
        found = yield from glimpse(spans, self.reaches)
        if found is None:
            return None
        rows, complete = found
        self._add_occupants(rows)
        return complete

    def _add_occupants(self, rows: Sequence[Row]) -> None:
        """Enter rows into calendars; a row of another program can be on further resources, whose reach was not read."""
        self._calendars = {}
        by_guest = {resource_rules.id for resource_rules in self._resource_rules.values() if resource_rules.by_guests}
        for row in rows:
            for resource, occupancy in occupancies_of(row, by_guest):
                if resource in self.reaches:
                    self.calendar(resource).add(occupancy)


def missing_guard(identity: str) -> Problem:
    """The problem where a guard is missing; the log names it to the operator."""
    log.error("guard missing", guard=identity, remedy="reserva migrate")
    return Problem("unavailable", "This cannot be booked until the operator has run `reserva migrate`.")

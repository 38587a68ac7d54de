"""Plans an edit of a resource before its transaction: which bookings it would strand, and what it writes.

Everything that takes long happens here, outside the transaction and outside the event loop: parsing, comparing the
rules before and after, reading and judging the bookings that may be stranded. The transaction only checks that the
plan is still valid.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.booking import Plan, PlanOutdated, Stranded, Stretch, Survey, missing_guard, read_blocking_rows, survey_of
from app.catalogue.changes import Wanted
from app.catalogue.queries import read_row
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import LATEST, Millis
from app.domain.load import Occupancy
from app.domain.narrowing import narrowed
from app.domain.rules import ResourceRules, ServicesById
from app.storage.bson_types import BsonDocument, Row
from app.storage.catalogue_updates import Changes
from app.storage.client import Store
from app.storage.documents import GuardRow, Resource
from app.storage.guards import read_guard
from app.storage.rule_cache import RuleReader
from app.storage.stored_catalogue import HOURS_FIELDS, version_of
from app.work import WorkPool

JUDGED_INLINE_MAX = 200
"""The number of bookings that are judged on the event loop, in a few milliseconds; more are judged in a thread."""


@dataclass(frozen=True, slots=True)
class Basis:
    """A resource as it is stored, with its guard, its rules and those of its services, all of one moment."""

    guard: GuardRow
    row: BsonDocument
    before: ResourceRules
    services: ServicesById


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans edits of resources.

    Args:
        store: The database.
        rules: The reader of parsed rules.
        work: Where long schedules are compared, and many bookings judged.
    """

    store: Store
    rules: RuleReader
    work: WorkPool

    async def basis(self, identity: ResourceId, needs: frozenset[str]) -> Basis:
        """What a plan starts from.

        The guard is read first, and once more with the rules: every edit of the resource changes it.

        Raises:
            PlanOutdated: the resource was edited while it was read.
            Problem: `not-found`; `invalid` where another program stored it so that it cannot be read; `unavailable`
                where the guard is missing.
        """
        guard = await read_guard(self.store, identity)
        row = await read_row(self.store, Resource, identity, without=HOURS_FIELDS - needs)
        if guard is None:
            raise missing_guard(identity)
        version_of(Resource, row)
        offered = row.get("services")
        services = [ServiceId(each) for each in offered if type(each) is str] if isinstance(offered, list) else []
        read = await self.rules.read([identity], services)
        if identity in read.unreadable:
            raise read.unreadable[identity]
        before = read.resources.get(identity)
        if before is None or read.guards[identity]["rules"] != guard["rules"]:
            raise PlanOutdated
        return Basis(guard, row, before, read.services)

    async def plan(self, basis: Basis, wanted: Wanted, *, by: str, force: bool) -> Plan | None:
        """The edit, if it strands no booking or is forced; None if it changes nothing. `by` names who makes it.

        Raises:
            Stranded: with the bookings that would exceed the capacity or break a rule, or with all future ones where
                the capacity mode would change.
            Problem: what the caller's change is refused with.
        """
        compared = await self.work.run(_compare, basis, wanted) if wanted.heavy else _compare(basis, wanted)
        if compared is None:
            return None
        changes, after = compared
        now = self.store.clock.millis()
        stretches = await self._stretches(basis, after, now, force=force)
        plan = Plan(
            version=basis.row["version"],
            before=basis.before,
            after=after,
            change=changes.update(basis.row, after, self.store.clock.now(), by),
            stretches=stretches,
            services=basis.services,
        )
        return await self._surveyed(plan, basis, now, force=force) if stretches else plan

    async def _stretches(self, basis: Basis, after: ResourceRules, now: Millis, *, force: bool) -> Sequence[Stretch]:
        """The times at which bookings may be stranded."""
        if basis.before.by_guests != after.by_guests:
            return [(now, LATEST)]
        if force:
            return []
        if basis.before.schedule is after.schedule:
            return narrowed(basis.before, after, basis.services, now)
        return await self.work.run(narrowed, basis.before, after, basis.services, now)

    async def _surveyed(self, plan: Plan, basis: Basis, now: Millis, *, force: bool) -> Plan:
        """The plan with the survey of the bookings, none of which it strands unless it is forced.

        Raises:
            Stranded: as `plan` says.
        """
        rows = await read_blocking_rows(self.store, plan.before.id, basis.guard, plan.stretches)
        judge = (plan, basis.guard, rows, now)
        survey, lost = await self.work.run(_judge, *judge) if len(rows) > JUDGED_INLINE_MAX else _judge(*judge)
        if plan.before.by_guests != plan.after.by_guests and survey.bookings:
            raise Stranded(sorted(survey.bookings, key=lambda each: each.start), forcible=False)
        if lost and not force:
            raise Stranded(lost, forcible=True)
        return replace(plan, survey=survey)


def _compare(basis: Basis, wanted: Wanted) -> tuple[Changes, ResourceRules] | None:
    changes = wanted.changes(basis.row, basis.before)
    return None if changes is None else (changes, changes.rules(basis.row, basis.before))


def _judge(plan: Plan, guard: GuardRow, rows: Sequence[Row], now: Millis) -> tuple[Survey, list[Occupancy]]:
    survey = survey_of(guard, rows, plan.before, now)
    return survey, plan.stranded_among(survey.bookings, now)

"""The bookings that a closure would strand, of all the resources that it closes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from pymongo.errors import PyMongoError

from app.booking import Stranded, overloaded
from app.domain.closures import Closure, Closures
from app.domain.ids import ResourceId
from app.domain.instants import Millis
from app.domain.load import Occupancy
from app.domain.rules import ResourceRules
from app.domain.stranding import stranded
from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.closable_resources import ClosableResource, read_closable, read_guards_of, read_times_off
from app.storage.closures import ClosureStore
from app.storage.documents import GuardRow
from app.storage.occupancy import occupancies_on
from app.storage.reach import Reach
from app.storage.reservations import ReservationStore
from app.work import WorkPool

PORTION = 250
"""Resources that are looked at together."""
ROWS_MAX = 200_000
"""Reservations that are read for one portion."""

Seen = Mapping[ResourceId, int]
"""The resources of a survey, each with the count of its guard's changes at that time."""


@dataclass(frozen=True, slots=True)
class Surveyor:
    """Looks for the bookings that a closure strands.

    Args:
        store: The database.
        work: Where many bookings are judged.
        closure: The closure.
    """

    store: Store
    work: WorkPool
    closure: Closure

    async def survey(self, seen: Seen | None = None) -> Seen:
        """What was looked at: of what was seen already, only resources whose guard has changed more than once since.

        That one change is the one that parts the bookings which see the closure from those which the survey sees.

        Raises:
            Stranded: with the bookings that meet the closure, and met no time off and no closure before.
            Problem: `overloaded` where that takes too long.
        """
        try:
            # The guards first: what is booked after that changes them, which the second survey sees. So a closure that
            # ends after the guards were read excuses no booking that was made in its time since.
            guards = await read_guards_of(self.store, self.closure.resources, self.closure.services)
            before = (await ClosureStore(self.store).find_all()).settled
            lost = [
                each
                for portion in _portions([*guards], guards, seen or {})
                for each in await self._stranded_on(portion, guards, before)
            ]
        except PyMongoError as error:
            if not error.timeout:
                raise
            raise overloaded("Reading the bookings that this may strand took too long; nothing was done.") from error
        if lost:
            raise Stranded(sorted(lost, key=lambda each: each.start), forcible=True)
        return {identity: guard["seq"] for identity, guard in guards.items()}

    async def _stranded_on(
        self, portion: Sequence[ResourceId], guards: Mapping[ResourceId, GuardRow], before: Closures
    ) -> list[Occupancy]:
        """The bookings on some resources that the closure strands, beside those that are settled already."""
        met: dict[ResourceId, list[Occupancy]] = {}
        closable = sorted(await read_closable(self.store, portion), key=lambda each: each.timezone)
        for timezone, alike in groupby(closable, key=lambda each: each.timezone):
            off = self.closure.time_off(timezone)
            if off is None:
                continue
            resources = [*alike]
            now = self.store.clock.millis()
            # A closure of the past can strand a booking that has not ended.
            span = max(off.start, now), max(off.end, Millis(now + 1))
            reaches = {each.id: Reach.of_guard(guards[each.id]) for each in resources}
            rows = await ReservationStore(self.store).find_occupying(reaches, *span, rows_max=ROWS_MAX)
            if any(rows.values()):
                met |= await self.work.run(_upcoming, resources, rows, now)
        if not met:
            return []
        rules = await read_times_off(self.store, [*met])
        return await self.work.run(_judge, rules, met, before, before.with_closure(self.closure))


def _portions(
    resources: Sequence[ResourceId], guards: Mapping[ResourceId, GuardRow], seen: Seen
) -> Iterator[Sequence[ResourceId]]:
    unseen = [each for each in resources if guards[each]["seq"] != seen.get(each, -2) + 1]
    for first in range(0, len(unseen), PORTION):
        yield unseen[first : first + PORTION]


def _upcoming(
    resources: Sequence[ClosableResource], rows: Mapping[str, list[BsonDocument]], now: Millis
) -> dict[ResourceId, list[Occupancy]]:
    """The bookings of each resource that has any which are not over."""
    found: dict[ResourceId, list[Occupancy]] = {}
    for each in resources:
        bookings = [
            taken
            for taken in occupancies_on(each.id, rows[each.id], by_guests=each.by_guests)
            if taken.own_end > now and (taken.expires is None or taken.expires > now)
        ]
        if bookings:
            found[each.id] = bookings
    return found


def _judge(
    rules: Sequence[ResourceRules],
    bookings: Mapping[ResourceId, Sequence[Occupancy]],
    before: Closures,
    after: Closures,
) -> list[Occupancy]:
    return [
        each
        for one in rules
        for each in stranded(bookings[one.id], replace(one, closures=before), replace(one, closures=after))
    ]

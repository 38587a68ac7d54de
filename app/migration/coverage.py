"""Coverage: what the catalogue needs to be bookable: guards of resources with their reach, rows and pools of services.

A database can have ten thousand of each, so they are read and made many at a time.
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field, replace

from app.domain.ids import ResourceId, ServiceId
from app.migration.booked import Booked, read_booked
from app.migration.report import (
    MigrationFinding,
    MigrationReport,
    Note,
    NoteKind,
    OnProgress,
    counted,
    ignore_progress,
    number,
)
from app.storage.bson_types import BsonDocument
from app.storage.bulk_inserts import insert_new
from app.storage.client import Store
from app.storage.documents import service_row
from app.storage.foreign_occupancies import Difference, compare, steps
from app.storage.guards import new_rules
from app.storage.pools import complete_pools, incomplete_pools, pool_row
from app.storage.raw_batches import find_batches
from app.storage.reach import NO_REACH, covers, listed_reaches, raise_reaches
from app.storage.values import excerpt, identity

AT_ONCE = 1_000
"""Guards that are made by one command."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""The ids that the API accepts, as `CatalogueId` in `app.http`, which this room may not import."""

_KNOWN = ("reachBack", "reachAhead", "long")
_RESOURCE_REMEDY = (
    "Audit and reconciliation count what is booked on them. To book one, create a resource with the same 24 digits as "
    "its id (POST /v1/resources), or with a name and its reservations' resource set to it."
)
_SERVICE_REMEDY = (
    "To offer one, create a service with the same 24 digits, or with a name, as its id (POST /v1/services)."
)


@dataclass(slots=True)
class Coverage:
    """What the catalogue lacks to be booked.

    Args:
        missing: The ids of missing guards of resources and rows of services.
        low: The resources whose guards have a smaller reach than their bookings need.
        booked: The reach and the foreign occupancies of all bookings.
        unlisted: The resources with foreign occupancies that are not stored.
        pools: The services whose pools are not complete, each with the number of resources that are missing in it.
        notes: Ids that the API cannot name.
    """

    missing: list[str] = field(default_factory=list)
    low: list[ResourceId] = field(default_factory=list)
    booked: Booked = field(default_factory=Booked)
    unlisted: list[ResourceId] = field(default_factory=list)
    pools: Mapping[ServiceId, int] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def findings(self) -> Iterator[MigrationFinding]:
        """What is missing, one finding a kind."""
        if self.missing:
            detail = (
                f"Missing: {counted('guard', self.missing)}. What they guard cannot be booked until "
                "`reserva migrate` makes them."
            )
            yield MigrationFinding("guard-missing", detail, tuple(self.missing))
        if self.low:
            detail = (
                f"The reach of {counted('guard', self.low)} is smaller than what is booked there, which bookings can "
                "overlook until `reserva migrate` raises it."
            )
            yield MigrationFinding("reach-low", detail, tuple(self.low))
        if self.unlisted:
            detail = (
                f"On {counted('resource', self.unlisted)} something is booked in a form that the conflict lookup does "
                "not find, so that bookings can overlook it until `reserva migrate` lists it."
            )
            yield MigrationFinding("occupancy-missing", detail, tuple(self.unlisted))
        if self.pools:
            detail = (
                f"Not complete: {counted('pool', [*self.pools])}, which lack {sum(self.pools.values()):,} resources "
                "that offer these services. `reserva migrate` completes them."
            )
            yield MigrationFinding("pool-incomplete", detail, tuple(self.pools))


async def survey_coverage(store: Store, on_progress: OnProgress) -> Coverage:
    """Survey the catalogue and its guards, and every reservation; nothing is changed."""
    coverage, resources, guards = await _survey_catalogue(store, on_progress)
    coverage.booked = await read_booked(store, frozenset(resources), on_progress)
    reaches = coverage.booked.reaches
    coverage.low = sorted(each for each in reaches.keys() & guards.keys() if not covers(guards[each], reaches[each]))
    async for difference in _unlisted(store, coverage.booked):
        coverage.unlisted += {each.resource for each in difference.missing} | {*difference.wrong_flags}
    coverage.unlisted.sort()
    return coverage


async def survey_catalogue(store: Store) -> Coverage:
    """Survey the catalogue and its guards without the reservations: reaches and occupancies are not compared."""
    coverage, _, _ = await _survey_catalogue(store, ignore_progress)
    return coverage


async def _survey_catalogue(
    store: Store, on_progress: OnProgress
) -> tuple[Coverage, list[ResourceId], dict[str, BsonDocument]]:
    """What the catalogue lacks, its resources, and the guards by their ids.

    Resources are read before guards: a resource that is made meanwhile has its guard before it.
    """
    coverage = Coverage()
    named = await _named(store, "resources", coverage.notes, "resource-foreign", _RESOURCE_REMEDY)
    resources = [*map(ResourceId, named)]
    named = await _named(store, "services", coverage.notes, "service-foreign", _SERVICE_REMEDY)
    services = [*map(ServiceId, named)]
    on_progress("looking at guards", 0, None)
    rows = [row async for batch in find_batches(store, "guards", _KNOWN) for row in batch]
    guards = {row["_id"]: row for row in rows if type(row["_id"]) is str}
    wanted = [*resources, *map(service_row, services)]
    coverage.missing = [each for each in wanted if each not in guards]
    coverage.pools = await incomplete_pools(store, services)
    return coverage, resources, guards


async def _unlisted(store: Store, booked: Booked) -> AsyncIterator[Difference]:
    """The foreign occupancies to be stored, some resources at a time. A reconciliation deletes those that are over."""
    names = sorted(booked.foreign)
    for first in range(0, len(names), AT_ONCE):
        some = names[first : first + AT_ONCE]
        difference = await compare(store, some, [each for name in some for each in booked.foreign[name]])
        yield replace(
            difference,
            obsolete=[],
            wrong_flags=[each for each in difference.wrong_flags if each in difference.occupied],
        )


async def complete_coverage(store: Store, coverage: Coverage, report: MigrationReport, on_progress: OnProgress) -> None:
    """Make what is missing, a thousand at a time; what another process makes meanwhile is left as it is."""
    made = 0
    for first in range(0, len(coverage.missing), AT_ONCE):
        on_progress("making guards", first, len(coverage.missing))
        ids = coverage.missing[first : first + AT_ONCE]
        made += await insert_new(store, "guards", [_guard(each, coverage.booked) for each in ids])
    if made == len(coverage.missing) > 0:
        report.built.append(counted("guard", coverage.missing))
    elif made:
        report.built.append(f"{number(made, 'guard')} of {len(coverage.missing):,}; another process made the others")
    if coverage.low:
        on_progress("raising reaches", 0, len(coverage.low))
        await raise_reaches(store, {each: coverage.booked.reaches[each] for each in coverage.low})
        report.built.append(f"a greater reach of {counted('guard', coverage.low)}")
    if coverage.unlisted:
        on_progress("listing what the conflict lookup does not find", 0, len(coverage.unlisted))
        async for difference in _unlisted(store, coverage.booked):
            for step in steps(difference):
                await step(store)
            await raise_reaches(store, listed_reaches(difference.missing))  # for guards that were made meanwhile
        report.built.append(f"a list of what else is booked on {counted('resource', coverage.unlisted)}")
    if coverage.pools:
        on_progress("completing pools", 0, len(coverage.pools))
        # A pool is inserted before its members are read, so that a resource that joins meanwhile is entered as well.
        await insert_new(store, "guards", [{"_id": pool_row(each), "members": []} for each in coverage.pools])
        await complete_pools(store, coverage.pools)
        report.built.append(counted("pool", [*coverage.pools]))


def _guard(identity: str, booked: Booked) -> BsonDocument:
    if ":" in identity:
        return {"_id": identity, "rules": new_rules()}
    reach = booked.reaches.get(ResourceId(identity), NO_REACH)
    marks = {name: True for name, is_set in (("long", reach.long), ("foreign", reach.foreign)) if is_set}
    known = {"reachBack": reach.back, "reachAhead": reach.ahead}
    return {"_id": identity, "seq": 0, "rules": new_rules(), **known, **marks}


async def _named(store: Store, collection: str, notes: list[Note], kind: NoteKind, remedy: str) -> list[str]:
    """The ids that the API accepts, sorted. The others are noted, unless an accepted id has the same text."""
    ids = [row["_id"] async for batch in find_batches(store, collection, ()) for row in batch]
    named = {each for each in ids if type(each) is str and _NAME.fullmatch(each)}  # BSON's code is text without a hash
    foreign = [each for each in ids if not (type(each) is str and each in named) and identity(each) not in named]
    if foreign:
        shown = tuple(identity(each) or excerpt(each) for each in foreign)
        types = ", ".join(sorted({type(each).__name__ for each in foreign}))
        detail = f"The API cannot name {counted(collection[:-1], shown)} (ids of type {types}). {remedy}"
        notes.append(Note(kind, detail, shown))
    return sorted(named)

"""Builds what Reserva needs in a database: collections, indexes, guards. `reserva migrate` and the trial call it.

The whole database is surveyed before anything is built, and nothing is built while there is an obstacle. No index is
dropped and no document deleted; the one change to documents, unsetting duplicate keys that a unique index would
refuse, needs `apply`. A migration that was interrupted is continued by the next one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from pymongo.errors import CollectionInvalid, OperationFailure

from app.cluster import agreement
from app.cluster.reaper import running
from app.migration.coverage import Coverage, complete_coverage, survey_coverage
from app.migration.duplicate_keys import DuplicateKey, find_duplicate_keys, unset_duplicates
from app.migration.indexes import Declared, Inventory, build, find_list_values, has_planner, take_inventory
from app.migration.report import (
    DUPLICATE_KEY_KINDS,
    OBSTACLES,
    FindingKind,
    MigrationFinding,
    MigrationReport,
    OnProgress,
    counted,
    ignore_progress,
)
from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.documents import DOCUMENTS
from app.storage.errors import StorageError
from app.storage.event_log import EventLog
from app.storage.foreign_occupancies import OCCUPANCIES, is_occupancy
from app.storage.guards import is_guard
from app.storage.raw_batches import find_batches
from app.storage.values import label

_NAMESPACE_EXISTS = 48
_OURS: dict[str, tuple[Callable[[Mapping[str, object]], bool], tuple[str, ...]]] = {
    "guards": (is_guard, ("rules", "seq", "members")),
    OCCUPANCIES: (is_occupancy, ("resource", "startTime", "endTime", "reservation")),
}
"""Collections that only Reserva writes: the test for their documents, and the fields that the test reads."""


@dataclass(slots=True)
class _Survey:
    """The state of the whole database, and what is to be built."""

    collections: list[str] = field(default_factory=list)
    inventory: Inventory = field(default_factory=Inventory)
    duplicates: list[list[DuplicateKey]] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Coverage)
    gap: int | None = None


async def migrate(
    store: Store, *, check: bool = False, apply: bool = False, on_progress: OnProgress = ignore_progress
) -> MigrationReport:
    """Build what is missing and report the rest.

    Args:
        store: The database; what its server can do is asked again afterwards.
        check: Only report.
        apply: Also unset the duplicate keys that keep a unique index from being built.
        on_progress: Called with what is done, how much of it, and of how much.
    """
    report = MigrationReport()
    survey = await _survey_database(store, report, on_progress)
    if not check:
        report.findings += await _running_differently(store)
    report.findings.sort(key=lambda finding: finding.kind not in OBSTACLES)
    obstacles = [finding for finding in report.obstacles if not (apply and finding.kind in DUPLICATE_KEY_KINDS)]
    if check or obstacles:
        return report
    report.findings.clear()
    for duplicates in survey.duplicates:
        await unset_duplicates(store, duplicates, on_progress)
        report.changed += [duplicate.change for duplicate in duplicates]
    await _build(store, survey, report, on_progress)
    await store.refresh_capabilities()
    return report


async def verify(store: Store) -> None:
    """Check that the indexes are as declared, and that the deployment books as this process does.

    A missing guard is no fault here: only bookings of its resource are refused, with a line in the log.

    Raises:
        StorageError: they are not; the sentence names the command that helps.
    """
    findings = (await take_inventory(store)).findings
    if findings:
        what = ", ".join(dict.fromkeys(finding.ids[0] for finding in findings))
        raise StorageError(
            f"The database {store.database.name} is not ready, indexes are missing or different: {what}. "
            "Run `reserva migrate` (with --check it only reports)."
        )
    if (difference := await agreement.difference(store)) is not None:
        raise StorageError(difference)


async def _survey_database(store: Store, report: MigrationReport, on_progress: OnProgress) -> _Survey:
    """Survey the whole database; nothing is changed."""
    survey = _Survey()
    on_progress("looking at collections and indexes", 0, None)
    unfit = await _survey_collections(store, survey, report)
    survey.inventory = await take_inventory(store, unfit, everywhere=True)
    for index in survey.inventory.absent:
        if index.unique:
            survey.duplicates.append(await find_duplicate_keys(store, index.collection, index.field, on_progress))
        elif (finding := await find_list_values(store, index)) is not None:
            report.findings.append(finding)
    for duplicate in chain(*survey.duplicates):
        kind: FindingKind = "null-key" if duplicate.keeper is None else "duplicate-key"
        report.findings.append(MigrationFinding(kind, duplicate.detail, duplicate.ids))
    survey.coverage = await survey_coverage(store, on_progress)
    report.findings += [*survey.inventory.findings, *survey.coverage.findings()]
    report.notes += [*survey.inventory.notes, *survey.coverage.notes]
    survey.gap = await EventLog(store).last_gap()
    if survey.gap is not None:
        detail = (
            f"The log of events has gaps, the last of them at place {survey.gap}; `reserva migrate` lets it begin "
            "after that, and a reader that stopped before it has to begin anew."
        )
        report.findings.append(MigrationFinding("events-missing", detail, ("events",)))
    if (difference := await agreement.difference(store)) is not None:
        report.findings.append(MigrationFinding("deployment-differs", difference, ("deployment",)))
    elif await agreement.lacks_id(store):
        detail = (
            "The deployment has no id, by which running processes notice that another database was restored in the "
            "place of theirs; `reserva migrate` gives it one."
        )
        report.findings.append(MigrationFinding("deployment-differs", detail, ("deployment",)))
    return survey


async def _survey_collections(store: Store, survey: _Survey, report: MigrationReport) -> list[str]:
    """Report missing and unusable collections; the names of those that cannot be used."""
    existing = await _collections(store)
    unfit = []
    for document in DOCUMENTS:
        name = document.Settings.name
        if name not in existing:
            survey.collections.append(name)
            detail = f"There is no collection {name}; `reserva migrate` makes it."
            report.findings.append(MigrationFinding("collection-missing", detail, (name,)))
        elif oddity := _oddity(existing[name]):
            unfit.append(name)
            detail = (
                f"{name} is not a plain collection: {oddity}. Let MONGODB_URL name a database of Reserva's own, or put "
                f"what is there elsewhere and drop it (db.{name}.drop()); then run `reserva migrate` again."
            )
            report.findings.append(MigrationFinding("collection-differs", detail, (name,)))
        elif name in _OURS and (misfits := await _misfits(store, name)):
            detail = (
                f"{name} holds documents that Reserva cannot use ({counted('document', misfits)}). If they are of "
                "another program, let MONGODB_URL name a database of Reserva's own; else remove them, and run "
                "`reserva migrate` again, which makes what is missing."
            )
            report.findings.append(MigrationFinding("collection-differs", detail, (name,)))
    return unfit


async def _misfits(store: Store, name: str) -> list[str]:
    """The ids of documents in one of Reserva's own collections that Reserva did not write."""
    is_ours, fields = _OURS[name]
    return [label(row["_id"]) async for batch in find_batches(store, name, fields) for row in batch if not is_ours(row)]


async def _collections(store: Store) -> dict[str, BsonDocument]:
    if not store.capabilities.native:  # mongomock lists only names
        return {name: {} for name in await store.database.list_collection_names()}
    return {each["name"]: each async for each in await store.database.list_collections()}


def _oddity(collection: BsonDocument) -> str | None:
    """Why a collection cannot be used for guards, keys or reservations; None if it can."""
    options = collection.get("options", {})
    if collection.get("type", "collection") != "collection":
        return f"it is a {collection['type']}"
    if options.get("capped"):
        return "it is capped, so the server removes what is old"
    collation = options.get("collation", {}).get("locale", "simple")
    return None if collation == "simple" else f"its collation is {collation}, by which different ids can be equal"


async def _build(store: Store, survey: _Survey, report: MigrationReport, on_progress: OnProgress) -> None:
    for name in survey.collections:
        if await _make_collection(store, name):
            report.built.append(f"collection {name}")
    missing = survey.inventory.missing
    await _build_indexes(store, [each for each in missing if not each.for_planner], report, on_progress)
    others = [each for each in missing if each.for_planner]
    if others:
        await store.refresh_capabilities()
    if has_planner(store):
        await _build_indexes(store, others, report, on_progress)
    await complete_coverage(store, survey.coverage, report, on_progress)
    if survey.gap is not None:
        await EventLog(store).raise_floor(survey.gap)
        report.built.append(f"beginning of the log of events after place {survey.gap}")
    await _agree(store, report)


async def _build_indexes(
    store: Store, indexes: Sequence[Declared], report: MigrationReport, on_progress: OnProgress
) -> None:
    """Build indexes, those first that may be refused."""
    for done, index in enumerate(sorted(indexes, key=lambda index: not index.unique)):
        on_progress(f"building the index {index.name}", done, len(indexes))
        finding = await build(store, index)
        if finding is None:
            report.built.append(f"index {index.name}")
        else:
            report.findings.append(finding)


async def _make_collection(store: Store, name: str) -> bool:
    """Make a collection; whether it was missing. Making one within a transaction would conflict with all others."""
    create = store.database.create_collection
    if store.capabilities.native:
        create = partial(create, check_exists=False)  # the server itself refuses what exists
    try:
        await create(name)
    except CollectionInvalid:  # another process made it meanwhile
        return False
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise
        return False
    return True


async def _agree(store: Store, report: MigrationReport) -> None:
    """Store the mode and lifecycle of this process, unless others run; give an agreement without an id one.

    A process that starts meanwhile finds them with its next heartbeat.
    """
    if await agreement.difference(store) is not None:
        if obstacles := await _running_differently(store):
            report.findings += obstacles
            return
        await agreement.change(store)
        report.built.append(f"deployment in {store.mode} mode")
    if await agreement.give_id(store):
        report.built.append("id of the deployment")


async def _running_differently(store: Store) -> list[MigrationFinding]:
    """The running processes, where they book otherwise than this one would."""
    difference = await agreement.difference(store)
    rows = await running(store) if difference is not None else []
    if not rows:
        return []
    names = tuple(f"{row.host}, process {row.pid} ({row.mode})" for row in rows)
    return [MigrationFinding("processes-running", f"{difference} Running: {'; '.join(names)}.", names)]

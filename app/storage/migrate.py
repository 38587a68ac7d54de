"""Brings a database to what Reserva needs: collections, indexes, guards. `reserva migrate` and the trial call it.

It builds what is missing and reports what it must not touch. No index is ever dropped and no document removed; the
one change to reservations, keys that stand in the way of `reservation_idempotency`, waits for `apply`.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from pymongo import IndexModel
from pymongo.errors import CollectionInvalid, OperationFailure

from app.storage import deployment
from app.storage.client import Store
from app.storage.documents import DOCUMENTS, service_row
from app.storage.errors import StorageError
from app.storage.guards import make_guard, make_service_row
from app.storage.pools import complete_pool, lacking
from app.storage.processes import running
from app.storage.strays import find_strays, settle

FindingKind = Literal[
    "collection-missing",
    "index-missing",
    "index-differs",
    "index-refused",
    "null-key",
    "duplicate-key",
    "guard-missing",
    "pool-incomplete",
    "deployment-differs",
    "processes-running",
]

_NAMESPACE_EXISTS = 48

_OPTIONS = ("unique", "sparse", "hidden", "partialFilterExpression", "expireAfterSeconds", "collation")
"""The options of an index that change what it means; servers add `v`, `ns`, `background` as they like."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be.

    Args:
        kind: What sort of thing.
        detail: A sentence for the operator.
        ids: What it is about: a collection, index or guard; or reservations, the oldest first.
    """

    kind: FindingKind
    detail: str
    ids: tuple[str, ...]


@dataclass(slots=True)
class Report:
    """What a migration found and did.

    Args:
        findings: What is not as it must be, still.
        built: What was made, as `index reservation_start` or `guard room-1`.
        changed: What was done to reservations, one sentence each.
    """

    findings: list[Finding] = field(default_factory=list)
    built: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether the database is as it must be."""
        return not self.findings


async def migrate(store: Store, *, check: bool = False, apply: bool = False) -> Report:
    """Build what is missing and report the rest.

    Args:
        store: The database; what its server can do is asked again afterwards.
        check: Only report.
        apply: Also take off the keys that keep `reservation_idempotency` from being built. As long as there are such
            keys, nothing at all is built without it.
    """
    report = Report()
    if "reservation_idempotency" not in await _indexes(store, "reservations"):
        for stray in await find_strays(store):
            if apply and not check:
                await settle(store, stray)
                report.changed.append(stray.settled)
            else:
                kind: FindingKind = "null-key" if stray.keeps is None else "duplicate-key"
                report.findings.append(Finding(kind, stray.found, stray.ids))
    builds = not check and report.clean
    await _collections(store, report, builds=builds)
    await _all_indexes(store, report, builds=builds)
    await _guards(store, report, builds=builds)
    await _deployment(store, report, builds=builds)
    if builds:
        await store.look()
    return report


async def verify(store: Store) -> None:
    """Refuse to start on a database whose indexes are not as they must be, or whose processes book in another way.

    A missing guard is no reason to refuse everybody: bookings of that resource are refused, with a line in the log.

    Raises:
        StorageError: naming the command that helps.
    """
    report = Report()
    await _all_indexes(store, report, builds=False)
    if not report.clean:
        what = ", ".join(finding.ids[0] for finding in report.findings)
        raise StorageError(
            f"The database {store.database.name} is not ready, indexes are missing or different: {what}. "
            "Run `reserva migrate` (with --check it only reports)."
        )
    if (difference := await deployment.difference(store)) is not None:
        raise StorageError(difference)


async def _collections(store: Store, report: Report, *, builds: bool) -> None:
    """Collections are made here, since making one inside a transaction collides with everybody else's."""
    there = await store.database.list_collection_names()
    for document in DOCUMENTS:
        name = document.Settings.name
        if name in there:
            continue
        if not builds:
            report.findings.append(Finding("collection-missing", f"There is no collection {name}.", (name,)))
            continue
        try:
            await store.database.create_collection(name)
        except CollectionInvalid:  # somebody else made it meanwhile
            continue
        except OperationFailure as error:
            if error.code != _NAMESPACE_EXISTS:
                raise
            continue
        report.built.append(f"collection {name}")


async def _all_indexes(store: Store, report: Report, *, builds: bool) -> None:
    for document in DOCUMENTS:
        there = await _indexes(store, document.Settings.name) if document.Settings.indexes else {}
        for model in document.Settings.indexes:
            finding = _judge(store, document.Settings.name, model, there)
            if builds and finding is not None and finding.kind == "index-missing":
                finding = await _build(store, document.Settings.name, model)
                report.built += [f"index {model.document['name']}"] if finding is None else []
            if finding is not None:
                report.findings.append(finding)


def _judge(store: Store, collection: str, model: IndexModel, there: Mapping[str, Any]) -> Finding | None:
    """What is wrong with an index, by what the collection has."""
    name: str = model.document["name"]
    want = _meaning(store, model.document)
    if name not in there:
        twin = next((f", but {other} has its keys" for other, has in there.items() if has["key"] == want["key"]), "")
        return Finding("index-missing", f"The index {name} of {collection} is missing{twin}.", (name,))
    if there[name] == want:
        return None
    detail = (
        f"The index {name} of {collection} has {_words(there[name])} where it must have {_words(want)}. "
        f'Drop it yourself (db.{collection}.dropIndex("{name}")), then run migrate again.'
    )
    return Finding("index-differs", detail, (name,))


async def _build(store: Store, collection: str, model: IndexModel) -> Finding | None:
    """Build one index; a finding if the server refuses."""
    try:
        await store.database[collection].create_indexes([model])
    except OperationFailure as error:
        name, said = model.document["name"], (error.details or {}).get("errmsg", str(error))
        detail = f"The server refuses to build the index {name} of {collection}: {said}"
        return Finding("index-refused", detail, (name,))
    return None


async def _guards(store: Store, report: Report, *, builds: bool) -> None:
    # What is guarded first, its guards second: who makes a resource makes its guard before it.
    resources = await _ids(store, "resources")
    services = await _ids(store, "services")
    guards = set(await _ids(store, "guards"))
    made: list[tuple[str, Callable[[], Awaitable[bool]]]] = [
        *((identity, partial(make_guard, store, identity)) for identity in resources),
        *((service_row(identity), partial(make_service_row, store, identity)) for identity in services),
    ]
    for guard, make in made:
        if guard in guards:
            continue
        if not builds:
            detail = f"There is no guard {guard}; what it guards cannot be booked until migrate makes it."
            report.findings.append(Finding("guard-missing", detail, (guard,)))
        elif await make():
            report.built.append(f"guard {guard}")
    await _pools(store, report, [each for each in services if builds or service_row(each) in guards], builds=builds)


async def _pools(store: Store, report: Report, services: Collection[str], *, builds: bool) -> None:
    """Who offers a service is found in its pool; a service without a guard gets it with that."""
    for service, missing in (await lacking(store.database, services)).items():
        if builds:
            await complete_pool(store.database, service)
            report.built.append(f"pool {service}")
        else:
            detail = f"The pool of the service {service} is not complete: it lacks {missing} resources that offer it."
            report.findings.append(Finding("pool-incomplete", detail, (service,)))


async def _deployment(store: Store, report: Report, *, builds: bool) -> None:
    """Another mode or lifecycle than was agreed on is settled while nobody runs.

    Who starts at that very moment finds it with its next beat.
    """
    what = await deployment.difference(store)
    if what is None:
        return
    if not builds:
        report.findings.append(Finding("deployment-differs", what, ("deployment",)))
        return
    rows = await running(store)
    if not rows:
        await deployment.change(store)
        report.built.append(f"deployment in {store.mode} mode")
        return
    names = tuple(f"{row.host}, process {row.pid} ({row.mode})" for row in rows)
    report.findings.append(Finding("processes-running", f"{what} Running: {'; '.join(names)}.", names))


async def _ids(store: Store, collection: str) -> list[str]:
    return [row["_id"] async for row in store.database[collection].find({}, {"_id": 1}).sort("_id", 1)]


async def _indexes(store: Store, collection: str) -> dict[str, dict[str, Any]]:
    """What the indexes of a collection mean, by name; none where there is no collection."""
    return {index["name"]: _meaning(store, index) async for index in store.database[collection].list_indexes()}


def _meaning(store: Store, index: Mapping[str, Any]) -> dict[str, Any]:
    """Keys with their order and the options that count, in one form whoever tells them."""
    meaning: dict[str, Any] = {"key": list(index["key"].items())}
    for option in _OPTIONS:
        value = index.get(option)
        if value is not None and value is not False and value != {"locale": "simple"}:
            meaning[option] = value
    if not store.capabilities.native:  # mongomock keeps the filter to itself
        meaning.pop("partialFilterExpression", None)
    return meaning


def _words(meaning: Mapping[str, Any]) -> str:
    """An index in the words of a shell."""

    def parts() -> Iterator[str]:
        yield "{" + ", ".join(f"{name}: {order}" for name, order in meaning["key"]) + "}"
        yield from (f"{option}: {value}" for option, value in meaning.items() if option != "key")

    return ", ".join(parts())

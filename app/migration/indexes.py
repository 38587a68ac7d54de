"""The indexes of a database and those that Reserva needs, compared by their meaning."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from pymongo import IndexModel
from pymongo.errors import OperationFailure

from app.migration.report import MigrationFinding, Note, examples
from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.documents import DOCUMENTS
from app.storage.errors import UNAUTHORIZED

_OPTIONS = ("unique", "sparse", "hidden", "partialFilterExpression", "expireAfterSeconds", "collation")
"""The options of an index that change what it means; servers add `v`, `ns`, `background` as they like."""

_LISTED = 20

Meaning = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Declared:
    """An index that Reserva needs."""

    collection: str
    model: IndexModel
    for_planner: bool = False
    """Whether only a server which plans reads makes use of it."""

    @property
    def name(self) -> str:
        """The declared name."""
        name: str = self.model.document["name"]
        return name

    @property
    def field(self) -> str:
        """The path of the first key."""
        path: str = next(iter(self.model.document["key"]))
        return path

    @property
    def unique(self) -> bool:
        """Whether no two documents may have the same key."""
        return bool(self.model.document.get("unique"))


@dataclass(slots=True)
class Inventory:
    """The declared indexes that a database lacks.

    Args:
        missing: Those that can be built.
        absent: All of them: the missing ones, and those in whose place is a different index.
        findings: The absent indexes, in sentences.
        notes: Indexes of other programs that are equivalent to a declared one, or that can refuse or delete documents.
    """

    missing: list[Declared] = field(default_factory=list)
    absent: list[Declared] = field(default_factory=list)
    findings: list[MigrationFinding] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def has_planner(store: Store) -> bool:
    """Whether the server plans reads: it reads a list along an index, and unites and narrows ranges.

    Before the other indexes are built, every server is taken to do so.
    """
    return store.shape == "or"


async def take_inventory(store: Store, without: Collection[str] = (), *, everywhere: bool = False) -> Inventory:
    """Compare the declared indexes with those of the database.

    Args:
        store: The database.
        without: Collections that cannot have indexes.
        everywhere: Also read the indexes of collections that have no declared one.
    """
    inventory = Inventory()
    for document in DOCUMENTS:
        name = document.Settings.name
        if name in without or not (everywhere or document.Settings.indexes):
            continue
        existing = await _indexes(store, name)
        declared = [Declared(name, model) for model in document.Settings.indexes]
        if has_planner(store):
            declared += [Declared(name, model, for_planner=True) for model in document.Settings.planner_indexes]
        known = {each for index in declared for each in _compare(store, index, existing, inventory)}
        inventory.notes += _foreign_index_notes(name, {other: existing[other] for other in existing.keys() - known})
    return inventory


def _compare(store: Store, index: Declared, existing: Mapping[str, Meaning], inventory: Inventory) -> Iterator[str]:
    """Compare one declared index; yield the names of the indexes that match it or are in its place."""
    want = meaning(store, index.model.document)
    if (has := existing.get(index.name)) is not None:
        yield index.name
        if has != want:
            inventory.absent.append(index)
            inventory.findings.append(_differs(index, index.name, has, want))
        return
    same_keys = {name: has for name, has in existing.items() if has["key"] == want["key"]}
    twin = next((name for name, has in same_keys.items() if has == want), None)
    if twin is not None:
        yield twin
        detail = f"The index {twin} of {index.collection} has the keys and options of {index.name} and is taken for it."
        inventory.notes.append(Note("index-twin", detail, (index.name, twin)))
        return
    inventory.absent.append(index)
    for name, has in same_keys.items():
        yield name
        inventory.findings.append(_differs(index, name, has, want))
    if not same_keys:
        inventory.missing.append(index)
        detail = f"The index {index.name} of {index.collection} is missing; `reserva migrate` builds it."
        inventory.findings.append(MigrationFinding("index-missing", detail, (index.name,)))


def _differs(index: Declared, name: str, has: Meaning, want: Meaning) -> MigrationFinding:
    stands = "" if name == index.name else f", which stands in the place of {index.name},"
    detail = (
        f"The index {name} of {index.collection}{stands} has {_words(has)} where it must have {_words(want)}. "
        f'Drop it yourself (db.{index.collection}.dropIndex("{name}")), then run `reserva migrate` again.'
    )
    return MigrationFinding("index-differs", detail, (index.name,))


def _foreign_index_notes(collection: str, foreign: Mapping[str, Meaning]) -> Iterator[Note]:
    """Notes on indexes of other programs that refuse or remove what Reserva writes."""
    for name, has in sorted(foreign.items()):
        effects = {
            "unique": "refuses what Reserva writes where another document has the same values, or lacks them too",
            "expireAfterSeconds": "lets the server remove documents by their age",
        }
        for option, effect in effects.items():
            if option in has:
                drop = f'db.{collection}.dropIndex("{name}")'
                detail = f"The index {name} of {collection} ({_words(has)}) {effect}; if no program needs it, {drop}."
                yield Note("index-foreign", detail, (name,))


async def find_list_values(store: Store, index: Declared) -> MigrationFinding | None:
    """A finding where documents have lists in two fields of an index, which MongoDB cannot index."""
    fields = [name for name in index.model.document["key"] if name != "_id"]
    pairs = [{key: {"$type": "array"} for key in pair} for pair in combinations(fields, 2)]
    if not pairs or not store.capabilities.native:
        return None
    where = {**index.model.document.get("partialFilterExpression", {}), "$or": pairs}
    found = store.database[index.collection].find(where, {"_id": 1}).limit(_LISTED + 1)
    ids = [str(each["_id"]) async for each in found]
    if not ids:
        return None
    detail = (
        f"The index {index.name} of {index.collection} cannot be built where two of {', '.join(fields)} are "
        f"lists, as in {examples(ids, _LISTED)}. Put one value into each, then run `reserva migrate` again."
    )
    return MigrationFinding("list-values", detail, tuple(ids[:_LISTED]))


async def build(store: Store, index: Declared) -> MigrationFinding | None:
    """Build one index; a finding if the server refuses.

    Raises:
        pymongo.errors.OperationFailure: the user may not build indexes.
    """
    try:
        await store.database[index.collection].create_indexes([index.model])
    except OperationFailure as error:
        if error.code == UNAUTHORIZED:
            raise
        reason = str((error.details or {}).get("errmsg", error)).rstrip(".")
        detail = (
            f"The server refuses to build the index {index.name} of {index.collection}: {reason}. "
            "Mend what it names, then run `reserva migrate` again, which goes on from there."
        )
        return MigrationFinding("index-refused", detail, (index.name,))
    return None


async def _indexes(store: Store, collection: str) -> dict[str, Meaning]:
    """The meanings of the indexes of a collection, by name; empty where there is no collection."""
    return {index["name"]: meaning(store, index) async for index in store.database[collection].list_indexes()}


def meaning(store: Store, index: BsonDocument) -> Meaning:
    """The keys of an index with their order, and the options that change its meaning, whichever server lists it."""
    found: Meaning = {"key": list(index["key"].items())}
    for option in _OPTIONS:
        value = index.get(option)
        if value is not None and value is not False and value != {"locale": "simple"}:
            found[option] = value
    if not store.capabilities.native:  # mongomock keeps the filter to itself
        found.pop("partialFilterExpression", None)
    return found


def _words(index: Meaning) -> str:
    """An index as the MongoDB shell would show it."""

    def parts() -> Iterator[str]:
        yield "{" + ", ".join(f"{name}: {order}" for name, order in index["key"]) + "}"
        yield from (f"{option}: {value}" for option, value in index.items() if option != "key")

    return ", ".join(parts())

"""Values that a unique sparse index refuses: explicit nulls, and keys of more than one document.

They are found only in a database that is older than the index. Unsetting the key of a reservation loses only the answer
to a replay (for an import's key: that its row is booked already), that of a customer the id in another system. So the
oldest document keeps the key, and none is deleted.
"""

from collections.abc import AsyncIterator, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import isnan
from typing import Any

from bson import Binary, Code, Decimal128, ObjectId
from bson.dbref import DBRef

from app.domain.instants import Millis, to_millis
from app.migration.report import OnProgress, examples, ignore_progress, number
from app.storage.bson_types import Row
from app.storage.client import Store
from app.storage.raw_batches import find_batches
from app.storage.values import excerpt, instant, row_key

AT_ONCE = 2_000_000
"""Keys that are compared in one pass, some 150 MB; more of them need several passes."""

IDS_AN_UPDATE = 500
_NEVER = Millis(2**63)
_LISTED = 100


@dataclass(frozen=True, slots=True)
class Holder:
    """A document with its value of the key's field."""

    id: Any
    value: object


@dataclass(frozen=True, slots=True)
class DuplicateKey:
    """A key of several documents, or an explicit null.

    Args:
        collection: Where they are.
        field: Where it is in them.
        key: The key; None for an explicit null too.
        keeper: The oldest, which keeps the key; None for a null, which no document keeps.
        losers: Those whose key is unset, the oldest first.
    """

    collection: str
    field: str
    key: Any
    keeper: Holder | None
    losers: tuple[Holder, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the documents, the oldest first."""
        return tuple(str(each.id) for each in ((self.keeper, *self.losers) if self.keeper else self.losers))

    @property
    def detail(self) -> str:
        """The sentence for the operator while the key is not unset."""
        remedy = f"`reserva migrate --apply` unsets it on {number(len(self.losers), self.collection[:-1])}"
        if self.keeper is None:
            return f"{self.field} is null where it must be left out; {remedy}."
        return (
            f"{self.field} {excerpt(self.key)} is on {len(self.losers) + 1:,} {self.collection}; {remedy} and keeps it"
            f" on the oldest, {self.keeper.id}."
        )

    @property
    def change(self) -> str:
        """The sentence for the operator after the key was unset."""
        on = examples([str(each.id) for each in self.losers], _LISTED)
        if self.keeper is None:
            return f"unset the null {self.field} on {on}"
        return f"unset {self.field} {excerpt(self.key)} on {on}; the oldest, {self.keeper.id}, keeps it"


async def find_duplicate_keys(
    store: Store, collection: str, field: str, on_progress: OnProgress = ignore_progress
) -> list[DuplicateKey]:
    """All duplicate keys of a field, nulls first. It reads every document, because the index is not there yet."""
    repeated = await _repeated_hashes(store, collection, field, on_progress)
    nulls: list[Holder] = []
    rows: list[tuple[tuple[Millis, str], Holder]] = []
    async for row in _rows(store, collection, field, "createdAt"):
        holder = Holder(row["_id"], row[field])
        if holder.value is None:
            nulls.append(holder)
        elif any(hash(key) in repeated for key, _ in _keys(holder.value)):
            rows.append((_age(row), holder))
    rows.sort(key=lambda row: row[0])
    nulls.sort(key=lambda holder: str(holder.id))
    found = _duplicates_among(collection, field, [holder for _, holder in rows])
    duplicates = sorted(found, key=lambda duplicate: excerpt(duplicate.key))
    return [DuplicateKey(collection, field, None, None, tuple(nulls)), *duplicates] if nulls else duplicates


def _duplicates_among(collection: str, field: str, rows: list[Holder]) -> Iterator[DuplicateKey]:
    """Let each document, the oldest first, keep its keys if no older one has any of them."""
    owners: dict[Hashable, Holder] = {}
    losers: dict[Hashable, tuple[object, list[Holder]]] = {}
    for holder in rows:
        keys = list(_keys(holder.value))
        taken = next(((key, value) for key, value in keys if key in owners), None)
        if taken is None:
            owners.update((key, holder) for key, _ in keys)
        else:
            losers.setdefault(taken[0], (taken[1], []))[1].append(holder)
    for key, (value, lost) in losers.items():
        yield DuplicateKey(collection, field, value, owners[key], tuple(lost))


async def unset_duplicates(
    store: Store, duplicates: Sequence[DuplicateKey], on_progress: OnProgress = ignore_progress
) -> None:
    """Unset the keys of all but the oldest, where they are unchanged; compared here, since servers compare differently.

    Args:
        store: The database.
        duplicates: All of one field.
        on_progress: Called with the progress.
    """
    losers = [(duplicate, holder) for duplicate in duplicates for holder in duplicate.losers]
    for first in range(0, len(losers), IDS_AN_UPDATE):
        collection, field = losers[first][0].collection, losers[first][0].field
        on_progress(f"unsetting {field}", first, len(losers))
        some = [holder for _, holder in losers[first : first + IDS_AN_UPDATE]]
        lost: dict[Hashable, Hashable] = {row_key(each.id): comparable(each.value) for each in some}
        where = {"_id": {"$in": [each.id for each in some]}}
        rows = [row async for batch in find_batches(store, collection, (field,), where) for row in batch]
        same = [row["_id"] for row in rows if field in row and _is_same(row, field, lost)]
        await store.database[collection].update_many({"_id": {"$in": same}}, {"$unset": {field: ""}})


def _is_same(row: Row, field: str, lost: Mapping[Hashable, Hashable]) -> bool:
    return comparable(row[field]) == lost.get(row_key(row["_id"]))


async def _repeated_hashes(store: Store, collection: str, field: str, on_progress: OnProgress) -> set[int]:
    """The hashes of all keys of more than one document; by collision, rarely, that of another key."""
    rows = await store.database[collection].estimated_document_count()
    passes = 1 + rows // AT_ONCE
    repeated: set[int] = set()
    for part in range(passes):
        seen: set[int] = set()
        async for row in _rows(store, collection, field, on_progress=on_progress):
            for key in {hash(key) for key, _ in _keys(row[field])}:
                if key % passes == part:
                    (repeated if key in seen else seen).add(key)
    return repeated


async def _rows(
    store: Store, collection: str, field: str, *fields: str, on_progress: OnProgress = ignore_progress
) -> AsyncIterator[Row]:
    done = 0
    async for batch in find_batches(store, collection, (field, *fields), {field: {"$exists": True}}):
        for row in batch:
            yield row
        done += len(batch)
        on_progress(f"looking for {field} on several {collection}", done, None)


def _keys(value: object) -> Iterator[tuple[Hashable, Any]]:
    """The keys that an index makes of a value, each as `comparable` and as stored: a list has one for each element."""
    if isinstance(value, list) and value:
        yield from ((comparable(each), each) for each in value)
    else:
        yield comparable(value), value


def comparable(value: object) -> Hashable:
    """A form of a value that is equal to another where MongoDB compares them as equal, numbers across types."""
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return "number", "NaN" if _is_nan(value) else value
    if isinstance(value, DBRef):
        value = value.as_doc()
    if isinstance(value, Mapping):
        return "object", tuple((name, comparable(each)) for name, each in value.items())
    if isinstance(value, list):
        return "list", tuple(map(comparable, value))
    if isinstance(value, Code):
        return "code", str(value), comparable(value.scope)
    if isinstance(value, bytes):
        return "bytes", bytes(value), value.subtype if isinstance(value, Binary) else 0
    return type(value).__name__, value if isinstance(value, Hashable) else repr(value)


def _is_nan(value: float | Decimal) -> bool:
    return value.is_nan() if isinstance(value, Decimal) else isnan(value)


def _age(row: Row) -> tuple[Millis, str]:
    """The sort key of a document, the oldest first: its `createdAt`, or else the time in its id."""
    identity, created = row["_id"], instant(row.get("createdAt"))
    if created is None:
        created = to_millis(identity.generation_time) if isinstance(identity, ObjectId) else _NEVER
    return created, str(identity)

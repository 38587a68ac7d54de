"""Collections read batch by batch, raw, without document models: no stored value ends the reading.

Beanie validates every document, which rows of other programs do not pass, and which would take most of the time of a
pass over a million of them.
"""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from bson import CodecOptions, decode_all

from app.storage.bson_types import BsonDocument, Row
from app.storage.client import LENIENT, Store

BATCH = 2_000
"""Documents that are decoded at a stretch: a few milliseconds, in which the event loop does nothing else."""

ZONELESS: CodecOptions[BsonDocument] = LENIENT.with_options(tz_aware=False)
"""Lenient as well; instants without a zone, which are UTC, decode fastest."""

Batch: TypeAlias = Sequence[BsonDocument]


async def decoded(
    cursor: AsyncIterable[bytes], codec: "CodecOptions[BsonDocument]" = LENIENT
) -> AsyncIterator[list[BsonDocument]]:
    """The documents of a cursor of raw batches, batch by batch."""
    async for batch in cursor:
        yield decode_all(batch, codec)


async def find_batches(
    store: Store,
    collection: str,
    fields: Iterable[str],
    where: Mapping[str, object] | None = None,
    *,
    codec: "CodecOptions[BsonDocument]" = LENIENT,
    with_ids: bool = True,
    **options: object,
) -> AsyncIterator[Batch]:
    """What a find gives of these fields, batch by batch.

    Args:
        store: The database.
        collection: Its name.
        fields: Paths of which none lies inside of another.
        where: The filter; None: all.
        codec: `LENIENT` or `ZONELESS`.
        with_ids: Whether ids are read as well.
        options: What else the find takes: `sort`, `session`.
    """
    found, query = store.database[collection], dict(where or {})
    projection = dict.fromkeys(fields, 1) | {"_id": int(with_ids)}
    if store.capabilities.native:
        async for batch in decoded(found.find_raw_batches(query, projection, batch_size=BATCH, **options), codec):
            yield batch
        return
    async for row in found.find(query, projection, **options):  # mongomock knows no raw batches
        yield [row if codec.tz_aware else _zoneless(row)]


def _zoneless(row: Row) -> BsonDocument:
    return {name: _without_zone(value) for name, value in row.items()}


def _without_zone(value: object) -> Any:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value

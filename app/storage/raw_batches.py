"""Collections read from end to end, batch by batch; no stored value ends the reading."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from bson import decode_all

from app.storage.client import LENIENT, Store

BATCH = 2_000
"""Documents that are decoded at a stretch: a few milliseconds, in which the event loop does nothing else."""


async def documents(
    store: Store, collection: str, fields: Sequence[str], where: Mapping[str, Any] | None = None
) -> AsyncIterator[Sequence[dict[str, Any]]]:
    """What a find gives of these fields, beside the id."""
    query, projection = dict(where or {}), dict.fromkeys(("_id", *fields), 1)
    if store.capabilities.native:
        async for batch in store.database[collection].find_raw_batches(query, projection, batch_size=BATCH):
            yield decode_all(batch, LENIENT)
        return
    async for found in store.database[collection].find(query, projection):  # mongomock knows no raw batches
        yield [found]

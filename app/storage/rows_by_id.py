"""Rows of a collection by their ids, raw: others may have written them, and no model fits all of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.documents import StoredDocument

BATCH = 2_000
"""Rows that are decoded at a stretch, a few milliseconds; others get their turn in between."""
PORTION = 100
"""Ids a find on PyPI's SecantusDB, which compares each row with each of them: 20,000 would keep it busy for minutes."""


async def rows_by_id(
    store: Store, document: type[StoredDocument], ids: Iterable[Any], fields: Mapping[str, int] | None = None
) -> list[BsonDocument]:
    """Those rows of a document's collection that there are, in no order, whole or with these fields."""
    rows = store.lenient(document.Settings.name)
    wanted = [*ids]
    portion = BATCH if store.shape == "or" else PORTION
    found: list[BsonDocument] = []
    for first in range(0, len(wanted), portion):
        where = {"_id": {"$in": wanted[first : first + portion]}}
        found += await rows.find(where, fields, batch_size=BATCH).to_list(None)
    return found

"""Inserts of many documents, some of which another process may have inserted meanwhile.

They go past Beanie, whose encoder `Store.insert` does not use either.
"""

from collections.abc import Sequence

from pymongo.errors import BulkWriteError

from app.storage.bson_types import BsonDocument
from app.storage.client import Store

_DUPLICATE_KEY = 11000


async def insert_new(store: Store, collection: str, documents: Sequence[BsonDocument]) -> int:
    """Insert the documents whose ids are not taken, and return how many were.

    Raises:
        pymongo.errors.BulkWriteError: the server refused one for another reason.
    """
    if not documents:
        return 0
    try:
        await store.database[collection].insert_many(documents, ordered=False)
    except BulkWriteError as error:
        refused = error.details["writeErrors"]
        if any(each["code"] != _DUPLICATE_KEY for each in refused):
            raise
        return len(documents) - len(refused)
    return len(documents)

"""A probe of what bookings need of transactions, on a document that is gone when it ends.

The document is inserted and deleted in one transaction, so nobody else ever sees it, and a probe that is cut off leaves
nothing behind.
"""

from secrets import token_hex

from motor.motor_asyncio import AsyncIOMotorCollection
from pymongo.errors import PyMongoError

from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.concerns import begin
from app.storage.documents import Deployment
from app.storage.transactions import is_transient

_COLLECTION = Deployment.Settings.name


async def has_place_for_probe(store: Store) -> bool:
    """Whether the collection of the probe is there: a transaction would make it, and it would stay."""
    return _COLLECTION in await store.database.list_collection_names()


async def transaction_fault(store: Store) -> str | None:
    """What is wrong with the transactions of the server, as a sentence; None where they do what bookings rely on.

    A write is invisible to others before its commit, a second transaction that writes the same document fails, and a
    commit waits for the majority and the journal.

    Raises:
        pymongo.errors.PyMongoError: the server failed otherwise.
    """
    rows = store.database[_COLLECTION]
    scratch: BsonDocument = {"_id": f"doctor:{token_hex(8)}"}
    async with await store.client.start_session() as first:
        begin(first)
        await rows.insert_one(scratch, session=first)
        if await rows.find_one(scratch) is not None:
            return "What a transaction wrote is visible to others before its commit."
        if not await _is_refused(store, rows, scratch):
            return "Two transactions wrote the same document at once, and neither failed."
        await rows.delete_one(scratch, session=first)
        await first.commit_transaction()
    return None  # a transaction that was not committed was aborted with its session


async def _is_refused(store: Store, rows: "AsyncIOMotorCollection[BsonDocument]", scratch: BsonDocument) -> bool:
    """Whether a second transaction may not write the document that the first one has written."""
    async with await store.client.start_session() as second:
        begin(second)
        try:
            await rows.insert_one(scratch, session=second)
        except PyMongoError as error:
            if not is_transient(error):
                raise
            return True
    return False

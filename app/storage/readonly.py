"""Databases of any program, opened for reading only.

`connect` is for databases of Reserva: it tries a transaction and binds the documents. This module does neither, and a
`ReadOnlyDatabase` has no method that writes.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime

from bson import decode_all
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import OperationFailure, PyMongoError

from app.storage import DATABASE
from app.storage.bson_types import BsonDocument
from app.storage.client import LENIENT, make_client
from app.storage.errors import UNAUTHORIZED, StorageError, shown, unusable
from app.storage.raw_batches import BATCH, decoded

_FEW = 20
_MOST_SAMPLED = 1 << 24
"""Bytes after which a sample ends."""

_GIVEN = "--mongodb"


class DeniedError(StorageError):
    """A collection that this user may not read."""


class ReadOnlyDatabase:
    """A database that is only read.

    Attributes:
        name: The name of the database.
        where: The server, as messages name it.
    """

    def __init__(self, client: "AsyncIOMotorClient[BsonDocument]", name: str, where: str) -> None:
        self._client = client
        self._database = client.get_database(name)
        self.name = name
        self.where = where

    async def now(self) -> datetime:
        """The server's time; this machine's where the server does not give it."""
        local_time = (await self._client.admin.command("hello", codec_options=LENIENT)).get("localTime")
        return local_time if isinstance(local_time, datetime) else datetime.now(UTC)

    async def documents(
        self,
        collection: str,
        fields: Sequence[str],
        where: Mapping[str, object] | None = None,
        pipeline: Sequence[Mapping[str, object]] = (),
    ) -> AsyncIterator[list[BsonDocument]]:
        """The documents of a collection or view with these fields, in lists of some thousands, in no order.

        Args:
            collection: Its name.
            fields: Paths of which none lies inside of another.
            where: A query that they match.
            pipeline: Aggregation stages before the query; the caller must know that they only read.

        Raises:
            DeniedError: if the user may not read it.
            StorageError: if the server refuses the pipeline.
            pymongo.errors.PyMongoError: if the server fails on the way.
        """
        projection = dict.fromkeys(fields, 1)
        stored = self._database[collection]
        if pipeline:
            stages = [*pipeline, *([{"$match": where}] if where else []), {"$project": projection}]
            cursor = stored.aggregate_raw_batches(stages, batchSize=BATCH)
        else:
            cursor = stored.find_raw_batches(dict(where or {}), projection, batch_size=BATCH)
        try:
            async for batch in decoded(cursor):
                yield batch
        except OperationFailure as error:
            raise self._failure(error, collection, pipeline) from error

    def _failure(self, error: OperationFailure, collection: str, pipeline: Sequence[object]) -> Exception:
        """The error to raise for a refusal of the server."""
        if error.code == UNAUTHORIZED:
            return DeniedError(
                f"The user in {_GIVEN} may not read {collection!r} of the database {self.name!r} at {self.where} "
                "(it needs the role read)."
            )
        if pipeline:
            reason = (error.details or {}).get("errmsg") or str(error)
            return StorageError(f"The server refuses the pipeline: {reason}")
        return error

    async def sample(
        self, collection: str, most: int, pipeline: Sequence[Mapping[str, object]] = ()
    ) -> list[BsonDocument]:
        """Up to `most` documents as they are, fewer where they are large.

        Raises:
            DeniedError: if the user may not read it.
            StorageError: if the server refuses the pipeline.
            pymongo.errors.PyMongoError: if the server fails on the way.
        """
        cursor = self._database[collection].aggregate_raw_batches([*pipeline, {"$limit": most}], batchSize=_FEW)
        documents: list[BsonDocument] = []
        size = 0
        try:
            async for batch in cursor:
                documents += decode_all(batch, LENIENT)
                size += len(batch)
                if size > _MOST_SAMPLED:
                    break
        except OperationFailure as error:
            raise self._failure(error, collection, pipeline) from error
        await cursor.close()
        return documents

    async def collections(self) -> list[str]:
        """The names of the collections and views; empty if the user may not know."""
        try:
            return sorted(await self._database.list_collection_names())
        except OperationFailure:
            return []

    async def close(self) -> None:
        """Close the connections."""
        self._client.close()


async def open_read_only(url: str, database: str | None = None) -> ReadOnlyDatabase:
    """Open a database and ask it for its time. A secondary is read where there is one.

    Args:
        url: The address; its own options take precedence.
        database: The name; by default that of the address, else `reserva`.

    Raises:
        StorageError: with a sentence that says what to check.
    """
    prefer = {} if "readpreference" in url.lower() else {"readPreference": "secondaryPreferred"}
    client = make_client(url, appname="reserva audit", given=_GIVEN, **prefer)
    try:
        reading = ReadOnlyDatabase(client, database or client.get_default_database(DATABASE).name, shown(url))
        await reading.now()
    except PyMongoError as error:
        client.close()
        raise unusable(url, error, given=_GIVEN) from error
    return reading

"""Backups of a database: what `mongodump` and `mongorestore --drop` do, in memory."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo.errors import BulkWriteError

_RAW = CodecOptions(document_class=RawBSONDocument)
_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Backup:
    """The documents of each collection as bytes, and the indexes of each."""

    documents: dict[str, list[RawBSONDocument]]
    indexes: dict[str, list[dict[str, object]]]


async def dump(database: AsyncIOMotorDatabase[dict[str, object]]) -> Backup:
    """Read all collections."""
    documents: dict[str, list[RawBSONDocument]] = {}
    indexes: dict[str, list[dict[str, object]]] = {}
    for name in sorted(await database.list_collection_names()):
        collection = database.get_collection(name, codec_options=_RAW)
        rows: list[Any] = await collection.find().to_list(None)  # the codec makes other documents than the collection's
        documents[name] = rows
        indexes[name] = [
            {key: value for key, value in dict(index).items() if key != "v"}
            async for index in database[name].list_indexes()
        ]
    return Backup(documents, indexes)


async def restore(database: AsyncIOMotorDatabase[dict[str, object]], backup: Backup) -> None:
    """Put the database back: each collection of the backup is dropped, and filled again with its indexes."""
    for name, rows in backup.documents.items():
        await database.drop_collection(name)
        await database.create_collection(name)
        for index in backup.indexes[name]:
            if index["name"] != "_id_":
                await database.command("createIndexes", name, indexes=[index])
        for start in range(0, len(rows), _BATCH):
            # Like `mongorestore`, it goes on where a running process has written a row again meanwhile.
            with suppress(BulkWriteError):
                collection = database.get_collection(name, codec_options=_RAW)
                await collection.insert_many(rows[start : start + _BATCH], ordered=False)

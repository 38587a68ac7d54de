"""The stores of the processes of a deployment: those that run, the mode that all agree on, and workers' heartbeats."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from app.retries import retry
from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.documents import Beat, Deployment, Process

PUT_TRIES_MAX = 2
"""A duplicate key is a row of a later beat, or of an earlier one that was inserted at the same moment."""
_DEPLOYMENT = {"_id": "deployment"}


@dataclass(frozen=True, slots=True)
class ProcessStore:
    """The rows of the processes that book."""

    store: Store

    async def find_others(self, own: ObjectId | None) -> list[Process]:
        """The rows of all processes but one."""
        found: list[Process] = await self.store.of(Process).find({"_id": {"$ne": own}}).to_list()
        return found

    async def put_process(self, row: Process) -> bool:
        """Write the row of a process, unless one of a later beat is there; whether none was there before.

        A beat that the database executes late must not put back the sessions that the process had then.

        Raises:
            pymongo.errors.PyMongoError: the database did not write it.
        """

        async def replace_earlier() -> bool:
            # Beanie has no replacement that inserts what is missing, and `save()` does not return which of both it did.
            earlier = {"_id": row.id, "beat": {"$lt": row.beat}}
            result = await self.store.database["processes"].replace_one(earlier, row.to_mongo(), upsert=True)
            return result.upserted_id is not None

        try:
            return await retry(replace_earlier, PUT_TRIES_MAX, on=DuplicateKeyError)
        except DuplicateKeyError:
            return False

    async def delete_process(self, identity: ObjectId, *, beat: int | None = None) -> None:
        """Delete the row of a process; where a beat is given, only if it was the last."""
        guarded = {} if beat is None else {"beat": beat}
        await self.store.database["processes"].delete_one({"_id": identity, **guarded})


@dataclass(frozen=True, slots=True)
class DeploymentStore:
    """The one document of what all processes of a database agree on."""

    store: Store

    async def find(self) -> Deployment | None:
        """The agreement, if there is one."""
        found: Deployment | None = await self.store.of(Deployment).find_one(_DEPLOYMENT)
        return found

    async def insert_first(self, deployment: Deployment) -> None:
        """Store the agreement if there is none yet; an existing one stays."""
        with suppress(DuplicateKeyError):
            await self.store.insert(deployment)

    async def put_deployment(self, deployment: Deployment) -> None:
        """Store the agreement in place of any other; the count of beats goes on."""
        # Beanie has no update that inserts what is missing.
        await self.store.database["deployment"].update_one(_DEPLOYMENT, {"$set": deployment.to_mongo()}, upsert=True)

    async def set_made(self, made: str) -> bool:
        """Store the id of the agreement if there is one without; whether there was."""
        # Beanie's updates do not return how many documents they changed.
        unnamed = _DEPLOYMENT | {"made": {"$exists": False}}
        result = await self.store.database["deployment"].update_one(unnamed, {"$set": {"made": made}})
        return result.modified_count > 0

    async def count_beat(self) -> Deployment | None:
        """Count a heartbeat; the agreement with the new count, if there is one."""
        counted: BsonDocument | None = await self.store.database["deployment"].find_one_and_update(
            _DEPLOYMENT, {"$inc": {"beats": 1}}, return_document=ReturnDocument.AFTER
        )
        return None if counted is None else Deployment.model_validate(counted)


@dataclass(frozen=True, slots=True)
class BeatStore:
    """The last heartbeats of workers."""

    store: Store

    async def put_beat(self, beat: Beat) -> None:
        """Write the heartbeat of a worker over its last one."""
        # Beanie has no replacement that inserts what is missing.
        await self.store.database["beats"].replace_one({"_id": beat.id}, beat.to_mongo(), upsert=True)

    async def delete_before(self, at: datetime) -> None:
        """Forget the workers that were silent since."""
        await self.store.of(Beat).find({"at": {"$lt": at}}).delete()

    async def delete_beat(self, worker: str) -> None:
        """Forget a worker."""
        await self.store.of(Beat).find({"_id": worker}).delete()

    async def find_ages(self, now: datetime) -> list[timedelta]:
        """How long ago the last heartbeat of each worker was."""
        return [now - beat.at async for beat in self.store.of(Beat).find()]

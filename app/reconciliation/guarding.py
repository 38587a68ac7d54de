"""What a run tells the guards before it tells people: how far what it saw reaches, and what no lookup finds.

So nobody books over what it has reported: whoever books after it looks far enough, and whoever was about to book
meanwhile loses the guard and looks again.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
from bson import ObjectId
from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo import ReadPreference
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from app.reconciliation import lease as leases
from app.reconciliation.lease import Lease
from app.storage import foreign, reaches
from app.storage.client import Store
from app.storage.foreign import Foreign
from app.storage.guards import Reach

TRIES = 20
"""How often bookers may be faster before a run gives up."""

log = structlog.get_logger()


async def raise_reaches(store: Store, needs: Mapping[str, Reach]) -> None:
    """Raise the reach of the guards that do not reach as far as these resources need; it is never lowered."""
    fields = {"reachBack": 1, "reachAhead": 1, "long": 1}
    guards = store.database["guards"].find({"_id": {"$in": [*needs]}}, fields)
    short = [guard["_id"] async for guard in guards if not reaches.covers(guard, needs[guard["_id"]])]
    if short:
        await reaches.raise_reaches(store, {resource: needs[resource] for resource in short})
        log.warning("guards did not reach over all that is booked; they do now", resources=len(short))


async def keep_foreign(
    store: Store, lease: Lease, run: ObjectId, resources: Sequence[str], those: Sequence[Foreign]
) -> None:
    """Let these be all that is kept of what the conflict lookup does not find on these resources.

    Raises:
        LostRun: somebody else has the lease.
    """
    difference = await foreign.compare(store, resources, those)
    for step in foreign.steps(difference, run):
        await under(store, lease, step)


async def under(
    store: Store, lease: Lease, write: Callable[[Store, AsyncIOMotorClientSession | None], Awaitable[None]]
) -> None:
    """Write something as the one who has the lease: in a transaction, where there are any.

    Raises:
        LostRun: somebody else has the lease; nothing was written then.
    """
    if store.mode != "strict":
        await leases.prove(store, lease)
        await write(store, None)
        return
    for left in reversed(range(TRIES)):
        try:
            async with await store.client.start_session() as session:
                concerns = ReadConcern("snapshot"), WriteConcern("majority", j=True)
                async with session.start_transaction(*concerns, ReadPreference.PRIMARY):
                    await leases.prove(store, lease, session)
                    await write(store, session)
        except PyMongoError as error:
            # Whatever is written here may be written twice, so an unknown outcome is one to try again as well.
            known = ("TransientTransactionError", "UnknownTransactionCommitResult")
            if not left or not any(error.has_error_label(label) for label in known):
                raise
        else:
            return

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
from app.reconciliation.rows import Need
from app.storage import foreign
from app.storage.client import Store
from app.storage.foreign import Foreign
from app.storage.guards import doubled

TRIES = 20
"""How often bookers may be faster before a run gives up."""

log = structlog.get_logger()


async def raise_reaches(store: Store, lease: Lease, needs: Mapping[str, Need]) -> None:
    """Raise the reach of the guards that do not reach as far as these resources need; never lower it.

    Raises:
        LostRun: somebody else has the lease.
    """
    short: dict[str, Need] = {}
    fields = {"reachBack": 1, "reachAhead": 1, "long": 1}
    async for guard in store.database["guards"].find({"_id": {"$in": [*needs]}}, fields):
        need = needs[guard["_id"]]
        back, ahead = guard.get("reachBack") or 0, guard.get("reachAhead") or 0
        if need.back > back or need.ahead > ahead or (need.long and not guard.get("long")):
            short[guard["_id"]] = need
    for resource, need in short.items():
        change = {
            "$max": {"reachBack": doubled(need.back), "reachAhead": doubled(need.ahead)},
            "$inc": {"seq": 1},
            **({"$set": {"long": True}} if need.long else {}),
        }

        async def write(
            store: Store,
            session: AsyncIOMotorClientSession | None,
            resource: str = resource,
            change: Mapping[str, object] = change,
        ) -> None:
            await store.database["guards"].update_one({"_id": resource}, change, session=session)

        await under(store, lease, write)
    if short:
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

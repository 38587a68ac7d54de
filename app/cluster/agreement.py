"""The agreement of all processes of a database: the mode in which they book, and the lifecycle of a reservation.

A process that books without transactions beside one that relies on them, or with other blocking statuses, would break
the other's promise. So the first process stores how it books, the others compare at their start and with every
heartbeat, and only `reserva migrate` changes the stored agreement, while no process runs.
"""

import hashlib
import json
from uuid import uuid4

from pymongo.errors import AutoReconnect

from app.domain.lifecycle import BLOCKING, FOLLOWS
from app.storage.capabilities import without_transactions
from app.storage.client import Store
from app.storage.documents import Deployment
from app.storage.errors import StorageError
from app.storage.processes import DeploymentStore

WRITE_PATH = 2
"""Incremented with every version of the write path that must not run beside the version before it."""

LIFECYCLE = hashlib.sha256(
    json.dumps({"follows": FOLLOWS, "blocking": BLOCKING, "writePath": WRITE_PATH}, sort_keys=True).encode()
).hexdigest()[:16]


async def agree(store: Store) -> Deployment:
    """Count a heartbeat of this process; store how it books if no process did before.

    Returns:
        What is stored, with the count of all heartbeats.

    Raises:
        pymongo.errors.PyMongoError: the heartbeat was not counted, also where the document goes in the middle of it.
    """
    deployments = DeploymentStore(store)
    if (counted := await deployments.count_beat()) is not None:
        return counted
    await deployments.insert_first(_ours(store).model_copy(update={"made": _new_id()}))
    if (counted := await deployments.count_beat()) is None:
        raise AutoReconnect("the document of the deployment was removed during a beat")
    return counted


async def difference(store: Store) -> str | None:
    """How this process books otherwise than is stored, as a sentence with the remedy; None if it does not."""
    return difference_from(await DeploymentStore(store).find(), store)


def difference_from(agreed: Deployment | None, store: Store) -> str | None:
    """How this process books otherwise than was agreed; see `difference`."""
    if agreed is None or (agreed.mode, agreed.lifecycle) == (store.mode, LIFECYCLE):
        return None
    if agreed.mode != store.mode:
        what = f"is booked in {agreed.mode} mode, but this process would book in {store.mode} mode"
    else:
        what = "is booked by another version of Reserva, whose rules are not those of this one"
    return (
        f"The database {store.database.name} {what}. "
        "Stop all others, then run `reserva migrate` with the settings of this process."
    )


async def join(store: Store, *, lasting: bool = True) -> None:
    """Take over the mode that is stored, where the operator asked for none.

    Args:
        store: A store of mode `auto`; its mode is changed.
        lasting: Whether a stored `optimistic` counts although the server has transactions; false for `migrate`.

    Raises:
        StorageError: the stored mode is `strict`, and this server has no transactions.
    """
    agreed = await DeploymentStore(store).find()
    if agreed is None or agreed.mode == store.mode:
        return
    if agreed.mode == "strict":
        raise StorageError(without_transactions(f"The database {store.database.name} is booked", store.capabilities))
    if lasting:
        store.mode = agreed.mode


async def change(store: Store) -> None:
    """Store how this process books, whatever was stored; no process may be running."""
    await DeploymentStore(store).put_deployment(_ours(store))


async def lacks_id(store: Store) -> bool:
    """Whether the agreement is older than its id, without which another one in its place can go unnoticed."""
    agreed = await DeploymentStore(store).find()
    return agreed is not None and agreed.made is None


async def give_id(store: Store) -> bool:
    """Give an agreement without an id one, also while processes run; whether it lacked one."""
    return await DeploymentStore(store).set_made(_new_id())


def _new_id() -> str:
    return uuid4().hex


def _ours(store: Store) -> Deployment:
    return Deployment(mode=store.mode, lifecycle=LIFECYCLE)

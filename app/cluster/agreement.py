"""What all processes of a database must agree on: how they book, and what the life of a reservation is.

A process that books without transactions beside one that relies on them, or one that lets other statuses block, would
break the other's promise. So the first process writes down how it books, the others compare at their start and with
every beat, and only `reserva migrate` changes it, while none runs.
"""

import hashlib
import json

from app.domain.lifecycle import BLOCKING, FOLLOWS
from app.storage.capabilities import without_transactions
from app.storage.client import Store
from app.storage.documents import Deployment
from app.storage.errors import StorageError
from app.storage.processes import DeploymentStore

WRITE_PATH = 2
"""Raised with every version of the write path that must not run beside the one before it."""

LIFECYCLE = hashlib.sha256(
    json.dumps({"follows": FOLLOWS, "blocking": BLOCKING, "writePath": WRITE_PATH}, sort_keys=True).encode()
).hexdigest()[:16]


async def agree(store: Store) -> str | None:
    """Compare with what was agreed on; the first process settles it. What differs, in a sentence, if anything."""
    deployments = DeploymentStore(store)
    if await deployments.find() is None:
        await deployments.insert_first(_ours(store))
    return await difference(store)


async def difference(store: Store) -> str | None:
    """How this process would book otherwise than the database's others do, in a sentence with the remedy."""
    agreed = await DeploymentStore(store).find()
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
    """Book as the others of the database do, where nobody asked for a mode; without others, as the server allows.

    Args:
        store: Opened in mode `auto`; its mode is changed.
        lasting: What is agreed on stays, even if the server can do better by now. `migrate` has it otherwise.

    Raises:
        StorageError: the others rely on transactions, and this server has none.
    """
    agreed = await DeploymentStore(store).find()
    if agreed is None or agreed.mode == store.mode:
        return
    if agreed.mode == "strict":
        raise StorageError(without_transactions(f"The database {store.database.name} is booked", store.capabilities))
    if lasting:
        store.mode = agreed.mode


async def change(store: Store) -> None:
    """Have everybody book as this process would; nobody may be running."""
    await DeploymentStore(store).put_deployment(_ours(store))


def _ours(store: Store) -> Deployment:
    return Deployment(mode=store.mode, lifecycle=LIFECYCLE)

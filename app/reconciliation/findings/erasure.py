"""Clearing people's notes from the findings of a customer's reservations: a note may say who it is about."""

from collections.abc import Sequence

from bson import ObjectId

from app.deadline import sending
from app.domain.ids import ResourceId
from app.reconciliation.finding_history import ACTOR_WORKER
from app.retries import retry
from app.storage.client import Store
from app.storage.erased_texts import history_without_notes
from app.storage.errors import VersionConflict
from app.storage.finding_rows import FindingRow
from app.storage.findings import FindingStore, FindingUpdate
from app.storage.reservations import ReservationStore
from app.storage.values import identity

TRIES_MAX = 20
"""How often the notes are cleared while others change the same findings."""


async def findings_about(store: Store, reservations: Sequence[object]) -> list[FindingRow]:
    """The findings of these reservations, with their histories."""
    rows = await ReservationStore(store).find_guarded([each for each in reservations if isinstance(each, ObjectId)])
    resources = {ResourceId(name) for row in rows.values() if (name := identity(row["resource"])) is not None}
    return await FindingStore(store).histories_about(reservations, resources)


async def erase_notes(store: Store, reservations: Sequence[object]) -> None:
    """Clear people's notes from the findings of these reservations; who decided what, and when, stays.

    Raises:
        VersionConflict: others change the same findings all the time.
    """

    async def erase() -> None:
        sending()
        for row in await findings_about(store, reservations):
            history = history_without_notes(row["history"], ACTOR_WORKER)
            if history is not None:
                fields = {"history": history, "updated_at": store.clock.now()}
                await FindingStore(store).change_one(FindingUpdate(row["_id"], row["version"], fields))

    await retry(erase, TRIES_MAX, on=VersionConflict)

"""Clearing people's notes from the findings of a customer's reservations: a note may say who it is about."""

from collections.abc import Sequence
from typing import cast

from bson import ObjectId

from app.deadline import sending
from app.domain.ids import ResourceId
from app.reconciliation.finding_history import ACTOR_WORKER, bounded
from app.retries import retry
from app.storage.bson_types import BsonDocument
from app.storage.client import Store
from app.storage.erased_texts import ERASED, history_without_notes
from app.storage.errors import VersionConflict
from app.storage.finding_rows import FindingRow
from app.storage.finding_updates import FindingUpdate
from app.storage.findings import FindingStore
from app.storage.reservations import ReservationStore
from app.storage.values import identity

TRIES_MAX = 20
"""How often the notes are cleared while others change the same findings."""


async def findings_about(store: Store, reservations: Sequence[object]) -> list[FindingRow]:
    """The findings of these reservations, with their histories."""
    rows = await ReservationStore(store).find_guarded([each for each in reservations if isinstance(each, ObjectId)])
    resources = {ResourceId(name) for row in rows.values() if (name := identity(row["resource"])) is not None}
    return await FindingStore(store).histories_about(reservations, resources)


async def erase_notes(store: Store, reservations: Sequence[object], by: str) -> None:
    """Clear people's notes from the findings of these reservations; who decided what, and when, stays.

    A finding that had some has a new version, with a line in its history that names who erased them.

    Raises:
        VersionConflict: others change the same findings all the time.
    """

    async def erase() -> None:
        sending()
        for row in await findings_about(store, reservations):
            history = history_without_notes(row["history"], ACTOR_WORKER)
            if history is not None:
                now = store.clock.now()
                line = {"at": now, "by": by, "to": row["state"], "note": ERASED}
                fields = {"history": bounded([*history, line]), "updated_at": now}
                await FindingStore(store).change_one(FindingUpdate(cast("BsonDocument", row), fields))

    await retry(erase, TRIES_MAX, on=VersionConflict)

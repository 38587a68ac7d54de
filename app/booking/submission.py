"""Submitting intents that change stored reservations, whose guards are read first.

An intent names its guards before its transaction begins. A reservation that is moved between that read and the
transaction lies on another guard, so its intent is made and submitted anew.
"""

from collections.abc import Callable, Sequence
from typing import TypedDict, TypeVar

from bson import ObjectId

from app.booking.committer import Committer
from app.booking.existing import ReservationMoved
from app.booking.idempotency import Replay
from app.booking.intents import Intent
from app.booking.outcomes import overloaded
from app.domain.ids import ResourceId, ServiceId
from app.errors import not_found
from app.retries import retry
from app.storage.client import Store
from app.storage.reservations import GuardedRow, ReservationStore
from app.storage.stored_reservations import unreadable
from app.storage.values import identity as identity_of

T = TypeVar("T")

ATTEMPTS_MAX = 5
"""How often an intent is submitted while others move its reservations to guards that it does not name."""


class GuardedBy(TypedDict):
    """The resource and the service whose guards a change of a reservation needs."""

    resource: ResourceId
    service: ServiceId | None


class ExistingFields(GuardedBy):
    """The arguments of an intent that identify the reservation that it changes."""

    reservation: ObjectId
    operation: ObjectId


async def submit_for_existing(
    store: Store,
    committer: Committer,
    identities: Sequence[ObjectId],
    intent: Callable[[list[ExistingFields]], Intent[T]],
) -> T | Replay:
    """Submit an intent with the guards of these reservations; if one is moved meanwhile, again with the new ones.

    Args:
        store: The database.
        committer: Runs the intent.
        identities: The ids of the reservations.
        intent: Makes the intent from the fields of each reservation, in the order of the ids.

    Raises:
        Problem: `not-found`; `overloaded` where a reservation was moved `ATTEMPTS_MAX` times; what the intent raises.
    """
    operations = [ObjectId() for _ in identities]

    async def submit() -> T | Replay:
        rows = await ReservationStore(store).find_guarded(identities)
        for identity in identities:
            if identity not in rows:
                raise not_found("reservation", str(identity))
        fields = [
            ExistingFields(reservation=identity, operation=operation, **_guards_of(rows[identity]))
            for identity, operation in zip(identities, operations, strict=True)
        ]
        return await committer.submit(intent(fields))

    try:
        return await retry(submit, ATTEMPTS_MAX, on=ReservationMoved)
    except ReservationMoved:
        raise overloaded("It is being moved about by others; nothing was done.") from None


def _guards_of(row: GuardedRow) -> GuardedBy:
    """The resource and the service of a stored reservation.

    Raises:
        Problem: `invalid` where its resource cannot be read.
    """
    resource, service = identity_of(row.get("resource")), identity_of(row.get("service"))
    if resource is None:
        raise unreadable({"resource": row.get("resource")})
    return GuardedBy(resource=ResourceId(resource), service=None if service is None else ServiceId(service))

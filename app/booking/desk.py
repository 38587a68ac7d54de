"""The one door of this floor: what is wanted goes in, what came of it comes out."""

from collections.abc import Callable
from typing import Any, TypedDict

from bson import ObjectId

from app.booking.book import Book
from app.booking.change import Change, Confirm, Extend
from app.booking.committer import SLOTS, Committer
from app.booking.drivers import driver_for
from app.booking.edit import EditResource, EditService
from app.booking.held import Elsewhere, HeldIntent
from app.booking.intents import overloaded
from app.booking.occupants import BRANCHES
from app.booking.plain import Ending, finish
from app.booking.replay import Replayed
from app.booking.way import way_of
from app.errors import not_found
from app.storage.client import Store
from app.storage.documents import Reservation, Resource, Service
from app.timeline.lifecycle import Status

TRIES = 5


class Held(TypedDict):
    """What an intent is told of the reservation that it changes."""

    reservation: ObjectId
    resource: str
    service: str | None
    operation: ObjectId


class Booking:
    """The write path of one process, over one store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        branches = BRANCHES if store.shape == "or" else 1
        self.committer = Committer(driver_for(store, SLOTS), branches, clock=store.clock.millis, way=way_of(store))

    async def stop(self) -> None:
        """Finish what was taken in, take nothing new."""
        await self.committer.drain()

    async def book(self, intent: Book) -> Reservation | Replayed:
        """Book a time; a repeated Idempotency-Key gets its first answer again.

        Raises:
            Refused: with the verdict of the rules.
            Problem: `invalid`, `idempotency-mismatch`, `overloaded`, `outcome-unknown`, `unavailable`.
        """
        reservation: Reservation | Replayed = await self.committer.submit(intent)
        return reservation

    async def change(
        self,
        identity: ObjectId,
        patch: dict[str, Any],
        *,
        version: int | None,
        by: str,
        admin: bool = False,
        lifted: frozenset[str] = frozenset(),
    ) -> Reservation:
        """Merge a patch into a reservation.

        Raises:
            Refused: with the verdict of the rules.
            Problem: `not-found`, `stale`, `hold-expired`, `forbidden-transition`, `forbidden`, `invalid`, `overloaded`,
                `outcome-unknown`, `unavailable`.
        """

        def intent(held: Held) -> Change:
            return Change(**held, by=by, patch=patch, version=version, admin=admin, lifted=lifted)

        return await self._change(identity, intent)

    async def confirm(
        self, identity: ObjectId, *, by: str, admin: bool = False, reason: str | None = None
    ) -> Reservation:
        """Make a live hold or a request firm.

        Raises:
            Problem: `not-found`, `hold-expired`, `forbidden-transition`, `forbidden`, `overloaded`, `outcome-unknown`,
                `unavailable`.
        """
        return await self._change(identity, lambda held: Confirm(**held, by=by, admin=admin, reason=reason))

    async def extend(self, identity: ObjectId, seconds: int, *, by: str) -> Reservation:
        """Hold on to a live hold for so many seconds from now.

        Raises:
            Problem: `not-found`, `hold-expired`, `forbidden-transition`, `invalid`, `overloaded`, `outcome-unknown`,
                `unavailable`.
        """
        return await self._change(identity, lambda held: Extend(**held, by=by, seconds=seconds))

    async def _change(self, identity: ObjectId, intent: Callable[[Held], HeldIntent]) -> Reservation:
        """Ask for the guard of the resource where the reservation is; if it was moved meanwhile, for the new one."""
        operation = ObjectId()
        for _ in range(TRIES):
            where = {"resource": 1, "service": 1}
            row = await self.store.database["reservations"].find_one({"_id": identity}, where)
            if row is None:
                raise not_found("reservation", str(identity))
            held = Held(reservation=identity, resource=row["resource"], service=row.get("service"), operation=operation)
            try:
                changed: Reservation = await self.committer.submit(intent(held))
            except Elsewhere:
                continue
            return changed
        raise overloaded("The reservation is being moved about by others; nothing was done.")

    async def finish(
        self, identity: ObjectId, to: Status, *, by: str, reason: str | None = None, admin: bool = False
    ) -> Reservation:
        """Cancel or complete a reservation, or note that nobody came; see `plain.finish`."""
        return await finish(self.store, identity, Ending(to, by, reason, admin=admin))

    async def edit_resource(
        self,
        identity: str,
        apply: Callable[[Resource], Resource],
        *,
        version: int | None,
        by: str,
        force: bool = False,
    ) -> Resource:
        """Edit a resource; `apply` makes the new one from the stored one.

        Raises:
            Stranded: bookings would lose their room or break a rule, and it is not forced.
            Problem: `not-found`, `stale`, what `apply` raises, `overloaded`, `outcome-unknown`, `unavailable`.
        """
        edit = EditResource(identity=identity, apply=apply, version=version, by=by, force=force)
        resource: Resource = await self.committer.submit(edit)
        return resource

    async def edit_service(
        self, identity: str, apply: Callable[[Service], Service], *, version: int | None, by: str
    ) -> Service:
        """Edit a service; what is booked keeps its times and buffers.

        Raises:
            Problem: `not-found`, `stale`, what `apply` raises, `overloaded`, `outcome-unknown`, `unavailable`.
        """
        service: Service = await self.committer.submit(
            EditService(identity=identity, apply=apply, version=version, by=by)
        )
        return service

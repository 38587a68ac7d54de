"""The one door of this floor: what is wanted goes in, what came of it comes out."""

from collections.abc import Callable

from bson import ObjectId

from app.booking.book import Book
from app.booking.committer import SLOTS, Committer
from app.booking.drivers import driver_for
from app.booking.edit import EditResource, EditService
from app.booking.occupants import BRANCHES
from app.booking.plain import finish
from app.storage.client import Store
from app.storage.documents import Reservation, Resource, Service
from app.timeline.lifecycle import Status


class Booking:
    """The write path of one process, over one store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.committer = Committer(driver_for(store, SLOTS), BRANCHES if store.shape == "or" else 1)

    async def stop(self) -> None:
        """Finish what was taken in, take nothing new."""
        await self.committer.drain()

    async def book(self, intent: Book) -> Reservation:
        """Book a time.

        Raises:
            Refused: with the verdict of the rules.
            Problem: `invalid`, `overloaded`, `outcome-unknown`, `unavailable`.
        """
        reservation: Reservation = await self.committer.submit(intent)
        return reservation

    async def finish(self, identity: ObjectId, to: Status, *, by: str, reason: str | None = None) -> Reservation:
        """Cancel or complete a reservation, or note that nobody came; see `plain.finish`."""
        return await finish(self.store, identity, to, by, reason)

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

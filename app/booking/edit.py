"""Editing a resource or a service: under its guard, so that "shrink" and "book" cannot cross."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from app.booking.intents import Accepted, Intent, Span, Stranded, Update, View
from app.booking.snapshot import forget
from app.errors import Problem, not_found
from app.storage.documents import CatalogueObject, Resource, Service, service_row
from app.storage.stored_rules import room_of
from app.timeline.instants import LATEST
from app.timeline.load import Occupancy
from app.timeline.rules import Room
from app.timeline.stranding import stranded

C = TypeVar("C", bound=CatalogueObject)

OPERATIONS_KEPT = 50
"""How many edits an object remembers by their ids, so that one whose answer was lost is found after others came."""


@dataclass(slots=True, kw_only=True)
class Edit(Intent, Generic[C]):
    """A new version of a catalogue object: `apply` makes it from the stored one and may raise Problem.

    `version` is the one that the caller has seen; None: whichever it is.
    """

    identity: str
    apply: Callable[[C], C]
    version: int | None = None

    def _edited(self, view: View, kind: type[C], collection: str) -> tuple[C, C]:
        """Before and after.

        Raises:
            Problem: `not-found`, `stale`, or what `apply` says.
        """
        row = view.target(collection, self.identity)
        if row is None:
            raise not_found(collection.removesuffix("s"), self.identity)
        before = kind.model_validate(row)
        if self.version not in (None, before.version):
            raise Problem("stale", f"It is at version {before.version} now; read it again and repeat the change.")
        after = self.apply(before.model_copy(deep=True))
        return before, after.model_copy(update={"version": before.version + 1})

    def _accepted(self, after: C, collection: str, guard: str) -> Accepted:
        kept = after.to_mongo()
        unset = dict.fromkeys(_optional(type(after)) - kept.keys(), "")
        operations = {"$each": [self.operation], "$slice": -OPERATIONS_KEPT}
        change: dict[str, Any] = {"$set": kept, "$push": {"operations": operations}}
        if unset:
            change["$unset"] = unset
        query = {"_id": self.identity, "version": after.version - 1}
        return Accepted(
            after,
            proof=(collection, {"_id": self.identity, "operations": self.operation}),
            updates=[Update(collection, query, change), forget(guard)],
        )


def _optional(kind: type[CatalogueObject]) -> set[str]:
    """The stored names of the fields that may be absent."""
    fields = kind.model_fields.values()
    return {field.alias or "" for field in fields if field.default is None} - {"", "revisionId"}


@dataclass(slots=True, kw_only=True)
class EditResource(Edit[Resource]):
    """An edit that may strand bookings: refused with their list unless `force`; a new unit of counting always.

    `offered` are the services that the resource offered when it was read: the schedule binds those of whole days
    otherwise than the rest.
    """

    force: bool = False
    offered: frozenset[str] = frozenset()

    def lanes(self) -> frozenset[str]:
        """The guard of the resource: nobody books on it meanwhile."""
        return frozenset((self.identity,))

    def services(self) -> frozenset[str]:
        """What is offered there."""
        return self.offered

    def targets(self) -> frozenset[tuple[str, Hashable]]:
        """The stored resource."""
        return frozenset((("resources", self.identity),))

    def spans(self, view: View) -> list[Span]:
        """Everything that has not ended."""
        if view.room(self.identity) is None:
            return []
        return [Span(self.identity, view.now(self.identity), LATEST)]

    def judge(self, view: View) -> Accepted:
        """The edit, if nobody is stranded by it.

        Raises:
            Problem: `not-found`, `stale`, or what `apply` says.
            Stranded: with the bookings that would lose their room or break a rule.
        """
        before, after = self._edited(view, Resource, "resources")
        view.room(self.identity)  # says so if the guard is missing
        lost = self._stranded(room_of(before), room_of(after), view)
        if lost and not self.force:
            raise Stranded(lost, forcible=True)
        view.replace(room_of(after))
        return self._accepted(after, "resources", self.identity)

    def _stranded(self, before: Room, after: Room, view: View) -> list[Occupancy]:
        calendar = view.calendar(self.identity)
        future = [taken for taken in calendar.taken.values() if taken.end > calendar.now]
        if before.by_guests != after.by_guests and future:
            raise Stranded(future, forcible=False)
        offers = [offer for service in self.offered if (offer := view.offer(service)) is not None]
        daily = {offer.id for offer in offers if offer.kind == "full-day"}
        # What has ended still takes room while its buffer lasts, but has nothing left to lose.
        return [taken for taken in stranded(future, before, after, daily) if taken.to > calendar.now]


@dataclass(slots=True, kw_only=True)
class EditService(Edit[Service]):
    """An edit of a service moves nothing that is booked: blocks are stored."""

    def lanes(self) -> frozenset[str]:
        """The service's row among the guards."""
        return frozenset((service_row(self.identity),))

    def services(self) -> frozenset[str]:
        """Itself, so that a missing row is noticed."""
        return frozenset((self.identity,))

    def targets(self) -> frozenset[tuple[str, Hashable]]:
        """The stored service."""
        return frozenset((("services", self.identity),))

    def spans(self, view: View) -> list[Span]:
        """Nobody's time is touched."""
        del view
        return []

    def judge(self, view: View) -> Accepted:
        """The edit.

        Raises:
            Problem: `not-found`, `stale`, or what `apply` says.
        """
        _, after = self._edited(view, Service, "services")
        view.offer(self.identity)  # says so if the guard is missing
        return self._accepted(after, "services", service_row(self.identity))

"""Moves of several reservations: all or none, judged against the state in which all of them are done."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from bson import ObjectId
from typing_extensions import override

from app.booking.book import Book
from app.booking.change import Change
from app.booking.group import AllOrNothingInPools
from app.booking.idempotency import Token
from app.booking.intents import View
from app.booking.packing import Seeker
from app.booking.patches import Patch
from app.booking.submission import ExistingFields
from app.domain.ids import ResourceId
from app.domain.instants import to_millis
from app.domain.lifecycle import BLOCKING
from app.errors import Problem
from app.storage.documents import Reservation
from app.storage.occupancy import occupancy


@dataclass(frozen=True, slots=True)
class WantedMove:
    """A move of one reservation: a patch, or a free resource of a `pool`, and the version that the caller has seen.

    `version` None: the caller moves whatever version there is.
    """

    reservation: ObjectId
    patch: Patch
    pool: tuple[ResourceId, ...]
    version: int | None


@dataclass(slots=True, kw_only=True)
class Move(AllOrNothingInPools):
    """Changes of times and resources, judged against the final state, so that two bookings can swap."""

    members: Sequence[Change]

    @classmethod
    def of(
        cls,
        moves: Sequence[WantedMove],
        fields: Sequence[ExistingFields],
        *,
        by: str,
        admin: bool,
        bound: bool,
        reason: str | None,
        token: Token[list[Reservation]] | None,
    ) -> "Move":
        """The intent of these moves, with the fields of their reservations; see `BookingService.move`."""
        members = [
            Change(
                **each,
                by=by,
                patch=move.patch,
                pool=move.pool,
                version=move.version,
                admin=admin,
                bound=bound,
                reason=reason,
            )
            for each, move in zip(fields, moves, strict=True)
        ]
        return cls(by=by, members=members, token=token)

    @override
    def _prepare(self, view: View) -> None:
        """Take all members out of their calendars before any of them is judged.

        A member whose change adds no load is never refused, so its time is entered before the others are judged.
        """
        staying: list[Reservation] = []
        for member in self.members:
            with suppress(Problem):  # raised again, and answered, when the member is judged
                stored = member.require_stored(view)
                view.calendar(stored.resource).remove(stored.id)
                after = member.without_load(stored, view)
                if after is not None and after.status in BLOCKING:
                    staying.append(after)
        for after in staying:
            view.calendar(after.resource).add(occupancy(after))

    @override
    def _seeker(self, member: Book | Change, view: View) -> Seeker:
        """The same; a member whose change adds no load is where it will be, and seeks nothing."""
        if isinstance(member, Change) and (after := member.without_load(member.require_stored(view), view)) is not None:
            return Seeker(to_millis(after.block_start), to_millis(after.block_end), {after.resource: (0, 0)})
        return AllOrNothingInPools._seeker(self, member, view)  # noqa: SLF001  # a dataclass with slots has no zero-argument super

"""Booking, confirming, cancelling and moving several reservations for a caller: all of them or none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from app.booking import Book, BookGroup, BookingService, MembersRefused, Replay, Token
from app.caller import Caller
from app.domain.lifecycle import Status
from app.errors import Problem, invalid, not_found
from app.reservations.group_refusals import Members, Placed, members_refused, members_wrong
from app.reservations.group_schemas import GroupMove, NewGroup, NewMoves
from app.reservations.holds import holds_of
from app.reservations.queries import object_id
from app.reservations.schemas import NewReservation
from app.reservations.service import Pools, Reservations
from app.storage.client import Store
from app.storage.documents import Reservation
from app.storage.stored_reservations import as_it_is

_SENT, _MOVES, _STORED = Members("reservations"), Members("moves"), Members("reservations", sent=False)


@dataclass(frozen=True, slots=True)
class Group:
    """Reservations that were booked together, in the order of the request."""

    id: ObjectId
    reservations: Sequence[Reservation]


class Groups:
    """What callers do with several reservations at once; each becomes an intent as it would alone."""

    def __init__(self, store: Store, booking: BookingService, reservations: Reservations) -> None:
        self.store = store
        self.booking = booking
        self.reservations = reservations

    async def book(self, wanted: NewGroup, caller: Caller, token: Token | None) -> Sequence[Reservation] | Replay:
        """Book all of them, or none; a token's first answer is given again.

        Raises:
            Problem: `conflict`, `rule`, `invalid`, `hold-limit`, `strict-only`, or what the write path says.
        """
        try:
            group = await self._group_of(wanted, caller, token)
        except Problem as problem:
            return await self.reservations.replayed_answer(token, problem)

        async def book(seconds: float) -> list[Reservation] | Replay:
            group.deadline_seconds = seconds
            return await self.booking.book_group(group)

        try:
            made = await self.reservations.holds.within(holds_of(group.members), book)
        except MembersRefused as refused:
            unborn = {str(member.reservation) for member in group.members}
            raise members_refused(refused, _SENT, caller, unborn=unborn) from None
        except Problem as problem:
            if problem.name != "hold-limit":
                raise
            return await self.reservations.replayed_answer(token, problem)
        return self._noted(made)

    async def read(self, identity: str, caller: Caller) -> Group:
        """A group. A key that is bound to a customer sees those that are its own to the last member.

        Raises:
            Problem: `not-found`, also for a stranger's.
        """
        group = object_id("group", identity)
        row = await self.store.database["groups"].find_one({"_id": group})
        named = row.get("reservations") if row else None
        found = await self._by_id(
            [each for each in named if isinstance(each, ObjectId)] if isinstance(named, list) else []
        )
        if not found or not all(caller.sees(reservation.customer) for reservation in found.values()):
            raise not_found("group", identity)
        return Group(group, [*found.values()])

    async def confirm(self, identity: str, caller: Caller, reason: str | None) -> Group:
        """Make all of them firm that have not ended, or none. A hold that has expired keeps all from it.

        What needs an approval that the caller cannot give becomes a request, and what is one keeps all from it.

        Raises:
            Problem: `not-found`, `hold-expired`, `forbidden-transition`, `forbidden`, or what the write path says.
        """
        group = await self.read(identity, caller)
        admin = caller.may("reservations:admin")
        members = [reservation.id for reservation in group.reservations]
        try:
            confirmed = await self.booking.confirm_all(members, by=caller.prefix, admin=admin, reason=reason)
        except MembersRefused as refused:
            raise members_refused(refused, _STORED, caller) from None
        return self._brought(Group(group.id, confirmed), "confirmed", "pending")

    async def cancel(self, identity: str, caller: Caller, reason: str | None) -> Group:
        """Give back the times of all of them that have not ended, or of none.

        Raises:
            Problem: `not-found`, `forbidden-transition`, `too-late`, or what the write path says.
        """
        group = await self.read(identity, caller)
        admin = caller.may("reservations:admin")
        members = [reservation.id for reservation in group.reservations]
        try:
            ended = await self.booking.finish_all(members, "cancelled", by=caller.prefix, admin=admin, reason=reason)
        except MembersRefused as refused:
            raise members_refused(refused, _STORED, caller) from None
        return self._brought(Group(group.id, ended), "cancelled")

    async def move(self, wanted: NewMoves, caller: Caller, token: Token | None) -> Sequence[Reservation] | Replay:
        """Move all of them, or none, judged by where all are in the end; a token's first answer is given again.

        Raises:
            Problem: `conflict`, `rule`, `invalid`, `stale`, `hold-expired`, `forbidden-transition`, `too-late`,
                `forbidden`, `strict-only`, or what the write path says.
        """
        try:
            await self._check_moves(wanted.moves, caller)
        except Problem as problem:
            return await self.reservations.replayed_answer(token, problem)
        try:
            moved = await self.booking.move(
                [(ObjectId(each.reservation), each.to_patch(), each.version) for each in wanted.moves],
                by=caller.prefix,
                admin=caller.may("reservations:admin"),
                bound=caller.customer is not None,
                reason=wanted.reason,
                token=token,
            )
        except MembersRefused as refused:
            raise members_refused(refused, _MOVES, caller) from None
        return self._noted(moved)

    def _noted(self, made: Sequence[Reservation] | Replay) -> Sequence[Reservation] | Replay:
        """The same, after it was told which resources were written to."""
        for reservation in () if isinstance(made, Replay) else made:
            self.reservations.written(reservation.resource)
        return made

    async def _group_of(self, wanted: NewGroup, caller: Caller, token: Token | None) -> BookGroup:
        """What the write path is asked for.

        Raises:
            Problem: `invalid`.
        """
        identity = ObjectId()
        intents: list[Book] = []
        wrong: list[Placed] = []
        pools: Pools = {}
        for place, body in enumerate(wanted.reservations):
            try:
                member = _held_with(wanted, body)
                intents.append(await self.reservations.intent_of(member, caller, group=identity, pools=pools))
            except Problem as problem:
                if problem.name == "overloaded":  # no fault of the member's, and the next would meet it as well
                    raise
                wrong.append((place, problem))
        if wrong:
            raise members_wrong(wrong, _SENT)
        return BookGroup(by=caller.prefix, members=intents, group=identity, token=token)

    async def _check_moves(self, moves: Sequence[GroupMove], caller: Caller) -> None:
        """Whether each moves a reservation that is there for the caller, and no two the same.

        Raises:
            Problem: `invalid`.
        """
        wrong: list[Placed] = []
        found = await self._by_id([ObjectId(each.reservation) for each in moves])
        seen: set[str] = set()
        for place, each in enumerate(moves):
            stored = found.get(ObjectId(each.reservation))
            if each.reservation in seen:
                wrong.append((place, invalid("/reservation", "Each reservation is moved once; name it once.")))
            elif stored is None or not caller.sees(stored.customer):
                wrong.append((place, invalid("/reservation", f"There is no reservation {each.reservation!r}.")))
            seen.add(each.reservation)
        if wrong:
            raise members_wrong(wrong, _MOVES)

    async def _by_id(self, identities: Sequence[ObjectId]) -> dict[ObjectId, Reservation]:
        """Those that are there, in the order of their ids in the list."""
        rows = await self.store.database["reservations"].find({"_id": {"$in": [*identities]}}).to_list(None)
        found: dict[Any, Reservation] = {row["_id"]: as_it_is(row) for row in rows}
        return {identity: found[identity] for identity in identities if identity in found}

    def _brought(self, group: Group, *there: Status) -> Group:
        """Refuse if nobody is there and nobody could be brought there; nothing was written then."""
        if all(reservation.status not in there for reservation in group.reservations):
            raise Problem("forbidden-transition", f"All of the group has ended; nothing of it can become {there[0]}.")
        return group


def _held_with(wanted: NewGroup, body: NewReservation) -> NewReservation:
    """A member, held as long as the whole group is."""
    if wanted.expires_in_seconds is None:
        return body
    if body.expires_in_seconds is not None:
        raise invalid("/expiresInSeconds", "The group says how long all of it is held; leave it out here.")
    held: NewReservation = body.model_copy(update={"expires_in_seconds": wanted.expires_in_seconds})
    return held

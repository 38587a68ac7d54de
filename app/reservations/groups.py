"""Booking, confirming and cancelling several reservations for a caller: all of them or none."""

from collections.abc import Sequence
from dataclasses import dataclass

from bson import ObjectId

from app.booking import Book, BookGroup, BookingService, MembersRefused, Replay, Token
from app.caller import Caller
from app.domain.lifecycle import Status
from app.errors import Problem, invalid_field, not_found
from app.reservations.group_refusals import MemberProblem, Members, members_refused, members_wrong
from app.reservations.group_schemas import NewGroup
from app.reservations.hold_limits import check_holder, holds_of
from app.reservations.refusals import MemberPlace
from app.reservations.schemas import NewReservation
from app.reservations.service import Reservations
from app.storage.client import Store
from app.storage.documents import Reservation
from app.storage.reservations import ReservationStore
from app.storage.values import object_id

_SENT, _STORED = Members("reservations"), Members("reservations", sent=False)


@dataclass(frozen=True, slots=True)
class Group:
    """Reservations that were booked together, in the order of the request."""

    id: ObjectId
    reservations: Sequence[Reservation]


class Groups:
    """What callers do with several reservations at once; each becomes the intent that it would be alone."""

    def __init__(self, store: Store, booking: BookingService, reservations: Reservations) -> None:
        self.store = store
        self.booking = booking
        self.reservations = reservations

    async def book(
        self, wanted: NewGroup, caller: Caller, token: Token[list[Reservation]] | None
    ) -> Sequence[Reservation] | Replay:
        """Book all of them, or none; a request whose token was answered before gets that answer.

        Raises:
            Problem: `conflict`, `rule`, `invalid`, `hold-limit`, `strict-only`, or what the write path raises.
        """
        try:
            group = await self._group_of(wanted, caller, token)
        except Problem as problem:
            return await self.reservations.replayed_answer(token, problem)

        async def book(seconds: float) -> list[Reservation] | Replay:
            group.deadline_seconds = seconds
            return await self.booking.book_several(group)

        try:
            made = await self.reservations.holds.book_within(holds_of(group.members), book)
        except MembersRefused as refused:
            uncreated = {str(member.reservation) for member in group.members}
            places = [MemberPlace(each.reservation, each.service, each.candidates) for each in group.members]
            advice = await self.reservations.refusals.next_free_of(refused, places)
            raise members_refused(refused, _SENT, caller, uncreated=uncreated, next_free=advice) from None
        except Problem as problem:
            if problem.name != "hold-limit":
                raise
            return await self.reservations.replayed_answer(token, problem)
        self.reservations.report_writes(made)
        await self.reservations.clear_if_erased(made)
        return made

    async def read(self, identity: str, caller: Caller) -> Group:
        """A group. A key that is bound to a customer sees it if all members are that customer's.

        Raises:
            Problem: `not-found`, also where the caller may not see it.
        """
        group = object_id(identity)
        members = [] if group is None else await ReservationStore(self.store).find_group(group)
        if group is None or not members or not all(caller.sees(reservation.customer) for reservation in members):
            raise not_found("group", identity)
        return Group(group, members)

    async def confirm(self, identity: str, caller: Caller, reason: str | None) -> Group:
        """Confirm all members that have not ended, or none: an expired hold refuses all.

        If the caller is no admin, a hold of a service with approval becomes a request, and a request refuses all.

        Raises:
            Problem: `not-found`, `hold-expired`, `forbidden-transition`, `forbidden`, or what the write path raises.
        """
        group = await self.read(identity, caller)
        admin = caller.may("reservations:admin")
        members = [reservation.id for reservation in group.reservations]
        try:
            confirmed = await self.booking.confirm_all(members, by=caller.prefix, admin=admin, reason=reason)
        except MembersRefused as refused:
            raise members_refused(refused, _STORED, caller) from None
        return _check_reached(Group(group.id, confirmed), "confirmed", "pending")

    async def cancel(self, identity: str, caller: Caller, reason: str | None) -> Group:
        """Cancel all members that have not ended, or none.

        Raises:
            Problem: `not-found`, `forbidden-transition`, `too-late`, or what the write path raises.
        """
        group = await self.read(identity, caller)
        admin = caller.may("reservations:admin")
        members = [reservation.id for reservation in group.reservations]
        try:
            ended = await self.booking.close_all(members, "cancelled", by=caller.prefix, admin=admin, reason=reason)
        except MembersRefused as refused:
            raise members_refused(refused, _STORED, caller) from None
        return _check_reached(Group(group.id, ended), "cancelled")

    async def _group_of(self, wanted: NewGroup, caller: Caller, token: Token[list[Reservation]] | None) -> BookGroup:
        """The intent of a group.

        Raises:
            Problem: `invalid`.
        """
        check_holder(wanted.holder, is_hold=wanted.expires_in_seconds is not None, bound=caller.customer is not None)
        identity = ObjectId()
        intents: list[Book] = []
        wrong: list[MemberProblem] = []
        pools = self.reservations.pools()
        for place, body in enumerate(wanted.reservations):
            try:
                member = _with_group_hold(wanted, body)
                intents.append(await self.reservations.to_intent(member, caller, group=identity, pools=pools))
            except Problem as problem:
                if problem.name == "overloaded":  # not a fault of this member; the next one would get it as well
                    raise
                wrong.append((place, problem))
        if wrong:
            raise members_wrong(wrong, _SENT)
        return BookGroup(by=caller.prefix, members=intents, group=identity, token=token)


def _check_reached(group: Group, *statuses: Status) -> Group:
    """The group after a transition; refused if no member has one of these statuses, because all had ended before.

    Raises:
        Problem: `forbidden-transition`; nothing was written.
    """
    if all(reservation.status not in statuses for reservation in group.reservations):
        raise Problem("forbidden-transition", f"All of the group has ended; nothing of it can become {statuses[0]}.")
    return group


def _with_group_hold(wanted: NewGroup, body: NewReservation) -> NewReservation:
    """A member with the hold of the whole group, if the group is a hold.

    Raises:
        Problem: `invalid` where the member names a hold of its own.
    """
    if wanted.expires_in_seconds is None:
        return body
    if body.expires_in_seconds is not None:
        raise invalid_field("expiresInSeconds", "The group says how long all of it is held; leave it out here.")
    if body.holder is not None:
        raise invalid_field("holder", "The group says who holds all of it; leave it out here.")
    hold = {"expires_in_seconds": wanted.expires_in_seconds, "holder": wanted.holder}
    member: NewReservation = body.model_copy(update=hold)
    return member

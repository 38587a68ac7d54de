"""Moving several reservations for a caller at once: all of them or none, judged by the final state."""

from collections.abc import Sequence

from bson import ObjectId

from app.booking import BookingService, MembersRefused, Replay, Token, WantedMove
from app.caller import Caller
from app.errors import Problem, invalid_field
from app.reservations.group_refusals import MemberProblem, Members, members_refused, members_wrong
from app.reservations.move_schemas import NewMoves, ReservationMove
from app.reservations.pools import Pools
from app.reservations.refusals import MemberPlace
from app.reservations.requested_changes import requested_change
from app.reservations.service import Reservations
from app.storage.client import Store
from app.storage.documents import Reservation
from app.storage.reservations import ReservationStore

_MOVES = Members("moves")


class Moves:
    """Moves of reservations; each becomes a change as it would alone, and all commit in one transaction."""

    def __init__(self, store: Store, booking: BookingService, reservations: Reservations) -> None:
        self.store = store
        self.booking = booking
        self.reservations = reservations

    async def move(
        self, wanted: NewMoves, caller: Caller, token: Token[list[Reservation]] | None
    ) -> Sequence[Reservation] | Replay:
        """Move all of them, or none; a request whose token was answered before gets that answer.

        Raises:
            Problem: `conflict`, `rule`, `invalid`, `stale`, `hold-expired`, `forbidden-transition`, `too-late`,
                `forbidden`, `strict-only`, or what the write path raises.
        """
        try:
            moves, places = await self._moves(wanted.moves, caller)
        except Problem as problem:
            return await self.reservations.replayed_answer(token, problem)
        try:
            moved = await self.booking.move(
                moves,
                by=caller.prefix,
                admin=caller.may("reservations:admin"),
                bound=caller.customer is not None,
                reason=wanted.reason,
                token=token,
            )
        except MembersRefused as refused:
            advice = await self.reservations.refusals.next_free_of(refused, places)
            raise members_refused(refused, _MOVES, caller, next_free=advice) from None
        self.reservations.report_writes(moved)
        return moved

    async def _moves(
        self, moves: Sequence[ReservationMove], caller: Caller
    ) -> tuple[list[WantedMove], list[MemberPlace]]:
        """The moves as the write path takes them, and where each may be.

        Raises:
            Problem: `invalid` for reservations that the caller does not see, for two moves of one reservation, and for
                a pool that there is not; `local-time`.
        """
        made: list[WantedMove] = []
        places: list[MemberPlace] = []
        wrong: list[MemberProblem] = []
        found = await ReservationStore(self.store).find_shown([ObjectId(move.reservation) for move in moves])
        pools = self.reservations.pools()
        seen: set[str] = set()
        for place, move in enumerate(moves):
            stored = found.get(ObjectId(move.reservation))
            try:
                if move.reservation in seen:
                    raise invalid_field("reservation", "Each reservation is moved once; name it once.")
                seen.add(move.reservation)
                if stored is None or not caller.sees(stored.customer):
                    raise invalid_field("reservation", f"There is no reservation {move.reservation!r}.")
                made.append(await _move(move, stored, pools))
                resources = made[-1].pool or (made[-1].patch.get("resource", stored.resource),)
                places.append(MemberPlace(made[-1].reservation, stored.service, resources))
            except Problem as problem:
                if problem.name == "overloaded":  # not a fault of this member; the next one would get it as well
                    raise
                wrong.append((place, problem))
        if wrong:
            raise members_wrong(wrong, _MOVES)
        return made, places


async def _move(move: ReservationMove, stored: Reservation, pools: Pools) -> WantedMove:
    """One move of a stored reservation.

    Raises:
        Problem: `invalid`, `local-time`.
    """
    change = requested_change(move)
    pool = await pools.of_booked(stored.service) if change.any_resource else ()
    return WantedMove(ObjectId(move.reservation), change.patch, pool, move.version)

"""Moving several reservations for a caller at once: all of them or none, judged by the final state."""

from collections.abc import Sequence

from bson import ObjectId

from app.booking import BookingService, MembersRefused, Replay, Token
from app.caller import Caller
from app.errors import Problem, invalid_field
from app.reservations.group_refusals import MemberProblem, Members, members_refused, members_wrong
from app.reservations.move_schemas import NewMoves, ReservationMove
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
            await self._check(wanted.moves, caller)
        except Problem as problem:
            return await self.reservations.replayed_answer(token, problem)
        try:
            moved = await self.booking.move(
                [(ObjectId(move.reservation), move.to_patch(), move.version) for move in wanted.moves],
                by=caller.prefix,
                admin=caller.may("reservations:admin"),
                bound=caller.customer is not None,
                reason=wanted.reason,
                token=token,
            )
        except MembersRefused as refused:
            raise members_refused(refused, _MOVES, caller) from None
        self.reservations.report_writes(moved)
        return moved

    async def _check(self, moves: Sequence[ReservationMove], caller: Caller) -> None:
        """Refuse moves of reservations that the caller does not see, and two moves of one reservation.

        Raises:
            Problem: `invalid`.
        """
        wrong: list[MemberProblem] = []
        found = await ReservationStore(self.store).find_shown([ObjectId(move.reservation) for move in moves])
        seen: set[str] = set()
        for place, move in enumerate(moves):
            stored = found.get(ObjectId(move.reservation))
            if move.reservation in seen:
                wrong.append((place, invalid_field("reservation", "Each reservation is moved once; name it once.")))
            elif stored is None or not caller.sees(stored.customer):
                wrong.append((place, invalid_field("reservation", f"There is no reservation {move.reservation!r}.")))
            seen.add(move.reservation)
        if wrong:
            raise members_wrong(wrong, _MOVES)

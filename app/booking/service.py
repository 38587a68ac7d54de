"""The one door of this floor: what is wanted goes in, what came of it comes out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar

from bson import ObjectId

from app.booking.book import Book
from app.booking.change import Change
from app.booking.committer import SLOTS, Committer
from app.booking.confirm_extend_end import Close, Confirm, Extend
from app.booking.drivers import GRACE_SECONDS, PlainDriver, driver_for
from app.booking.edit import EditResource, EditService
from app.booking.existing import ExistingIntent, ReservationMoved
from app.booking.group import AllOrNothing, BookGroup, Move
from app.booking.idempotency import AnyToken, Replay, Token, read_answers, replay
from app.booking.import_rows import ChangeRow
from app.booking.intents import Intent
from app.booking.outcomes import overloaded
from app.booking.priority import priority_requester
from app.booking.transitions import Closure, close
from app.cluster.heartbeat import Heartbeat
from app.domain.lifecycle import Status
from app.errors import Problem, not_found
from app.storage.client import Store
from app.storage.documents import Reservation, Service
from app.storage.occupancy import BRANCHES_MAX
from app.storage.rule_cache import RuleCache
from app.storage.stored_reservations import unreadable
from app.storage.values import identity as identity_of

T = TypeVar("T")

ATTEMPTS_MAX = 5


class ExistingFields(TypedDict):
    """What an intent is told of the reservation that it changes."""

    reservation: ObjectId
    resource: str
    service: str | None
    operation: ObjectId


class GuardedBy(TypedDict):
    """The guards that a change of a reservation needs."""

    resource: str
    service: str | None


def _guards_of(row: Mapping[str, Any]) -> GuardedBy:
    """Where a stored reservation is.

    Raises:
        Problem: `invalid` where nobody can tell.
    """
    resource = identity_of(row.get("resource"))
    if resource is None:
        raise unreadable({"resource": row.get("resource")})
    return GuardedBy(resource=resource, service=identity_of(row.get("service")))


class BookingService:
    """The write path of one process, over one store; `rules` is the process's cache, where others use it as well."""

    def __init__(self, store: Store, rules: RuleCache | None = None) -> None:
        self.store = store
        branches = BRANCHES_MAX if store.shape == "or" else 1
        driver = driver_for(store, SLOTS)
        self.heartbeat = Heartbeat(store, driver)
        self.committer = Committer(
            driver, branches, clock=store.clock.millis, request_priority=priority_requester(store), rules=rules
        )

    async def start(self) -> None:
        """Be known to the other processes before anything is booked, and watch them.

        Raises:
            StorageError: they book in another mode or by another lifecycle; the sentence names the remedy.
        """
        await self.heartbeat.start()

    async def stop(self) -> None:
        """Finish what was taken in, take nothing new."""
        await self.committer.drain()
        await self.heartbeat.stop()

    async def replayed_answer(self, token: AnyToken | None) -> Replay | None:
        """What the first request of a key was answered, whatever would be said of it today; None if there was none.

        Raises:
            Problem: `idempotency-mismatch`.
        """
        if token is None:
            return None
        stored = await PlainDriver(self.store).run(0, read_answers([token]), GRACE_SECONDS)
        if token.key not in stored:
            return None
        answer = replay(token, stored[token.key])
        if isinstance(answer, Problem):
            raise answer
        return answer

    async def book(self, intent: Book) -> Reservation | Replay:
        """Book a time; a repeated Idempotency-Key gets its first answer again.

        Raises:
            Refused: with the verdict of the rules.
            Problem: `invalid`, `idempotency-mismatch`, `overloaded`, `outcome-unknown`, `unavailable`.
        """
        return await self.committer.submit(intent)

    async def change(
        self,
        identity: ObjectId,
        patch: dict[str, Any],
        *,
        version: int | None,
        by: str,
        admin: bool = False,
        bound: bool = False,
        lifted_rules: frozenset[str] = frozenset(),
    ) -> Reservation:
        """Merge a patch into a reservation, for somebody with `reservations:admin` or bound to a customer, or neither.

        Raises:
            Refused: with the verdict of the rules.
            Problem: `not-found`, `stale`, `hold-expired`, `forbidden-transition`, `too-late`, `forbidden`, `invalid`,
                `overloaded`, `outcome-unknown`, `unavailable`.
        """

        def intent(held: ExistingFields) -> Change:
            return Change(
                **held, by=by, patch=patch, version=version, admin=admin, bound=bound, lifted_rules=lifted_rules
            )

        return await self._change(identity, intent)

    async def confirm(
        self, identity: ObjectId, *, by: str, admin: bool = False, reason: str | None = None
    ) -> Reservation:
        """Make a live hold or a request firm, or a hold a request.

        Raises:
            Problem: `not-found`, `hold-expired`, `forbidden-transition`, `forbidden`, `overloaded`, `outcome-unknown`,
                `unavailable`.
        """
        return await self._change(identity, lambda held: Confirm(**held, by=by, admin=admin, reason=reason))

    async def extend(self, identity: ObjectId, seconds: int, *, by: str) -> Reservation:
        """Hold on to a live hold for at least so many seconds from now.

        Raises:
            Problem: `not-found`, `hold-expired`, `forbidden-transition`, `invalid`, `overloaded`, `outcome-unknown`,
                `unavailable`.
        """
        return await self._change(identity, lambda held: Extend(**held, by=by, seconds=seconds))

    async def change_row(self, intent: ChangeRow) -> Reservation:
        """Change what an import booked to what its row says now, if it is still as it was read.

        Raises:
            Refused: with the verdict of the rules.
            Problem: `not-found`, `stale`, `forbidden-transition`, `invalid`, `overloaded`, `outcome-unknown`,
                `unavailable`.
        """
        try:
            return await self._submit(intent)
        except ReservationMoved as moved:
            raise Problem("stale", "It was moved since it was read; read it again and repeat the change.") from moved

    async def _change(self, identity: ObjectId, intent: Callable[[ExistingFields], ExistingIntent]) -> Reservation:
        return await self._submit_for_existing([identity], lambda held: intent(held[0]))

    async def _submit(self, intent: Intent[T]) -> T:
        """Submit an intent without a key, which no stored answer can replay."""
        value = await self.committer.submit(intent)
        if isinstance(value, Replay):  # pragma: no cover  # only an intent with a token is replayed
            raise TypeError("an intent without a key was replayed")
        return value

    async def _submit_for_existing(
        self, identities: Sequence[ObjectId], intent: Callable[[list[ExistingFields]], Intent[T]]
    ) -> T:
        """Ask for the guards of the resources where these are; if one was moved meanwhile, for the new ones."""
        operations = [ObjectId() for _ in identities]
        for _ in range(ATTEMPTS_MAX):
            query = {"_id": {"$in": [*identities]}}
            found = await self.store.database["reservations"].find(query, {"resource": 1, "service": 1}).to_list(None)
            rows = {row["_id"]: row for row in found}
            for identity in identities:
                if identity not in rows:
                    raise not_found("reservation", str(identity))
            held = [
                ExistingFields(reservation=identity, operation=operation, **_guards_of(rows[identity]))
                for identity, operation in zip(identities, operations, strict=True)
            ]
            try:
                return await self._submit(intent(held))
            except ReservationMoved:
                continue
        raise overloaded("It is being moved about by others; nothing was done.")

    async def book_group(self, group: BookGroup) -> list[Reservation] | Replay:
        """Book several times or resources, all or none.

        Raises:
            MembersRefused: with everybody who cannot be had.
            Problem: `strict-only`, `overloaded`, `outcome-unknown`, `unavailable`.
        """
        self._check_transactions(len(group.members))
        return await self.committer.submit(group)

    async def confirm_all(
        self, identities: Sequence[ObjectId], *, by: str, admin: bool = False, reason: str | None = None
    ) -> list[Reservation]:
        """Make all of these firm, or none; those that have ended stay as they are.

        Raises:
            MembersRefused: with everybody who cannot be made firm.
            Problem: `strict-only`, `overloaded`, `outcome-unknown`, `unavailable`.
        """

        def intent(held: list[ExistingFields]) -> AllOrNothing:
            return AllOrNothing(
                by=by, members=[Confirm(**each, by=by, admin=admin, reason=reason, spares_final=True) for each in held]
            )

        return await self._submit_together(identities, intent)

    async def close_all(
        self, identities: Sequence[ObjectId], to: Status, *, by: str, admin: bool = False, reason: str | None = None
    ) -> list[Reservation]:
        """Bring all of these to a status that does not block, or none; those that have ended stay as they are.

        Raises:
            MembersRefused: with everybody who cannot be brought there.
            Problem: `strict-only`, `overloaded`, `outcome-unknown`, `unavailable`.
        """

        def intent(held: list[ExistingFields]) -> AllOrNothing:
            return AllOrNothing(
                by=by, members=[Close(**each, by=by, to=to, admin=admin, reason=reason) for each in held]
            )

        return await self._submit_together(identities, intent)

    async def move(
        self,
        moves: Sequence[tuple[ObjectId, dict[str, Any], int]],
        *,
        by: str,
        admin: bool = False,
        bound: bool = False,
        reason: str | None = None,
        token: Token[list[Reservation]] | None = None,
    ) -> list[Reservation] | Replay:
        """Move several at once, each an id, a patch and the version that the caller has seen; all or none.

        Raises:
            MembersRefused: with everybody who cannot go where it should.
            Problem: `strict-only`, `overloaded`, `outcome-unknown`, `unavailable`.
        """

        def intent(held: list[ExistingFields]) -> Move:
            members = [
                Change(**each, by=by, patch=patch, version=version, admin=admin, bound=bound, reason=reason)
                for each, (_, patch, version) in zip(held, moves, strict=True)
            ]
            return Move(by=by, members=members, token=token)

        self._check_transactions(len(moves))
        moved: list[Reservation] | Replay = await self._submit_for_existing(
            [identity for identity, _, _ in moves], intent
        )
        return moved

    async def _submit_together(
        self, identities: Sequence[ObjectId], intent: Callable[[list[ExistingFields]], AllOrNothing]
    ) -> list[Reservation]:
        self._check_transactions(len(identities))
        return await self._submit_for_existing(identities, intent)

    def _check_transactions(self, count: int) -> None:
        if count > 1 and not self.committer.driver.atomic:
            raise Problem("strict-only", "This server has no transactions, so only one reservation can change at once.")

    async def close(
        self, identity: ObjectId, to: Status, *, by: str, reason: str | None = None, admin: bool = False
    ) -> Reservation:
        """Cancel or complete a reservation, or note that nobody came; see `plain.finish`."""
        self.heartbeat.check()
        return await close(self.store, identity, Closure(to, by, reason, admin=admin), self.heartbeat.check_others)

    async def edit_resource(self, edit: EditResource) -> int:
        """Edit a resource as it was planned; its new version.

        Raises:
            PlanOutdated: it was edited meanwhile, or somebody came who would be stranded; it has to be planned again.
            Problem: `not-found`, `stale`, `overloaded`, `outcome-unknown`, `unavailable`.
        """
        return await self._submit(edit)

    async def edit_service(
        self, identity: str, apply: Callable[[Service], Service], *, version: int | None, by: str
    ) -> Service:
        """Edit a service; what is booked keeps its times and buffers.

        Raises:
            Problem: `not-found`, `stale`, what `apply` raises, `overloaded`, `outcome-unknown`, `unavailable`.
        """
        return await self._submit(EditService(identity=identity, apply=apply, version=version, by=by))

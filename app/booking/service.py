"""The public interface of the write path: booking, changing and closing for the rooms above."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from bson import ObjectId

from app.booking.book import Book
from app.booking.change import Change
from app.booking.committer import Committer
from app.booking.confirm_extend import Confirm, Extend
from app.booking.drivers import driver_for, replayed_answer
from app.booking.edit import EditResource, EditService
from app.booking.existing import ExistingIntent, ReservationMoved
from app.booking.group import AllOrNothing
from app.booking.idempotency import AnyToken, Replay, Token
from app.booking.import_rows import ChangeRow
from app.booking.meter import Meter
from app.booking.move import Move, WantedMove
from app.booking.patches import Patch
from app.booking.priority import priority_requester
from app.booking.release import close, close_all
from app.booking.reopen import Reopen
from app.booking.several import Several
from app.booking.slots import SLOTS
from app.booking.submission import ExistingFields, submit_for_existing
from app.cluster.heartbeat import Heartbeat
from app.domain.ids import ResourceId, ServiceId
from app.domain.lifecycle import Status
from app.errors import Problem
from app.storage.client import Store
from app.storage.conflict_lookup import BRANCHES_MAX
from app.storage.documents import Reservation, Service
from app.storage.rule_cache import RuleCache

T = TypeVar("T")


class BookingService:
    """The write path of one process over one store.

    Args:
        store: The database.
        rules: The process's cache of rules, if reads share it; None: one of its own.
        meter: Measures the work; None: nobody reads what it counts.
        on_write: Called after each batch that has written something.
    """

    def __init__(
        self,
        store: Store,
        rules: RuleCache | None = None,
        meter: Meter | None = None,
        on_write: Callable[[], None] = lambda: None,
    ) -> None:
        self.store = store
        branches = BRANCHES_MAX if store.shape == "or" else 1
        driver = driver_for(store, SLOTS)
        self.heartbeat = Heartbeat(store, driver)
        self.committer = Committer(
            driver,
            branches,
            clock=store.clock.millis,
            request_priority=priority_requester(store),
            rules=rules,
            meter=meter,
            database=store.database.name,
            on_write=on_write,
        )

    async def start(self) -> None:
        """Register this process, and start its heartbeat, which also watches the other processes.

        Raises:
            StorageError: the other processes book in another mode or by another lifecycle; the sentence names the
            remedy.
        """
        await self.heartbeat.start()

    async def stop(self) -> None:
        """Refuse new intents, finish all queued ones, and stop the heartbeat."""
        await self.committer.drain()
        await self.heartbeat.stop()

    async def replayed_answer(self, token: AnyToken | None) -> Replay | None:
        """The answer of the first request with a key; None if there was none.

        Raises:
            Problem: `idempotency-mismatch`.
        """
        return await replayed_answer(self.store, token)

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
        patch: Patch,
        *,
        pool: tuple[ResourceId, ...] = (),
        version: int | None,
        by: str,
        admin: bool = False,
        bound: bool = False,
        lifted_rules: frozenset[str] = frozenset(),
    ) -> Reservation:
        """Merge a patch into a reservation.

        Args:
            identity: The reservation.
            patch: The new values, by stored names; None unsets a field, times may be local ones of its resource.
            pool: The resources of which it is to get a free one.
            version: The version that the caller has seen; None: any.
            by: The actor that the history names.
            admin: Whether the caller has `reservations:admin`.
            bound: Whether the caller's key is bound to a customer.
            lifted_rules: The rules that are not judged.

        Raises:
            Refused: with the verdict of the rules.
            Problem: `not-found`, `stale`, `hold-expired`, `forbidden-transition`, `too-late`, `forbidden`,
                `local-time`, `invalid`, `overloaded`, `outcome-unknown`, `unavailable`.
        """
        return await self._change(
            identity,
            lambda fields: Change(
                **fields,
                by=by,
                patch=patch,
                pool=pool,
                version=version,
                admin=admin,
                bound=bound,
                lifted_rules=lifted_rules,
            ),
        )

    async def confirm(
        self,
        identity: ObjectId,
        *,
        by: str,
        admin: bool = False,
        reason: str | None = None,
        details: Patch | None = None,
    ) -> Reservation:
        """Confirm a live hold or a request; or make a hold a request, where the service requires approval.

        `details` are the customer, notes, metadata and reference that it has from then on.

        Raises:
            Problem: `not-found`, `hold-expired`, `forbidden-transition`, `forbidden`, `invalid`, `overloaded`,
                `outcome-unknown`, `unavailable`.
        """
        return await self._change(
            identity, lambda fields: Confirm(**fields, by=by, admin=admin, reason=reason, details=details or {})
        )

    async def reopen(self, identity: ObjectId, *, by: str, reason: str) -> Reservation:
        """Make a reservation that has ended, or whose customer did not come, a confirmed one again.

        Raises:
            Refused: with the verdict, where its time is taken.
            Problem: `not-found`, `forbidden-transition`, `invalid`, `overloaded`, `outcome-unknown`, `unavailable`.
        """
        return await self._change(identity, lambda fields: Reopen(**fields, by=by, reason=reason))

    async def extend(self, identity: ObjectId, seconds: int, *, by: str) -> Reservation:
        """Extend a live hold to at least so many seconds from now.

        Raises:
            Problem: `not-found`, `hold-expired`, `forbidden-transition`, `invalid`, `overloaded`, `outcome-unknown`,
                `unavailable`.
        """
        return await self._change(identity, lambda fields: Extend(**fields, by=by, seconds=seconds))

    async def change_row(self, intent: ChangeRow) -> Reservation:
        """Change an imported reservation to what its row has now, if its version is the one that was read.

        Raises:
            Refused: with the verdict of the rules.
            Problem: `not-found`, `stale`, `forbidden-transition`, `invalid`, `overloaded`, `outcome-unknown`,
                `unavailable`.
        """
        try:
            return _unkeyed(await self.committer.submit(intent))
        except ReservationMoved as error:
            raise Problem("stale", "It was moved since it was read; read it again and repeat the change.") from error

    async def book_several(self, intent: Several[T]) -> T | Replay:
        """Book a group or a series: several times or resources, in one transaction.

        Raises:
            MembersRefused, Problem: as `confirm_all` has them; of a series also `invalid`.
        """
        self._check_transactions(len(intent.members))
        return await self.committer.submit(intent)

    async def confirm_all(
        self, identities: Sequence[ObjectId], *, by: str, admin: bool = False, reason: str | None = None
    ) -> list[Reservation]:
        """Confirm all of these or none; a reservation that has ended stays as it is.

        Raises:
            MembersRefused: with all that cannot be confirmed.
            Problem: `strict-only`, `overloaded`, `outcome-unknown`, `unavailable`.
        """

        def intent(fields: list[ExistingFields]) -> AllOrNothing:
            return AllOrNothing(
                by=by,
                members=[Confirm(**each, by=by, admin=admin, reason=reason, spares_final=True) for each in fields],
            )

        self._check_transactions(len(identities))
        return _unkeyed(await submit_for_existing(self.store, self.committer, identities, intent))

    async def close_all(
        self, identities: Sequence[ObjectId], to: Status, *, by: str, admin: bool = False, reason: str | None = None
    ) -> list[Reservation]:
        """Bring all of these to a status that does not block, or none; one that has ended stays as it is.

        Raises:
            MembersRefused: with all that cannot be closed.
            Problem: `strict-only`, `overloaded`, `outcome-unknown`, `unavailable`.
        """
        self._check_transactions(len(identities))
        return _unkeyed(await close_all(self.store, self.committer, identities, to, by=by, reason=reason, admin=admin))

    async def move(
        self,
        moves: Sequence[WantedMove],
        *,
        by: str,
        admin: bool = False,
        bound: bool = False,
        reason: str | None = None,
        token: Token[list[Reservation]] | None = None,
    ) -> list[Reservation] | Replay:
        """Move several reservations, all or none.

        Raises:
            MembersRefused: with all that cannot be moved.
            Problem: `strict-only`, `overloaded`, `outcome-unknown`, `unavailable`.
        """

        def intent(fields: list[ExistingFields]) -> Move:
            return Move.of(moves, fields, by=by, admin=admin, bound=bound, reason=reason, token=token)

        self._check_transactions(len(moves))
        return await submit_for_existing(self.store, self.committer, [move.reservation for move in moves], intent)

    async def close(
        self, identity: ObjectId, to: Status, *, by: str, reason: str | None = None, admin: bool = False
    ) -> Reservation:
        """Cancel or complete a reservation, or mark it as a no-show; see `release.close`."""
        return await close(self.store, self.committer, identity, to, by=by, reason=reason, admin=admin)

    async def edit_resource(self, edit: EditResource) -> int:
        """Do a planned edit of a resource; the resource's new version.

        Raises:
            PlanOutdated: the resource was edited meanwhile, or the edit strands a booking that was made meanwhile.
            Problem: `not-found`, `stale`, `overloaded`, `outcome-unknown`, `unavailable`.
        """
        return _unkeyed(await self.committer.submit(edit))

    async def edit_service(
        self, identity: ServiceId, apply: Callable[[Service], Service], *, version: int | None, by: str
    ) -> Service:
        """Edit a service; its reservations keep their times and buffers.

        Raises:
            Problem: `not-found`, `stale`, what `apply` raises, `overloaded`, `outcome-unknown`, `unavailable`.
        """
        edit = EditService(identity=identity, apply=apply, version=version, by=by)
        return _unkeyed(await self.committer.submit(edit))

    async def _change(self, identity: ObjectId, intent: Callable[[ExistingFields], ExistingIntent]) -> Reservation:
        return _unkeyed(
            await submit_for_existing(self.store, self.committer, [identity], lambda fields: intent(fields[0]))
        )

    def _check_transactions(self, count: int) -> None:
        if count > 1 and not self.committer.driver.atomic:
            raise Problem("strict-only", "This server has no transactions, so only one reservation can change at once.")


def _unkeyed(value: T | Replay) -> T:
    """The value of an intent without a key, which has no stored answer to replay."""
    if isinstance(value, Replay):  # pragma: no cover  # only an intent with a token is replayed
        raise TypeError("an intent without a key was replayed")
    return value

"""Closures are made, changed and deleted; how one comes to be is in `app.storage.pending_closures`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from bson import ObjectId

from app.booking import Stranded, overloaded
from app.caller import Caller
from app.catalogue.closure_schemas import CLOSURES_MAX, NAMED_IN_ALL_MAX, ClosurePatch, NewClosure
from app.catalogue.closure_survey import Surveyor
from app.catalogue.merge_patch import changed_fields, merging
from app.catalogue.queries import read
from app.catalogue.schedules import stored_edge
from app.deadline import detached
from app.errors import Fault, Problem
from app.http.etags import IfMatch, stale
from app.http.validation_messages import from_faults
from app.refusals import stranding
from app.retries import retry
from app.storage.catalogue import CatalogueStore, Kind
from app.storage.client import Store
from app.storage.closures import AttemptLost, ClosureStore
from app.storage.documents import Closure, Resource, Service, with_change
from app.storage.errors import ValueTaken, VersionConflict
from app.storage.pending_closures import PendingClosures
from app.storage.stored_closures import closure_rules_of
from app.work import WorkPool

T = TypeVar("T")

ATTEMPTS_MAX = 5
"""How often a change is tried while others change the same closure."""
EXTENT = frozenset({"from_", "to", "resources", "services"})
"""The fields that say what is closed, and when."""


class ClosureEdits:
    """Makes and changes the closures of one store.

    Args:
        store: The database.
        work: Where many bookings are judged.
    """

    def __init__(self, store: Store, work: WorkPool) -> None:
        self._store = store
        self._stored = ClosureStore(store)
        self._pending = PendingClosures(store)
        self._catalogue = CatalogueStore(store)
        self._work = work

    async def add(self, wanted: NewClosure, caller: Caller, *, force: bool) -> Closure:
        """Add a closure, if it strands no booking or is forced.

        Raises:
            Problem: `invalid`, `exists`, `stranded-bookings`, `overloaded`.
        """
        closure = self._new(wanted, caller)
        await self._check(wanted.resources, wanted.services)
        await self._check_count(closure)
        if await self._catalogue.exists(Closure, closure.id):
            raise _exists(closure.id)
        await self._carry_out(closure, None, caller, force=force)
        return closure

    async def edit(
        self, identity: str, patch: ClosurePatch, if_match: IfMatch, caller: Caller, *, force: bool
    ) -> Closure:
        """Merge a patch into a closure, if it strands no booking or is forced.

        Raises:
            Problem: `not-found`, `stale`, `invalid`, `stranded-bookings`, `overloaded`.
        """
        await self._check(patch.resources, patch.services)
        merge: Callable[[Closure], Closure] = merging(NewClosure, patch)

        async def change() -> Closure:
            current = await read(self._store, Closure, identity)
            if_match.expected(current.version)
            after: Closure = _with_stored_edges(merge(current))
            changed = changed_fields(NewClosure, current, after)
            if not changed:
                return current
            now = self._store.clock.now()
            history = with_change(current.history, now, caller.prefix, [*map(_alias, changed)])
            after = after.model_copy(update={"version": current.version + 1, "updated_at": now, "history": history})
            if EXTENT.isdisjoint(changed):
                await self._stored.rewrite(after, current.version)
            else:
                await self._check_count(after)
                await self._carry_out(after, current.version, caller, force=force)
            return after

        return await self._retried(change, identity, if_match)

    async def remove(self, identity: str, if_match: IfMatch) -> None:
        """Delete a closure.

        Raises:
            Problem: `not-found`, `stale`, `overloaded`.
        """

        async def delete() -> None:
            current = await read(self._store, Closure, identity)
            if_match.expected(current.version)
            if not await self._stored.delete(identity, current.version):
                raise VersionConflict

        await self._retried(delete, identity, if_match)

    async def _carry_out(self, closure: Closure, before: int | None, caller: Caller, *, force: bool) -> None:
        """Let a closure be pending, look for the bookings that it strands, and settle it.

        It is surveyed before it is pending as well: an edit that is refused should close nothing meanwhile.

        Raises:
            Problem: `stranded-bookings`, `exists`, `overloaded`.
            VersionConflict: it has another version than `before`.
        """
        rules, attempt = closure_rules_of(closure.to_mongo()), ObjectId()
        surveyor = Surveyor(self._store, self._work, rules)
        try:
            seen = None if force else await surveyor.survey()
            await self._propose(closure, attempt)
            try:
                await self._pending.fence(None if rules.services or rules.is_for_all else rules.resources)
                if seen is not None:
                    await surveyor.survey(seen)
                await self._stored.settle(closure, attempt, before)
            except BaseException:
                # Apart from the request, whose time may be over.
                await asyncio.shield(detached(self._pending.withdraw(attempt)))
                raise
        except Stranded as stranded:
            raise stranding(stranded, caller) from None
        except VersionConflict:
            if before is not None:  # it has been changed, or others change closures all the time: it is tried again
                raise
            raise overloaded("Too many others are booking or changing closures; nothing was done.") from None
        except AttemptLost:
            raise overloaded("This took longer than it may; nothing was done.") from None
        except ValueTaken:
            raise _exists(closure.id) from None

    async def _propose(self, closure: Closure, attempt: ObjectId) -> None:
        try:
            await self._pending.propose(closure, attempt)
        except ValueTaken:
            detail = f"Another request is making or changing the closure {closure.id!r}; ask again in a moment."
            raise overloaded(detail) from None

    def _new(self, wanted: NewClosure, caller: Caller) -> Closure:
        now = self._store.clock.now()
        values = {name: value for name, value in wanted.sent_fields().items() if name != "id"}
        changed = [_alias(name) for name in NewClosure.model_fields if name in values]
        history = with_change([], now, caller.prefix, changed)
        identity = wanted.id or str(ObjectId())
        return _with_stored_edges(Closure(id=identity, created_at=now, updated_at=now, history=history, **values))

    async def _check(self, resources: Sequence[str] | None, services: Sequence[str] | None) -> None:
        """Refuse resources and services that are not there.

        Raises:
            Problem: `invalid`.
        """
        faults: list[Fault] = []
        named: tuple[tuple[str, str, Kind, Sequence[str] | None], ...] = (
            ("resources", "resource", Resource, resources),
            ("services", "service", Service, services),
        )
        for name, noun, kind, ids in named:
            unknown = await self._catalogue.find_missing(kind, ids or ())
            faults += [
                Fault((name, index), f"There is no {noun} {each!r}.")
                for index, each in enumerate(ids or ())
                if each in unknown
            ]
        if faults:
            raise from_faults(faults)

    async def _check_count(self, closure: Closure) -> None:
        """Refuse more closures than processes can hold in memory.

        Raises:
            Problem: `invalid`.
        """
        count, named = await self._stored.count(without=closure.id)
        if count >= CLOSURES_MAX:
            raise Problem("invalid", f"There are at most {CLOSURES_MAX:,} closures; delete some that are past.")
        if named + len(closure.resources or ()) + len(closure.services or ()) > NAMED_IN_ALL_MAX:
            detail = (
                f"All closures together name at most {NAMED_IN_ALL_MAX:,} resources and services; delete some that are"
                " past, or name services, or none for all resources."
            )
            raise Problem("invalid", detail)

    async def _retried(self, change: Callable[[], Awaitable[T]], identity: str, if_match: IfMatch) -> T:
        """Change a closure, and once more where another request has changed it meanwhile and any version may be.

        Raises:
            Problem: `not-found`, `stale`, `overloaded`.
        """
        try:
            return await retry(change, ATTEMPTS_MAX if if_match.versions is None else 1, on=VersionConflict)
        except VersionConflict:
            if if_match.versions is not None:
                raise stale((await read(self._store, Closure, identity)).version) from None
            raise overloaded("Too many others are changing closures; nothing was done.") from None


def _with_stored_edges(closure: Closure) -> Closure:
    """Instants in UTC; dates stay dates, whatever the time zones of the resources are."""
    stored: Closure = closure.model_copy(update={"from_": stored_edge(closure.from_), "to": stored_edge(closure.to)})
    return stored


def _alias(name: str) -> str:
    """The name of a field on the wire."""
    return Closure.model_fields[name].alias or name


def _exists(identity: str) -> Problem:
    return Problem("exists", f"There is a closure {identity!r} already.")

"""Who runs the steps of a transaction: in a session of the synchronous client, or call by call without one.

Time-outs are `pymongo.timeout`, never a cancelled task: a thread inside the driver cannot be stopped, and would send
its write later, outside the transaction.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Protocol, TypeAlias, TypeVar

import pymongo
from bson.binary import UUID_SUBTYPE, Binary
from pymongo import ReadPreference
from pymongo.database import Database
from pymongo.errors import ConnectionFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.synchronous.client_session import ClientSession
from pymongo.synchronous.mongo_client import MongoClient
from pymongo.write_concern import WriteConcern

from app.booking.steps import ABORT, BEGIN, COMMIT, KILL, Step, Steps
from app.storage.client import Store

T = TypeVar("T")
Vouch: TypeAlias = Callable[[], Awaitable[None]]
"""Asked before every batch; raises if this process must not book now."""

MAJORITY = WriteConcern("majority", j=True)
GRACE_SECONDS = 1.0
"""What a commit, and the question whether it came through, get beyond the budget of their batch."""


class Driver(Protocol):
    """Runs a body to its end; `atomic` says whether all of it happens or nothing."""

    atomic: bool

    async def run(self, slot: int, body: Steps[T], budget_seconds: float) -> T:
        """Run in one of the driver's slots, at most one body at a time in each."""

    async def close(self) -> None:
        """Give back what the driver holds."""


async def _unasked() -> None:
    """Nobody wants to be asked before a batch."""


class SessionDriver:
    """One session a slot for the life of the process, outside the pool, so that it can be named and killed.

    `vouch` is asked before every batch; it sees to it that whoever finds this process dead knows what it `held`.

    `snapshot`, `w: majority, j: true` and `primary` are set on the transaction itself: what a collection says of
    them does not count inside one.
    """

    atomic = True

    def __init__(self, client: "MongoClient[dict[str, Any]]", database: str, slots: int) -> None:
        self.client = client
        self.database: Database[dict[str, Any]] = client.get_database(
            database, read_concern=ReadConcern("majority"), write_concern=MAJORITY
        )
        self.vouch: Vouch = _unasked
        self.sessions = [self._new_session() for _ in range(slots)]
        self._retired: set[int] = set()
        self._in_doubt: list[bytes] = []
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="booking")

    async def run(self, slot: int, body: Steps[T], budget_seconds: float) -> T:
        """Run the whole body in one hop to a thread."""
        await self.vouch()
        if slot in self._retired:
            self._retired.discard(slot)
            self.sessions[slot] = self._new_session()
            await self.vouch()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self.drive, slot, body, budget_seconds)

    def drive(self, slot: int, body: Steps[T], budget_seconds: float) -> T:
        """Step through the body; whatever ends it without a commit aborts the transaction."""
        until = time.monotonic() + budget_seconds
        cut_off = False
        if self._in_doubt:
            with suppress(PyMongoError), pymongo.timeout(GRACE_SECONDS):
                self._end_doubted()
        try:
            step = next(body)
            while True:
                try:
                    result = self.perform(step, slot, until)
                except PyMongoError as error:
                    cut_off = isinstance(error, ConnectionFailure) or error.timeout
                    step = body.throw(error)
                else:
                    step = body.send(result)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            body.close()
            if self.sessions[slot].in_transaction:
                self._abandon(slot, cut_off=cut_off)

    def perform(self, step: Step, slot: int, until: float) -> Any:
        """Do one step, within what is left of the budget."""
        session = self.sessions[slot]
        left = until - time.monotonic()
        with pymongo.timeout(max(left, GRACE_SECONDS if step is COMMIT or not session.in_transaction else 0.001)):
            if step is BEGIN:
                return session.start_transaction(ReadConcern("snapshot"), MAJORITY, ReadPreference.PRIMARY)
            if step is COMMIT:
                return session.commit_transaction()
            if step is ABORT:
                return session.abort_transaction()
            if step is KILL:
                return self._kill(slot)
            within = session if session.in_transaction else None
            method = getattr(self.database[step.collection], step.method)
            result = method(*step.arguments, session=within, **step.options)
            return list(result) if step.method == "find" else result

    def _abandon(self, slot: int, *, cut_off: bool) -> None:
        """End a transaction that did not end by itself, so that its guards are free at once.

        The driver keeps quiet about an abort that never arrived. Where the connection or the time ran out, killing
        the session says the same, and is heard.
        """
        with suppress(PyMongoError), pymongo.timeout(GRACE_SECONDS):
            self.sessions[slot].abort_transaction()
        if cut_off:
            with suppress(PyMongoError), pymongo.timeout(GRACE_SECONDS):
                self._kill(slot)

    def _kill(self, slot: int) -> None:
        """Replace the slot's session, and end the old one with all it holds; it does not go back to the pool."""
        self._in_doubt.append(_id_of(self.sessions[slot]))
        self.sessions[slot] = self._new_session()
        self._end_doubted()

    def _end_doubted(self) -> None:
        """Have the server forget sessions that we have done with; until it says so they count as held."""
        doubted = [*self._in_doubt]
        self.client.admin.command("killSessions", [{"id": Binary(each, UUID_SUBTYPE)} for each in doubted])
        self._in_doubt = [each for each in self._in_doubt if each not in doubted]

    def _new_session(self) -> ClientSession:
        session = self.client.start_session()
        _id_of(session)  # it gets its id when somebody asks for it
        return session

    def held(self) -> list[bytes]:
        """The ids of the sessions that may hold guards now, or after the next call of `run`."""
        return [*(_id_of(session) for session in self.sessions), *self._in_doubt]

    def retire(self) -> None:
        """Begin no further batch in the present sessions: somebody has ended them."""
        self._retired.update(range(len(self.sessions)))

    async def close(self) -> None:
        """End the sessions; no body may be running."""
        ended, self.sessions = self.sessions, []
        for session in ended:
            with suppress(PyMongoError):
                session.end_session()
        self._threads.shutdown(wait=False)


def _id_of(session: ClientSession) -> bytes:
    return bytes(session.session_id["id"])


class PlainDriver:
    """Call by call on the asynchronous client, without a transaction: optimistic mode, and mongomock."""

    atomic = False

    def __init__(self, store: Store) -> None:
        self.vouch: Vouch = _unasked
        self._database = store.database

    async def run(self, slot: int, body: Steps[T], budget_seconds: float) -> T:
        """Step through the body; sessions and transactions mean nothing here."""
        del slot
        await self.vouch()
        until = time.monotonic() + budget_seconds
        try:
            step = next(body)
            while True:
                try:
                    result = await self._perform(step, until)
                except PyMongoError as error:
                    step = body.throw(error)
                else:
                    step = body.send(result)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            body.close()

    async def _perform(self, step: Step, until: float) -> Any:
        if step in (BEGIN, COMMIT, ABORT, KILL):
            return None
        with pymongo.timeout(max(until - time.monotonic(), GRACE_SECONDS)):
            method: Callable[..., Any] = getattr(self._database[step.collection], step.method)
            result = method(*step.arguments, **step.options)
            return await (result.to_list(None) if step.method == "find" else result)

    def held(self) -> list[bytes]:
        """Nothing."""
        return []

    def retire(self) -> None:
        """There is nothing to retire."""

    async def close(self) -> None:
        """Nothing is held."""


def driver_for(store: Store, slots: int) -> SessionDriver | PlainDriver:
    """The driver that the store's mode allows."""
    if store.mode == "strict":
        return SessionDriver(store.client.delegate, store.database.name, slots)
    return PlainDriver(store)

"""Who runs the steps of a transaction: in a session of the synchronous client, or call by call without one.

Time-outs are `pymongo.timeout`, never a cancelled task: a thread inside the driver cannot be stopped, and would send
its write later, outside the transaction.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import pymongo
from pymongo import ReadPreference
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.synchronous.client_session import ClientSession
from pymongo.synchronous.mongo_client import MongoClient
from typing_extensions import override

from app.booking.doubtful_sessions import DoubtfulSessions
from app.cluster.heartbeat import EnsureRegistered, SessionOwner
from app.deadline import LEAST_SECONDS
from app.outages import is_unheard
from app.storage.client import Store
from app.storage.steps import ABORT, BEGIN, COMMIT, KILL, Step, Steps
from app.storage.transactions import MAJORITY

T = TypeVar("T")

GRACE_SECONDS = 1.0
"""What a commit, and the question whether it came through, get beyond the budget of their batch."""
GRACE_STEPS = frozenset({"commit", "kill", "commit.fence", "commit.prove", "plain.prove", "reservations.stamp"})
"""The steps that get that grace."""
NO_SUCH_TRANSACTION = 251


class Driver(Protocol):
    """Runs a body to its end; `atomic` says whether all of it happens or nothing."""

    atomic: bool

    async def run(self, slot: int, body: Steps[T], budget_seconds: float) -> T:
        """Run in one of the driver's slots, at most one body at a time in each."""

    async def close(self) -> None:
        """Give back what the driver holds."""


async def _no_registration() -> None:
    """Nobody wants to be asked before a batch."""


class SessionDriver(Driver, SessionOwner):
    """One session a slot for the life of the process, outside the pool, so that it can be named and killed.

    `vouch` is asked before every batch; it sees to it that whoever finds this process dead knows what it `held`.

    `snapshot`, `w: majority, j: true` and `primary` are set on the transaction itself: what a collection says of
    them does not count inside one.
    """

    atomic = True

    def __init__(self, client: "MongoClient[dict[str, Any]]", database: str, slots: int) -> None:
        self.client = client
        self.database: Database[dict[str, object]] = client.get_database(
            database, read_concern=ReadConcern("majority"), write_concern=MAJORITY
        )
        self.ensure_registered: EnsureRegistered = _no_registration
        self.doubtful_sessions = DoubtfulSessions(client)
        self.sessions = [self._new_session() for _ in range(slots)]
        self._retired_slots: set[int] = set()
        self._unbegun_slots: set[int] = set()
        """The slots in whose transaction the server has answered nothing yet."""
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="booking")
        self._session_ender = ThreadPoolExecutor(1, thread_name_prefix="doubts")

    @override
    async def run(self, slot: int, body: Steps[T], budget_seconds: float) -> T:
        """Run the whole body in one hop to a thread."""
        until = time.monotonic() + budget_seconds
        await self.ensure_registered()
        if slot in self._retired_slots:
            self._retired_slots.discard(slot)
            self.sessions[slot] = self._new_session()
            await self.ensure_registered()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self.drive, slot, body, until - time.monotonic())

    def drive(self, slot: int, body: Steps[T], budget_seconds: float) -> T:
        """Step through the body; whatever ends it without a commit aborts the transaction.

        Where the connection or the time ran out, nobody waits for an abort: the session is in doubt from then on.
        """
        until = time.monotonic() + budget_seconds
        cut_off = False
        try:
            step = next(body)
            while True:
                try:
                    result = self.perform(step, slot, until)
                except PyMongoError as error:
                    cut_off = is_unheard(error)
                    step = body.throw(error)
                else:
                    step = body.send(result)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            body.close()
            if self.sessions[slot].in_transaction:
                self._doubt_session(slot) if cut_off else self._abort(slot, GRACE_SECONDS)

    def perform(self, step: Step, slot: int, until: float) -> Any:
        """Do one step, within what is left of the budget."""
        session = self.sessions[slot]
        left = max(until - time.monotonic(), GRACE_SECONDS if step.name in GRACE_STEPS else LEAST_SECONDS)
        if step is ABORT:
            return self._abort(slot, left)
        with pymongo.timeout(left):
            if step is BEGIN:
                self._unbegun_slots.add(slot)
                return session.start_transaction(ReadConcern("snapshot"), MAJORITY, ReadPreference.PRIMARY)
            if step is COMMIT:
                return session.commit_transaction()
            if step is KILL:
                self.doubtful_sessions.add([self._replace_session(slot)], late=False)  # a commit begins nothing
                return self.doubtful_sessions.end()
            within = session if session.in_transaction else None
            method = getattr(self.database[step.collection], step.method)
            result = method(*step.arguments, session=within, **step.options)
            rows = list(result) if step.method == "find" else result
        if within is not None:
            self._unbegun_slots.discard(slot)
        return rows

    def _abort(self, slot: int, seconds: float) -> None:
        """Abort; a session that does not confirm that nothing of it is open is in doubt from then on."""
        try:
            with pymongo.timeout(min(seconds, GRACE_SECONDS)):
                _abort_or_raise(self.sessions[slot])
        except OperationFailure as error:
            if error.code != NO_SUCH_TRANSACTION:
                self._doubt_session(slot)
        except PyMongoError:
            self._doubt_session(slot)

    def _doubt_session(self, slot: int) -> None:
        """Go on in another session; end the old one beside the batches, so that its guards are free at once."""
        self.doubtful_sessions.add([self._replace_session(slot)], late=slot in self._unbegun_slots)
        self._session_ender.submit(self._end_doubtful_sessions)

    def _replace_session(self, slot: int) -> bytes:
        """Put another session in the slot's place; the old one, which does not go back to the pool."""
        old, self.sessions[slot] = self.sessions[slot], self._new_session()
        return _id_of(old)

    def _end_doubtful_sessions(self) -> None:
        with suppress(PyMongoError), pymongo.timeout(GRACE_SECONDS):
            self.doubtful_sessions.end()

    @override
    async def end_doubtful_sessions(self) -> None:
        """Have the server end what is in doubt, as far as it answers; asked with every beat."""
        if self.doubtful_sessions.ids():
            await asyncio.get_running_loop().run_in_executor(self._session_ender, self._end_doubtful_sessions)

    @override
    def adopt_sessions(self, sessions: list[bytes]) -> None:
        """Take over the sessions of a dead process: what it sent last may be late."""
        self.doubtful_sessions.add(sessions, late=True)

    def _new_session(self) -> ClientSession:
        session = self.client.start_session()
        _id_of(session)  # it gets its id when somebody asks for it
        return session

    @override
    def session_ids(self) -> list[bytes]:
        """The ids of the sessions that may hold guards now, or after the next call of `run`, or by what is late."""
        return [*(_id_of(session) for session in self.sessions), *self.doubtful_sessions.ids()]

    @override
    def doubtful_session_ids(self) -> list[bytes]:
        """Those of them that are in doubt."""
        return self.doubtful_sessions.ids()

    @override
    def retire_sessions(self) -> None:
        """Begin no further batch in the present sessions: somebody has ended them."""
        self._retired_slots.update(range(len(self.sessions)))

    @override
    async def close(self) -> None:
        """End the sessions; no body may be running."""
        ended, self.sessions = self.sessions, []
        for session in ended:
            with suppress(PyMongoError):
                session.end_session()
        await self.end_doubtful_sessions()
        for threads in (self._threads, self._session_ender):
            threads.shutdown(wait=False)


def _id_of(session: ClientSession) -> bytes:
    return bytes(session.session_id["id"])


def _abort_or_raise(session: ClientSession) -> None:
    """Abort a transaction, and hear of it where that failed: the driver's own way keeps quiet about it.

    Raises:
        pymongo.errors.PyMongoError: nobody knows whether it was aborted.
    """
    finish = session._finish_transaction_with_retry  # noqa: SLF001  # what it raises is lost one call further up
    failures: list[PyMongoError] = []

    def heard(command: str) -> dict[str, Any]:
        try:
            return finish(command)
        except PyMongoError as error:
            failures.append(error)
            raise

    session._finish_transaction_with_retry = heard  # type: ignore[assignment]  # noqa: SLF001  # for this call
    try:
        session.abort_transaction()
    finally:
        del session._finish_transaction_with_retry  # noqa: SLF001  # the class's own shows again
    if failures:
        raise failures[0]


class PlainDriver(Driver, SessionOwner):
    """Call by call on the asynchronous client, without a transaction: optimistic mode, and mongomock."""

    atomic = False

    def __init__(self, store: Store) -> None:
        self.ensure_registered: EnsureRegistered = _no_registration
        self._database = store.database

    @override
    async def run(self, slot: int, body: Steps[T], budget_seconds: float) -> T:
        """Step through the body; sessions and transactions mean nothing here."""
        del slot
        await self.ensure_registered()
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
        # What was begun is brought to its end: half of it would stand.
        grace = LEAST_SECONDS if step.method == "find" else GRACE_SECONDS
        with pymongo.timeout(max(until - time.monotonic(), grace)):
            method: Callable[..., Any] = getattr(self._database[step.collection], step.method)
            result = method(*step.arguments, **step.options)
            return await (result.to_list(None) if step.method == "find" else result)

    @override
    def session_ids(self) -> list[bytes]:
        """Nothing."""
        return []

    @override
    def doubtful_session_ids(self) -> list[bytes]:
        """Nothing."""
        return []

    @override
    def retire_sessions(self) -> None:
        """There is nothing to retire."""

    @override
    def adopt_sessions(self, sessions: list[bytes]) -> None:
        """Without transactions nothing of a session is locked."""

    @override
    async def end_doubtful_sessions(self) -> None:
        """Nothing is in doubt."""

    @override
    async def close(self) -> None:
        """Nothing is held."""


def driver_for(store: Store, slots: int) -> SessionDriver | PlainDriver:
    """The driver that the store's mode allows."""
    if store.mode == "strict":
        return SessionDriver(store.client.delegate, store.database.name, slots)
    return PlainDriver(store)

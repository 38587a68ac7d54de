"""The driver of strict mode: transactions in sessions of the synchronous client, each in one hop to a thread."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

import pymongo
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.synchronous.client_session import ClientSession
from pymongo.synchronous.mongo_client import MongoClient
from typing_extensions import override

from app.booking.doubtful_sessions import DoubtfulSessions
from app.booking.driver import GRACE_SECONDS, GRACE_STEPS, Driver, no_registration
from app.cluster.heartbeat import EnsureRegistered, SessionOwner
from app.deadline import LEAST_SECONDS
from app.outages import is_unheard
from app.storage import commands
from app.storage.bson_types import BsonDocument
from app.storage.concerns import MAJORITY, begin
from app.storage.held_connection import HeldConnection
from app.storage.steps import ABORT, BEGIN, COMMIT, KILL, Execution, Step, Steps

T = TypeVar("T")

NO_SUCH_TRANSACTION = 251


class SessionDriver(Driver, SessionOwner):
    """One session a slot for the life of the process, outside the pool, so that it can be named and killed.

    `ensure_registered` is called before every batch: it makes the ids of the sessions known to the other processes,
    which kill these sessions if this process dies.

    `snapshot`, `w: majority, j: true` and `primary` are set on the transaction itself, because the concerns of a
    collection do not apply inside one.
    """

    atomic = True

    def __init__(self, client: "MongoClient[BsonDocument]", database: str, slots: int) -> None:
        self.client = client
        self.database: Database[BsonDocument] = client.get_database(
            database, read_concern=ReadConcern("majority"), write_concern=MAJORITY
        )
        self.ensure_registered: EnsureRegistered = no_registration
        self.doubtful_sessions = DoubtfulSessions(client)
        self.sessions = [client.start_session() for _ in range(slots)]
        self._connections = [HeldConnection(self.database, session) for session in self.sessions]
        self._ids = [_id_of(session) for session in self.sessions]
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
            self._replace_session(slot)
            await self.ensure_registered()
        loop = asyncio.get_running_loop()
        context = copy_context()  # for the lines that the thread logs
        left = until - time.monotonic()
        return await loop.run_in_executor(self._threads, lambda: context.run(self.drive, slot, body, left))

    def drive(self, slot: int, body: Steps[T], budget_seconds: float) -> T:
        """Step through the body, and abort the transaction if the body ends without a commit.

        If the connection or the time ran out, no abort is awaited: the session is in doubt from then on.
        """
        until = time.monotonic() + budget_seconds
        cut_off = False
        try:
            execution = Execution(body)
            while (step := execution.step) is not None:
                try:
                    result = self.perform(step, slot, until)
                except PyMongoError as error:
                    cut_off = is_unheard(error)
                    execution.fail(error)
                else:
                    execution.succeed(result)
            return execution.value
        finally:
            body.close()
            if self.sessions[slot].in_transaction:
                self._doubt_session(slot) if cut_off else self._abort(slot, GRACE_SECONDS)
            self._connections[slot].give_back()

    def perform(self, step: Step, slot: int, until: float) -> Any:
        """Do one step, within what is left of the budget."""
        session = self.sessions[slot]
        left = max(until - time.monotonic(), GRACE_SECONDS if step.name in GRACE_STEPS else LEAST_SECONDS)
        if step is ABORT:
            return self._abort(slot, left)
        with pymongo.timeout(left):
            if step is BEGIN:
                self._unbegun_slots.add(slot)
                return begin(session)
            if step is COMMIT:
                return session.commit_transaction()
            if step is KILL:
                self.doubtful_sessions.add([self._replace_session(slot)], late=False)  # a commit begins nothing
                return self.doubtful_sessions.end()
            if not session.in_transaction:
                result = getattr(self.database[step.collection], step.method)(*step.arguments, **step.options)
                return list(result) if step.method == "find" else result
            result = commands.perform(step, self._connections[slot])
        self._unbegun_slots.discard(slot)
        return result

    def _abort(self, slot: int, seconds: float) -> None:
        """Abort; if the server does not confirm that no transaction is open, the session is in doubt from then on."""
        try:
            with pymongo.timeout(min(seconds, GRACE_SECONDS)):
                self._connections[slot].abort()
        except OperationFailure as error:
            if error.code != NO_SUCH_TRANSACTION:
                self._doubt_session(slot)
        except PyMongoError:
            self._doubt_session(slot)

    def _doubt_session(self, slot: int) -> None:
        """Replace a doubtful session, and end the old one in another thread, so that its guards are free soon."""
        self.doubtful_sessions.add([self._replace_session(slot)], late=slot in self._unbegun_slots)
        self._session_ender.submit(self._end_doubtful_sessions)

    def _replace_session(self, slot: int) -> bytes:
        """Give the slot another session; returns the id of the old one, which does not return to the pool."""
        self._connections[slot].give_back()
        session = self.client.start_session()
        self.sessions[slot], self._connections[slot] = session, HeldConnection(self.database, session)
        old, self._ids[slot] = self._ids[slot], _id_of(session)
        return old

    def _end_doubtful_sessions(self) -> None:
        with suppress(PyMongoError), pymongo.timeout(GRACE_SECONDS):
            self.doubtful_sessions.end()

    @override
    async def end_doubtful_sessions(self) -> None:
        """Let the server end the doubtful sessions, as far as it answers; called with every heartbeat."""
        if self.doubtful_sessions.ids():
            await asyncio.get_running_loop().run_in_executor(self._session_ender, self._end_doubtful_sessions)

    @override
    def adopt_sessions(self, sessions: list[bytes]) -> None:
        """Take over the sessions of a dead process, whose last statement may still arrive."""
        self.doubtful_sessions.add(sessions, late=True)

    @override
    def session_ids(self) -> list[bytes]:
        """The ids of the sessions that may hold guards now, after the next call of `run`, or by a late statement."""
        return [*self._ids, *self.doubtful_sessions.ids()]

    @override
    def doubtful_session_ids(self) -> list[bytes]:
        """The ids of the doubtful sessions."""
        return self.doubtful_sessions.ids()

    @override
    def retire_sessions(self) -> None:
        """Begin no further batch in the present sessions, because another process has ended them."""
        self._retired_slots.update(range(len(self.sessions)))

    @override
    async def close(self) -> None:
        """End the sessions; no body may be running."""
        ended, self.sessions, self._ids = self.sessions, [], []
        for session in ended:
            with suppress(PyMongoError):
                session.end_session()
        await self.end_doubtful_sessions()
        for threads in (self._threads, self._session_ender):
            threads.shutdown(wait=False)


def _id_of(session: ClientSession) -> bytes:
    """The id of a session, which the driver makes when it is first read."""
    return bytes(session.session_id["id"])

"""The driver of optimistic mode: call by call, without a transaction."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import pymongo
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from typing_extensions import override

from app.booking.driver import GRACE_SECONDS, Driver, no_registration
from app.cluster.heartbeat import EnsureRegistered, SessionOwner
from app.deadline import LEAST_SECONDS
from app.storage.client import Store
from app.storage.steps import ABORT, BEGIN, COMMIT, KILL, Execution, Step, Steps

T = TypeVar("T")


class PlainDriver(Driver, SessionOwner):
    """Call by call on the asynchronous client, without a transaction: optimistic mode, and mongomock."""

    atomic = False

    def __init__(self, store: Store) -> None:
        self.ensure_registered: EnsureRegistered = no_registration
        # What is only on the primary may be undone by a failover. Beside transactions, this driver only reads.
        self._database = store.database
        if store.mode == "strict":
            self._database = store.database.with_options(read_concern=ReadConcern("majority"))

    @override
    async def run(self, slot: int, body: Steps[T], budget_seconds: float) -> T:
        """Step through the body; steps about sessions and transactions do nothing."""
        del slot
        await self.ensure_registered()
        until = time.monotonic() + budget_seconds
        try:
            execution = Execution(body)
            while (step := execution.step) is not None:
                try:
                    result = await self._perform(step, until)
                except PyMongoError as error:
                    execution.fail(error)
                else:
                    execution.succeed(result)
            return execution.value
        finally:
            body.close()

    async def _perform(self, step: Step, until: float) -> Any:
        if step in (BEGIN, COMMIT, ABORT, KILL):
            return None
        # The writes are completed once the first was sent: without a transaction a part of them would remain.
        grace = LEAST_SECONDS if step.method == "find" else GRACE_SECONDS
        with pymongo.timeout(max(until - time.monotonic(), grace)):
            method: Callable[..., Any] = getattr(self._database[step.collection], step.method)
            result = method(*step.arguments, **step.options)
            return await (result.to_list(None) if step.method == "find" else result)

    @override
    def session_ids(self) -> list[bytes]:
        """None: this driver has no sessions."""
        return []

    @override
    def doubtful_session_ids(self) -> list[bytes]:
        """None: this driver has no sessions."""
        return []

    @override
    def retire_sessions(self) -> None:
        """Do nothing: this driver has no sessions."""

    @override
    def adopt_sessions(self, sessions: list[bytes]) -> None:
        """Do nothing: without transactions a session locks no document."""

    @override
    async def end_doubtful_sessions(self) -> None:
        """Do nothing: this driver has no sessions."""

    @override
    async def close(self) -> None:
        """Do nothing: there is nothing to release."""

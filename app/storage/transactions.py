"""Transactions outside of the write path: one snapshot for all their reads, and all of their writes or none."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias, TypeVar

from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo import ReadPreference
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from app.deadline import within
from app.outages import is_outage
from app.retries import retry
from app.storage.client import Store
from app.storage.concerns import begin
from app.storage.errors import VersionConflict

COMMIT_TRIES_MAX = 20
"""How often a commit whose answer was lost is sent again."""

CONFLICT_SECONDS = 2.0
"""How long writes are repeated while other transactions write the same; a plain write would wait for these."""
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.005, 0.1
"""Before a repetition; doubled with each that follows."""

T = TypeVar("T")

Session: TypeAlias = AsyncIOMotorClientSession | None
"""The session of a transaction; None where the server has no transactions."""


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction may succeed if it is run once more, from its beginning."""
    return isinstance(error, PyMongoError) and error.has_error_label("TransientTransactionError")


def is_commit_unknown(error: BaseException) -> bool:
    """Whether a commit may or may not have come through; sending it again does no harm."""
    return isinstance(error, PyMongoError) and error.has_error_label("UnknownTransactionCommitResult")


@asynccontextmanager
async def snapshot(store: Store) -> AsyncGenerator[AsyncIOMotorClientSession]:
    """A session whose reads are all of one instant; nothing is written in it.

    Raises:
        pymongo.errors.PyMongoError: the server failed; see `is_transient` for whether another snapshot may succeed.
    """
    async with await store.client.start_session() as session:
        session.start_transaction(ReadConcern("snapshot"), read_preference=ReadPreference.PRIMARY)
        yield session
        await session.abort_transaction()


@asynccontextmanager
async def transaction(store: Store) -> AsyncGenerator[AsyncIOMotorClientSession]:
    """A session whose writes are committed together when the block ends, and aborted when it raises.

    Raises:
        pymongo.errors.PyMongoError: the server failed, or another transaction wrote the same (`is_transient`).
    """
    async with await store.client.start_session() as session:
        begin(session)
        try:
            yield session
        except BaseException:
            await session.abort_transaction()
            raise
        # The server knows a transaction that it has committed, so a commit whose answer was lost is sent again.
        await retry(session.commit_transaction, COMMIT_TRIES_MAX, on=is_commit_unknown)


async def write_together(store: Store, write: Callable[[Session], Awaitable[T]]) -> T:
    """Make all writes of `write` or none, where there are transactions; elsewhere they follow each other.

    It is called again, after a pause, where another transaction was writing the same.

    Raises:
        VersionConflict: others write the same all the time; nothing was written.
        pymongo.errors.PyMongoError: the database failed.
    """
    if store.mode != "strict":
        return await write(None)
    until, pause = time.monotonic() + within(CONFLICT_SECONDS), PAUSE_SECONDS
    while True:
        try:
            async with transaction(store) as session:
                return await write(session)
        except PyMongoError as error:
            is_late = time.monotonic() >= until
            if not is_transient(error) or (is_late and is_outage(error)):
                raise
            if is_late:
                raise VersionConflict from error
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  # pauses are no secrets
        pause = min(2 * pause, PAUSE_SECONDS_MAX)

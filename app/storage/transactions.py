"""Transactions outside of the write path: one snapshot for all their reads, and all of their writes or none."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypeAlias

from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo import ReadPreference
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from app.retries import retry
from app.storage.client import Store
from app.storage.concerns import begin

COMMIT_TRIES_MAX = 20
"""How often a commit whose answer was lost is sent again."""

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

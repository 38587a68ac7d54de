"""A transaction holds one connection of the driver's pool, and gives it back whatever becomes of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient, monitoring
from pymongo.errors import AutoReconnect
from pymongo.server_description import ServerDescription
from typing_extensions import override

from app.booking.batch import Batch, Outcome, WriteConflict
from app.booking.session_driver import SessionDriver
from app.booking.transaction import attempt
from app.domain.instants import EARLIEST
from app.storage import commands
from app.storage.client import Store
from app.storage.rule_cache import RuleCache
from tests.support.command_log import CommandLog
from tests.support.mongodb_proxy import command, first_statement, proxied
from tests.support.step_driver import StepDriver, accepted, add_resource, booking_of

pytestmark = pytest.mark.servers("transactions")

BUDGET_SECONDS = 10.0


class PoolLog(monitoring.ConnectionPoolListener):
    """How many connections were taken out of the pool, how many are out, and how often the pool was cleared."""

    def __init__(self) -> None:
        self.taken = self.out = self.cleared = 0

    @override
    def connection_checked_out(self, event: monitoring.ConnectionCheckedOutEvent) -> None:
        """Count it."""
        self.taken += 1
        self.out += 1

    @override
    def connection_checked_in(self, event: monitoring.ConnectionCheckedInEvent) -> None:
        """Count it."""
        self.out -= 1

    @override
    def pool_cleared(self, event: monitoring.PoolClearedEvent) -> None:
        """Count it."""
        self.cleared += 1

    @override
    def pool_created(self, event: monitoring.PoolCreatedEvent) -> None:
        """Nothing to count."""

    @override
    def pool_ready(self, event: monitoring.PoolReadyEvent) -> None:
        """Nothing to count."""

    @override
    def pool_closed(self, event: monitoring.PoolClosedEvent) -> None:
        """Nothing to count."""

    @override
    def connection_created(self, event: monitoring.ConnectionCreatedEvent) -> None:
        """Nothing to count."""

    @override
    def connection_ready(self, event: monitoring.ConnectionReadyEvent) -> None:
        """Nothing to count."""

    @override
    def connection_closed(self, event: monitoring.ConnectionClosedEvent) -> None:
        """Nothing to count."""

    @override
    def connection_check_out_started(self, event: monitoring.ConnectionCheckOutStartedEvent) -> None:
        """Nothing to count."""

    @override
    def connection_check_out_failed(self, event: monitoring.ConnectionCheckOutFailedEvent) -> None:
        """Nothing to count."""


class Process:
    """A process that books with a client and a pool of its own."""

    def __init__(self, url: str, name: str, **options: Any) -> None:
        self.pool, self.commands = PoolLog(), CommandLog()
        self.client: MongoClient[dict[str, Any]]
        self.client = MongoClient(url, tz_aware=True, event_listeners=[self.pool, self.commands], **options)
        self.driver = SessionDriver(self.client, name, 1)

    async def book(self) -> list[Outcome]:
        """One batch of one booking, the same for all."""
        body = attempt(Batch([booking_of()], RuleCache(), 1, clock=EARLIEST, owner=ObjectId()))
        return await asyncio.to_thread(self.driver.drive, 0, body, BUDGET_SECONDS)

    def names(self) -> list[str]:
        """The names of the commands since the last call."""
        return [name for name, _ in self.commands.take()]


@asynccontextmanager
async def process_at(url: str, store: Store, **options: Any) -> AsyncIterator[Process]:
    """A process that books in the database of a store; all its connections are given back in the end."""
    process = Process(url, store.database.name, **options)
    try:
        yield process
        assert process.pool.out == 0
    finally:
        await process.driver.close()
        process.client.close()


async def test_a_transaction_takes_one_connection(store: Store, database_url: str) -> None:
    """All its statements go over one, the commit or the abort as well; and monitors see every one of them."""
    await add_resource(store)
    async with process_at(database_url, store) as process:
        assert accepted(await process.book()) == [True]
        booked, taken = process.names(), process.pool.taken
        assert accepted(await process.book()) == [False]

        assert (booked[0], booked[-2:], taken) == ("update", ["insert", "commitTransaction"], 1)
        assert (process.names()[-1], process.pool.taken) == ("abortTransaction", 2)


async def test_every_statement_has_its_time(store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without a choice of the server, each statement is given the time until the answer must be under way."""
    monkeypatch.setattr(ServerDescription, "min_round_trip_time", property(lambda _: BUDGET_SECONDS / 2))
    await add_resource(store)
    async with process_at(database_url, store) as process:
        assert accepted(await process.book()) == [True]

        times = [sent["maxTimeMS"] for _, sent in process.commands.take()]
        assert all(0 < time <= BUDGET_SECONDS / 2 * 1_000 for time in times)


async def test_a_lost_race_gives_the_connection_back(store: Store, database_url: str) -> None:
    """The second of two transactions fails with its first statement; the same process books when the first is over."""
    await add_resource(store)
    first = StepDriver(store, [booking_of()])
    await first.until("guards.bump")
    async with process_at(database_url, store) as process:
        with pytest.raises(WriteConflict):
            await process.book()
        assert process.pool.out == 0
        await first.abandon()

        assert accepted(await process.book()) == [True]
        assert process.pool.cleared == 0


async def test_a_broken_connection_clears_the_pool(store: Store, database_url: str) -> None:
    """The driver learns of it as of any failed statement: the transaction may be run again, on another connection."""
    await add_resource(store)
    async with proxied(database_url) as proxy, process_at(proxy.url, store) as process:
        proxy.cut(command("insert"))
        with pytest.raises(WriteConflict) as lost:
            await process.book()
        cause = lost.value.__cause__

        assert isinstance(cause, AutoReconnect)
        assert cause.has_error_label("TransientTransactionError")
        assert (process.pool.out, process.pool.cleared) == (0, 1)
        await process.driver.end_doubtful_sessions()
        assert accepted(await process.book()) == [True]


@pytest.mark.parametrize("kind", ["cut", "refuse_as_overloaded"])
async def test_a_commit_without_an_answer_is_repeated(store: Store, database_url: str, kind: str) -> None:
    """The driver sends it again on another connection, and the booking is acknowledged."""
    await add_resource(store)
    async with proxied(database_url) as proxy, process_at(proxy.url, store) as process:
        getattr(proxy, kind)(command("commitTransaction"))

        assert accepted(await process.book()) == [True]
        assert process.names().count("commitTransaction") == 2
    assert await store.database["reservations"].count_documents({}) == 1


@pytest.mark.parametrize("statement", [first_statement("guards"), command("insert")], ids=["first", "later"])
async def test_an_overloaded_server_is_waited_for(store: Store, database_url: str, statement: Any) -> None:
    """A statement that it refuses is sent again in the same transaction, and the first one begins it again."""
    await add_resource(store)
    async with proxied(database_url) as proxy, process_at(proxy.url, store) as process:
        refused = proxy.refuse_as_overloaded(statement)

        assert accepted(await process.book()) == [True]
        assert refused.met.is_set()
        assert process.names().count("commitTransaction") == 1


async def test_a_pool_of_one_connection_is_enough(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that do not fit into one answer are read along a cursor, for which the connection is given back."""
    monkeypatch.setattr(commands, "ROWS_PER_ANSWER", 1)
    await add_resource(store, capacity=3)
    async with process_at(database_url, store, maxPoolSize=1) as process:
        booked = [await process.book() for _ in range(4)]

    assert [accepted(outcomes) for outcomes in booked] == [[True], [True], [True], [False]]

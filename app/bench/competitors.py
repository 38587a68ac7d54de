"""The ways to book that are set side by side, each served by processes of its own on a database of its own."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from app.bench import check_then_insert, double_bookings, postgresql, scratch
from app.bench.double_bookings import Booking, Count
from app.bench.postgresql import LeftOut
from app.bench.processes import Processes

OURS, BASE, POSTGRESQL = "reserva", "unchecked", "postgresql"
BASES = (BASE, POSTGRESQL)
"""The competitors with whose speed that of the others is compared."""


@dataclass(frozen=True, slots=True)
class Competitor:
    """A way to book.

    Args:
        name: Its short name.
        title: What it does.
        database: The address of its database.
        application: The factory of its app; empty: the product's.
        stored: Reads what its database holds.
    """

    name: str
    title: str
    database: str
    application: str
    stored: Callable[[str], Awaitable[Sequence[Booking]]]

    async def count(self) -> Count:
        """Count what its database holds."""
        rows = await self.stored(self.database)
        return await asyncio.to_thread(double_bookings.count, rows)


@dataclass(frozen=True, slots=True)
class Field:
    """All competitors of a benchmark.

    Args:
        competitors: Those that take part, the product first.
        left_out: The others, each with the reason.
        token: The API key of the product; the others are sent it, and ignore it.
        versions: What the servers say of themselves.
    """

    competitors: Sequence[Competitor]
    left_out: dict[str, str]
    token: str
    versions: dict[str, str]


@asynccontextmanager
async def prepared(servers: Processes, url: str, processes: int) -> AsyncGenerator[Field]:
    """Prepare a database for each competitor; all are dropped at the end.

    Args:
        servers: Where PostgreSQL runs.
        url: The server of MongoDB.
        processes: The processes of each app.

    Raises:
        StorageError: if the server cannot be used.
        BenchError: if it cannot be prepared.
    """
    await scratch.check_server(url)
    async with AsyncExitStack() as stack:
        ours, bare, seed = [
            await stack.enter_async_context(scratch.scratch_database(url, name))
            for name in (OURS, BASE, "check-then-insert")
        ]
        async with scratch.open_prepared(ours) as store:
            token = await scratch.key_of_a_website(store)
            versions = {"mongodb": await scratch.server_version(store), "mode": store.mode}
        async with scratch.open_prepared(bare):
            pass
        await check_then_insert.prepare(seed)
        competitors = [
            Competitor(OURS, "Reserva", ours, "", scratch.stored),
            Competitor(BASE, "one unchecked insert", bare, "app.bench.unchecked:create", scratch.stored),
            Competitor(
                "check-then-insert", "check, then insert", seed, "app.bench.check_then_insert:create", scratch.stored
            ),
        ]
        left_out: dict[str, str] = {}
        try:
            competitors.append(await _postgresql(servers, processes))
            versions[POSTGRESQL] = await postgresql.version(postgresql.programs())
        except LeftOut as reason:
            left_out[POSTGRESQL] = str(reason)
        yield Field(competitors, left_out, token, versions)


async def _postgresql(servers: Processes, processes: int) -> Competitor:
    """PostgreSQL with its table.

    Raises:
        LeftOut: if it cannot be had here.
    """
    url = await postgresql.start(servers, processes)
    from app.bench import exclusion  # noqa: PLC0415  # its driver is an extra, which `start` has looked for

    await exclusion.prepare(url)
    return Competitor(
        POSTGRESQL, "PostgreSQL, exclusion constraint", url, "app.bench.exclusion:create", exclusion.stored
    )

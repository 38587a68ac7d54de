"""Databases of the benchmark's own on a server of MongoDB: made with a recognisable name, and dropped at the end."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from secrets import token_hex
from urllib.parse import urlsplit

from pymongo.errors import PyMongoError

from app.access.schemas import NewKey
from app.access.service import Keys
from app.bench.bare import open_reservations
from app.bench.double_bookings import Booking
from app.bench.processes import BenchError
from app.caller import Scope
from app.migration.migrate import migrate
from app.storage.client import Store, connect, make_client
from app.storage.errors import unusable

PREFIX = "reserva_bench_"
_SCOPES: list[Scope] = ["catalogue:write", "reservations:write"]
_BATCH = 10_000
_NAME, _GIVEN = "reserva bench", "--mongodb"


def database_url(server_url: str, name: str) -> str:
    """The address of another database on the same server, with the same login."""
    parts = urlsplit(server_url)
    options = parts.query
    if parts.username and "authsource" not in options.lower():
        options += f"{'&' if options else ''}authSource={parts.path.strip('/') or 'admin'}"
    return parts._replace(path=f"/{name}", query=options).geturl()


async def check_server(url: str) -> None:
    """Find out whether a server can be used, before anything is made there.

    Raises:
        StorageError: with a sentence that says what to check.
    """
    client = make_client(url, appname=_NAME, given=_GIVEN)
    try:
        await client.admin.command("ping")
    except PyMongoError as error:
        raise unusable(url, error, given=_GIVEN) from error
    finally:
        client.close()


@asynccontextmanager
async def scratch_database(server_url: str, competitor: str) -> AsyncGenerator[str]:
    """The address of a new database; it is dropped at the end."""
    name = f"{PREFIX}{token_hex(4)}_{competitor.replace('-', '_')}"
    try:
        yield database_url(server_url, name)
    finally:
        client = make_client(server_url, appname=_NAME, given=_GIVEN)
        try:
            await client.drop_database(name)
        finally:
            client.close()


@asynccontextmanager
async def open_prepared(url: str) -> AsyncGenerator[Store]:
    """A database with the collections, indexes and guards that `reserva migrate` builds.

    Raises:
        BenchError: if the server does not let them be built.
    """
    store = await connect(url, given=_GIVEN)
    try:
        report = await migrate(store)
        if not report.clean:
            raise BenchError("The database cannot be prepared: " + report.findings[0].detail)
        yield store
    finally:
        await store.close()


async def key_of_a_website(store: Store) -> str:
    """A new key, as the back end of a website has it."""
    return (await Keys(store).create(NewKey(name="website", scopes=_SCOPES), by="bench")).token


async def server_version(store: Store) -> str:
    """What the server says of itself."""
    return str((await store.client.admin.command("buildInfo"))["version"])


async def stored(url: str) -> list[Booking]:
    """What the reservations of a database occupy, read without a line of the app."""
    async with open_reservations(url) as reservations:
        rows = reservations.find({}, {"resource": 1, "blockStart": 1, "blockEnd": 1}, batch_size=_BATCH)
        return [Booking(row["resource"], row["blockStart"], row["blockEnd"]) async for row in rows]

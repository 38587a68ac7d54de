"""What a server says of itself: its members with their clocks and versions, its limits, and who is logged in.

Some of it needs rights that Reserva does not: what the server does not tell is None.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson.codec_options import CodecOptions
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import ReadPreference
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.server_description import ServerDescription

from app.storage.bson_types import BsonDocument
from app.storage.client import Store, make_client
from app.storage.errors import failed

_AWARE: CodecOptions[BsonDocument] = CodecOptions(tz_aware=True)  # commands do not take over the client's


@dataclass(frozen=True, slots=True)
class Member:
    """One server of a replica set, or the only one.

    Args:
        address: `host:port`.
        version: Its version; empty if it does not answer.
        ahead_seconds: How far its clock is ahead of this machine's.
        error_seconds: How far that may be wrong: half of the time that the answer took.
        fault: Why it cannot be asked; None if it answers.
    """

    address: str
    version: str = ""
    ahead_seconds: float = 0.0
    error_seconds: float = 0.0
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Limits of the server that a connection goes to; None where it does not tell.

    Args:
        connections_open: Open connections.
        connections_free: How many more it accepts.
        pool_max: The connections of one process, None for any number.
        transaction_seconds: After how long it ends a transaction.
        disk_used: The part of its disk that is used, 0 to 1.
    """

    connections_open: int | None
    connections_free: int | None
    pool_max: int | None
    transaction_seconds: int | None
    disk_used: float | None


async def read_members(store: Store, url: str) -> list[Member]:
    """All data-bearing members of the replica set behind an address, each asked itself; else the one server there.

    Raises:
        pymongo.errors.PyMongoError: the server behind the store does not answer.
    """
    hello = await store.client.admin.command("hello")
    driver: Any = store.client.delegate
    addresses: list[str] = [*hello.get("hosts", ()), *hello.get("passives", ())]
    if not driver.topology_description.topology_type_name.startswith("ReplicaSet") or not addresses:
        address = ", ".join(sorted(f"{host}:{port}" for host, port in driver.nodes))
        return [await _ask_member(store.client, address)]
    return await asyncio.gather(*(read_member(url, address) for address in addresses))


async def read_limits(store: Store) -> ServerLimits:
    """The limits, as far as the server tells them.

    Raises:
        pymongo.errors.PyMongoError: it does not answer.
    """
    connections = (await _answer(store, "admin", {"serverStatus": 1})).get("connections", {})
    name = "transactionLifetimeLimitSeconds"
    lifetime = (await _answer(store, "admin", {"getParameter": 1, name: 1})).get(name)
    disk = await _answer(store, store.database.name, {"dbStats": 1})
    size, used = disk.get("fsTotalSize"), disk.get("fsUsedSize")
    driver: Any = store.client.delegate
    pool_max: int | None = driver.options.pool_options.max_pool_size
    # SecantusDB has no limit, and says that none is free.
    free = connections.get("available") or None
    return ServerLimits(connections.get("current"), free, pool_max, lifetime, used / size if size and used else None)


async def is_open_to_all(store: Store) -> bool:
    """Whether this process is not logged in, and the server lets it read and write all the same."""
    status = await _answer(store, "admin", {"connectionStatus": 1})
    return bool(status.get("authInfo", {}).get("authenticatedUsers") == [])


async def _answer(store: Store, database: str, command: BsonDocument) -> BsonDocument:
    """The answer to a command; empty where the server does not know it, or does not allow it."""
    try:
        found: BsonDocument = await store.client[database].command(command)
    except OperationFailure:
        return {}
    return found


async def read_member(url: str, address: str) -> Member:
    """One member of the replica set behind an address, asked itself; why not, where it does not answer."""
    client = make_client(url, appname="reserva doctor", server_selector=selector_of(address))
    try:
        return await _ask_member(client, address)
    except PyMongoError as error:
        return Member(address, fault=failed(error))
    finally:
        client.close()


async def _ask_member(client: "AsyncIOMotorClient[BsonDocument]", address: str) -> Member:
    nearest = ReadPreference.NEAREST
    built = await client.admin.command("buildInfo", read_preference=nearest)
    sent, began = datetime.now(UTC), time.monotonic()
    hello = await client.admin.command("hello", read_preference=nearest, codec_options=_AWARE)
    half = (time.monotonic() - began) / 2
    local = hello.get("localTime")
    ahead = (local - sent).total_seconds() - half if isinstance(local, datetime) else 0.0
    return Member(address, str(built.get("version", "")), ahead, half)


def selector_of(address: str) -> Callable[[Sequence[ServerDescription]], list[ServerDescription]]:
    """A selector of one member, by its `host:port` as the replica set has it."""
    name, _, port = address.rpartition(":")
    host = name.strip("[]").lower()  # as the driver has it

    def select(servers: Sequence[ServerDescription]) -> list[ServerDescription]:
        return [each for each in servers if (each.address[0], str(each.address[1])) == (host, port)]

    return select

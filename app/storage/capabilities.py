"""The capabilities of a server, found by asking it instead of comparing its version.

Three things differ among servers: whether there are transactions, whether there is `explain`, and whether an `$or` of
equality branches is answered from an index. The last is asked about the conflict lookup itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo import MongoClient
from pymongo.errors import ConfigurationError, OperationFailure

from app.domain.lifecycle import BLOCKING
from app.settings import Mode
from app.storage.bson_types import Filter
from app.storage.concerns import begin
from app.storage.errors import UNAUTHORIZED, StorageError

StoreMode = Literal["strict", "optimistic"]
Shape = Literal["or", "single"]

_NO_TRANSACTIONS = {20, 115, 263, 303}  # IllegalOperation, CommandNotSupported, and two similar ones


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server can do.

    Args:
        native: A real driver is under the asynchronous client; false for mongomock, which has none.
        transactions: A transaction was begun and ended.
        explain: The server supports `explain`.
        shape: `or`: the branches of a conflict lookup go in one find; `single`: one find a branch, because this
            server would answer `$or` by a full scan.
        lack: Why there are no transactions, for messages; empty where there are.
    """

    native: bool
    transactions: bool
    explain: bool
    shape: Shape
    lack: str = ""


async def probe_capabilities(client: "AsyncIOMotorClient[Any]", database: "AsyncIOMotorDatabase[Any]") -> Capabilities:
    """Ask the server, by a handful of reads; nothing is written.

    Raises:
        pymongo.errors.PyMongoError: if it cannot be reached, or refuses the login.
    """
    if not isinstance(client.delegate, MongoClient):
        return Capabilities(
            native=False, transactions=False, explain=False, shape="single", lack="it is mongomock, not a server"
        )
    lack = await _lack_of_transactions(client, database)
    branch = _branch(BLOCKING[0])
    one = await _stages(database, branch)
    several = await _stages(database, {"$or": [branch, _branch(BLOCKING[1])]})
    # Before the indexes are built both forms scan, so the answer means nothing: `migrate` asks again.
    scans = "COLLSCAN" in several and "COLLSCAN" not in one
    return Capabilities(
        native=True, transactions=not lack, explain=bool(one), shape="single" if scans else "or", lack=lack
    )


def choose_mode(mode: Mode, capabilities: Capabilities) -> StoreMode:
    """The mode that the operator wants and the server allows.

    Raises:
        StorageError: if `strict` is wanted where there are no transactions.
    """
    if mode == "optimistic" or (mode == "auto" and not capabilities.transactions):
        return "optimistic"
    if not capabilities.transactions:
        raise StorageError(without_transactions("Bookings are to be made", capabilities))
    return "strict"


def without_transactions(wanted: str, capabilities: Capabilities) -> str:
    """The sentence for an operator who wants transactions on a server that has none; `wanted` begins it."""
    return (
        f"{wanted} in strict mode, but this server has no transactions: {capabilities.lack}. "
        "Run MongoDB as a replica set (one node is enough), or set RESERVA_MODE=optimistic, in which two processes can "
        "double-book."
    )


async def _lack_of_transactions(client: "AsyncIOMotorClient[Any]", database: "AsyncIOMotorDatabase[Any]") -> str:
    """Why there are no transactions; empty if one was begun and ended."""
    hello = await client.admin.command("hello")
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        return "it is a standalone server"
    if hello.get("logicalSessionTimeoutMinutes") is None:
        return "it has no sessions"
    try:
        async with await client.start_session() as session:
            begin(session)
            await database["guards"].find_one({"_id": ""}, session=session)
            await session.abort_transaction()
    except ConfigurationError as error:
        return f"the driver says {error}"
    except OperationFailure as error:
        if error.code not in _NO_TRANSACTIONS:
            raise
        return f"it says {error.details.get('errmsg') if error.details else error}"
    return ""


def _branch(status: str) -> Filter:
    """One branch of a conflict lookup that matches no reservation."""
    start = datetime(1970, 1, 1, tzinfo=UTC)
    return {"resource": "", "status": status, "startTime": {"$gt": start, "$lt": start + timedelta(days=1)}}


async def _stages(database: "AsyncIOMotorDatabase[Any]", where: Filter) -> set[str]:
    """The stages of the plan for a find among reservations; empty if the server does not explain it."""
    try:
        explanation = await database.command(
            {"explain": {"find": "reservations", "filter": where}, "verbosity": "queryPlanner"}
        )
    except OperationFailure as error:
        if error.code == UNAUTHORIZED:
            raise
        return set()
    return set(stages_of(explanation["queryPlanner"]["winningPlan"]))


def stages_of(plan: object) -> Iterator[str]:
    """The names of all stages of a plan, wherever a server's version nests them."""
    if isinstance(plan, dict):
        if isinstance(plan.get("stage"), str):
            yield plan["stage"]
        for part in plan.values():
            yield from stages_of(part)
    elif isinstance(plan, list):
        for part in plan:
            yield from stages_of(part)

"""From stored closures to the times at which they close resources."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import structlog
from motor.motor_asyncio import AsyncIOMotorDatabase

from app.domain.closures import Closure as ClosureRules
from app.domain.closures import Closures, Edge
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import parse, to_millis
from app.domain.zones import parse_day
from app.storage.bson_types import BsonDocument, Row
from app.storage.documents import CLOSURES_ROW, Closure, PendingClosure
from app.storage.guard_steps import GUARDS
from app.storage.steps import Steps, find
from app.storage.values import label

log = structlog.get_logger()

Database: TypeAlias = "AsyncIOMotorDatabase[BsonDocument]"

CLOSURES: str = Closure.Settings.name
PENDING: str = PendingClosure.Settings.name
FIELDS = ("from", "to", "resources", "services", "attempt")
"""The fields that say what a closure closes, and that of the pending ones alone."""

UNSTABLE = "unstable"
"""The stamp of closures that were read while they were changed: no row has it."""


async def read_closures(database: Database) -> tuple[str, list[Row]]:
    """The documents of all closures, outside of a transaction, and the stamp of the moment that they are of.

    The pending ones are read first: one that is settled in between is seen twice, and never missed.
    """
    stamp = await _read_stamp(database)
    fields = dict.fromkeys(FIELDS, 1)
    rows = [row for name in (PENDING, CLOSURES) async for row in database[name].find({}, fields)]
    return stamp if stamp == await _read_stamp(database) else UNSTABLE, rows


async def _read_stamp(database: Database) -> str:
    row = await database[GUARDS].find_one({"_id": CLOSURES_ROW})
    return "" if row is None else str(row["rules"])


def read_closures_within(stamp: str) -> Steps[Closures]:
    """All closures, in a transaction that has read their stamp."""
    rows: list[Row] = []
    for name in (PENDING, CLOSURES):
        rows += yield find("closures.read", name, {}, *FIELDS)
    return closures_of(stamp, rows)


def closures_of(stamp: str, rows: Iterable[Row]) -> Closures:
    """The closures that these documents are, settled and pending; what cannot be read is left out, with a warning."""
    found: list[ClosureRules] = []
    for row in rows:
        try:
            found.append(closure_rules_of(row))
        except (ValueError, TypeError, KeyError) as error:
            log.warning("a closure cannot be read and closes nothing", closure=label(row.get("_id")), why=str(error))
    return Closures(stamp, found)


def closure_rules_of(row: Mapping[str, Any]) -> ClosureRules:
    """What a stored closure closes.

    Raises:
        ValueError: an edge is neither a date nor an instant.
        TypeError: it, or an id, is no text.
        KeyError: it is missing.
    """
    if type(row["_id"]) is not str:
        raise TypeError("its id is no text")
    start, end = _edge(row["from"]), _edge(row["to"])
    resources = frozenset(ResourceId(each) for each in row.get("resources") or ())
    services = frozenset(ServiceId(each) for each in row.get("services") or ())
    return ClosureRules(row["_id"], start, end, resources, services, is_pending="attempt" in row)


def _edge(text: str) -> Edge:
    try:
        return parse_day(text)
    except ValueError:
        return to_millis(parse(text))

"""What occupies the resources, as rows for the sweep: read raw, with a projection, without document models."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bson import CodecOptions, DatetimeMS, decode_all
from bson.codec_options import DatetimeConversion
from motor.motor_asyncio import AsyncIOMotorClientSession

from app.storage.client import Store
from app.timeline.instants import Millis
from app.timeline.lifecycle import BLOCKING
from app.timeline.sweep import Row

BATCH = 2_000
"""Rows that are decoded and swept at a stretch: a few milliseconds, in which the event loop does nothing else."""

_FIELDS = {"resource": 1, "status": 1, "startTime": 1, "endTime": 1, "blockStart": 1, "blockEnd": 1, "units": 1}
PROJECTION = {**_FIELDS, "expiresAt": 1, "_id": 0}
_WITH_ID = {**_FIELDS, "expiresAt": 1}
ORDER = [("resource", 1), ("status", 1), ("startTime", 1)]

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- BSON's instants decode fastest without a zone; they are all UTC
_MILLISECOND = DatetimeMS(1).as_datetime(CodecOptions(tz_aware=False)) - _EPOCH
_RAW: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=False, datetime_conversion=DatetimeConversion.DATETIME_AUTO, document_class=dict
)


@dataclass(slots=True)
class Tally:
    """What was read. `left_out` of the `scanned` have no resource, no times, or an end that is not after the start."""

    scanned: int = 0
    resources: int = 0
    left_out: int = 0


@dataclass(slots=True)
class _Reader:
    """Turns documents into rows, at an instant: a hold that is over then occupies nothing."""

    now: Millis
    tally: Tally = field(default_factory=Tally)

    def row(self, found: Mapping[str, Any]) -> Row | None:
        resource, units = found.get("resource"), found.get("units", 1)
        start, end = _millis(found.get("blockStart")), _millis(found.get("blockEnd"))
        if start is None or end is None:
            start, end = _millis(found.get("startTime")), _millis(found.get("endTime"))
        self.tally.scanned += 1
        if not isinstance(resource, str) or not isinstance(units, int) or start is None or end is None or end <= start:
            self.tally.left_out += 1
            return None
        if found.get("status") == "pending":
            expires = _millis(found.get("expiresAt"))
            if expires is not None and expires <= self.now:
                return None
        return Row(resource, start, found.get("_id"), end, units)


def _millis(value: Any) -> Millis | None:
    if type(value) is datetime:
        return (value - _EPOCH) // _MILLISECOND
    return int(value) if isinstance(value, DatetimeMS) else None


async def capacities(store: Store) -> dict[str, int]:
    """The capacity of every resource that has another one than 1."""
    found = store.database["resources"].find({"capacity": {"$ne": 1}}, {"capacity": 1})
    return {resource["_id"]: _capacity(resource) async for resource in found}


def _capacity(resource: Mapping[str, Any]) -> int:
    capacity = resource.get("capacity", 1)
    return max(capacity, 0) if isinstance(capacity, int) else 1


async def everything(store: Store, tally: Tally) -> AsyncIterator[list[Row]]:
    """All that blocks, in chunks of whole resources, each chunk in the order of the sweep.

    The rows have no ids, and they are no snapshot: what is found in them has to be looked at again. The cursor goes
    along the conflict lookup, so the server sorts nothing; one resource's two statuses, and starts that buffers
    brought forward, are put in order here. Memory is that of the largest resource.
    """
    reader = _Reader(store.clock.millis(), tally)
    held: list[Row] = []
    where = {"status": {"$in": list(BLOCKING)}}
    async for batch in batches(store, where, PROJECTION, sort=ORDER, batch_size=BATCH):
        rows = [row for found in batch if (row := reader.row(found)) is not None]
        if not rows:
            continue
        last = rows[-1].resource
        if held and held[-1].resource == last:
            held += rows
            continue
        whole = len(rows)
        while whole and rows[whole - 1].resource == last:
            whole -= 1
        chunk = held + rows[:whole]
        held = rows[whole:]
        if chunk:
            yield _ordered(chunk, tally)
    if held:
        yield _ordered(held, tally)


def _ordered(chunk: list[Row], tally: Tally) -> list[Row]:
    chunk.sort()
    tally.resources += len({row.resource for row in chunk})
    return chunk


async def these(
    store: Store,
    resources: Sequence[str],
    tally: Tally | None = None,
    session: AsyncIOMotorClientSession | None = None,
) -> tuple[list[Row], dict[str, int]]:
    """All that blocks these resources, with ids, in the order of the sweep; and their capacities.

    In a session with a transaction all of it is of one snapshot.
    """
    reader = _Reader(store.clock.millis(), tally or Tally())
    found = store.database["resources"].find({"_id": {"$in": list(resources)}}, {"capacity": 1}, session=session)
    capacities = {each["_id"]: _capacity(each) async for each in found}
    rows: list[Row] = []
    for where in _where(store, resources):
        async for batch in batches(store, where, _WITH_ID, session=session):
            rows += (row for each in batch if (row := reader.row(each)) is not None)
    rows.sort()
    reader.tally.resources += len(resources)
    return rows, capacities


async def batches(
    store: Store, where: Mapping[str, Any], projection: Mapping[str, int], **options: Any
) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
    """What a find gives, batch by batch, with instants that bear no zone."""
    reservations = store.database["reservations"]
    if store.capabilities.native:
        async for batch in reservations.find_raw_batches(where, projection, **options):
            documents: Sequence[dict[str, Any]] = decode_all(batch, _RAW)
            yield documents
        return
    async for found in reservations.find(where, projection, **options):  # mongomock knows no raw batches
        yield [{name: _without_zone(value) for name, value in found.items()}]


def _without_zone(value: Any) -> Any:
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value


def _where(store: Store, resources: Sequence[str]) -> list[dict[str, Any]]:
    """The filters by which this server finds what blocks these resources from its index."""
    if store.shape == "or":
        return [{"resource": {"$in": list(resources)}, "status": {"$in": list(BLOCKING)}}]
    return [{"resource": resource, "status": status} for resource in resources for status in BLOCKING]


async def changed(store: Store, since: datetime) -> set[str]:
    """The resources of which a reservation, or the resource itself, changed at that instant or later."""
    reservations = await store.database["reservations"].distinct("resource", {"updatedAt": {"$gte": since}})
    resources = await store.database["resources"].distinct("_id", {"updatedAt": {"$gte": since}})
    return {name for name in (*reservations, *resources) if isinstance(name, str)}

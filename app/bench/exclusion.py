"""PostgreSQL's way to book: a table whose exclusion constraint refuses overlapping times of one resource."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it ships no types
from litestar import Litestar, Response, post
from litestar.datastructures import State
from litestar.params import JSONBody

from app.bench.bare import TAKEN, bare, document_of, shown
from app.bench.double_bookings import Booking
from app.bench.loads import CONFLICT
from app.bench.postgresql import POOL

_UNAVAILABLE = 503

TABLE = """
CREATE EXTENSION btree_gist;
CREATE TABLE reservations (
    id text PRIMARY KEY, resource text NOT NULL, status text NOT NULL, during tstzrange NOT NULL,
    block tstzrange NOT NULL, timezone text NOT NULL, guests int NOT NULL, units int NOT NULL, version int NOT NULL,
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, key text NOT NULL, history jsonb NOT NULL,
    EXCLUDE USING gist (resource WITH =, block WITH &&) WHERE (status IN ('pending', 'confirmed'))
)
"""
INSERT = """
INSERT INTO reservations VALUES (
    $1, $2, $3, tstzrange($4, $5), tstzrange($6, $7), $8, $9, $10, $11, $12, $13, $14, $15
)
"""
_COLUMNS = (
    *("resource", "status", "startTime", "endTime", "blockStart", "blockEnd", "timezone", "guests", "units"),
    *("version", "createdAt", "updatedAt", "key"),
)


@post("/v1/reservations")
async def insert(data: JSONBody[dict[str, Any]], state: State) -> Response[dict[str, Any]]:
    """Insert, unless the constraint refuses; the victim of a deadlock is answered with 503."""
    document = document_of(data)
    answer = shown(document)
    history = json.dumps(answer["history"], default=str)
    try:
        await state.database.execute(INSERT, answer["id"], *(document[name] for name in _COLUMNS), history)
    except asyncpg.ExclusionViolationError:
        return Response(TAKEN, status_code=CONFLICT)
    except asyncpg.DeadlockDetectedError:
        return Response(TAKEN | {"title": "Deadlock", "status": _UNAVAILABLE}, status_code=_UNAVAILABLE)
    return Response(answer)


@asynccontextmanager
async def open_pool(url: str) -> AsyncGenerator[Any]:
    """The connections of this process."""
    async with asyncpg.create_pool(url, min_size=POOL, max_size=POOL) as pool:
        yield pool


def create() -> Litestar:
    """The app."""
    return bare(insert, open_pool)


async def prepare(url: str) -> None:
    """Create the table."""
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        await pool.execute(TABLE)


async def stored(url: str) -> list[Booking]:
    """What the reservations occupy."""
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        rows = await pool.fetch("SELECT resource, lower(block), upper(block) FROM reservations")
    return [Booking(*row) for row in rows]

"""Signs of life of workers: one small document each, written every few seconds whatever else they do.

Asked by `/metrics`, and by a health check that is a process of its own: so this module imports nothing of ours, and
makes its one client itself.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pymongo import MongoClient

from app.storage import DATABASE

if TYPE_CHECKING:
    from app.storage.client import Store

BEATS = "beats"
BEAT_SECONDS = 15
DEAD_SECONDS = 50.0
"""Silence after which a worker counts as dead: three beats and what a slow database takes."""
FORGOTTEN = timedelta(days=1)
"""How long a silent worker is remembered."""


@dataclass(frozen=True, slots=True)
class Workers:
    """How many live, and how long ago the last sign of any of them was; None if nobody remembers one."""

    alive: int
    seconds: float | None


async def beat(store: "Store", owner: str, host: str) -> None:
    """Say that a worker lives, and forget those that have been silent for long."""
    now = store.clock.now()
    await store.database[BEATS].update_one({"_id": owner}, {"$set": {"host": host, "at": now}}, upsert=True)
    await store.database[BEATS].delete_many({"at": {"$lt": now - FORGOTTEN}})


async def stop(store: "Store", owner: str) -> None:
    """Say that a worker ends."""
    await store.database[BEATS].delete_one({"_id": owner})


async def workers(store: "Store") -> Workers:
    """The workers of a database, as they are now."""
    now = store.clock.now()
    ages = [(now - row["at"]).total_seconds() async for row in store.database[BEATS].find()]
    return Workers(sum(age < DEAD_SECONDS for age in ages), max(0.0, min(ages)) if ages else None)


def lives(url: str, host: str, seconds: float) -> bool:
    """Whether a worker of that host has said lately that it lives.

    Raises:
        pymongo.errors.PyMongoError: the database cannot be asked within so many seconds.
        ValueError, TypeError: this is no address.
    """
    limit = int(seconds * 1000)
    client: MongoClient[dict[str, Any]] = MongoClient(url, timeoutMS=limit, serverSelectionTimeoutMS=limit)
    with client:
        now: datetime = client.admin.command("hello")["localTime"]
        found = client.get_default_database(DATABASE)[BEATS].find_one(
            {"host": host, "at": {"$gt": now - timedelta(seconds=DEAD_SECONDS)}}
        )
    return found is not None

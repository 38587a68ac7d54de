"""Whether a worker of this machine lives, for a health check that is a process of its own.

It runs every few seconds, so it must start quickly: this module imports neither documents nor stores, names the
collection of `app.storage.documents.Beat` itself, and makes its one client itself.
"""

from datetime import datetime, timedelta

from pymongo import MongoClient

from app.storage import DATABASE

DEAD_SECONDS = 50.0
"""Silence after which a worker counts as dead: three heartbeats and what a slow database takes."""


def worker_lives(url: str, host: str, timeout_seconds: float) -> bool:
    """Whether the last heartbeat of a worker of that host is recent.

    Raises:
        pymongo.errors.PyMongoError: the database does not answer within the timeout.
        ValueError, TypeError: the URL is none.
    """
    limit = int(timeout_seconds * 1000)
    client: MongoClient[dict[str, object]] = MongoClient(url, timeoutMS=limit, serverSelectionTimeoutMS=limit)
    with client:
        now: datetime = client.admin.command("hello")["localTime"]
        found = client.get_default_database(DATABASE)["beats"].find_one(
            {"host": host, "at": {"$gt": now - timedelta(seconds=DEAD_SECONDS)}}
        )
    return found is not None

"""The database's clock, for reads: all processes of a deployment then agree on what is past and which hold is over.

The write path does not use it: there the server itself stamps the guard within the transaction.
"""

import asyncio
import math
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pymongo
from bson.codec_options import CodecOptions
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo.errors import PyMongoError

from app.domain.instants import Millis, from_millis, to_millis
from app.storage.bson_types import BsonDocument

REFRESH_SECONDS = 10.0
"""Between two readings of the server's clock; two machines drift apart by at most 5 milliseconds in that time."""

ANSWER_SECONDS = 1.0
"""Later answers are not used, because the error of a reading is half of its round trip."""

DRIFT = 500e-6
"""The largest relative difference in speed of two clocks; NTP never slews faster."""

_CLOCK = {"_id": "clock"}
"""The document that is stamped."""

_AWARE: CodecOptions[BsonDocument] = CodecOptions(tz_aware=True)  # commands do not take over the client's


async def stamped(database: "AsyncIOMotorDatabase[BsonDocument]") -> datetime:
    """The database's clock as it stamps a document itself: never ahead of it, however long the round trip takes.

    Raises:
        pymongo.errors.PyMongoError: the database does not answer.
    """
    await database["deployment"].update_one(_CLOCK, {"$currentDate": {"at": True}}, upsert=True)
    row = await database["deployment"].find_one(_CLOCK)
    now: datetime = row["at"] if row else datetime.fromtimestamp(0, UTC)
    return now


class Clock:
    """The last reading of the server's clock, continued by the monotonic clock, which no clock change moves.

    Where no server gives its time (mongomock, an embedded engine), it is the clock of this process.
    """

    def __init__(self, client: "AsyncIOMotorClient[Any]", *, native: bool) -> None:
        self._client = client
        self._native = native
        self._ahead: float | None = None  # milliseconds by which the server's clock is ahead of the monotonic one
        self._error = 0.0  # milliseconds by which that could be wrong when it was read
        self._read_at = 0.0  # when it was read, by the monotonic clock
        self._task: asyncio.Task[None] | None = None

    def millis(self) -> Millis:
        """Now, in milliseconds since the epoch."""
        if self._ahead is None:
            return Millis(time.time_ns() // 1_000_000)
        return Millis(int(time.monotonic() * 1000 + self._ahead))

    def now(self) -> datetime:
        """Now, as an aware datetime in UTC with milliseconds."""
        return from_millis(self.millis())

    def ago(self, seconds: float) -> datetime:
        """An instant at least so many seconds ago by the server's clock, whatever the error of the last reading is."""
        drift = 0.0 if self._ahead is None else (time.monotonic() - self._read_at) * DRIFT * 1000
        return from_millis(Millis(self.millis() - math.ceil(seconds * 1000 + self._error + drift)))

    async def refresh(self) -> None:
        """Read the server's clock; without an answer the clock continues from the last reading."""
        if not self._native:
            return
        sent = time.monotonic()
        try:
            with pymongo.timeout(ANSWER_SECONDS):
                hello: BsonDocument = await self._client.admin.command("hello", codec_options=_AWARE)
        except PyMongoError:
            return
        local_time = hello.get("localTime")
        if isinstance(local_time, datetime):
            self._learn(to_millis(local_time), sent, time.monotonic())

    def _learn(self, local_time: Millis, sent: float, received: float) -> None:
        """Take over a reading between two instants, unless the last one is still more exact."""
        error = (received - sent) / 2 * 1000
        if self._ahead is not None and error > self._error + (received - self._read_at) * DRIFT * 1000:
            return
        self._read_at, self._error = received, error
        self._ahead = local_time - (sent + received) / 2 * 1000

    def start(self) -> None:
        """Read the server's clock every ten seconds from now on."""
        if self._native and self._task is None:
            self._task = asyncio.create_task(self._keep(), name="clock")

    async def stop(self) -> None:
        """Stop reading the server's clock."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await self.refresh()

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

REFRESH_SECONDS = 10.0
"""Between two questions; clocks of two machines drift apart by less than a millisecond in that time."""

ANSWER_SECONDS = 1.0
"""A later answer tells too little, because half of the way there and back is the error."""

DRIFT = 500e-6
"""By which part of the time that passed two clocks may differ at most; NTP never slews faster."""

_CLOCK = {"_id": "clock"}
"""The document that is stamped."""

_AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)  # commands do not take over the client's


async def stamped(database: "AsyncIOMotorDatabase[dict[str, Any]]") -> datetime:
    """The database's clock as it stamps a document itself: never ahead of it, whatever the way there takes.

    Raises:
        pymongo.errors.PyMongoError: the database does not answer.
    """
    await database["deployment"].update_one(_CLOCK, {"$currentDate": {"at": True}}, upsert=True)
    row = await database["deployment"].find_one(_CLOCK)
    now: datetime = row["at"] if row else datetime.fromtimestamp(0, UTC)
    return now


class Clock:
    """Counts on from what the server last told by the monotonic clock, so that a jump of ours moves nothing.

    Where no server tells (mongomock, an embedded engine), it is the clock of this process.
    """

    def __init__(self, client: "AsyncIOMotorClient[Any]", *, native: bool) -> None:
        self._client = client
        self._native = native
        self._ahead: float | None = None  # milliseconds by which the server's clock is ahead of our monotonic one
        self._error = 0.0  # milliseconds by which that may be wrong, when it was told
        self._told = 0.0  # when that was, by our monotonic clock
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
        """An instant that surely lies so long back by the server's clock, whatever of its way here we do not know."""
        drift = 0.0 if self._ahead is None else (time.monotonic() - self._told) * DRIFT * 1000
        return from_millis(Millis(self.millis() - math.ceil(seconds * 1000 + self._error + drift)))

    async def refresh(self) -> None:
        """Ask the server; without an answer the clock counts on as it did."""
        if not self._native:
            return
        sent = time.monotonic()
        try:
            with pymongo.timeout(ANSWER_SECONDS):
                hello: dict[str, object] = await self._client.admin.command("hello", codec_options=_AWARE)
        except PyMongoError:
            return
        told = hello.get("localTime")
        if isinstance(told, datetime):
            self._learn(to_millis(told), sent, time.monotonic())

    def _learn(self, told: Millis, sent: float, heard: float) -> None:
        """Take over what the server told between two instants, unless what is known is surer by now."""
        error = (heard - sent) / 2 * 1000
        if self._ahead is not None and error > self._error + (heard - self._told) * DRIFT * 1000:
            return
        self._told, self._error = heard, error
        self._ahead = told - (sent + heard) / 2 * 1000

    def start(self) -> None:
        """Ask every ten seconds from now on."""
        if self._native and self._task is None:
            self._task = asyncio.create_task(self._keep(), name="clock")

    async def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await self.refresh()

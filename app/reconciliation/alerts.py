"""Telling people of findings: a warning in the log at once, and messages to the alert URL until it took them.

Nothing is sent by a run. What is open and was not told yet stands in MongoDB, and whoever is called to `announce` it
looks there, under a lease of its own: a process that dies at any moment loses nothing, and two of them side by side
never send at once. Only a process that dies between the receiver's answer and the mark that follows makes a finding
be told twice.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from app import cron, job_queue
from app.domain.instants import render
from app.job_queue import Queue
from app.reconciliation.findings.context import surroundings
from app.reconciliation.messages import LINES, described, listed, overlap
from app.reconciliation.receiver import Message, NotTaken, Receiver
from app.reconciliation.stored_findings import FINDINGS
from app.settings import Settings
from app.storage.client import Store
from app.storage.documents import Delivery, Finding
from app.storage.leases import ALERTS, Grant, LeaseStore, OwnershipLost, new_owner
from app.storage.values import printable, shown_text

Teller: TypeAlias = Callable[[Sequence[Finding], int], None]
"""Told of findings that a run opened, and of how many it had opened before; returns at once."""

MOST = 100_000
"""Findings of one message."""
MARKED = 1_000
"""Findings that one write marks."""
WARNED = 100
"""Findings of one run that have a line in the log; the rest is counted."""
NAMED = 20
"""Reservations of one finding that its line in the log names."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=5)
"""Between two attempts, doubling."""
_DOUBLINGS = 10

UNTOLD: dict[str, Any] = {"state": "open", "toldAt": None}
"""What nobody was told of; MongoDB takes a field that is not there for null."""

log = structlog.get_logger()


def warn(findings: Sequence[Finding], before: int = 0) -> None:
    """The seed's line for each of the first of a run, with all that it left out."""
    for finding in findings[: max(WARNED - before, 0)]:
        shown = [printable(shown_text(each)) for each in finding.reservations[:NAMED]]
        log.warning(
            overlap(shown, len(finding.reservations)),
            finding=str(finding.id),
            run=str(finding.run),
            resource=printable(finding.resource),
            start=render(finding.from_),
            end=render(finding.to),
            peak=finding.peak,
            capacity=finding.capacity,
            reservations=shown,
        )


class Alerts:
    """Who is told of findings.

    Args:
        settings: Where to send, the secret to sign with, and when to remind. Without a URL the log is all.
        jobs: Where the worker hears at once that a run opened findings; without, it looks now and then.
    """

    def __init__(self, settings: Settings, jobs: Queue | None = None) -> None:
        url = settings.alert_url
        self._receiver = None if url is None else Receiver(url, settings.alert_key())
        self._public_url = settings.public_url
        self._reminders = cron.parse(settings.alert_reminder) if settings.alert_reminder else None
        self._jobs = jobs
        self._ringing: set[asyncio.Task[bool]] = set()

    def __call__(self, findings: Sequence[Finding], before: int = 0) -> None:
        """Warn of findings that a run opened, and let the worker hear of them on the side."""
        warn(findings, before)
        if self._jobs is not None and self._receiver is not None and not self._ringing:
            task = asyncio.create_task(self._jobs.put(job_queue.ALERT, identity=job_queue.ALERT))
            self._ringing.add(task)
            task.add_done_callback(self._ringing.discard)

    async def aclose(self) -> None:
        """Give back the connections; whoever was not heard is no loss."""
        await asyncio.gather(*self._ringing)
        if self._jobs is not None:
            await self._jobs.close()

    async def announce(self, store: Store) -> int:
        """Tell of what is open and untold, if there is any and the receiver is not to be left alone. Returns how many.

        Raises:
            pymongo.errors.PyMongoError: the database failed; what was not marked as told is told again.
        """
        if self._receiver is None or await store.database[FINDINGS].find_one(UNTOLD, {"_id": 1}) is None:
            return 0
        told = 0
        async with _channel(store, self._receiver) as channel:
            while channel is not None and channel.is_open():
                untold = await _untold(store)
                if not untold or not await self._told(channel, untold):
                    break
                told += len(untold)
        return told

    async def remind(self, store: Store) -> int:
        """Tell once more what was told before the last time of reminders and is still open. Returns how many.

        Raises:
            pymongo.errors.PyMongoError: the database failed.
        """
        if self._receiver is None or self._reminders is None:
            return 0
        due = cron.previous(self._reminders, store.clock.now())
        if not _is_due(await LeaseStore(store).delivery(), due):
            return 0
        total = 0
        async with _channel(store, self._receiver) as channel:  # which a lost lease leaves early
            if channel is None or not channel.is_open() or not _is_due(channel.delivery, due):
                return 0
            # Before the first start nobody was told of anything, so that nothing was missed.
            where = {"state": "open", "toldAt": {"$lt": due}}
            if channel.delivery.reminded_at is not None:
                total = await store.database[FINDINGS].count_documents(where)
            if total:
                text = await self._text(store, where, total)
                number = "1 finding" if total == 1 else f"{total:,} findings"
                if not await channel.send(Message(f"Still open: {number}.\n{text}", f"reminder of {render(due)}")):
                    return 0
            channel.delivery.reminded_at = due
            await channel.keep()
        return total

    async def _told(self, channel: "_Channel", untold: Mapping[ObjectId, int]) -> bool:
        """Send one message about all of these, and mark them; whether it was taken."""
        store, ids = channel.store, list(untold)
        text = await self._text(store, {"_id": {"$in": ids[:LINES]}}, len(ids))
        # With the versions: what is opened again is another message, though it reads alike.
        message = Message(text, " ".join(f"{each}:{version}" for each, version in untold.items()))
        # Whoever opens a finding again takes this mark off, and it is untold whatever was sent meanwhile.
        await _mark(channel, ids, UNTOLD, {"$set": {"alert": message.id}})
        if not await channel.send(message):
            return False
        told = {"$set": {"toldAt": store.clock.now()}, "$unset": {"alert": ""}}
        await _to_its_end(_mark(channel, ids, {"alert": message.id}, told))
        await channel.keep()
        return True

    async def _text(self, store: Store, where: dict[str, Any], total: int) -> str:
        """Lines of the first of these findings, of so many in all."""
        found = store.lenient(FINDINGS).find(where, {"history": 0}, sort=[("_id", 1)], limit=LINES)
        findings: list[Finding] = [Finding.model_validate({**row, "history": []}) async for row in found]
        around = await surroundings(store, findings)
        return listed((described(each, around, self._public_url) for each in findings), total)


@dataclass(slots=True)
class _Channel:
    """The way to the receiver for as long as this process has the lease, and how it went until now."""

    store: Store
    lease: Grant
    receiver: Receiver
    delivery: Delivery

    def is_open(self) -> bool:
        """Whether it may be tried: nothing failed, or the pause after it is over, or somebody else is to be told."""
        delivery = self.delivery
        paused = delivery.next_at is not None and self.store.clock.now() < delivery.next_at
        return not paused or delivery.receiver != self.receiver.fingerprint

    async def send(self, message: Message) -> bool:
        """Send a message once; whether it was taken. The log hears of the first, second, fourth, … failure."""
        await LeaseStore(self.store).renew(self.lease)
        try:
            await self.receiver.take(message)
        except NotTaken as failure:
            self._fails(failure)
            await self.keep()
            return False
        if self.delivery.failures:
            since = self.delivery.failing_since or self.store.clock.now()
            log.info("the alert URL takes messages again", failures=self.delivery.failures, since=render(since))
        now = self.store.clock.now()
        self.delivery = Delivery(succeeded_at=now, reminded_at=self.delivery.reminded_at)
        return True

    def _fails(self, failure: NotTaken) -> None:
        delivery, now = self.delivery, self.store.clock.now()
        pause = min(FIRST_PAUSE * 2 ** min(delivery.failures, _DOUBLINGS), LONGEST_PAUSE) * random.uniform(0.8, 1)  # noqa: S311 -- jitter
        delivery.failures += 1
        delivery.failing_since = delivery.failing_since or now
        delivery.next_at = now + max(pause, failure.pause)
        delivery.receiver = self.receiver.fingerprint
        if delivery.failures.bit_count() == 1:
            log.warning(
                "the alert URL did not take a message; it is tried again until it does",
                receiver=self.receiver.name,
                error=str(failure),
                failures=delivery.failures,
                since=render(delivery.failing_since),
                next=render(delivery.next_at),
            )

    async def keep(self) -> None:
        """Write down how it goes.

        Raises:
            OwnershipLost: somebody else has the lease.
        """
        await LeaseStore(self.store).renew(self.lease, delivery=self.delivery)


@asynccontextmanager
async def _channel(store: Store, receiver: Receiver) -> AsyncIterator[_Channel | None]:
    """The way to the receiver; None while another process has it. Who was paused until it was lost leaves quietly."""
    lease = await LeaseStore(store).acquire(new_owner(), ALERTS)
    if lease is None:
        yield None
        return
    try:
        yield _Channel(store, lease, receiver, await LeaseStore(store).delivery())
    except OwnershipLost:
        log.warning("another process sends the alerts by now")
    finally:
        with suppress(PyMongoError):
            await asyncio.shield(LeaseStore(store).release(lease))


def _is_due(delivery: Delivery, due: datetime) -> bool:
    return delivery.reminded_at is None or delivery.reminded_at < due


async def _untold(store: Store) -> dict[ObjectId, int]:
    """The versions of what is open and untold by ids, the oldest first."""
    found = store.database[FINDINGS].find(UNTOLD, {"version": 1}, sort=[("_id", 1)], limit=MOST)
    return {row["_id"]: row.get("version", 1) async for row in found}


async def _mark(channel: _Channel, ids: Sequence[ObjectId], where: dict[str, Any], change: dict[str, Any]) -> None:
    """Change those of these findings that are so, some at a time; the lease is kept meanwhile."""
    for place in range(0, len(ids), MARKED):
        some = {"_id": {"$in": ids[place : place + MARKED]}}
        await channel.store.database[FINDINGS].update_many({**some, **where}, change)
        with suppress(OwnershipLost):  # what was sent was sent; whether more may be, `send` asks
            await LeaseStore(channel.store).renew(channel.lease)


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Do something that must not be left half-way when this process is about to end."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise

"""Alerts about findings: a warning in the log at once, and messages to the alert URL until it accepts them.

A run sends no message. Findings that are open and without an accepted alert are in MongoDB; the worker sends them
under a lease of its own. So a process that dies at any moment loses nothing, and two of them never send at once. Only
a process that dies between the receiver's answer and the mark that follows causes a finding to be sent twice.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeAlias

import pymongo
import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from app import cron, job_queue
from app.domain.instants import render
from app.job_queue import Queue
from app.outgoing.network import Network
from app.outgoing.pauses import is_waiting, pause_after
from app.outgoing.receiver import DeliveryFailed, Message, Receiver
from app.reconciliation.findings.context import read_context
from app.reconciliation.messages import LINES_MAX, alert_message, finding_line, message_text, overlap_text
from app.settings import Settings
from app.storage.client import Store
from app.storage.documents import Delivery, Finding
from app.storage.findings import FindingStore
from app.storage.leases import ALERTS, Grant, LeaseStore, OwnershipLost, new_owner
from app.storage.values import printable, shown_text

OnFindings: TypeAlias = Callable[[Sequence[Finding], int], None]
"""Called with findings that a run opened, and how many it had opened before; returns at once."""

FINDINGS_MAX = 100_000
"""Findings of one message."""
MARK_BATCH = 1_000
"""Findings that one write marks."""
LOGGED_FINDINGS_MAX = 100
"""Findings of one run that have a line in the log; the others are counted."""
RELEASE_SECONDS = 10.0
"""How long the database may take to give the lease back, which a process that ends waits for."""
LOGGED_RESERVATIONS_MAX = 20
"""Reservations of one finding that its line in the log names."""

log = structlog.get_logger()


def log_findings(findings: Sequence[Finding], before: int = 0) -> None:
    """Log a warning for each of the first findings of a run."""
    for finding in findings[: max(LOGGED_FINDINGS_MAX - before, 0)]:
        ids = [printable(shown_text(each)) for each in finding.reservations[:LOGGED_RESERVATIONS_MAX]]
        log.warning(
            overlap_text(ids, len(finding.reservations)),
            finding=str(finding.id),
            run=str(finding.run),
            resource=printable(finding.resource),
            start=render(finding.from_),
            end=render(finding.to),
            peak=finding.peak,
            capacity=finding.capacity,
            reservations=ids,
        )


class Alerts:
    """Sends alerts about findings.

    Args:
        settings: The URL, the secret that signs messages, and the times of reminders. Without a URL findings are
            only logged.
        jobs: Where a run that opens findings enqueues the sending; without it, the worker's schedule does.
    """

    def __init__(self, settings: Settings, jobs: Queue | None = None) -> None:
        # The operator has set this address, so it may be one of the operator's own network.
        url, key = settings.alert_url, settings.alert_key()
        keys = () if key is None else (key,)
        self._receiver = None if url is None else Receiver(url, keys, Network(private=True))
        self._public_url = settings.public_url
        self._reminders = cron.parse(settings.alert_reminder) if settings.alert_reminder else None
        self._jobs = jobs
        self._notifying: set[asyncio.Task[bool]] = set()

    def __call__(self, findings: Sequence[Finding], before: int = 0) -> None:
        """Log findings that a run opened, and enqueue the sending in the background."""
        log_findings(findings, before)
        if self._jobs is not None and self._receiver is not None and not self._notifying:
            task = asyncio.create_task(self._jobs.put(job_queue.ALERT, identity=job_queue.ALERT))
            self._notifying.add(task)
            task.add_done_callback(self._notifying.discard)

    async def aclose(self) -> None:
        """Finish enqueueing, and close the connections."""
        await asyncio.gather(*self._notifying)
        if self._jobs is not None:
            await self._jobs.close()

    async def announce(self, store: Store) -> int:
        """Send alerts for all open findings that have none, except in a pause after a failure. Returns how many.

        Raises:
            pymongo.errors.PyMongoError: the database failed; what was not marked as alerted is sent again.
        """
        if self._receiver is None or not await FindingStore(store).has_unalerted():
            return 0
        sent = 0
        async with _sender(store, self._receiver) as sender:
            while sender is not None and sender.may_send():
                unalerted = await FindingStore(store).unalerted(FINDINGS_MAX)
                if not unalerted or not await self._send_alert(sender, unalerted):
                    break
                sent += len(unalerted)
        return sent

    async def remind(self, store: Store) -> int:
        """Send a reminder of findings that are still open, once per time of reminders. Returns how many.

        Raises:
            pymongo.errors.PyMongoError: the database failed.
        """
        if self._receiver is None or self._reminders is None:
            return 0
        due = cron.last_until(self._reminders, store.clock.now())
        if not _is_due(await LeaseStore(store).delivery(), due):
            return 0
        total = 0
        async with _sender(store, self._receiver) as sender:  # left early if the lease is lost
            if sender is None or not sender.may_send() or not _is_due(sender.delivery, due):
                return 0
            # Before the first start no alert was sent, so no reminder is due.
            findings = FindingStore(store)
            if sender.delivery.reminded_at is not None:
                total = await findings.count_alerted_before(due)
            if total:
                text = await self._text(store, await findings.alerted_before(due, LINES_MAX), total)
                number = "1 finding" if total == 1 else f"{total:,} findings"
                if not await sender.send(alert_message(f"Still open: {number}.\n{text}", f"reminder of {render(due)}")):
                    return 0
            sender.delivery.reminded_at = due
            await sender.store_delivery()
        return total

    async def _send_alert(self, sender: "_Sender", unalerted: Mapping[ObjectId, int]) -> bool:
        """Send one message about all of these findings, and mark them; whether it was accepted."""
        store, ids = sender.store, list(unalerted)
        findings = FindingStore(store)
        text = await self._text(store, await findings.for_message(ids[:LINES_MAX]), len(ids))
        # The versions make a finding that was opened again another message, though its text may be the same.
        message = alert_message(text, " ".join(f"{each}:{version}" for each, version in unalerted.items()))
        # Opening a finding again removes the id of its alert, so it needs another alert, whatever was sent meanwhile.
        await _mark(sender, ids, partial(findings.assign_alert, alert=message.id))
        if not await sender.send(message):
            return False
        await _uncancelled(_mark(sender, ids, partial(findings.mark_alerted, alert=message.id)))
        await sender.store_delivery()
        return True

    async def _text(self, store: Store, findings: Sequence[Finding], total: int) -> str:
        """Lines of these findings, which are the first of so many in all."""
        context = await read_context(store, findings)
        return message_text((finding_line(each, context, self._public_url) for each in findings), total)


@dataclass(slots=True)
class _Sender:
    """Sends messages for as long as this process has the lease, and stores the state of sending."""

    store: Store
    lease: Grant
    receiver: Receiver
    delivery: Delivery

    def may_send(self) -> bool:
        """Whether to try: nothing failed, the pause after a failure is over, or the receiver is another one."""
        is_another = self.delivery.receiver != self.receiver.fingerprint
        return is_another or not is_waiting(self.delivery.next_at, self.store.clock.now())

    async def send(self, message: Message) -> bool:
        """Send a message once; whether it was accepted. The first, second, fourth, … failure is logged.

        Raises:
            OwnershipLost: another process has the lease.
        """
        await LeaseStore(self.store).renew(self.lease)
        try:
            await self.receiver.post(message)
        except DeliveryFailed as failure:
            self._note_failure(failure)
            await self.store_delivery()
            return False
        if self.delivery.failures:
            since = self.delivery.failing_since or self.store.clock.now()
            log.info("the alert URL takes messages again", failures=self.delivery.failures, since=render(since))
        now = self.store.clock.now()
        self.delivery = Delivery(succeeded_at=now, reminded_at=self.delivery.reminded_at)
        return True

    def _note_failure(self, failure: DeliveryFailed) -> None:
        delivery, now = self.delivery, self.store.clock.now()
        delivery.failures += 1
        delivery.failing_since = delivery.failing_since or now
        next_at = delivery.next_at = now + pause_after(delivery.failures, failure.pause)
        delivery.receiver = self.receiver.fingerprint
        if delivery.failures.bit_count() == 1:
            log.warning(
                "the alert URL did not take a message; it is tried again until it does",
                receiver=self.receiver.name,
                error=str(failure),
                failures=delivery.failures,
                since=render(delivery.failing_since),
                next=render(next_at),
            )

    async def store_delivery(self) -> None:
        """Store the state of sending.

        Raises:
            OwnershipLost: another process has the lease.
        """
        await LeaseStore(self.store).renew(self.lease, delivery=self.delivery)


@asynccontextmanager
async def _sender(store: Store, receiver: Receiver) -> AsyncGenerator[_Sender | None]:
    """The right to send; None while another process has it. A process that loses the lease logs that, and goes on."""
    lease = await LeaseStore(store).acquire(new_owner(), ALERTS)
    if lease is None:
        yield None
        return
    try:
        yield _Sender(store, lease, receiver, await LeaseStore(store).delivery())
    except OwnershipLost:
        log.warning("another process sends the alerts by now")
    finally:
        with suppress(PyMongoError), pymongo.timeout(RELEASE_SECONDS):
            await asyncio.shield(LeaseStore(store).release(lease))


def _is_due(delivery: Delivery, due: datetime) -> bool:
    return delivery.reminded_at is None or delivery.reminded_at < due


async def _mark(
    sender: _Sender, ids: Sequence[ObjectId], write: Callable[[Sequence[ObjectId]], Awaitable[None]]
) -> None:
    """Write a mark on these findings, a portion at a time; the lease is renewed after each."""
    for place in range(0, len(ids), MARK_BATCH):
        await write(ids[place : place + MARK_BATCH])
        with suppress(OwnershipLost):  # `send` checks whether more may be sent
            await LeaseStore(sender.store).renew(sender.lease)


async def _uncancelled(work: Coroutine[object, object, None]) -> None:
    """Await work to its end, also if this task is cancelled meanwhile because the process ends."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise

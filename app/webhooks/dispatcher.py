"""The dispatcher: sends the events of the log to all webhooks, in one process of a database at a time.

Each worker has one. The one that has the lease sends; another one takes over within ten seconds of its silence. One
look at the bounds of the log serves all webhooks, and each webhook has a task of its own, so that none holds up
another; as there are at most a hundred of them, so many requests are under way at most.
"""

import asyncio
from contextlib import suppress

import pymongo
import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from app.outgoing.network import Network
from app.outgoing.pauses import farthest
from app.settings import Settings
from app.storage.client import Store
from app.storage.documents import Webhook
from app.storage.event_log import Bounds, EventLog
from app.storage.leases import WEBHOOKS, Grant, LeaseStore, OwnershipLost, new_owner
from app.storage.webhooks import WebhookStore
from app.wakeups import Wakeups
from app.webhooks.attempts import Sender
from app.webhooks.courier import Courier
from app.webhooks.secret_box import SecretBox

LOOK_SECONDS = 0.5
"""Between two looks at the log where no signal arrives."""
BEAT_SECONDS = 1.0
"""Between two beats of the owner, and between two tries to become it."""
DEAD_SECONDS = 6.0
"""Silence after which another process takes the lease over."""
SURE_SECONDS = 4.0
"""How long after a beat its owner can be sure that it is not taken for dead."""
ANSWER_SECONDS = 3.0
"""How long the database may take for one look."""
STOP_SECONDS = 4.0
"""How long requests under way have to end when the process stops."""
PAUSE_SECONDS = 2.0
"""After a failure of the database."""

log = structlog.get_logger(__name__)


class Dispatcher:
    """The dispatcher of one process.

    Args:
        store: The database.
        settings: The keys that open secrets, and whether private addresses are permitted.
        wakeups: Signals that the log has something new.
    """

    def __init__(self, store: Store, settings: Settings, wakeups: Wakeups) -> None:
        self._store = store
        self._wakeups = wakeups
        self._leases = LeaseStore(store)
        self._webhooks = WebhookStore(store)
        self._log = EventLog(store)
        sender = Sender(store, SecretBox(settings.sealing_keys()), Network(private=settings.webhook_private))
        self._courier = Courier(store, sender)
        self._under_way: dict[ObjectId, asyncio.Task[None]] = {}
        self._grant: Grant | None = None
        self._beat_at = 0.0
        self._is_taken_back = False
        """Whether no cursor is beyond the log, as far as a restored database may have it."""
        self._bell = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Send from now on, whenever this process has the lease."""
        self._wakeups.listen("events", self._bell.set)
        self._task = asyncio.create_task(self._run(), name="dispatcher")

    async def stop(self) -> None:
        """End after the requests under way, and give the lease back."""
        self._stopping = True
        self._bell.set()
        if self._task is not None:
            await self._task
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=STOP_SECONDS)
        await self._drop()

    async def _run(self) -> None:
        while not self._stopping:
            try:
                pause = await self.look()
            except OwnershipLost:
                log.warning("another process sends the events to webhooks by now")
                await self._cancel()
                self._grant, pause = None, BEAT_SECONDS
            except PyMongoError as error:
                log.warning("events are not sent to webhooks for a moment", reason=f"{type(error).__name__}: {error}")
                pause = PAUSE_SECONDS
            except Exception:  # whatever it was, the events wait
                log.exception("the dispatcher of webhooks failed; it goes on")
                pause = PAUSE_SECONDS
            await self._wait(pause)

    async def look(self) -> float:
        """Start what is due, if this process has the lease; the seconds until the next look.

        Raises:
            OwnershipLost: another process has the lease.
            pymongo.errors.PyMongoError: the database does not answer.
        """
        with pymongo.timeout(ANSWER_SECONDS):
            if self._grant is None:
                self._beat_at = self._now()  # before the answer, which may be late
                self._grant = await self._leases.acquire(new_owner(), WEBHOOKS, dead_seconds=DEAD_SECONDS)
                if self._grant is None:
                    return BEAT_SECONDS
                self._is_taken_back = False
            if not self._is_taken_back:
                await self._courier.take_back()
                self._is_taken_back = True
            await self._beat(self._grant)
            bounds = await self._log.bounds()
            now = self._store.clock.now()
            due = await self._webhooks.due(bounds.last, now, farthest(now))
        for webhook in due:
            if webhook.id not in self._under_way:
                task = asyncio.create_task(self._deliver(webhook, bounds), name=f"webhook {webhook.id}")
                self._under_way[webhook.id] = task
        return LOOK_SECONDS

    async def _beat(self, grant: Grant) -> None:
        now = self._now()
        if now - self._beat_at >= BEAT_SECONDS:
            await self._leases.renew(grant)
            self._beat_at = now

    async def _deliver(self, webhook: Webhook, bounds: Bounds) -> None:
        try:
            if await self._courier.deliver(webhook, bounds, self._may_send):
                self._bell.set()  # there may be more by now
        except PyMongoError as error:
            reason = f"{type(error).__name__}: {error}"
            log.warning("what came of a delivery was not noted; it is repeated", webhook=str(webhook.id), reason=reason)
            await asyncio.sleep(PAUSE_SECONDS)
        except Exception:  # whatever it was, the others go on
            log.exception("a delivery failed; it is repeated", webhook=str(webhook.id))
            await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self._under_way.pop(webhook.id, None)

    def _may_send(self) -> bool:
        """Whether no other process sends: one that was suspended must ask before it goes on."""
        return self._grant is not None and not self._stopping and self._now() - self._beat_at < SURE_SECONDS

    async def _wait(self, seconds: float) -> None:
        """Wait for that time, or less if the log gets something or a delivery has ended."""
        if self._stopping:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._bell.wait()
        self._bell.clear()

    async def _cancel(self) -> None:
        for task in [*self._under_way.values()]:
            task.cancel()
        if self._under_way:
            await asyncio.wait([*self._under_way.values()])

    async def _drop(self) -> None:
        """Cancel what is under way, and give the lease back."""
        await self._cancel()
        if self._grant is not None:
            with suppress(PyMongoError), pymongo.timeout(ANSWER_SECONDS):
                await self._leases.release(self._grant)
            self._grant = None

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

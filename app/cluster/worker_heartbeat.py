"""Heartbeats of workers: one small document each, written every few seconds whatever else the worker does."""

from dataclasses import dataclass
from datetime import timedelta

from app.cluster.worker_liveness import DEAD_SECONDS
from app.storage.client import Store
from app.storage.documents import Beat
from app.storage.processes import BeatStore

BEAT_SECONDS = 15
FORGOTTEN_AFTER = timedelta(days=1)
"""How long after its last heartbeat the row of a worker is deleted."""


@dataclass(frozen=True, slots=True)
class Workers:
    """The number of workers that live, and the seconds since the last heartbeat of any; None where there is none."""

    alive: int
    seconds: float | None


async def beat(store: Store, owner: str, host: str) -> None:
    """Write the heartbeat of a worker, and forget those that have been silent for long."""
    beats, now = BeatStore(store), store.clock.now()
    await beats.put_beat(Beat(id=owner, host=host, at=now))
    await beats.delete_before(now - FORGOTTEN_AFTER)


async def stop(store: Store, owner: str) -> None:
    """Forget a worker that ends."""
    await BeatStore(store).delete_beat(owner)


async def workers(store: Store) -> Workers:
    """The workers of a database, as they are now."""
    ages = [age.total_seconds() for age in await BeatStore(store).find_ages(store.clock.now())]
    return Workers(sum(age < DEAD_SECONDS for age in ages), max(0.0, min(ages)) if ages else None)

"""Samples what is not counted as it happens: the lag of the event loop, and what waits or is open at the moment."""

import asyncio
from collections.abc import Callable
from contextvars import Context

from app.telemetry.metrics import Metrics
from app.telemetry.pool_listener import PoolListener

INTERVAL_SECONDS = 0.25


class Sampler:
    """Sets the gauges of a process four times a second.

    Args:
        metrics: The metrics of the process.
        waiting: How many intents wait for a batch.
        pool: Counts the connections to MongoDB.
        streams: How many streams of events are open.
        damaged: How many damaged events were read.
    """

    def __init__(
        self,
        metrics: Metrics,
        waiting: Callable[[], int],
        pool: PoolListener,
        streams: Callable[[], int] = lambda: 0,
        damaged: Callable[[], int] = lambda: 0,
    ) -> None:
        self._metrics = metrics
        self._damaged = damaged
        self._streams = streams
        self._waiting = waiting
        self._pool = pool
        self._failures = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Sample from now on, on the running loop."""
        self.sample()
        loop = asyncio.get_running_loop()
        due = loop.time() + INTERVAL_SECONDS
        self._timer = loop.call_at(due, self._on_time, due, context=Context())

    def stop(self) -> None:
        """Sample no more."""
        if self._timer is not None:
            self._timer.cancel()

    def sample(self) -> None:
        """Set the gauges to what is so now."""
        self._metrics.booking.waiting.set(self._waiting())
        process, pool = self._metrics.process, self._pool
        process.event_streams.set(self._streams())
        process.damaged_events.set(self._damaged())
        process.connections.labels("used").set(pool.used)
        process.connections.labels("idle").set(pool.open - pool.used)
        process.checkouts_waiting.set(pool.waiting)
        failures = pool.failures
        process.checkout_failures.inc(failures - self._failures)
        self._failures = failures

    def _on_time(self, due: float) -> None:
        lag = asyncio.get_running_loop().time() - due
        self._metrics.process.loop_lag_seconds.observe(max(lag, 0.0))
        self.start()

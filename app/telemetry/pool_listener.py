"""Counts the connections of the driver's pools, by the events that it sends from all of its threads."""

from threading import Lock

from pymongo import monitoring
from typing_extensions import override


class PoolListener(monitoring.ConnectionPoolListener):
    """The connections of all pools of one client.

    Attributes:
        open: Connections, whether used or idle.
        used: Connections that an operation has.
        waiting: Operations that wait for one.
        failures: Operations that got none, since the start.
    """

    def __init__(self) -> None:
        self.open = self.used = self.waiting = self.failures = 0
        self._lock = Lock()

    @override
    def pool_created(self, event: monitoring.PoolCreatedEvent) -> None:
        """Count nothing: it is empty."""

    @override
    def pool_ready(self, event: monitoring.PoolReadyEvent) -> None:
        """Count nothing."""

    @override
    def pool_cleared(self, event: monitoring.PoolClearedEvent) -> None:
        """Count nothing: each of its connections is closed with an event of its own."""

    @override
    def pool_closed(self, event: monitoring.PoolClosedEvent) -> None:
        """Count nothing, as above."""

    @override
    def connection_created(self, event: monitoring.ConnectionCreatedEvent) -> None:
        """Count an open connection."""
        with self._lock:
            self.open += 1

    @override
    def connection_ready(self, event: monitoring.ConnectionReadyEvent) -> None:
        """Count nothing: it was counted when it was made."""

    @override
    def connection_closed(self, event: monitoring.ConnectionClosedEvent) -> None:
        """Count it no more."""
        with self._lock:
            self.open -= 1

    @override
    def connection_check_out_started(self, event: monitoring.ConnectionCheckOutStartedEvent) -> None:
        """Count an operation that waits."""
        with self._lock:
            self.waiting += 1

    @override
    def connection_check_out_failed(self, event: monitoring.ConnectionCheckOutFailedEvent) -> None:
        """Count a failure."""
        with self._lock:
            self.waiting -= 1
            self.failures += 1

    @override
    def connection_checked_out(self, event: monitoring.ConnectionCheckedOutEvent) -> None:
        """Count a used connection."""
        with self._lock:
            self.waiting -= 1
            self.used += 1

    @override
    def connection_checked_in(self, event: monitoring.ConnectionCheckedInEvent) -> None:
        """Count it as idle."""
        with self._lock:
            self.used -= 1

"""Restarts the processes of the app, which granian starts and ends.

granian ends all processes when a restarted one dies at once, which each does while the database is down. Here the
others go on, and lost processes are restarted with growing pauses until a signal comes. Only while none has started, a
process that says what keeps it from that ends all: the operator has to mend it. The methods overridden here are
granian's own, of exactly the version that the project pins.
"""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import structlog
from granian.server.mp import MPServer
from typing_extensions import override

from app.cli.process import Report

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""After so long a lifetime a process is restarted with the first pause again."""

log = structlog.get_logger(__name__)


class Supervisor(MPServer):
    """granian's server with restarts that back off; all arguments are granian's.

    Attributes:
        reports: Where each process puts the `Report` of its start.
        fault: What keeps all processes from starting, for the operator; None: nothing.
    """

    def __init__(self, target: str, **options: Any) -> None:
        super().__init__(target, **options)
        pipe: tuple[Connection, Connection] = multiprocessing.Pipe(duplex=False)  # pyright: ignore[reportAssignmentType]  # another type on Windows
        self._received, self.reports = pipe
        self._has_started = False
        self.fault: str | None = None

    @override
    def _serve_loop(self, spawn_target: Callable[..., object], target_loader: Callable[..., object]) -> None:
        """Restart lost processes until a signal comes, or none can start."""
        failures: dict[int, int] = {}
        due: dict[int, float] = {}
        while True:
            self.main_loop_interrupt.wait(max(min(due.values()) - time.monotonic(), 0) if due else None)
            self.main_loop_interrupt.clear()
            if self.interrupt_signal:
                return
            faults = self._receive_faults()
            if faults and not self._has_started:
                self.fault = next(iter(faults.values()))
                return
            while self.interrupt_children:
                lost = self.interrupt_children.pop()
                lifetime = time.monotonic() - self.wrks[lost].birth
                failures[lost] = 0 if lifetime >= STEADY_SECONDS else failures.get(lost, 0) + 1
                pause = pause_after(failures[lost])
                due[lost] = time.monotonic() + pause
                reason = faults.get(self.wrks[lost].inner.pid)
                log.warning(
                    "a process of the app is lost",
                    worker=lost + 1,
                    starts_again_in_seconds=round(pause, 1),
                    **{"reason": reason} if reason else {},
                )
            for ready in [index for index, at in due.items() if at <= time.monotonic()]:
                del due[ready]
                self._respawn_workers([ready], spawn_target, target_loader)
            if self.reload_signal:
                self._reload(spawn_target, target_loader)  # type: ignore[no-untyped-call]  # granian's

    def _receive_faults(self) -> dict[int, str]:
        """What keeps processes from starting, by their ids, since the last call."""
        faults: dict[int, str] = {}
        while self._received.poll():
            report: Report = self._received.recv()
            process, fault = report
            if fault is None:
                self._has_started = True
            else:
                faults[process] = fault
        return faults

    @override
    def signal_handler_interrupt(self, *args: Any, **_: Any) -> None:
        """End; Ctrl-C and a second signal are passed to the processes, which then skip their lame-duck time."""
        number: int = args[0]
        if self.interrupt_signal or number == signal.SIGINT:
            for worker in self.wrks:
                if worker.inner.is_alive():
                    os.kill(worker.inner.pid, number)
        self.interrupt_signal = True
        self.main_loop_interrupt.set()

    @override
    def shutdown(self, exit_code: int = 0) -> None:
        """End all processes; a process that was lost before does not make the exit a failure."""
        self.interrupt_children.clear()
        granian: Any = super()
        granian.shutdown(exit_code)


def pause_after(failures: int) -> float:
    """The seconds before the next restart after so many losses in a row, with jitter."""
    longest = min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 16), LONGEST_PAUSE_SECONDS)
    return longest * random.uniform(0.5, 1)  # noqa: S311  # jitter

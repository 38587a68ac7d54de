"""Keeps the processes of the app running, on granian, which starts and ends them.

granian ends everything when a process that it has started again dies at once, which with the database down is each of
them. Here those that live go on, and the lost ones are started again with growing pauses until a signal ends it all.
The methods overridden here are granian's own, of exactly the version that the project names.
"""

import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import structlog
from granian.server.mp import MPServer
from typing_extensions import override

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A process that lived for so long was well, and is started again as if it were the first time."""

log = structlog.get_logger(__name__)


class Supervisor(MPServer):
    """granian's server with another way of looking after its processes; all arguments are granian's."""

    @override
    def _serve_loop(self, spawn_target: Callable[..., object], target_loader: Callable[..., object]) -> None:
        """Start again what is lost, until a signal comes."""
        failures: dict[int, int] = {}
        due: dict[int, float] = {}
        while True:
            self.main_loop_interrupt.wait(max(min(due.values()) - time.monotonic(), 0) if due else None)
            self.main_loop_interrupt.clear()
            if self.interrupt_signal:
                return
            while self.interrupt_children:
                lost = self.interrupt_children.pop()
                lived = time.monotonic() - self.wrks[lost].birth
                failures[lost] = 0 if lived >= STEADY_SECONDS else failures.get(lost, 0) + 1
                pause = pause_after(failures[lost])
                due[lost] = time.monotonic() + pause
                log.warning("a process of the app is lost", worker=lost + 1, starts_again_in_seconds=round(pause, 1))
            for ready in [index for index, at in due.items() if at <= time.monotonic()]:
                del due[ready]
                self._respawn_workers([ready], spawn_target, target_loader)
            if self.reload_signal:
                self._reload(spawn_target, target_loader)  # type: ignore[no-untyped-call]  # granian's

    @override
    def signal_handler_interrupt(self, *args: Any, **_: Any) -> None:
        """End, and hand on what ends the waiting: a second signal, and Ctrl-C, which skips it."""
        number: int = args[0]
        if self.interrupt_signal or number == signal.SIGINT:
            for worker in self.wrks:
                if worker.inner.is_alive():
                    os.kill(worker.inner.pid, number)
        self.interrupt_signal = True
        self.main_loop_interrupt.set()

    @override
    def shutdown(self, exit_code: int = 0) -> None:
        """End all processes; that one of them was lost before is no failure of the whole."""
        self.interrupt_children.clear()
        granian: Any = super()
        granian.shutdown(exit_code)


def pause_after(failures: int) -> float:
    """Seconds before a process is started again that was lost so often in a row; never the same twice."""
    longest = min(FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 16), LONGEST_PAUSE_SECONDS)
    return longest * random.uniform(0.5, 1)  # noqa: S311  # jitter

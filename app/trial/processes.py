"""Ends the processes that a killed trial left."""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress

from app.pids import Process

_TERM_SECONDS = 10.0
_POLL_SECONDS = 0.02


def end_processes(processes: Sequence[Process]) -> list[Process]:
    """End the processes that still run, with their groups; kill those that do not end. Returns those that ran."""
    running = [process for process in processes if process.alive]
    _signal(running, signal.SIGTERM)
    deadline = time.monotonic() + _TERM_SECONDS
    while time.monotonic() < deadline and any(process.alive for process in running):
        time.sleep(_POLL_SECONDS)
    stubborn = [process for process in running if process.alive]
    _signal(stubborn, signal.SIGKILL)
    while any(process.alive for process in stubborn):
        time.sleep(_POLL_SECONDS)
    return running


def _signal(processes: Sequence[Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            # Each child leads a group of its own; one that was caught before it did is signalled alone.
            if os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, number)
            else:
                os.kill(process.pid, number)

"""Processes that outlive the one that knows them: found again, and ended."""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress

from app.pids import Process

_TERM_SECONDS = 10.0
_POLL_SECONDS = 0.02


def end(processes: Sequence[Process]) -> list[Process]:
    """End those that still run, with the groups that they lead; kill what does not go. Returns whom it met."""
    met = [process for process in processes if process.alive]
    _signal(met, signal.SIGTERM)
    deadline = time.monotonic() + _TERM_SECONDS
    while time.monotonic() < deadline and any(process.alive for process in met):
        time.sleep(_POLL_SECONDS)
    stubborn = [process for process in met if process.alive]
    _signal(stubborn, signal.SIGKILL)
    while any(process.alive for process in stubborn):
        time.sleep(_POLL_SECONDS)
    return met


def _signal(processes: Sequence[Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            # Each child leads a group of its own; one that was caught before it did is signalled alone.
            if os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, number)
            else:
                os.kill(process.pid, number)

"""Processes identified by id and start time, since ids are reused."""

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex


def started(pid: int) -> str | None:
    """When the process of that id started, in a form to compare for equality only.

    None if there is no such process, or only its exit status is left. On Linux these are the ticks since boot and the
    boot's id: psutil's time of creation there is reckoned from the wall clock and moves when that is set.
    """
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return None
        state, *fields = stat.rpartition(")")[2].split()
        return None if state in {"Z", "X"} else f"{boot}:{fields[18]}"
    import psutil  # noqa: PLC0415  # a health check on Linux, which must be quick, does without it

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.NoSuchProcess:  # also raised for zombies
        return None


def is_gone(pid: int, since: str) -> bool:
    """Whether the process that had that id and start time has certainly ended.

    False where that is unknown, as for other users' processes under `hidepid`.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    if sys.platform == "linux" and not os.access(f"/proc/{pid}/stat", os.R_OK):
        return False
    return started(pid) != since


@dataclass(frozen=True, slots=True)
class Process:
    """One process.

    Args:
        name: What it does, for people.
        pid: Its id.
        started: When it started, in a form that only compares for equality.
    """

    name: str
    pid: int
    started: str

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return started(self.pid) == self.started


def process(name: str, pid: int) -> Process:
    """The process of that id, which must be running."""
    return Process(name, pid, started(pid) or "gone")


def _place() -> str:
    if sys.platform != "linux":
        return socket.gethostname()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return token_hex(8)  # unique: no process can be compared with ours


PLACE = _place()
"""The scope within which process ids are comparable: this machine since its boot, and in it this container.

It is not the host's name: two containers may share one and have different processes of the same id.
"""

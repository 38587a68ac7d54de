"""Processes told apart by id and start time, since ids come again."""

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex


def started(pid: int) -> str | None:
    """When the process of that id started, in a form that only compares for equality.

    None if there is none, or only its exit status is left.
    """
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return None
        state, *fields = stat.rpartition(")")[2].split()
        return None if state in {"Z", "X"} else f"{boot}:{fields[18]}"
    told = subprocess.run(  # noqa: S603  # a fixed program and a number
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or None


def is_gone(pid: int, since: str) -> bool:
    """Whether the process that had that id and start time surely runs no more.

    False where this cannot be told, as with another user's processes under `hidepid`.
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
        return token_hex(8)  # nobody else's


PLACE = _place()
"""Within which process ids mean the same: this machine since its boot, and in it this container.

Not the host's name: two containers may share one and have different processes of the same id.
"""

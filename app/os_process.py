"""Ties a process to its parent, so that no server outlives a trial that was killed.

Run as a program it ties itself and becomes another one: `python tether.py PARENT COMMAND…`. Linux keeps the tie over
`exec`. Elsewhere it does nothing, and the next start of the trial ends what was left (see `folder`).
Standard library only: it runs before everything else and must be quick.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def tie(parent: int) -> None:
    """Have this process get SIGTERM when its parent ends; the parent's id tells whether that already happened."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def tethered(command: list[str]) -> list[str]:
    """The command that runs `command` tied to the process that starts it."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


if __name__ == "__main__":
    tie(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606  # becoming the given program is what it is for

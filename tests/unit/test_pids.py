"""Processes identified by id and start time."""

import os
import subprocess
import sys

import psutil
import pytest

from app.pids import is_gone, process, started

assert psutil.LINUX or psutil.MACOS, "imported before a test pretends to be on another system"


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_a_process_is_known_until_it_ends(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    """A process has one start time while it runs and none once it has ended, whichever way the system is asked."""
    if platform != sys.platform:
        monkeypatch.setattr(sys, "platform", platform)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        known = process("child", child.pid)
        assert known.alive
        assert started(child.pid) == known.started
        assert not is_gone(child.pid, known.started)
        assert is_gone(child.pid, "another time")
        child.communicate(b"\n")

    assert started(child.pid) is None
    assert not known.alive
    assert is_gone(child.pid, known.started)


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_an_exit_status_is_no_process(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    """A process that ended and was not waited for counts as ended."""
    if platform != sys.platform:
        monkeypatch.setattr(sys, "platform", platform)
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

        assert started(child.pid) is None

"""Runs `reserva` as people and service managers do: as processes, with signals and exit codes."""

import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tests.support.forked_commands import run_forked

SECONDS = 90.0
"""How long anything may take here before the test fails; generous, because machines are shared."""

_READY = re.compile(r"ready url=(http://127\.0\.0\.1:\d+) key=(rsv_\S+)")


def reserva(*arguments: str) -> list[str]:
    """The command line of one of our commands."""
    return [sys.executable, "-m", "app.cli.main", *arguments]


def environment_with(env: Mapping[str, str]) -> dict[str, str]:
    """The environment of this process with the given variables, without other settings of Reserva."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith("RESERVA_")}
    of_tests = {"PYTHONUNBUFFERED": "1", "RESERVA_LAME_DUCK_SECONDS": "0", "RESERVA_RATE_LIMIT": "0"}
    return {**rest, **of_tests, **env}


def run_reserva(*arguments: str, cwd: Path | None = None, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run one of our commands to its end; `serve` starts processes, which a fork of a server of forks cannot."""
    if arguments[0] != "serve":
        return run_forked(arguments, cwd=cwd, env=environment_with(env), seconds=SECONDS)
    return subprocess.run(
        reserva(*arguments),
        cwd=cwd,
        env=environment_with(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


class RunningCommand:
    """A command that stays: its lines as they come, and how it ended."""

    def __init__(self, command: list[str], env: Mapping[str, str], cwd: Path | None) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment_with(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._news: queue.Queue[None] = queue.Queue()
        pipes = ((self.process.stdout, self.out), (self.process.stderr, self.err))
        self._readers = [threading.Thread(target=self._read, args=pipe, daemon=True) for pipe in pipes]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe: IO[str], lines: list[str]) -> None:
        with pipe:
            for line in pipe:
                lines.append(line.rstrip("\n"))
                self._news.put(None)
        self._news.put(None)

    def wait_for_line(self, words: str) -> str:
        """Wait until the command prints a line with the given words, and return that line."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            for line in [*self.out, *self.err]:
                if words in line:
                    return line
            if not any(reader.is_alive() for reader in self._readers):
                break
            with suppress(queue.Empty):
                self._news.get(timeout=1)
        raise AssertionError("\n".join([f"The output lacks {words!r}:", *self.out, *self.err]))

    def wait_until_ready(self) -> tuple[str, str]:
        """Wait for the trial's line, and return its address and key."""
        match = _READY.fullmatch(self.wait_for_line("ready url="))
        assert match
        return match[1], match[2]

    def end(self, number: signal.Signals | None = None) -> int:
        """Send a signal, if any, wait until it has ended and return its exit code."""
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        for reader in self._readers:
            reader.join(SECONDS)
        return code


@contextmanager
def running_reserva(*command: str, cwd: Path | None = None, **env: str) -> Iterator[RunningCommand]:
    """Keep one of our commands running, and kill it at the end if it still does."""
    with running_command(reserva(*command), cwd=cwd, env=env) as process:
        yield process


@contextmanager
def running_command(command: list[str], *, env: Mapping[str, str], cwd: Path | None = None) -> Iterator[RunningCommand]:
    """Keep any command running, and kill it at the end if it still does."""
    process = RunningCommand(command, env, cwd)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.process.kill()
        process.end()


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether a condition becomes true; it is polled, for events without a notification."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.02)
    return False


def accepts_connections(port: int) -> bool:
    """Whether a process accepts connections on a port; it logs its start just before it does."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def group_is_empty(leader: int) -> bool:
    """Whether nothing runs any more in the group that a process led."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return True
    return False

"""Child processes of the trial: they end with it, their output is passed on, and they are stopped in order."""

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.os_process import bound_to_this_process
from app.pids import Process, process
from app.trial.errors import TrialError

_TAIL_LINES = 15
_WIDTH = len("worker")
_LINE_BYTES = 1 << 20
_LAST_LINES_SECONDS = 2.0


@dataclass(slots=True)
class Child:
    """A running child: its process, its last lines, and the task that copies its output."""

    process: Process
    handle: asyncio.subprocess.Process
    tail: deque[str]
    output: asyncio.Task[None]

    @classmethod
    async def start(
        cls, name: str, command: list[str], *, cwd: Path, env: Mapping[str, str], is_echoed: bool, user: str = ""
    ) -> "Child":
        """Start a program in a group of its own, so that Ctrl-C reaches the trial alone, which ends it in order.

        Args:
            name: Its name in the trial.
            command: The program with its arguments.
            cwd: Its working directory.
            env: Its whole environment.
            is_echoed: Whether its output is printed on standard error; its last lines are stored in any case.
            user: The user whose rights it gets, if not those of this process.
        """
        handle = await asyncio.create_subprocess_exec(
            *bound_to_this_process(command, user),
            cwd=cwd,
            env=dict(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            limit=_LINE_BYTES,
        )
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        output = asyncio.create_task(_copy_output(handle.stdout, tail, f"{name:<{_WIDTH}} | " if is_echoed else None))
        return cls(process(name, handle.pid), handle, tail, output)

    async def raise_on_exit(self) -> None:
        """Wait for the child, which must not end by itself.

        Raises:
            TrialError: with its last lines.
        """
        code = await self.handle.wait()
        await self._drain()
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        last = "\n".join(f"  {line}" for line in self.tail) or "  (nothing)"
        raise TrialError(f"{self.process.name} {how}. Its last output:\n{last}")

    async def stop(self, grace_seconds: float) -> None:
        """Ask the child to end; kill it and its group if it does not in time."""
        if self.handle.returncode is None:
            with suppress(ProcessLookupError):
                self.handle.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(grace_seconds):
                    await self.handle.wait()
            except TimeoutError:
                self.kill()
                await self.handle.wait()
        await self._drain()

    def kill(self) -> None:
        """Kill the child and its group, unless it has been waited for: its id may be reused since."""
        if self.handle.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    async def _drain(self) -> None:
        """Copy its last lines, for a limited time, because its own children may hold the pipe open."""
        await asyncio.wait({self.output}, timeout=_LAST_LINES_SECONDS)
        self.output.cancel()


async def _copy_output(lines: asyncio.StreamReader | None, tail: deque[str], prefix: str | None) -> None:
    """Read the output of a child to its end, store the last lines, and print all with the prefix if there is one."""
    if lines is None:
        return
    while True:
        try:
            line = await lines.readline()
        except ValueError:  # longer than _LINE_BYTES; the reader has dropped it
            continue
        if not line:
            return
        text = line.decode(errors="replace").rstrip()
        tail.append(text)
        if prefix is not None:
            with suppress(OSError):  # the terminal is gone; the child must not block on its output
                sys.stderr.write(f"{prefix}{text}\n")

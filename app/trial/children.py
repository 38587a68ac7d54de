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

from app.os_process import dying_with_us
from app.pids import Process, process
from app.trial.errors import TrialError

_TAIL_LINES = 15
_WIDTH = len("worker")
_LINE_BYTES = 1 << 20
_LAST_LINES_SECONDS = 2.0


@dataclass(slots=True)
class Child:
    """A running child: who it is, its last lines, and the task that passes its output on."""

    process: Process
    handle: asyncio.subprocess.Process
    tail: deque[str]
    output: asyncio.Task[None]

    @classmethod
    async def start(cls, name: str, command: list[str], *, cwd: Path, env: Mapping[str, str], echoed: bool) -> "Child":
        """Start a program in a group of its own, so that Ctrl-C reaches the trial alone, which ends it in order.

        Args:
            name: What it does in the trial.
            command: The program with its arguments.
            cwd: Where it runs.
            env: Its whole environment.
            echoed: Whether its output is printed on standard error; its last lines are kept in any case.
        """
        handle = await asyncio.create_subprocess_exec(
            *dying_with_us(command),
            cwd=cwd,
            env=dict(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            limit=_LINE_BYTES,
        )
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        output = asyncio.create_task(_listen(handle.stdout, tail, f"{name:<{_WIDTH}} | " if echoed else None))
        return cls(process(name, handle.pid), handle, tail, output)

    async def died(self) -> None:
        """Wait for the child to end, which it should not.

        Raises:
            TrialError: with the last lines that it said.
        """
        code = await self.handle.wait()
        await self._drain()
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        last = "\n".join(f"  {line}" for line in self.tail) or "  (nothing)"
        raise TrialError(f"{self.process.name} {how}. The last that it said:\n{last}")

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
        """Kill the child and its group. Only while it was not waited for: after that its id may be another's."""
        if self.handle.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    async def _drain(self) -> None:
        """Let its last lines through. Its own children may hold the pipe open, and are not waited for."""
        await asyncio.wait({self.output}, timeout=_LAST_LINES_SECONDS)
        self.output.cancel()


async def _listen(lines: asyncio.StreamReader | None, tail: deque[str], prefix: str | None) -> None:
    """Read what a child says to its end, keep the last of it, and print it if there is a prefix for it."""
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
            with suppress(OSError):  # nobody reads any more; the child must not wait for that
                sys.stderr.write(f"{prefix}{text}\n")

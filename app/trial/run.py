"""Runs the trial: servers, migration, key, app, worker and demo, in this order; ends them in the reverse one."""

import asyncio
import os
import signal
import sys
import time
import webbrowser
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import httpx
import structlog

from app.access.schemas import NewKey
from app.access.service import Keys
from app.access.sessions import Sessions
from app.access.tokens import Token, accepts
from app.environment import FILE
from app.migration.migrate import migrate
from app.operations.start import log_start
from app.os_process import LOOPBACK, CannotListen, ensure_free, free_port
from app.pids import process
from app.settings import Mode, Settings
from app.storage.client import Store, connect
from app.storage.keys import KeyStore
from app.trial.children import Child
from app.trial.demo import create_demo
from app.trial.errors import TrialError
from app.trial.folder import Folder
from app.trial.servers import mongodb, redis
from app.trial_state import TrialState

log = structlog.get_logger(__name__)

_LAME_DUCK = "RESERVA_LAME_DUCK_SECONDS"
_START_SECONDS = 60.0
_POLL_SECONDS = 0.05
_GRACE_SECONDS = 25.0
"""Above the app's own drain time."""


class Trial:
    """One trial in one folder; `run` it once.

    Args:
        folder: The folder of its data.
        port: The app's; 0 picks a free one.
        demo: Whether to create a small demo catalogue.
        settings: Its settings; the addresses are those of its own servers, and without RESERVA_MODE it is `auto`.
        on_ready: Called with the line that has its URL and its key.
    """

    def __init__(
        self, folder: Folder, port: int, *, demo: bool, settings: Settings, on_ready: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._port = port
        self._demo = demo
        self._settings = settings
        self._mode: Mode = settings.chosen_mode or "auto"
        self._on_ready = on_ready
        self._state = TrialState(owner=process("reserva dev", os.getpid()))
        self._children: list[Child] = []
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    async def run(self) -> None:
        """Start everything, call `on_ready`, and run until a signal.

        Raises:
            TrialError: if it cannot start, or one of its processes ends by itself.
        """
        self._task = asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._interrupt)
        for process_left in self._folder.take():
            log.warning("ended what a killed trial had left", process=process_left.name, pid=process_left.pid)
        self._folder.write_state(self._state)
        try:
            async with asyncio.TaskGroup() as group:
                await self._start(group)
                await asyncio.Event().wait()
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        except asyncio.CancelledError:
            pass  # raised by `_interrupt`
        finally:
            await self._stop()

    def _interrupt(self) -> None:
        """End the trial; a second signal kills its processes."""
        if self._task and not self._stopping:
            log.info("stopping")
            self._stopping = True
            self._task.cancel()
        else:
            for child in self._children:
                child.kill()

    async def _start(self, group: asyncio.TaskGroup) -> None:
        started_at = time.monotonic()
        if self._port:
            _ensure_free(self._port)
        log.warning("this is a trial, not for production", data=str(self._folder.path))
        data = self._folder.path
        servers = mongodb(data / "mongodb"), redis(data / "redis")
        for server in servers:
            await self._child(group, server.name, server.command, cwd=data, is_echoed=False)
        for server in servers:
            await _until(server.answers, server.name)
        self._state.mongodb_url, self._state.redis_url = (server.url for server in servers)
        self._folder.write_state(self._state)
        store = await connect(self._state.mongodb_url, mode=self._mode)
        try:
            log_start(self._settings.model_copy(update=self._state.addresses), store)
            report = await migrate(store)
            if not report.clean:
                raise TrialError("The trial's database is not as it must be: " + report.findings[0].detail)
            key = await self._key(store)
            link = await Sessions(store).make_link(cast("Token", Token.read(key)))
        finally:
            await store.close()
        self._port = self._port or free_port()
        url = f"http://{LOOPBACK}:{self._port}"
        await self._program(group, "app", "serve", "--port", str(self._port))
        await self._program(group, "worker", "worker")
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}) as http:
            await _until(lambda: _ready(http), "app")
            if self._demo:
                await create_demo(http)
        self._state.app_url = url
        self._folder.write_state(self._state)
        console = f"{url}/console/sign-in#token={link}"
        log.info("ready", seconds=round(time.monotonic() - started_at, 1), docs=f"{url}/docs")
        log.info("the console, signed in by this link, once within ten minutes", console=console)
        self._on_ready(f"ready url={url} key={key}")
        if _has_desktop():
            await asyncio.to_thread(webbrowser.open, console)

    async def _program(self, group: asyncio.TaskGroup, name: str, *arguments: str) -> None:
        """Start one of Reserva's own commands against the trial's servers.

        It runs in the user's folder but imports nothing from there (`-P`): packages there may have the names of ours.
        """
        command = [sys.executable, "-P", "-m", "app.cli.main", *arguments]
        await self._child(group, name, command, cwd=Path.cwd(), is_echoed=True)

    async def _child(
        self, group: asyncio.TaskGroup, name: str, command: list[str], *, cwd: Path, is_echoed: bool
    ) -> None:
        addresses = {"MONGODB_URL": self._state.mongodb_url or "", "REDIS_URL": self._state.redis_url or ""}
        addresses["RESERVA_MODE"] = self._mode
        env = {name: value for name, value in os.environ.items() if name.removesuffix(FILE) not in addresses}
        env |= addresses | {"PYTHONUNBUFFERED": "1"}
        if not env.get(_LAME_DUCK + FILE):  # no proxy needs to be warned of its end
            env.setdefault(_LAME_DUCK, "0")
        child = await Child.start(name, command, cwd=cwd, env=env, is_echoed=is_echoed)
        self._children.append(child)
        self._state.children.append(child.process)
        self._folder.write_state(self._state)
        group.create_task(child.raise_on_exit())

    async def _key(self, store: Store) -> str:
        """The key of the last start if the database has it; else a new one."""
        stored = self._folder.key
        token = Token.read(stored) if stored else None
        known = await KeyStore(store).find(token.prefix) if token else None
        if token and known and accepts(known, token.secret, store.clock.now()):
            return str(token)
        made = await Keys(store).create(NewKey(name="trial", scopes=["admin"]), by="trial")
        self._folder.write_key(made.token)
        return made.token

    async def _stop(self) -> None:
        """End the children, the app and the worker before the servers that they use."""
        self._stopping = True
        servers, programs = self._children[:2], self._children[2:]
        for generation in (programs, servers):
            await asyncio.gather(*(child.stop(_GRACE_SECONDS) for child in generation))
        self._folder.release()


def _ensure_free(port: int) -> None:
    try:
        ensure_free(LOOPBACK, port)
    except CannotListen as error:
        raise TrialError(str(error)) from error


def _has_desktop() -> bool:
    """Whether a person sits at this terminal, with a desktop on which a browser can open."""
    desktops = (sys.platform == "darwin", os.environ.get("DISPLAY"), os.environ.get("WAYLAND_DISPLAY"))
    return sys.stderr.isatty() and any(desktops)


async def _until(answers: Callable[[], Awaitable[bool]], name: str) -> None:
    """Wait until a server answers; `Child.raise_on_exit` notices the end of its process."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if await answers():
            return
        await asyncio.sleep(_POLL_SECONDS)
    raise TrialError(f"{name} does not answer after {_START_SECONDS:.0f} s.")


async def _ready(http: httpx.AsyncClient) -> bool:
    try:
        return all([(await http.get(path)).is_success for path in ("/healthz", "/readyz")])
    except httpx.TransportError:
        return False

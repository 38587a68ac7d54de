"""Where a benchmark plays: a database of its own, prepared as the product does it, and processes of the app on it."""

import asyncio
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database

from app.migration.migrate import migrate
from app.storage.client import connect
from tests.support.commands import RunningCommand, eventually, reserva, running_command
from tests.support.http_client import create_key
from tests.support.load_client import Client
from tests.support.servers import free_port

LOOP = "STAGED_LOOP"


@dataclass(frozen=True, slots=True)
class App:
    """A started app: its parent process, and a client with a key that may do everything."""

    running: RunningCommand
    client: Client

    @property
    def workers(self) -> list[int]:
        """The process ids that answer requests."""
        parent = self.running.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
        return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


@dataclass(frozen=True, slots=True)
class Stage:
    """A migrated database with a key; `database` reads it without the app."""

    url: str
    token: str
    database: Database[dict[str, Any]]

    @contextmanager
    def app(
        self, workers: int, factory: str | None = None, *, port: int = 0, env: Mapping[str, str] | None = None
    ) -> Iterator[App]:
        """`reserva serve` with so many processes, or with the same settings another factory; ended by SIGTERM."""
        port = port or free_port()
        command = (
            reserva("serve") if factory is None else [sys.executable, "-m", "tests.support.serve_process", factory]
        )
        command += ["--port", str(port), "--workers", str(workers)]
        variables = {
            "MONGODB_URL": self.url,
            "RESERVA_MODE": "auto",
            "RESERVA_MAX_HOLDS": "0",
            "RESERVA_LOG_FORMAT": "json",
        }
        variables["RESERVA_MAX_ANONYMOUS_HOLDS"] = "0"
        variables |= env or {}
        with running_command(command, env=variables) as running:
            for number in range(1, workers + 1):
                running.wait_for_line(f"Started worker-{number}")
            client = Client(port, self.token)
            if not eventually(client.reaches):  # a process says that it has started just before it listens
                raise RuntimeError(f"no process listens on port {port}")
            yield App(running, client)
            if running.process.poll() is None:
                running.end(signal.SIGTERM)


@contextmanager
def staged(database_url: str) -> Iterator[Stage]:
    """Create and prepare a database; dropped afterwards."""
    token = asyncio.run(_prepare(database_url))
    with MongoClient[dict[str, Any]](database_url, tz_aware=True, w="majority", journal=True) as client:
        database = client.get_default_database()
        yield Stage(database_url, token, database)
        client.drop_database(database.name)


async def _prepare(url: str) -> str:
    store = await connect(url)
    try:
        await migrate(store)
        return (await create_key(store, "bench", ("admin",))).token
    finally:
        await store.close()

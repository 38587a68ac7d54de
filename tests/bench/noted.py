"""The app with its database commands noted, so that a benchmark can count them and have their finds explained."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bson import decode_file_iter, encode
from litestar import Litestar
from pymongo import monitoring
from pymongo.database import Database
from typing_extensions import override

from app.main import create as create_product

NOTED = "tests.bench.noted:create"
FILE = "BENCH_NOTES"
_BESIDE = ("hello", "ping", "endSessions", "killSessions")
_HEARTBEATS = ("processes", "deployment", "leases")
"""Collections that a process asks about by itself, whatever is requested."""
_ASKED = ("find", "filter", "sort", "limit")
"""What of a find decides what it reads."""


class Listener(monitoring.CommandListener):
    """Appends each command to a file: its name, its collection, and of a find what it asks for."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    @override
    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Note it."""
        name = event.command_name
        target = event.command[name]
        if name in _BESIDE or target in _HEARTBEATS:
            return
        asked = {part: event.command[part] for part in _ASKED if part in event.command} if name == "find" else {}
        os.write(self._file, encode({"name": name, "collection": str(target), "asked": asked}))

    @override
    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing to note."""

    @override
    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing to note."""


def create() -> Litestar:
    """The product's app, noted."""
    monitoring.register(Listener(os.environ[FILE]))
    return create_product()


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request asked of the database: commands, and by `explain` the keys and documents of its finds."""

    commands: int
    keys: int
    documents: int


class Notes:
    """Reads what the app noted."""

    def __init__(self, path: Path) -> None:
        self.env = {FILE: str(path)}
        self._path = path
        self._read = 0
        path.touch()

    def skip(self) -> None:
        """Forget what was noted until now."""
        self._read = self._path.stat().st_size

    def cost(self, database: Database[dict[str, Any]]) -> Cost:
        """What all requests since the last reading cost."""
        with self._path.open("rb") as notes:
            notes.seek(self._read)
            noted = [*decode_file_iter(notes)]
            self._read = notes.tell()
        finds = [each["asked"] for each in noted if each["asked"] and each["collection"] == "reservations"]
        plans = [database.command({"explain": each, "verbosity": "executionStats"}) for each in finds]
        figures = [plan["executionStats"] for plan in plans]
        keys, documents = (sum(each[name] for each in figures) for name in ("totalKeysExamined", "totalDocsExamined"))
        return Cost(len(noted), keys, documents)


@contextmanager
def noting() -> Iterator[Notes]:
    """Notes of one app."""
    with TemporaryDirectory(prefix="reserva-bench-") as folder:
        yield Notes(Path(folder) / "commands")

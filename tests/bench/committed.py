"""The app with the instants noted at which its transactions were committed."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from tempfile import TemporaryDirectory

from litestar import Litestar
from pymongo import monitoring
from typing_extensions import override

from app.main import create as create_product

COMMITTED = "tests.bench.committed:create"
FILE = "BENCH_COMMITS"
_INSTANT = Struct("d")


class Listener(monitoring.CommandListener):
    """Appends the instant of each commit to a file, by the clock that all processes of a machine share."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    @override
    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Nothing to note."""

    @override
    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Note it."""
        if event.command_name == "commitTransaction":
            os.write(self._file, _INSTANT.pack(time.monotonic()))

    @override
    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing to note."""


def create() -> Litestar:
    """The product's app, noted."""
    monitoring.register(Listener(os.environ[FILE]))
    return create_product()


class Commits:
    """Reads what the app noted."""

    def __init__(self, path: Path) -> None:
        self.env = {FILE: str(path)}
        self._path = path
        path.touch()

    def last(self) -> float:
        """The instant of the last commit, by `time.monotonic`."""
        instant: float = _INSTANT.unpack(self._path.read_bytes()[-_INSTANT.size :])[0]
        return instant


@contextmanager
def noted_commits() -> Iterator[Commits]:
    """The commits of one app."""
    with TemporaryDirectory(prefix="reserva-bench-") as folder:
        yield Commits(Path(folder) / "commits")

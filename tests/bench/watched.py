"""The app with its database commands noted: how many transactions were committed, how many lost, and their steps.

Each process appends a line a command to one file; nothing of the app itself is touched.
"""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from litestar import Litestar
from pymongo import monitoring
from pymongo.monitoring import CommandFailedEvent, CommandStartedEvent, CommandSucceededEvent
from typing_extensions import override

from app.main import create as create_product

_WRITE_CONFLICT = 112


class Listener(monitoring.CommandListener):
    """Notes the commands of transactions: `collection command outcome microseconds`."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._names: dict[int, str] = {}

    @override
    def started(self, event: CommandStartedEvent) -> None:
        """Remember of which collection it is; the later events do not say."""
        if "autocommit" in event.command:
            target = event.command[event.command_name]
            self._names[event.request_id] = f"{target if isinstance(target, str) else '-'} {event.command_name}"

    @override
    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Note it."""
        self._note(event.request_id, "done", event.duration_micros)

    @override
    def failed(self, event: CommandFailedEvent) -> None:
        """Note whether another transaction was first."""
        labels, code = event.failure.get("errorLabels", ()), event.failure.get("code")
        lost = "TransientTransactionError" in labels or code == _WRITE_CONFLICT
        self._note(event.request_id, "lost" if lost else "failed", event.duration_micros)

    def _note(self, request: int, outcome: str, micros: int) -> None:
        name = self._names.pop(request, None)
        if name is not None:
            os.write(self._file, f"{name} {outcome} {micros}\n".encode())


def create() -> Litestar:
    """The product's app, watched."""
    monitoring.register(Listener(os.environ[WATCH_FILE]))
    return create_product()


class Step(NamedTuple):
    """A kind of command within transactions."""

    collection: str
    command: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What transactions did since the last reading: how often each step, and how many microseconds in all."""

    count: Counter[Step]
    micros: Counter[Step]

    @property
    def committed(self) -> int:
        """Transactions that came through."""
        return self.count[Step("-", "commitTransaction", "done")]

    @property
    def lost(self) -> int:
        """Transactions that another one was ahead of."""
        return sum(count for step, count in self.count.items() if step.outcome == "lost")


class Watch:
    """Reads what the processes noted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.env = {WATCH_FILE: str(path)}
        self._read = 0
        path.touch()

    def seen(self) -> Seen:
        """What was noted since the last reading."""
        with self.path.open("rb") as notes:
            notes.seek(self._read)
            new = notes.read()
        self._read += len(new)
        count: Counter[Step] = Counter()
        micros: Counter[Step] = Counter()
        for line in new.decode().splitlines():
            collection, command, outcome, took = line.split()
            step = Step(collection, command, outcome)
            count[step] += 1
            micros[step] += int(took)
        return Seen(count, micros)


WATCHED = "tests.bench.watched:create"


WATCH_FILE = "BENCH_WATCH"

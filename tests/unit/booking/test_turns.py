"""Turns of the processes of one host: who loses most of its batches calls for them, and nobody waits for ever."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.booking import turns as module
from app.booking.turns import Turns

OTHER_PROCESS = """
import sys
from pathlib import Path
from app.booking.turns import ByteLocks
from zlib import crc32

locks, first = ByteLocks(Path(sys.argv[1])), 3 * crc32(b"database")
for line in sys.stdin:
    word, place = line.split()
    if word == "lock":
        print(locks.lock(first + int(place), shared=int(place) == 2), flush=True)
    else:
        locks.unlock(first + int(place))
        print(True, flush=True)
"""
TURN, ENTRY, CALL = range(3)


class OtherProcess:
    """Another process of the host, which locks and unlocks bytes as it is told."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self._child = child

    def lock(self, place: int) -> bool:
        """Lock a byte; whether it was free."""
        return self._ask(f"lock {place}")

    def hold_the_turn(self) -> None:
        """Call for turns, and begin one."""
        assert self.lock(CALL)
        assert self.lock(TURN)

    def unlock(self, place: int) -> None:
        """Unlock a byte."""
        self._ask(f"unlock {place}")

    def _ask(self, line: str) -> bool:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(line, file=self._child.stdin, flush=True)
        return self._child.stdout.readline() == "True\n"


@pytest.fixture
def other(tmp_path: Path) -> Iterator[OtherProcess]:
    """Another process that uses the same folder."""
    with _python(OTHER_PROCESS, str(tmp_path)) as child:
        yield OtherProcess(child)


@contextmanager
def _python(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        yield child


@pytest.fixture
async def begun() -> asyncio.Event:
    """Set when a turn has begun that was waited for."""
    return asyncio.Event()


@pytest.fixture
async def turns(tmp_path: Path, begun: asyncio.Event) -> Turns:
    """The turns of this process."""
    return Turns("database", begun.set, tmp_path)


def lose(turns: Turns, batches: int) -> None:
    """Lose so many batches in a row."""
    for _ in range(batches):
        turns.note(lost=True)


async def test_while_nobody_calls_for_turns_every_batch_starts_at_once(turns: Turns, other: OtherProcess) -> None:
    """Also while another process is in a turn that it has not ended yet."""
    assert other.lock(TURN)

    assert turns.begin()
    turns.end()
    assert turns.begin()


async def test_a_process_waits_for_the_end_of_the_turn_of_another(
    turns: Turns, other: OtherProcess, begun: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If any process calls for turns; then its own turn begins, and the other must wait."""
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 60.0)
    other.hold_the_turn()
    assert not turns.begin()
    assert not turns.begin()

    other.unlock(TURN)
    await begun.wait()

    assert turns.begin()
    assert not other.lock(TURN)
    turns.end()
    assert other.lock(TURN)


async def test_who_waits_is_next(turns: Turns, other: OtherProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process whose turn has ended cannot begin the next one before a process that waits."""
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 60.0)
    other.hold_the_turn()

    assert not turns.begin()

    assert not other.lock(ENTRY)
    turns.close()


async def test_who_loses_most_of_its_batches_calls_for_turns(turns: Turns, other: OtherProcess) -> None:
    """The other process cannot lock the byte alone from then on, and the caller's batches are turns."""
    lose(turns, 3)
    assert turns.begin()
    assert other.lock(TURN)  # there are none yet
    other.unlock(TURN)

    lose(turns, 7)

    assert turns.begin()
    assert not other.lock(TURN)


async def test_a_call_for_turns_ends(turns: Turns, other: OtherProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time the process tries again without."""
    monkeypatch.setattr(module, "CALL_SECONDS", 0.0)
    lose(turns, 10)

    assert turns.begin()

    assert other.lock(TURN)


async def test_a_process_that_does_not_end_its_turn_is_not_waited_for_longer(
    turns: Turns, other: OtherProcess, begun: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is stopped, for example: batches start nevertheless, because turns decide nothing."""
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
    other.hold_the_turn()

    assert turns.begin()
    assert begun.is_set()

    turns.end()
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 60.0)
    assert turns.begin()  # for a while it is not even waited for


async def test_without_the_file_there_are_no_turns(tmp_path: Path, begun: asyncio.Event) -> None:
    """On a file system that is read-only, for example, every batch starts at once."""
    turns = Turns("database", begun.set, tmp_path / "missing")
    lose(turns, 10)

    assert turns.begin()
    turns.end()
    turns.close()


async def test_a_file_that_another_program_has_put_there_is_not_used(tmp_path: Path, begun: asyncio.Event) -> None:
    """Its owner could hold the locks for ever; the folder for temporary files is everybody's."""
    path = tmp_path / f"reserva-{os.geteuid()}.turns"
    os.mkfifo(path)
    turns = Turns("database", begun.set, tmp_path)
    lose(turns, 10)

    assert turns.begin()
    assert turns._locks._file is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
async def test_the_file_of_another_user_is_not_used(tmp_path: Path, begun: asyncio.Event, other: OtherProcess) -> None:
    """Another user of the host cannot slow this process down by taking all turns."""
    other.hold_the_turn()
    os.chown(tmp_path / f"reserva-{os.geteuid()}.turns", 65_534, 65_534)

    assert Turns("database", begun.set, tmp_path).begin()


async def test_where_files_cannot_be_locked_there_are_no_turns(turns: Turns) -> None:
    """Some file systems have no locks: a lock that fails otherwise than because it is taken ends all turns."""
    assert turns.begin()
    file = turns._locks._file
    assert file is not None
    os.close(file)
    lose(turns, 10)

    assert turns.begin()
    assert turns._locks._file is None

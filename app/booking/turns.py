"""Turns of the processes of one host, which otherwise hinder each other where they book on few resources.

Of two transactions that meet on a guard the second one fails, and its process begins again after a back-off. A process
that loses most of its batches that way calls for turns: for a while every process of the host starts its batches in its
turn alone, and gathers what arrives until then. This decides nothing about a booking: turns only save transactions. A
process that cannot use the file takes no turns, and one that has waited for `PATIENCE_SECONDS` goes ahead.

A turn is a lock on one byte of a file, as SQLite's locks are. Who waits for it holds a second byte, the entry, so that
a process whose turn has just ended does not get the next one before it. A shared lock on a third byte calls for turns.
"""

import asyncio
import fcntl
import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from zlib import crc32

import structlog

from app.deadline import call_at

CALL_SECONDS = 2.0
"""How long a call for turns lasts; after that its process tries again without."""
LOST_SHARE = 0.5
"""The share of lost batches, the latest ones counting most, from which on a process calls for turns. Below it they cost
more than they save: with 200 resources two processes lose every third batch, each with its first statement."""
LOST_WEIGHT = 0.1
"""How much the latest batch counts in that share."""
PATIENCE_SECONDS = 0.5
"""For how long a process waits for its turn."""
LOOK_SECONDS = 0.001
"""The time between two looks whether the turn of another process has ended."""

log = structlog.get_logger()


class Turns:
    """The turns of one process on one database; used on the event loop alone.

    Args:
        database: What distinguishes the database from others that processes of the host use.
        on_turn: Called when a turn has begun that had to be waited for.
        folder: The folder of the file; None: that for temporary files.
    """

    def __init__(self, database: str, on_turn: Callable[[], None], folder: Path | None = None) -> None:
        self._on_turn = on_turn
        self._locks = ByteLocks(folder or Path(tempfile.gettempdir()))
        self._turn = 3 * crc32(database.encode())
        self._entry, self._call = self._turn + 1, self._turn + 2
        self._lost_share = 0.0
        self._calls_until: float | None = None
        """Until when this process calls for turns, by the loop's clock; None while it does not."""
        self._patient_until: float | None = None
        """Until when the next turn is waited for; None while none is."""
        self._ignores_calls_until = 0.0
        """Until when no turns are taken, whoever calls for them, because one was waited for in vain."""
        self._has_begun = False

    def note(self, *, lost: bool) -> None:
        """Note the end of a batch: whether it lost a write conflict. What is lost in turns says nothing of others."""
        if self._calls_until is not None:
            return
        self._lost_share += LOST_WEIGHT * (lost - self._lost_share)
        if self._lost_share >= LOST_SHARE and self._locks.lock(self._call, shared=True):
            self._calls_until = asyncio.get_running_loop().time() + CALL_SECONDS

    def begin(self) -> bool:
        """Whether a batch may start; if it is another process's turn, `on_turn` is called once this one's begins."""
        now = asyncio.get_running_loop().time()
        if self._has_begun or now < self._ignores_calls_until:
            return True
        if self._calls_until is not None and now >= self._calls_until:
            self._stop_calling()
        if self._calls_until is None and self._locks.lock(self._call):
            self._locks.unlock(self._call)  # it is free: nobody calls for turns
            return True
        if self._patient_until is None:
            self._patient_until = now + PATIENCE_SECONDS
            self._look(self._patient_until)
        return self._has_begun

    def end(self) -> None:
        """End the turn, if one has begun."""
        if self._has_begun:
            self._has_begun = False
            self._locks.unlock(self._turn)

    def close(self) -> None:
        """Take no turns any more."""
        self._has_begun, self._patient_until, self._calls_until = False, None, None
        self._locks.close()

    def _look(self, patient_until: float) -> None:
        """Begin the turn if that of the other process has ended, else look again in a moment."""
        if self._patient_until != patient_until:
            return
        now = asyncio.get_running_loop().time()
        if not (self._locks.lock(self._entry) and self._locks.lock(self._turn)):
            if now < patient_until:
                call_at(now + LOOK_SECONDS, self._look, patient_until)
                return
            self._stop_calling()  # the other process is stopped, or much slower than this one
            self._ignores_calls_until = now + CALL_SECONDS
        self._locks.unlock(self._entry)
        self._patient_until, self._has_begun = None, True
        self._on_turn()

    def _stop_calling(self) -> None:
        self._calls_until = None
        self._locks.unlock(self._call)


class ByteLocks:
    """Locks on single bytes of a file that the processes of one user on one host share.

    Where the file cannot be used, every lock is free.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"reserva-{os.geteuid()}.turns"
        self._file: int | None = None
        self._is_usable = True
        self._held: set[int] = set()

    def lock(self, place: int, *, shared: bool = False) -> bool:
        """Lock a byte; False while another process has it, unless both share it."""
        if place in self._held or (file := self._opened()) is None:
            return True
        try:
            fcntl.lockf(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):  # POSIX leaves a system the choice between the two
            return False
        except OSError as error:  # the file system has no locks, for example
            self._give_up(str(error))
            return True
        self._held.add(place)
        return True

    def unlock(self, place: int) -> None:
        """Unlock a byte, if this process has it."""
        if place in self._held and self._file is not None:
            self._held.discard(place)
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)

    def close(self) -> None:
        """Close the file, which unlocks all of its bytes; every lock is free from now on."""
        self._held.clear()
        self._is_usable = False
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
            self._file = None

    def _opened(self) -> int | None:
        """The file, opened at its first use; None where it cannot be used."""
        if self._file is None and self._is_usable:
            try:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
                if not _is_own(os.fstat(self._file)):
                    self._give_up("it is another user's, or no regular file")
            except OSError as error:
                self._give_up(str(error))
        return self._file

    def _give_up(self, reason: str) -> None:
        log.warning("the processes of this host take no turns", file=str(self._path), reason=reason)
        self.close()


def _is_own(found: os.stat_result) -> bool:
    """Whether nobody else can hold locks on a file: the folder for temporary files is everybody's."""
    return found.st_uid == os.geteuid() and stat.S_ISREG(found.st_mode)

"""Failures to write standard output and files: a full disk, or a pipe whose reader is gone.

Only the standard library is imported here, so that `reserva --help` answers at once.
"""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from typing import IO

UNWRITABLE = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""The error numbers of a stream that cannot be written."""


def write_failure(what: str, error: OSError) -> str:
    """The message of a failed write: what, and why."""
    return f"{what} cannot be written: {(error.strerror or str(error)).lower()}."


def silence(stream: IO[str]) -> None:
    """Discard the buffer of a stream that cannot be written, so that the process does not fail again when it exits."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        stream.flush()


class SideFile:
    """A file that a command writes besides its result. The first failure ends the writing, and is reported at once.

    Args:
        file: The open file.
        what: Its name in messages, as the beginning of a sentence.
        on_failure: Called once with the reason why nothing more can be written.
    """

    def __init__(self, file: IO[str], what: str, on_failure: Callable[[str], None]) -> None:
        self._file = file
        self._what = what
        self._on_failure = on_failure
        self.failure: str | None = None

    def write(self, text: str) -> None:
        """Write, unless an earlier write failed."""
        self._try(lambda: self._file.write(text))

    def flush(self) -> None:
        """Flush the file, unless an earlier write failed."""
        self._try(self._file.flush)

    def _try(self, step: Callable[[], object]) -> None:
        if self.failure is not None:
            return
        try:
            step()
        except OSError as error:
            self.failure = write_failure(self._what, error)
            silence(self._file)
            self._on_failure(self.failure)

"""What cannot be written: standard output and files on a full disk, or with nobody at the other end of the pipe.

Nothing else is imported here, so that `reserva --help` answers at once.
"""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from typing import IO

UNWRITABLE = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""What the system says then."""


def unwritten(what: str, error: OSError) -> str:
    """That something could not be written, and why."""
    return f"{what} cannot be written: {(error.strerror or str(error)).lower()}."


def silence(stream: IO[str]) -> None:
    """Let what is left in the buffer of a stream that takes nothing go nowhere, so that the process ends calmly."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()


class Beside:
    """A file that is written beside the result. The first failure ends the writing, and is told at once.

    Args:
        file: Where to.
        what: What is in it, as a sentence begins.
        tell: Told why nothing more can be written.
    """

    def __init__(self, file: IO[str], what: str, tell: Callable[[str], None]) -> None:
        self._file = file
        self._what = what
        self._tell = tell
        self.failure: str | None = None

    def write(self, text: str) -> None:
        """Write, if it was possible until now."""
        self._try(lambda: self._file.write(text))

    def flush(self) -> None:
        """Hand over what was written."""
        self._try(self._file.flush)

    def _try(self, step: Callable[[], object]) -> None:
        if self.failure is not None:
            return
        try:
            step()
        except OSError as error:
            self.failure = unwritten(self._what, error)
            silence(self._file)
            self._tell(self.failure)

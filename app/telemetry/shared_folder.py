"""The folder in which the processes of one `reserva serve` count together, and the locks in it.

A lock is held as long as its process lives, however that ends. This module is imported by the process that starts the
others, so it does not import the library of Prometheus.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import structlog

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The variable of Prometheus' library; where it is set, a process counts in files."""

_PREFIX = "reserva-metrics-"
_OWNER = "serve.lock"
_NEW_SECONDS = 60.0
"""A younger folder may be one whose owner has not locked it yet."""

log = structlog.get_logger()


@contextmanager
def shared_folder() -> Generator[None]:
    """A block whose child processes share a folder, which is removed at the end.

    Where there can be none, each process counts for itself.
    """
    remove_abandoned_folders()
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    except OSError as error:
        log.warning("the processes share no metrics; each shows its own", reason=str(error))
        yield
        return
    owner = lock(folder / _OWNER)
    os.environ[FOLDER_VARIABLE] = str(folder)
    try:
        yield
    finally:
        del os.environ[FOLDER_VARIABLE]
        shutil.rmtree(folder, ignore_errors=True)
        if owner is not None:
            os.close(owner)


def remove_abandoned_folders() -> None:
    """Remove the folders whose owners were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime < _NEW_SECONDS:
                continue
            owner = lock(folder / _OWNER)
        except OSError:  # it is another user's, or has just been removed
            continue
        if owner is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(owner)


def lock(path: Path) -> int | None:
    """Lock a file as long as this process lives, or the descriptor is open; None while another process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_free(path: Path) -> bool:
    """Whether no process holds the lock of a file."""
    descriptor = lock(path)
    if descriptor is None:
        return False
    os.close(descriptor)
    return True

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
_NEW_SECONDS = 60.0
"""A younger folder may be one whose owner has not locked it yet."""

log = structlog.get_logger()


@contextmanager
def shared_folder() -> Generator[None]:
    """A block whose child processes share a folder, which is removed at the end.

    Its owner locks the folder itself, so that programs which remove old temporary files leave it alone. Where there can
    be none, each process counts for itself.
    """
    remove_abandoned_folders()
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        owner = lock_folder(folder)
    except OSError as error:
        log_not_shared(error)
        yield
        return
    os.environ[FOLDER_VARIABLE] = str(folder)
    try:
        yield
    finally:
        del os.environ[FOLDER_VARIABLE]
        shutil.rmtree(folder, ignore_errors=True)
        if owner is not None:
            os.close(owner)


def folder_of_processes() -> Path | None:
    """The folder that this process shares; None where there is none, or one that is another program's."""
    folder = Path(os.environ.get(FOLDER_VARIABLE, ""))
    return folder if folder.name.startswith(_PREFIX) else None


def remove_abandoned_folders() -> None:
    """Remove the folders of this user whose owners were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            found = folder.lstat()
            if found.st_uid != os.geteuid() or time.time() - found.st_mtime < _NEW_SECONDS:
                continue
            owner = lock_folder(folder)
        except OSError:  # it has just been removed, or is no folder
            continue
        if owner is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(owner)


def log_not_shared(error: OSError) -> None:
    """Log why a process counts for itself."""
    log.warning("the processes share no metrics; each shows its own", reason=str(error))


def lock(path: Path) -> int | None:
    """Lock a file as long as this process lives, or the descriptor is open; None while another process has it.

    Raises:
        OSError: The file cannot be opened or locked.
    """
    return _locked(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), fcntl.LOCK_EX)


def lock_folder(path: Path) -> int | None:
    """Lock a folder as a file.

    Raises:
        OSError: It cannot be opened or locked, or is none.
    """
    return _locked(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC), fcntl.LOCK_EX)


def is_free(path: Path) -> bool:
    """Whether no process holds the lock of a file; several may ask at once."""
    try:
        descriptor = _locked(os.open(path, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_SH)
    except FileNotFoundError:
        return True
    if descriptor is None:
        return False
    os.close(descriptor)
    return True


def _locked(descriptor: int, kind: int) -> int | None:
    """An open file that is locked; None, and closed, if it cannot be at the moment."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor

"""Failures to reach or use the database, as sentences that say what to check."""

import re
from collections.abc import Generator
from contextlib import contextmanager

from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    InvalidName,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

UNAUTHORIZED = 13
AUTHENTICATION_FAILED = 18

_LONGEST = 500


class StorageError(Exception):
    """The database cannot be used as it is; the message is one for the operator, without a traceback."""


class VersionConflict(Exception):  # noqa: N818 -- an event: another writer was faster
    """A document is not at the version that was read."""


class ValueTaken(Exception):  # noqa: N818 -- an event that its caller answers, no fault
    """Another document has a value that only one may have."""


def shown(url: str) -> str:
    """An address fit for a message: without user, password and options."""
    return re.sub(r"//[^/]*@", "//", url).split("?", 1)[0]


def unusable(url: str, error: Exception, *, given: str = "MONGODB_URL") -> StorageError:
    """Raise what a failed attempt to connect means for the operator; `given` is where the address was set.

    Raises:
        Exception: the given error, if it is none that an operator can mend.
    """
    where = shown(url)
    if isinstance(error, ServerSelectionTimeoutError | ConnectionFailure):
        cause = _without_topology(error)
        return StorageError(
            f"No MongoDB server can be used at {where} ({cause}). "
            f"Check {given}, that the server runs and that its port is reachable from here."
        )
    if isinstance(error, OperationFailure) and error.code == AUTHENTICATION_FAILED:
        return StorageError(f"The server at {where} refuses the user name or the password in {given}.")
    if isinstance(error, OperationFailure) and error.code == UNAUTHORIZED:
        return StorageError(
            f"The user in {given} may not read and write this database of {where} (it needs the role readWrite)."
        )
    if isinstance(error, ConfigurationError | InvalidName | ValueError | TypeError | UserWarning):
        return StorageError(
            f"{given} is not an address of MongoDB: {str(error).rstrip('.')}. "
            "Write it like mongodb://host:27017/reserva."
        )
    if isinstance(error, PyMongoError):
        return StorageError(f"The server at {where} cannot be used: {error}")
    raise error


def failed(error: PyMongoError) -> str:
    """The meaning of a failed operation on an open database, as a sentence of bounded length."""
    reason = _without_topology(error)
    if isinstance(error, BulkWriteError):  # its own text lists every document that was not written
        faults = [*error.details.get("writeErrors", ()), *error.details.get("writeConcernErrors", ())]
        reason = next((str(fault.get("errmsg")) for fault in faults), reason)
    elif isinstance(error, OperationFailure) and error.details:
        reason = str(error.details.get("errmsg", reason))
    reason = reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]}…"
    if isinstance(error, OperationFailure) and error.code == UNAUTHORIZED:
        return f"The user in MONGODB_URL may not do that: {reason}. It needs the role readWrite on this database."
    return f"The database failed: {reason.rstrip('.')}."


def _without_topology(error: PyMongoError) -> str:
    """What happened, without the timeouts of the driver and what it knows of all servers."""
    return re.split(r" \(configured timeouts|, Timeout: ", str(error), maxsplit=1)[0]


@contextmanager
def failures_explained() -> Generator[None]:
    """Turn failures of the driver within the block into `StorageError`.

    Raises:
        StorageError: for a failure of the driver.
    """
    try:
        yield
    except PyMongoError as error:
        raise StorageError(failed(error)) from error

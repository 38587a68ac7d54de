"""Errors of the database that are outages: it cannot be reached or cannot write, and the request may be repeated."""

import re

from pymongo.errors import (
    ConnectionFailure,
    NotPrimaryError,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)

from app.errors import OutcomeUnknown, Problem

_WRITE_SENT = "RetryableWriteError"
"""The driver's mark on the failure of a write that may have arrived."""

_CODES = frozenset(
    {
        14031,  # OutOfDiskSpace
        8000,  # AtlasError, which a full quota is among
        91,  # ShutdownInProgress
        11600,  # InterruptedAtShutdown
        189,  # PrimarySteppedDown
        10107,  # NotWritablePrimary
        13435,  # NotPrimaryNoSecondaryOk
        13436,  # NotPrimaryOrSecondary
        10058,  # LegacyNotPrimary
        11602,  # InterruptedDueToReplStateChange
        133,  # FailedToSatisfyReadPreference
        6,  # HostUnreachable, reported by a router
        7,  # HostNotFound
        89,  # NetworkTimeout
        9001,  # SocketException
    }
)
_INTERNAL = 1
_FULL = re.compile(r"no space left|disk (is )?full|out of disk|space quota|read-only file system", re.IGNORECASE)


def is_outage(error: BaseException) -> bool:
    """Whether the database cannot be reached or cannot write, so that the same request may be repeated."""
    if not isinstance(error, PyMongoError):
        return False
    if isinstance(error, ConnectionFailure) or error.timeout:
        return True
    return not codes_of(error).isdisjoint(_CODES) or _FULL.search(str(error)) is not None


def is_unheard(error: BaseException) -> bool:
    """Whether a command was sent, or may have been, with unknown outcome."""
    if not isinstance(error, PyMongoError):
        return False
    if isinstance(error, ServerSelectionTimeoutError | WaitQueueTimeoutError | NotPrimaryError):
        return False  # it was not sent, or it was answered
    return isinstance(error, ConnectionFailure) or error.timeout


def is_breakdown(error: BaseException) -> bool:
    """Whether the server reports an internal error, which may be due to the command or to an outage."""
    return isinstance(error, PyMongoError) and _INTERNAL in codes_of(error)


def codes_of(error: Exception) -> set[object]:
    """The codes of a driver's error; those of bulk writes and write concerns stand one level below."""
    details = getattr(error, "details", None) or {}
    below = [*details.get("writeErrors", ()), details.get("writeConcernError") or {}]
    return {getattr(error, "code", None), *(each.get("code") for each in below)}


def problem_of(error: PyMongoError) -> Problem | None:
    """The problem that answers a failure of the database; None if the failure is a bug.

    A database that cannot be reached, or cannot write, is neither a bug nor the client's fault.
    """
    if error.has_error_label(_WRITE_SENT) and is_unheard(error):
        problem: Problem = OutcomeUnknown()
    elif is_outage(error) or is_breakdown(error):
        problem = Problem("unavailable", "The database cannot be reached or cannot work; try again in a moment.")
    else:
        return None
    problem.__cause__ = error
    return problem

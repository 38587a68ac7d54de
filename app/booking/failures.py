"""What the failure of a batch means for its intents: it runs again, or which problem they are answered with."""

import structlog
from bson.errors import BSONError
from pymongo.errors import ConnectionFailure, DocumentTooLarge, NetworkTimeout

from app.booking.batch import WriteConflict
from app.booking.idempotency import is_use_of_a_key
from app.booking.intents import AnyIntent
from app.booking.outcomes import overloaded, unreachable
from app.errors import OutcomeUnknown, Problem
from app.outages import is_breakdown, is_outage

log = structlog.get_logger()


def transient_failure(error: Exception) -> WriteConflict | Problem | None:
    """The outcome of a whole batch that failed for a reason of the moment; None for an error that its data may cause.

    A batch whose connection or time failed runs again. A server that answers that it cannot write is not asked again:
    a full disk is not emptied within a deadline.
    """
    if is_use_of_a_key(error):  # which a majority does not have yet, or else the lookup of keys had found it
        return WriteConflict()
    if isinstance(error, ConnectionFailure) and not isinstance(error, NetworkTimeout):
        problem = unreachable()
        problem.__cause__ = error
        return WriteConflict(problem)
    if getattr(error, "timeout", False):
        return WriteConflict(overloaded("The database did not answer in time; nothing was done."))
    return _database_unusable(error) if is_outage(error) else None


def intent_problem(error: Exception) -> Problem:
    """The problem of a single intent whose batch failed with it alone."""
    if isinstance(error, BSONError | OverflowError | DocumentTooLarge):
        return Problem("invalid", f"The database cannot keep this: {error}.")
    if is_breakdown(error):
        return _database_unusable(error)
    log.error("transaction failed", exc_info=error)
    return Problem("internal", "The database refused this for a reason that is not yours; nothing was done.")


def outcome_unknown(intent: AnyIntent) -> OutcomeUnknown:
    """The problem of an intent whose batch is still running at its deadline."""
    return OutcomeUnknown([str(identity) for identity in intent.reservations()], keyed=intent.token is not None)


def _database_unusable(error: Exception) -> Problem:
    """The problem of an intent where the database answers that it cannot work, with a full disk for example."""
    problem = Problem("unavailable", "The database cannot work at the moment; nothing was done.")
    problem.__cause__ = error
    return problem

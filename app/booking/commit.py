"""The commit of a batch, and its outcome where the commit or a write was not answered.

An unanswered commit may have been applied, or may yet be. The proof of the first accepted intent, a query that finds
only what it wrote, is read once the transaction cannot be open any more; until then the outcome is unknown.
"""

from collections.abc import Sequence
from contextlib import suppress

from bson import ObjectId
from pymongo.errors import ConnectionFailure, PyMongoError

from app.booking.batch import Outcome, WriteConflict
from app.booking.idempotency import Replay
from app.booking.intents import AnyIntent
from app.booking.outcomes import Accepted, overloaded
from app.errors import OutcomeUnknown
from app.storage.steps import COMMIT, KILL, Step, Steps


def commit(
    outcomes: dict[ObjectId, Outcome], intents: Sequence[AnyIntent], accepted: Sequence[Accepted[object]], fence: Step
) -> Steps[dict[ObjectId, Outcome]]:
    """Commit; a commit that fails counts as not committed only after a read that does not find its proof.

    A server that is restarted at that moment answers "no such transaction" (251) for a transaction that was committed.

    Raises:
        WriteConflict: nothing was committed, for good.
    """
    try:
        yield COMMIT
    except PyMongoError as error:
        found = yield from _was_committed(accepted[0], fence)
        if found is None:
            return _unknown_outcomes(outcomes, intents)
        if not found:
            raise WriteConflict from error
    return outcomes


def commit_reads() -> Steps[None]:
    """Commit a transaction that wrote nothing that is answered; one that fails may be run again.

    Raises:
        PyMongoError: a majority has not confirmed what was read.
    """
    try:
        yield COMMIT
    except PyMongoError:
        with suppress(PyMongoError):
            yield KILL  # it may have locked guards
        raise


def _was_committed(accepted: Accepted[object], fence: Step) -> Steps[bool | None]:
    """Whether an unanswered transaction was committed, for good; None if that cannot be determined.

    Killing its session ends a transaction that is still open. The plain write that follows waits for whatever has
    locked its document, and its majority acknowledgement means that everything before it has reached a majority as
    well: a read that then finds nothing will never find anything.
    """
    collection, query = accepted.proof
    try:
        yield KILL
        yield fence
        return (yield Step("commit.prove", collection, "find_one", (query,))) is not None
    except PyMongoError:
        return None


def outcomes_after_failed_write(
    outcomes: dict[ObjectId, Outcome], intents: Sequence[AnyIntent], accepted: Accepted[object], error: PyMongoError
) -> Steps[dict[ObjectId, Outcome]]:
    """The outcomes after a failed write without a transaction, which may have been applied nevertheless.

    A duplicate key can be that of the row itself, if the driver repeated the insert.

    Raises:
        PyMongoError: the error, if nothing was written.
    """
    collection, query = accepted.proof
    try:
        if (yield Step("plain.prove", collection, "find_one", (query,))) is not None:
            return outcomes
    except PyMongoError:
        return _unknown_outcomes(outcomes, intents)
    if error.timeout or isinstance(error, ConnectionFailure):
        return _unknown_outcomes(outcomes, intents)
    raise error


def _unknown_outcomes(outcomes: dict[ObjectId, Outcome], intents: Sequence[AnyIntent]) -> dict[ObjectId, Outcome]:
    """The outcomes of a batch of which it is unknown whether it was committed.

    An accepted intent may be booked, and so may an intent that was to get the same answer by its key. A refused intent
    was judged by bookings that may not exist: it is `overloaded`, as nothing was done for it.
    """
    doubtful: dict[str, OutcomeUnknown] = {}
    unknown: dict[ObjectId, Outcome] = {}
    for intent in intents:
        outcome = outcomes[intent.operation]
        if isinstance(outcome, Accepted):
            ids = [str(identity) for identity in outcome.reservation_ids]
            problem = OutcomeUnknown(ids, keyed=intent.token is not None)
            unknown[intent.operation] = problem
            if intent.token:
                doubtful[intent.token.key] = problem
        elif isinstance(outcome, Replay) and intent.token:
            unknown[intent.operation] = doubtful.get(intent.token.key, outcome)
        else:
            unknown[intent.operation] = overloaded("The database did not answer in time; nothing was done.")
    return unknown

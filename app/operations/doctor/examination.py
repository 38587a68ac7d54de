"""The examination: all checks in their order, each with a name and a limit of time."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import pymongo
import structlog
from pydantic import ValidationError
from pymongo.errors import OperationFailure, PyMongoError

from app.operations.doctor.administration import check_keys, check_settings
from app.operations.doctor.background import (
    check_alerts,
    check_events,
    check_queue,
    check_reconciliation,
    check_workers,
)
from app.operations.doctor.observation import Check, Observation, problem, warning
from app.operations.doctor.preparation import (
    check_guards,
    check_indexes,
    check_mode,
    check_plans,
    check_transactions,
)
from app.operations.doctor.servers import check_clocks, check_limits, check_servers, check_versions
from app.operations.doctor.subject import Subject
from app.operations.doctor.webhooks import check_webhooks
from app.outages import is_outage
from app.storage.errors import UNAUTHORIZED, failed

CHECK_SECONDS = 60.0
"""How long one check may wait for the database; the longest reads the ids of the catalogue."""

CHECKS: dict[str, Check] = {
    "servers": check_servers,
    "versions": check_versions,
    "indexes": check_indexes,
    "guards": check_guards,
    "plans": check_plans,
    "transactions": check_transactions,
    "mode": check_mode,
    "clocks": check_clocks,
    "limits": check_limits,
    "workers": check_workers,
    "queue": check_queue,
    "events": check_events,
    "reconciliation": check_reconciliation,
    "alerts": check_alerts,
    "webhooks": check_webhooks,
    "keys": check_keys,
    "settings": check_settings,
}
"""The checks by their names, in the order in which they are made and shown."""


log = structlog.get_logger(__name__)


class Line(NamedTuple):
    """An observation under the name of its check."""

    check: str
    observation: Observation


async def examine(subject: Subject) -> AsyncIterator[Line]:
    """Make all checks. What a check saw before it failed is kept, and the others are made.

    Raises:
        pymongo.errors.PyMongoError: the database does not answer any more.
    """
    for name, check in CHECKS.items():
        observations: list[Observation] = []
        try:
            with pymongo.timeout(CHECK_SECONDS):
                async for observation in check(subject):
                    observations.append(observation)  # noqa: PERF401  # a comprehension would lose them if it fails
        except ValidationError as error:
            fault = error.errors()[0]
            field = ".".join(map(str, fault["loc"]))
            detail = f"A stored {error.title} cannot be read: {field}: {fault['msg']}."
            observations.append(problem(detail, "Another program has changed it; mend or remove the document."))
        except PyMongoError as error:
            if is_outage(error) and not await subject.store.is_answering():
                raise
            observations.append(_unanswered(error))
        except Exception as error:  # the server answered, or a document is, as nobody thought of
            log.exception("a check failed", check=name)
            detail = f"This was not looked at to its end: {type(error).__name__}: {error}."
            observations.append(problem(detail, "Report it, with the lines above; the other checks are complete."))
        for observation in observations:
            yield Line(name, observation)


def _unanswered(error: PyMongoError) -> Observation:
    """What it means that a server which answers did not answer what a check asked."""
    if error.timeout:
        detail = f"MongoDB did not answer within {CHECK_SECONDS:.0f} s. {failed(error)}"
        return problem(detail, "See what it is doing (db.currentOp()) and its log, and look again.")
    if not isinstance(error, OperationFailure):
        return warning(f"This was not looked at to its end. {failed(error)}", "Look again.")
    detail = f"The server refused to be asked. {failed(error)}"
    if error.code == UNAUTHORIZED:
        return warning(detail, "See the rights of the user.")
    return problem(detail, "`reserva migrate --check` may say more.")

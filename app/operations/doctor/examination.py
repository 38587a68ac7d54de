"""The examination: all checks in their order, each with a name and a limit of time."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import pymongo
from pydantic import ValidationError
from pymongo.errors import OperationFailure

from app.operations.doctor.administration import check_keys, check_settings
from app.operations.doctor.background import check_alerts, check_queue, check_reconciliation, check_workers
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
from app.storage.errors import failed

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
    "reconciliation": check_reconciliation,
    "alerts": check_alerts,
    "keys": check_keys,
    "settings": check_settings,
}
"""The checks by their names, in the order in which they are made and shown."""


class Line(NamedTuple):
    """An observation under the name of its check."""

    check: str
    observation: Observation


async def examine(subject: Subject) -> AsyncIterator[Line]:
    """Make all checks.

    Raises:
        pymongo.errors.PyMongoError: the database does not answer any more.
    """
    for name, check in CHECKS.items():
        try:
            with pymongo.timeout(CHECK_SECONDS):
                observations = [each async for each in check(subject)]
        except OperationFailure as error:
            observations = [warning(f"The server refused to be asked. {failed(error)}", "See the rights of the user.")]
        except ValidationError as error:
            detail = f"A stored {error.title} cannot be read: {error.errors()[0]['msg']}."
            observations = [problem(detail, "Another program has changed it; mend or remove the document.")]
        for observation in observations:
            yield Line(name, observation)

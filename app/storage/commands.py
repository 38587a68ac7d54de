"""Steps as the server's own commands.

In a transaction the driver's methods for collections do nothing that is needed here (they retry, choose concerns, and
keep cursors), and cost a third of the time of a statement.
"""

from collections.abc import Callable
from typing import Any, TypeAlias, cast

from pymongo.errors import BulkWriteError
from pymongo.results import UpdateResult

from app.storage.bson_types import BsonDocument
from app.storage.steps import Step

Run: TypeAlias = Callable[[BsonDocument], BsonDocument]
"""Sends a command and hands out its answer, or raises what the server refuses as a whole."""


def perform(step: Step, run: Run) -> Any:
    """Perform a step; its result is that of the driver's method, as far as bodies read it.

    Raises:
        BulkWriteError: the server refused a write, as it does for a duplicate key.
        NotImplementedError: no body has such a step.
    """
    match step.method:
        case "find":
            return _find(step, run)
        case "update_one" | "update_many":
            query, change = step.arguments
            updates = [{"q": query, "u": change, "multi": step.method == "update_many"}]
            return UpdateResult(_write({"update": step.collection, "updates": updates}, run), acknowledged=True)
        case "insert_many":
            [documents] = step.arguments
            return _write({"insert": step.collection, "documents": documents}, run)
        case method:
            raise NotImplementedError(method)


def _find(step: Step, run: Run) -> list[BsonDocument]:
    """All rows of a find."""
    [query] = step.arguments
    cursor = run({"find": step.collection, "filter": query, **step.options})["cursor"]
    rows = cast("list[BsonDocument]", cursor["firstBatch"])
    while cursor["id"]:
        cursor = run({"getMore": cursor["id"], "collection": step.collection})["cursor"]
        rows += cursor["nextBatch"]
    return rows


def _write(command: BsonDocument, run: Run) -> BsonDocument:
    answer = run(command)
    if answer.get("writeErrors"):
        raise BulkWriteError(answer)
    return answer

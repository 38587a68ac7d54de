"""Steps of a transaction as the server's own commands.

In a transaction the driver's methods for collections do nothing that is needed here (they retry, choose concerns, and
keep cursors), and cost a third of the time of a statement.
"""

from typing import Any

from pymongo.errors import BulkWriteError
from pymongo.results import UpdateResult

from app.storage.bson_types import BsonDocument
from app.storage.held_connection import HeldConnection
from app.storage.steps import Step

ROWS_PER_ANSWER = 10_000
"""Rows of a find that the server is to send in one answer, as far as they fit into it."""


def perform(step: Step, connection: HeldConnection) -> Any:
    """Perform a step in the transaction of a connection; its result is that of the driver's method.

    Raises:
        BulkWriteError: the server refused a write, as it does for a duplicate key.
        ValueError: no body has such a step within its transaction.
    """
    match step.method:
        case "find":
            return _find(step, connection)
        case "update_one" | "update_many":
            query, change = step.arguments
            updates = [{"q": query, "u": change, "multi": step.method == "update_many"}]
            return UpdateResult(_write({"update": step.collection, "updates": updates}, connection), acknowledged=True)
        case "insert_many":
            [documents] = step.arguments
            return _write({"insert": step.collection, "documents": documents}, connection)
        case "delete_many":
            [query] = step.arguments
            return _write({"delete": step.collection, "deletes": [{"q": query, "limit": 0}]}, connection)
        case method:
            raise ValueError(f"a transaction has no step {method!r}")


def _find(step: Step, connection: HeldConnection) -> list[BsonDocument]:
    """All rows of a find; if there are more than one answer holds, they are read anew along a cursor."""
    [query] = step.arguments
    command: BsonDocument = {"find": step.collection, "filter": query, **step.options, "batchSize": ROWS_PER_ANSWER}
    if "sort" in command:  # the driver's method takes pairs, the command a document
        command["sort"] = dict(command["sort"])
    cursor = connection.command(command)["cursor"]
    if cursor["id"]:
        return connection.rows(command)
    rows: list[BsonDocument] = cursor["firstBatch"]
    return rows


def _write(command: BsonDocument, connection: HeldConnection) -> BsonDocument:
    answer = connection.command(command)
    if answer.get("writeErrors"):
        raise BulkWriteError(answer)
    return answer

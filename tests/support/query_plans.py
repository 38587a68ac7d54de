"""How a server answers a command: its filters, and whether an index finds them."""

from collections.abc import Iterator
from typing import Any

from app.storage.capabilities import stages_of
from app.storage.client import Store


def filters_of(command: Any) -> Iterator[dict[str, Any]]:
    """The filters by which a command reads or writes."""
    if "find" in command:
        yield command["filter"]
    for each in [*command.get("updates", ()), *command.get("deletes", ())]:
        yield each["q"]
    if "findAndModify" in command:
        yield command["query"]
    if "count" in command or "distinct" in command:
        yield command["query"]
    for stage in command.get("pipeline", ())[:1]:
        yield stage["$match"]


async def uses_index(store: Store, collection: str, where: dict[str, Any]) -> bool:
    """Whether a filter is answered without a scan.

    PyPI's SecantusDB explains a scan where it takes the first of several conditions that has an index, `_id` too.
    """
    some = [where] if store.shape == "or" else [where, *({name: value} for name, value in where.items())]
    for each in some:
        asked = {"explain": {"find": collection, "filter": each}, "verbosity": "queryPlanner"}
        plan = (await store.database.command(asked))["queryPlanner"]["winningPlan"]
        if "COLLSCAN" not in set(stages_of(plan)):
            return True
    return False

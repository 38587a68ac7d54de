"""What is shown beside findings: their reservations as they are now, and the names of customers and resources.

Each is read for a whole page at once. The rows may be of others, so they are decoded whatever is in them.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.reconciliation.findings.listing import SHOWN_RESERVATIONS
from app.storage.capacities import Limits
from app.storage.client import Store
from app.storage.documents import Finding
from app.storage.row_reader import FIELDS
from app.storage.values import forms, identity, row_key

_RESERVATION = dict.fromkeys((*FIELDS, "customer", "createdAt", "key"), 1)
_RESOURCE = {"name": 1, "capacityMode": 1}
_BATCH = 2_000
"""Rows that are decoded at a stretch, a few milliseconds; others get their turn in between."""
_PORTION = 100
"""Ids a find on PyPI's SecantusDB, which compares each row with each of them: 20,000 would keep it busy for minutes."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was read beside some findings.

    Attributes:
        reservations: The rows, by the key of their ids; what is gone is not among them.
        customers: Their names, by their ids as text.
        resources: The same of resources.
        by_guest: The resources on which guests are counted.
    """

    reservations: Mapping[Hashable, Mapping[str, Any]]
    customers: Mapping[str, str]
    resources: Mapping[str, str]
    by_guest: frozenset[str]


async def surroundings(store: Store, findings: Sequence[Finding]) -> Surroundings:
    """Read what is shown beside these findings."""
    wanted = {row_key(each): each for finding in findings for each in finding.reservations[:SHOWN_RESERVATIONS]}
    rows = await _rows(store, "reservations", wanted.values(), _RESERVATION)
    customers = {known for row in rows if (known := identity(row.get("customer"))) is not None}
    named = await _rows(store, "customers", _forms(customers), {"name": 1})
    resources = await _rows(store, "resources", _forms({finding.resource for finding in findings}), _RESOURCE)
    limits = Limits()
    for row in resources:
        limits.learn(row)
    return Surroundings(
        {row_key(row["_id"]): row for row in rows},
        _names(named),
        _names(resources),
        frozenset(limits.by_guest),
    )


async def _rows(store: Store, collection: str, ids: Iterable[Any], fields: dict[str, int]) -> list[dict[str, Any]]:
    those = [*ids]
    portion = _BATCH if store.shape == "or" else _PORTION
    found: list[dict[str, Any]] = []
    for first in range(0, len(those), portion):
        where = {"_id": {"$in": those[first : first + portion]}}
        found += await store.lenient(collection).find(where, fields, batch_size=_BATCH).to_list(None)
    return found


def _forms(ids: Iterable[str]) -> list[Any]:
    return [form for each in ids for form in forms(each)]


def _names(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The names that are texts; an id of ours goes before the same one in another form."""
    ordered = sorted(rows, key=lambda row: isinstance(row["_id"], str))
    return {str(identity(row["_id"])): row["name"] for row in ordered if isinstance(row.get("name"), str)}

"""The context of shown findings: their reservations as they are now, and the names of customers and resources.

Each is read for a whole page at once. Other programs may have written the rows, so they are decoded whatever is in
them.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from app.storage.bson_types import Row
from app.storage.capacities import Limits
from app.storage.client import Store
from app.storage.documents import Customer, Finding, Reservation, Resource
from app.storage.finding_pages import SHOWN_RESERVATIONS
from app.storage.row_reader import FIELDS
from app.storage.rows_by_id import rows_by_id
from app.storage.values import forms, identity, row_key

_RESERVATION: Mapping[str, int] = dict.fromkeys((*FIELDS, "customer", "createdAt", "key"), 1)
_RESOURCE = {"name": 1, "capacityMode": 1}


@dataclass(frozen=True, slots=True)
class FindingsContext:
    """Rows and names that belong to some findings.

    Attributes:
        reservations: The rows, by the key of their ids; without those that no longer exist.
        customers: Names of customers, by their ids as text.
        resources: Names of resources, by their ids as text.
        by_guest: The resources on which guests are counted.
    """

    reservations: Mapping[Hashable, Mapping[str, object]]
    customers: Mapping[str, str]
    resources: Mapping[str, str]
    by_guest: frozenset[str]


async def read_context(store: Store, findings: Sequence[Finding]) -> FindingsContext:
    """Read the context of these findings."""
    wanted = {row_key(each): each for finding in findings for each in finding.reservations[:SHOWN_RESERVATIONS]}
    rows = await rows_by_id(store, Reservation, wanted.values(), _RESERVATION)
    customers = {known for row in rows if (known := identity(row.get("customer"))) is not None}
    named = await rows_by_id(store, Customer, _forms(customers), {"name": 1})
    resources = await rows_by_id(store, Resource, _forms({finding.resource for finding in findings}), _RESOURCE)
    limits = Limits()
    for row in resources:
        limits.learn(row)
    return FindingsContext(
        {row_key(row["_id"]): row for row in rows},
        _names(named),
        _names(resources),
        frozenset(limits.by_guest),
    )


def _forms(ids: Iterable[str]) -> list[object]:
    return [form for each in ids for form in forms(each)]


def _names(rows: Iterable[Row]) -> dict[str, str]:
    """The names that are texts; an id that is a text takes precedence over the same id in another form.

    The name of a customer that was erased is empty, and counts as none.
    """
    ordered = sorted(rows, key=lambda row: isinstance(row["_id"], str))
    return {str(identity(row["_id"])): name for row in ordered if isinstance(name := row.get("name"), str) and name}

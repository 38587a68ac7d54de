"""Merge patches of stored reservations."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from app.domain import metadata
from app.errors import invalid_field
from app.storage.documents import Reservation

Patch: TypeAlias = Mapping[str, Any]
"""A merge patch of a reservation, by the stored names of its fields; None unsets a field."""

DETAIL_FIELDS = frozenset({"notes", "metadata"})
"""The fields that can be changed even of a final reservation."""


def patched(stored: Reservation, patch: Patch) -> Reservation:
    """The reservation with a merge patch applied; metadata merges by key.

    Raises:
        Problem: `invalid` where the metadata would have too many keys.
    """
    row = stored.to_mongo()
    for name, value in patch.items():
        if name == "metadata" and value is not None:
            merged = metadata.merged(row.get(name), value)
            if len(merged) > metadata.KEYS_MAX:
                raise invalid_field(
                    "metadata", f"Metadata has at most {metadata.KEYS_MAX} keys, with those that are there."
                )
            value = merged or None  # noqa: PLW2901  # empty metadata is unset
        if value is None:
            row.pop(name, None)
        else:
            row[name] = value
    if stored.customer is not None and row.get("customer") != stored.customer:
        row["formerCustomers"] = sorted({*(stored.former_customers or ()), stored.customer})
    after: Reservation = Reservation.model_validate(row)
    return after

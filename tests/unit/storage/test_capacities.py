"""Capacities of resources, whichever program wrote them."""

from itertools import permutations
from typing import Any

from bson import ObjectId

from app.storage.capacities import Limits

OID = ObjectId("6b045bb9d61c1aa0be9c5d21")


def test_the_capacity_that_bookings_are_checked_against_counts() -> None:
    """Of two resources with the same id in two forms the one with the text: in whatever order they are read."""
    ours: dict[str, Any] = {"_id": str(OID), "capacity": 1, "capacityMode": "reservations"}
    past = {"until": 4_000_000_000, "capacity": 9}
    theirs: dict[str, Any] = {"_id": OID, "quantity": 5, "capacityMode": "per-guest", "formerCapacities": [past]}
    other: dict[str, Any] = {"_id": 7, "quantity": 2}

    for rows in permutations([ours, theirs, other]):
        limits = Limits()
        for row in rows:
            limits.learn(row)

        assert (limits.capacities, limits.former, limits.by_guest) == ({"7": 2}, {}, set())


def test_without_it_the_other_one_counts() -> None:
    """A resource of others alone."""
    limits = Limits()
    row: dict[str, Any] = {"_id": OID, "quantity": 5, "capacityMode": "per-guest"}
    limits.learn(row)

    assert (limits.capacities, limits.by_guest) == ({str(OID): 5}, {str(OID)})

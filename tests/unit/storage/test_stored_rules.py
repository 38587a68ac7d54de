"""The rules of stored resources and services."""

from typing import Any

import pytest

from app.storage.stored_rules import resource_rules_of, service_rules_of

STAMPS: dict[str, Any] = {"version": 1, "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize("odd", [7, [{"text": "rich"}], {"a": object()}, "x" * 5_000])
def test_what_describes_an_object_decides_nothing(odd: object) -> None:
    """Whatever another program has stored as a description or as metadata, bookings go on."""
    described = {"_id": "a", "name": "A", "description": odd, "metadata": odd, **STAMPS}

    assert resource_rules_of(described).capacity == 1
    assert service_rules_of(described | {"durationType": "fixed", "durationMinutes": 5}).active

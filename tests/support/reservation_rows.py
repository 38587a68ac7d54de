"""Reservations as rows of the database, for tests and benchmarks that write them past all checks."""

from datetime import datetime
from typing import Any

from bson import ObjectId


def reservation_row(resource: str, start: datetime, end: datetime, **fields: Any) -> dict[str, Any]:
    """A confirmed reservation without buffers; `fields` are added, or replace its own, by their stored names."""
    row = {
        "_id": ObjectId(),
        "resource": resource,
        "status": "confirmed",
        "startTime": start,
        "endTime": end,
        "blockStart": start,
        "blockEnd": end,
        "guests": 1,
        "units": 1,
        "version": 1,
    }
    return row | fields

"""Times to book that never meet: slot after slot on every resource, and rooms to book them in."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.load_client import Call, Client

FIRST = datetime(2030, 1, 1, tzinfo=UTC)
LENGTH = timedelta(minutes=45)
"""Neighbours touch, and with a reach of an hour a lookup reads the occupant before, as in production."""
BOOKINGS = "/v1/reservations"


def start_of(slot: int) -> datetime:
    """When a slot begins; it ends where the next one begins."""
    return FIRST + slot * LENGTH


def booking(resource: str, slot: int = 0, *, key: str | None = None, **more: Any) -> Call:
    """The wish for one slot."""
    start, end = (start_of(each).isoformat() for each in (slot, slot + 1))
    return Call(BOOKINGS, {"resource": resource, "startTime": start, "endTime": end, **more}, key)


def make_rooms(client: Client, prefix: str, count: int, capacity: int = 1, **more: Any) -> list[str]:
    """Resources with the ids `prefix-0`, `prefix-1` and so on."""
    rooms = [f"{prefix}-{number}" for number in range(count)]
    calls = [Call("/v1/resources", {"id": room, "name": room, "capacity": capacity, **more}) for room in rooms]
    require(201, client.in_flow(calls, width=8))
    return rooms


def require(status: int, answers: Sequence[Any]) -> None:
    """Stop a benchmark whose preparation failed; its figures would mean nothing."""
    for answer in answers:
        if answer.status != status:
            raise RuntimeError(f"expected {status}, got {answer.status}: {answer.content.decode()}")

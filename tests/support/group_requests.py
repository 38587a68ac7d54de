"""Groups and moves over HTTP."""

from typing import Any

import httpx

from tests.support.api_client import ApiClient, booking_body

GROUPS, MOVES = "/v1/groups", "/v1/moves"


async def post_group(api: ApiClient, *members: dict[str, Any], key: str | None = None, **fields: Any) -> httpx.Response:
    """Request a group of the given members, by default of one: the room at nine."""
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"reservations": [*members] or [booking_body()], **fields}
    return await api.request("POST", GROUPS, json=body, headers=headers)


async def post_moves(api: ApiClient, *moves: dict[str, Any], key: str | None = None, **fields: Any) -> httpx.Response:
    """Request a move of the given members."""
    headers = {} if key is None else {"Idempotency-Key": key}
    return await api.request("POST", MOVES, json={"moves": [*moves], **fields}, headers=headers)


def move_of(known: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A move of a reservation as it was read."""
    return {"reservation": known["id"], "version": known["version"]} | fields

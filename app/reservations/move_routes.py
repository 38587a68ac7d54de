"""`/v1/moves`."""

from collections.abc import Sequence

from litestar import Response, Router
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.status_codes import HTTP_200_OK

from app.access.routes import caller_of, needs
from app.booking import Replay
from app.http.answers import stored_response
from app.http.json_response import JsonResponse
from app.http.openapi import problems
from app.http.request import Request
from app.http.request_checks import REPLAYED_KEY
from app.http.routing import post
from app.reservations.idempotency import RenderedAnswer, rendered, token_of
from app.reservations.move_schemas import MovedReservations, NewMoves
from app.reservations.moves import Moves
from app.reservations.rendering import ShownMoves, shown_as_stored
from app.storage.documents import Reservation

_MOVE = problems(
    "conflict",
    "too-late",
    "hold-expired",
    "forbidden-transition",
    "stale",
    "rule",
    "local-time",
    "idempotency-mismatch",
    "strict-only",
    body=True,
    members=True,
)


@post(
    "/moves",
    guards=[needs("reservations:write")],
    responses=_MOVE,
    opt=REPLAYED_KEY,
    status_code=HTTP_200_OK,
    operation_id="createMoves",
    tags=["Groups"],
)
async def create_moves(
    request: Request,
    data: JSONBody[NewMoves],
    moves: NamedDependency[Moves],
) -> Response[MovedReservations]:
    """Move several reservations at once, all or none.

    They are judged by the final state of all, so two can swap, and fourteen can leave a closed day. Each names the
    `version` that was read. With `resource` `any` one gets a free resource of its service's pool. A refusal lists
    `members` as that of a group does, by their index among the moves.
    More than one needs a database server with transactions.
    """
    caller = caller_of(request)
    token = await token_of(request, caller, _rendered_moves, own_document=True)
    moved = await moves.move(data, caller, token)
    if isinstance(moved, Replay):
        return stored_response(moved.answer, replayed=True)
    return JsonResponse(_moved(moved).to_json())


def _moved(reservations: Sequence[Reservation]) -> ShownMoves:
    return ShownMoves(shown_as_stored(reservations))


def _rendered_moves(reservations: Sequence[Reservation]) -> RenderedAnswer:
    return rendered(_moved(reservations), None, None, status=HTTP_200_OK)


router = Router("/v1", route_handlers=[create_moves])
"""Moves on the wire."""

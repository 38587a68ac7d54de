"""`/v1/groups`."""

from collections.abc import Sequence
from typing import Any

from litestar import Controller, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from app.access.routes import caller_of, needs
from app.booking import Replay
from app.http.answers import stored_response, versioned
from app.http.openapi import problems
from app.http.request import Request
from app.http.request_checks import HARMLESS_KEY, KEPT_KEY, IdempotencyKeyHeader
from app.reservations.group_schemas import GroupAnswer, NewGroup, shown_group
from app.reservations.groups import Group, Groups
from app.reservations.idempotency import Rendered, rendered, token_of
from app.reservations.schemas import Transition, shown, shown_made
from app.storage.documents import Reservation

_WRITE = ("overloaded", "outcome-unknown", "strict-only")
_BOOK = problems("conflict", "hold-limit", "rule", "idempotency-mismatch", *_WRITE, body=True)
_CONFIRM = problems("not-found", "hold-expired", "forbidden-transition", *_WRITE, body=True)
_CANCEL = problems("not-found", "forbidden-transition", "too-late", *_WRITE, body=True)
_VERB: dict[str, Any] = {"guards": [needs("reservations:write")], "opt": HARMLESS_KEY, "status_code": HTTP_200_OK}


class GroupRoutes(Controller):
    """Reservations that were booked together."""

    path = "/groups"
    tags = ("Groups",)

    @post(guards=[needs("reservations:write")], responses=_BOOK, opt=KEPT_KEY, operation_id="bookGroup")
    async def book(
        self,
        request: Request,
        data: JSONBody[NewGroup],
        groups: NamedDependency[Groups],
        key: IdempotencyKeyHeader = None,
    ) -> Response[Any]:
        """Book several times or resources, all or none: 201, or each member that is in the way of it.

        Members see each other: two of them cannot have the same place. `/problems/conflict` if capacity is all that
        is missing, else `/problems/rule`; `members` lists `{index, conflicts?, checks}` as a single refusal has them.
        More than one member needs a database server with transactions. `version` and ETag count the changes of all.
        """
        del key  # declared for the description; it is part of the token
        caller = caller_of(request)
        token = await token_of(request, caller, _rendered_group, apart=True)
        made = await groups.book(data, caller, token)
        if isinstance(made, Replay):
            return stored_response(made.answer, replayed=True)
        answer = _made(made)
        return versioned(answer, answer.version, status=HTTP_201_CREATED, location=_location(answer))

    @get(
        "/{identity:str}",
        guards=[needs("reservations:read")],
        responses=problems("not-found"),
        operation_id="readGroup",
    )
    async def read(
        self, request: Request, identity: FromPath[str], groups: NamedDependency[Groups]
    ) -> Response[GroupAnswer]:
        """Read a group: its reservations as they are now.

        A key that is bound to a customer sees a group if all of its members are that customer's.
        """
        group = await groups.read(identity, caller_of(request))
        now = groups.store.clock.now()
        if any(shown(each, now).status != each.status for each in group.reservations):
            request.answer_anew()
        return _answer(group, groups)

    @post("/{identity:str}/confirm", responses=_CONFIRM, operation_id="confirmGroup", **_VERB)
    async def confirm(
        self,
        request: Request,
        identity: FromPath[str],
        groups: NamedDependency[Groups],
        data: JSONBody[Transition | None] = None,
    ) -> Response[GroupAnswer]:
        """Make all members firm, or none.

        What was cancelled or has taken place stays as it is; if one of the holds has expired, none is confirmed.
        Without `reservations:admin` holds of services with `approval` become requests, as they do alone.
        """
        return _answer(await groups.confirm(identity, caller_of(request), _reason(data)), groups)

    @post("/{identity:str}/cancel", responses=_CANCEL, operation_id="cancelGroup", **_VERB)
    async def cancel(
        self,
        request: Request,
        identity: FromPath[str],
        groups: NamedDependency[Groups],
        data: JSONBody[Transition | None] = None,
    ) -> Response[GroupAnswer]:
        """Give back the times of all members that have not ended, or of none; repeating it is harmless."""
        return _answer(await groups.cancel(identity, caller_of(request), _reason(data)), groups)


def _answer(group: Group, groups: Groups) -> Response[GroupAnswer]:
    now = groups.store.clock.now()
    answer = shown_group(group.id, [shown(each, now) for each in group.reservations])
    return versioned(answer, answer.version)


def _made(reservations: Sequence[Reservation]) -> GroupAnswer:
    return shown_group(reservations[0].group, shown_made(reservations))


def _rendered_group(reservations: Sequence[Reservation]) -> Rendered:
    answer = _made(reservations)
    return rendered(answer, _location(answer), answer.version)


def _location(answer: GroupAnswer) -> str:
    return f"/v1/groups/{answer.id}"


def _reason(data: Transition | None) -> str | None:
    return data.reason if data else None


router = Router("/v1", route_handlers=[GroupRoutes])

"""`/v1/groups`."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from litestar import Controller, Response, Router
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from app.access.routes import caller_of, needs
from app.booking import Replay
from app.caller import Caller
from app.http.answers import stored_response, versioned
from app.http.openapi import problems
from app.http.request import Request
from app.http.request_checks import HARMLESS_KEY, REPLAYED_KEY
from app.http.routing import get, post
from app.reservations.group_schemas import GroupAnswer, NewGroup
from app.reservations.groups import Group, Groups
from app.reservations.idempotency import RenderedAnswer, rendered, token_of
from app.reservations.rendering import ShownGroup, shown, shown_as_stored
from app.reservations.schemas import StatusChange, reason_of
from app.storage.documents import Reservation

_CREATE = problems(
    "conflict", "hold-limit", "rule", "local-time", "idempotency-mismatch", "strict-only", body=True, members=True
)
_CONFIRM = problems("not-found", "hold-expired", "forbidden-transition", "strict-only", body=True, members=True)
_CANCEL = problems("not-found", "forbidden-transition", "too-late", "strict-only", body=True, members=True)


class GroupInPath(NamedTuple):
    """The group in the path of a request, the service that changes it, and the caller."""

    groups: Groups
    identity: str
    caller: Caller


def _group_in_path(request: Request, group_id: FromPath[str], groups: NamedDependency[Groups]) -> GroupInPath:
    return GroupInPath(groups, group_id, caller_of(request))


_VERB: dict[str, Any] = {
    "guards": [needs("reservations:write")],
    "opt": HARMLESS_KEY,
    "status_code": HTTP_200_OK,
    "dependencies": {"group": Provide(_group_in_path, sync_to_thread=False)},
}


class GroupRoutes(Controller):
    """Reservations that were booked together."""

    path = "/groups"
    tags = ("Groups",)

    @post(guards=[needs("reservations:write")], responses=_CREATE, opt=REPLAYED_KEY, operation_id="createGroup")
    async def create(
        self,
        request: Request,
        data: JSONBody[NewGroup],
        groups: NamedDependency[Groups],
    ) -> Response[GroupAnswer]:
        """Create a group of reservations, all or none.

        Members are judged together, so two of them cannot take the same place. A refusal is `/problems/conflict` if
        only capacity fails, else `/problems/rule`; `members` lists `{index, conflicts?, checks}` as a single refusal
        has them. More than one member needs a database server with transactions. `version` and ETag count the changes
        of all.
        """
        caller = caller_of(request)
        token = await token_of(request, caller, _rendered_group, own_document=True)
        made = await groups.book(data, caller, token)
        if isinstance(made, Replay):
            return stored_response(made.answer, replayed=True)
        answer = _made(made)
        return versioned(answer, answer.version, status=HTTP_201_CREATED, location=_location(answer))

    @get(
        "/{group_id:str}",
        guards=[needs("reservations:read")],
        responses=problems("not-found"),
        operation_id="getGroup",
    )
    async def read(
        self, request: Request, group_id: FromPath[str], groups: NamedDependency[Groups]
    ) -> Response[GroupAnswer]:
        """Get a group with its reservations as they are now.

        A key that is bound to a customer sees a group if all of its members are that customer's.
        """
        group = await groups.read(group_id, caller_of(request))
        now = groups.store.clock.now()
        if any(shown(each, now).changed_by_time for each in group.reservations):
            request.mark_changeable()
        return _answer(group, groups)

    @post("/{group_id:str}/confirm", responses=_CONFIRM, operation_id="confirmGroup", **_VERB)
    async def confirm(
        self, group: NamedDependency[GroupInPath], data: JSONBody[StatusChange | None] = None
    ) -> Response[GroupAnswer]:
        """Confirm all members of a group, or none.

        Members that have ended stay as they are; if one of the holds has expired, no member is confirmed.
        Without `reservations:admin`, holds of services with `approval` become requests, as single ones do.
        """
        groups, identity, caller = group
        return _answer(await groups.confirm(identity, caller, reason_of(data)), groups)

    @post("/{group_id:str}/cancel", responses=_CANCEL, operation_id="cancelGroup", **_VERB)
    async def cancel(
        self, group: NamedDependency[GroupInPath], data: JSONBody[StatusChange | None] = None
    ) -> Response[GroupAnswer]:
        """Cancel all members of a group that have not ended, or none.

        Repeating it is harmless.
        """
        groups, identity, caller = group
        return _answer(await groups.cancel(identity, caller, reason_of(data)), groups)


def _answer(group: Group, groups: Groups) -> Response[GroupAnswer]:
    now = groups.store.clock.now()
    answer = ShownGroup.of(group.id, [shown(each, now) for each in group.reservations])
    return versioned(answer, answer.version)


def _made(reservations: Sequence[Reservation]) -> ShownGroup:
    return ShownGroup.of(reservations[0].group, shown_as_stored(reservations))


def _rendered_group(reservations: Sequence[Reservation]) -> RenderedAnswer:
    answer = _made(reservations)
    return rendered(answer, _location(answer), answer.version)


def _location(answer: ShownGroup) -> str:
    return f"/v1/groups/{answer.id}"


router = Router("/v1", route_handlers=[GroupRoutes])

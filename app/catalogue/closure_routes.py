"""`/v1/closures`."""

from litestar import Controller, Response, Router
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_204_NO_CONTENT

from app.access.routes import any_key, caller_of, needs
from app.catalogue.closure_schemas import ClosureAnswer, ClosurePatch, NewClosure
from app.catalogue.closures import ClosureEdits
from app.catalogue.routes import GET, LIST, UPDATE, Force, made, shown, unseen_fields
from app.catalogue.service import Catalogue
from app.http.answers import built
from app.http.etags import IfMatch, IfMatchHeader, OptionalIfMatchHeader
from app.http.openapi import problems
from app.http.paging import LIMIT, CursorParameter, LimitParameter, Page, cursor_id, id_mark
from app.http.request import Request
from app.http.routing import delete, get, patch, post
from app.storage.documents import Closure


class ClosureRoutes(Controller):
    """Times at which many resources cannot be booked, each by one entry."""

    path = "/closures"
    tags = ("Closures",)

    @post(
        operation_id="createClosure",
        guards=[needs("catalogue:write")],
        responses=problems("exists", "stranded-bookings", body=True),
    )
    async def create(
        self,
        request: Request,
        data: JSONBody[NewClosure],
        closures: NamedDependency[ClosureEdits],
        *,
        force: Force = False,
    ) -> Response[ClosureAnswer]:
        """Create a closure.

        It closes the resources that it names and those that offer one of its `services`; all, those made later too, if
        it names neither. Local dates are those of each resource's own time zone. If bookings of any of them lie in it,
        it is refused with a list of them, unless it is forced. There are at most 1,000.
        """
        closure = await closures.add(data, caller_of(request), force=force)
        return made("/v1/closures", ClosureAnswer.model_validate(closure))

    @get(operation_id="listClosures", guards=[any_key()], responses=LIST)
    async def find(
        self,
        request: Request,
        catalogue: NamedDependency[Catalogue],
        limit: LimitParameter = LIMIT,
        cursor: CursorParameter = None,
    ) -> Response[Page[ClosureAnswer]]:
        """List closures.

        By id, past ones too.
        """
        found = await catalogue.page(Closure, limit + 1, cursor_id(cursor), without=unseen_fields(request))
        parts = sum(1 + len(each.history) + len(each.resources or ()) + len(each.services or ()) for each in found)
        return await built(request, lambda: Page[ClosureAnswer].of(found, limit, id_mark), parts=parts)

    @get("/{closure_id:str}", operation_id="getClosure", guards=[any_key()], responses=GET)
    async def read(
        self, closure_id: FromPath[str], request: Request, catalogue: NamedDependency[Catalogue]
    ) -> Response[ClosureAnswer]:
        """Get a closure.

        A change needs its `ETag` in `If-Match`.
        """
        found = await catalogue.read(Closure, closure_id, without=unseen_fields(request))
        return shown(ClosureAnswer.model_validate(found))

    @patch(
        "/{closure_id:str}",
        operation_id="updateClosure",
        guards=[needs("catalogue:write")],
        responses=problems(*UPDATE, "stranded-bookings", body=True),
    )
    async def update(
        self,
        closure_id: FromPath[str],
        request: Request,
        data: JSONBody[ClosurePatch],
        closures: NamedDependency[ClosureEdits],
        if_match: IfMatchHeader = None,
        *,
        force: Force = False,
    ) -> Response[ClosureAnswer]:
        """Update a closure.

        If bookings lie in what it closes beyond what it closed, the edit is refused with a list of them, unless it is
        forced.
        """
        matching = IfMatch.read(if_match)
        edited = await closures.edit(closure_id, data, matching, caller_of(request), force=force)
        return shown(ClosureAnswer.model_validate(edited))

    @delete(
        "/{closure_id:str}",
        operation_id="deleteClosure",
        guards=[needs("catalogue:write")],
        responses=problems("not-found", "stale", "overloaded", "outcome-unknown"),
    )
    async def remove(
        self,
        closure_id: FromPath[str],
        closures: NamedDependency[ClosureEdits],
        if_match: OptionalIfMatchHeader = None,
    ) -> Response[None]:
        """Delete a closure.

        What it closed can be booked from then on, as far as schedules and times off allow.
        """
        await closures.remove(closure_id, IfMatch.read_optional(if_match))
        return Response(None, status_code=HTTP_204_NO_CONTENT)


router = Router("/v1", route_handlers=[ClosureRoutes])

"""`/v1/resources/{id}/schedule` and `/v1/resources/{id}/time-off`."""

import msgspec
from litestar import Controller, Response, Router
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_204_NO_CONTENT

from app.access.routes import any_key, caller_of, needs
from app.catalogue.routes import Force
from app.catalogue.schedule_schemas import NewSchedule, NewTimeOff, ScheduleAnswer, TimeOffAnswer
from app.catalogue.schedules import add_time_off, remove_time_off, replace_schedule, time_off_of, times_off_after
from app.catalogue.service import Catalogue
from app.domain.ids import ResourceId
from app.http.answers import versioned
from app.http.etags import IfMatch, IfMatchHeader, OptionalIfMatchHeader, etag
from app.http.json_response import JsonResponse
from app.http.openapi import problems
from app.http.paging import LIMIT, CursorParameter, LimitParameter, Page, cursor_id, id_mark, split_page
from app.http.request import Request
from app.http.routing import delete, get, post, put
from app.storage.bson_types import BsonDocument
from app.storage.documents import Resource, TimeOff
from app.storage.values import shown_text

_GET = problems("not-found")
_ETAG = [ResponseHeader("ETag", description="The version of the resource, for `If-Match`.", documentation_only=True)]


class ScheduleRoutes(Controller):
    """When a resource is open. Its schedule and its times off share its version."""

    path = "/resources/{resource_id:str}"
    tags = ("Resources",)
    response_headers = _ETAG

    @get("/schedule", operation_id="getResourceSchedule", guards=[any_key()], responses=_GET)
    async def read_schedule(
        self, resource_id: FromPath[ResourceId], catalogue: NamedDependency[Catalogue]
    ) -> Response[ScheduleAnswer]:
        """Get the schedule of a resource.

        As it was requested; its `ETag` is that of the resource.
        """
        return _schedule_of(await catalogue.read_schedule(resource_id))

    @put(
        "/schedule",
        operation_id="replaceResourceSchedule",
        guards=[needs("catalogue:write")],
        responses=problems("not-found", "stale", "precondition-required", "stranded-bookings", body=True),
    )
    async def replace_schedule(
        self,
        resource_id: FromPath[ResourceId],
        request: Request,
        data: JSONBody[NewSchedule],
        catalogue: NamedDependency[Catalogue],
        if_match: IfMatchHeader = None,
        *,
        force: Force = False,
    ) -> Response[ScheduleAnswer]:
        """Replace the schedule of a resource.

        `{}` opens it always. At most 48 windows start on a day, and 3,660 dates have an override. If bookings would lie
        outside, the edit is refused with a list of them, unless it is forced.
        """
        matching = IfMatch.read(if_match)
        caller = caller_of(request)
        return _schedule_of(await replace_schedule(catalogue, resource_id, data, matching, caller, force=force))

    @get("/time-off", operation_id="listTimeOff", guards=[any_key()], responses=_GET)
    async def find_time_off(
        self,
        resource_id: FromPath[ResourceId],
        request: Request,
        catalogue: NamedDependency[Catalogue],
        limit: LimitParameter = LIMIT,
        cursor: CursorParameter = None,
    ) -> Response[Page[TimeOffAnswer]]:
        """List the times off of a resource.

        By id, which is the order in which they were added.
        """
        resource = await catalogue.read(Resource, resource_id, without=["schedule"])
        found, following = split_page(times_off_after(resource, cursor_id(cursor)), limit, id_mark)
        items = [_time_off(off, request) for off in found]
        return versioned(Page[TimeOffAnswer](items=items, next=following), resource.version)

    @post(
        "/time-off",
        operation_id="createTimeOff",
        guards=[needs("catalogue:write")],
        responses=problems("not-found", "stale", "stranded-bookings", body=True),
    )
    async def create_time_off(
        self,
        resource_id: FromPath[ResourceId],
        request: Request,
        data: JSONBody[NewTimeOff],
        catalogue: NamedDependency[Catalogue],
        if_match: OptionalIfMatchHeader = None,
        *,
        force: Force = False,
    ) -> Response[TimeOffAnswer]:
        """Create a time off of a resource.

        Between two local dates or two instants; `to` is excluded. A resource has at most 1,000. If there are bookings
        at that time, the edit is refused with a list of them, unless it is forced.
        """
        matching = IfMatch.read_optional(if_match)
        version, off = await add_time_off(catalogue, resource_id, data, matching, caller_of(request), force=force)
        location = f"/v1/resources/{resource_id}/time-off/{off.id}"
        return versioned(_time_off(off, request), version, status=201, location=location)

    @get("/time-off/{time_off_id:str}", operation_id="getTimeOff", guards=[any_key()], responses=_GET)
    async def read_time_off(
        self,
        resource_id: FromPath[ResourceId],
        time_off_id: FromPath[str],
        request: Request,
        catalogue: NamedDependency[Catalogue],
    ) -> Response[TimeOffAnswer]:
        """Get a time off of a resource.

        Dates as requested, instants in UTC.
        """
        resource = await catalogue.read(Resource, resource_id, without=["schedule"])
        return versioned(_time_off(time_off_of(resource, time_off_id), request), resource.version)

    @delete(
        "/time-off/{time_off_id:str}",
        operation_id="deleteTimeOff",
        guards=[needs("catalogue:write")],
        responses=problems("not-found", "stale", "overloaded", "outcome-unknown"),
    )
    async def delete_time_off(
        self,
        resource_id: FromPath[ResourceId],
        time_off_id: FromPath[str],
        request: Request,
        catalogue: NamedDependency[Catalogue],
        if_match: OptionalIfMatchHeader = None,
    ) -> Response[None]:
        """Delete a time off of a resource.

        From then on only its schedule decides when it is open.
        """
        matching = IfMatch.read_optional(if_match)
        version = await remove_time_off(catalogue, resource_id, time_off_id, matching, caller_of(request))
        return Response(None, status_code=HTTP_204_NO_CONTENT, headers={"ETag": etag(version)})


def _schedule_of(stored: tuple[BsonDocument, int]) -> Response[ScheduleAnswer]:
    """A schedule as it is stored, with its resource's version: a model for each of its windows would hold the loop."""
    schedule, version = stored
    body = msgspec.json.encode(schedule, enc_hook=shown_text)  # values of other programs are shown as text
    return JsonResponse(body, headers={"ETag": etag(version)})


def _time_off(off: TimeOff, request: Request) -> TimeOffAnswer:
    answer = TimeOffAnswer.model_validate(off)
    return answer if caller_of(request).may("catalogue:write") else answer.model_copy(update={"reason": None})


router = Router("/v1", route_handlers=[ScheduleRoutes])

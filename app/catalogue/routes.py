"""`/v1/resources` with their schedules and times off, `/v1/services`, `/v1/customers`."""

from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
from litestar import Controller, MediaType, Response, Router, delete, get, patch, post, put
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.status_codes import HTTP_204_NO_CONTENT

from app.access.routes import any_key, caller_of, needs
from app.catalogue.schedule_schemas import NewSchedule, NewTimeOff, ScheduleAnswer, TimeOffAnswer
from app.catalogue.schedules import add_time_off, remove_time_off, replace_schedule, time_off_of, times_off_after
from app.catalogue.schemas import (
    CatalogueAnswer,
    CustomerAnswer,
    CustomerPatch,
    NewCustomer,
    NewResource,
    NewService,
    ResourceAnswer,
    ResourcePatch,
    ServiceAnswer,
    ServicePatch,
)
from app.catalogue.service import Catalogue
from app.errors import Problem, not_found
from app.http.answers import versioned
from app.http.etags import IfMatch, IfMatchHeader, OptionalIfMatchHeader, etag
from app.http.openapi import ProblemNames, problems
from app.http.paging import LIMIT, CursorParameter, LimitParameter, Page, read_cursor, split_page
from app.http.request import Request
from app.storage.documents import CatalogueObject, Customer, Resource, Service, TimeOff
from app.storage.stored_catalogue import HOURS_FIELDS
from app.storage.values import shown_text

A = TypeVar("A", bound=CatalogueAnswer)

_ADD = problems("exists", body=True)
_LIST = problems()
_READ = problems("not-found")
_EDITED: ProblemNames = ("not-found", "stale", "precondition-required")
_WRITE_PATH: ProblemNames = ("overloaded", "outcome-unknown")
_ETAG = [ResponseHeader("ETag", description="The version of the resource, for `If-Match`.", documentation_only=True)]

Force: TypeAlias = Annotated[
    bool, QueryParameter(description="Edit even if bookings lose their room or break a rule by it; they stay.")
]
ExternalId: TypeAlias = Annotated[str | None, QueryParameter(name="externalId", description="Your own system's id.")]


def _after(cursor: str | None) -> str | None:
    return None if cursor is None else str(read_cursor(cursor, str)[0])


def _mark(item: CatalogueObject) -> tuple[str]:
    return (item.id,)


def _shown(answer: A) -> Response[A]:
    return versioned(answer, answer.version)


def _made(path: str, answer: A) -> Response[A]:
    return versioned(answer, answer.version, status=201, location=f"{path}/{answer.id}")


class Resources(Controller):
    """What can be booked."""

    path = "/resources"
    tags = ("Resources",)

    @post(operation_id="createResource", guards=[needs("catalogue:write")], responses=_ADD)
    async def create(
        self, data: JSONBody[NewResource], catalogue: NamedDependency[Catalogue]
    ) -> Response[ResourceAnswer]:
        """Create a resource.

        It has an id of its own if none is given.
        """
        return _made("/v1/resources", ResourceAnswer.model_validate(await catalogue.add_resource(data)))

    @get(operation_id="listResources", guards=[any_key()], responses=_LIST)
    async def find(
        self, catalogue: NamedDependency[Catalogue], limit: LimitParameter = LIMIT, cursor: CursorParameter = None
    ) -> Page[ResourceAnswer]:
        """List resources.

        By id.
        """
        return Page[ResourceAnswer].of(await catalogue.page(Resource, limit + 1, _after(cursor)), limit, _mark)

    @get("/{resource_id:str}", operation_id="getResource", guards=[any_key()], responses=_READ)
    async def read(self, resource_id: FromPath[str], catalogue: NamedDependency[Catalogue]) -> Response[ResourceAnswer]:
        """Get a resource.

        Its `ETag` is what a change needs.
        """
        return _shown(ResourceAnswer.model_validate(await catalogue.read(Resource, resource_id, without=HOURS_FIELDS)))

    @patch(
        "/{resource_id:str}",
        operation_id="updateResource",
        guards=[needs("catalogue:write")],
        responses=problems(*_EDITED, "stranded-bookings", *_WRITE_PATH, body=True),
    )
    async def update(
        self,
        resource_id: FromPath[str],
        request: Request,
        data: JSONBody[ResourcePatch],
        catalogue: NamedDependency[Catalogue],
        if_match: IfMatchHeader = None,
        *,
        force: Force = False,
    ) -> Response[ResourceAnswer]:
        """Update a resource.

        Bookings that would lose their room or break a rule by it are listed instead, unless it is forced.
        """
        edited = await catalogue.edit_resource(
            resource_id, data, IfMatch.read(if_match), caller_of(request), force=force
        )
        return _shown(ResourceAnswer.model_validate(edited))


class Hours(Controller):
    """When a resource is there. Its schedule and its times off share its version."""

    path = "/resources/{resource_id:str}"
    tags = ("Resources",)
    response_headers = _ETAG

    @get("/schedule", operation_id="getResourceSchedule", guards=[any_key()], responses=_READ)
    async def read_schedule(
        self, resource_id: FromPath[str], catalogue: NamedDependency[Catalogue]
    ) -> Response[ScheduleAnswer]:
        """Get the schedule of a resource.

        As it was given; its `ETag` is that of the resource.
        """
        return _schedule_of(await catalogue.read_schedule(resource_id))

    @put(
        "/schedule",
        operation_id="replaceResourceSchedule",
        guards=[needs("catalogue:write")],
        responses=problems(*_EDITED, "stranded-bookings", *_WRITE_PATH, body=True),
    )
    async def replace_schedule(
        self,
        resource_id: FromPath[str],
        request: Request,
        data: JSONBody[NewSchedule],
        catalogue: NamedDependency[Catalogue],
        if_match: IfMatchHeader = None,
        *,
        force: Force = False,
    ) -> Response[ScheduleAnswer]:
        """Replace the schedule of a resource.

        `{}` opens it always. At most 48 windows start on a day, and 3,660 dates have an override. Bookings that would
        lie outside are listed instead, unless it is forced.
        """
        matching = IfMatch.read(if_match)
        caller = caller_of(request)
        return _schedule_of(await replace_schedule(catalogue, resource_id, data, matching, caller, force=force))

    @get("/time-off", operation_id="listTimeOff", guards=[any_key()], responses=_READ)
    async def find_time_off(
        self,
        resource_id: FromPath[str],
        request: Request,
        catalogue: NamedDependency[Catalogue],
        limit: LimitParameter = LIMIT,
        cursor: CursorParameter = None,
    ) -> Response[Page[TimeOffAnswer]]:
        """List the times off of a resource.

        By id, which is the order in which they were added.
        """
        resource = await catalogue.read(Resource, resource_id, without=["schedule"])
        found, following = split_page(times_off_after(resource, _after(cursor)), limit, lambda off: (off.id,))
        items = [_time_off(off, request) for off in found]
        return versioned(Page[TimeOffAnswer](items=items, next=following), resource.version)

    @post(
        "/time-off",
        operation_id="createTimeOff",
        guards=[needs("catalogue:write")],
        responses=problems("not-found", "stale", "stranded-bookings", *_WRITE_PATH, body=True),
    )
    async def create_time_off(
        self,
        resource_id: FromPath[str],
        request: Request,
        data: JSONBody[NewTimeOff],
        catalogue: NamedDependency[Catalogue],
        if_match: OptionalIfMatchHeader = None,
        *,
        force: Force = False,
    ) -> Response[TimeOffAnswer]:
        """Create a time off of a resource.

        Between two local dates or two instants; `to` is excluded. A resource has at most 1,000. Bookings at that time
        are listed instead, unless it is forced.
        """
        matching = IfMatch.read_optional(if_match)
        version, off = await add_time_off(catalogue, resource_id, data, matching, caller_of(request), force=force)
        location = f"/v1/resources/{resource_id}/time-off/{off.id}"
        return versioned(_time_off(off, request), version, status=201, location=location)

    @get("/time-off/{time_off_id:str}", operation_id="getTimeOff", guards=[any_key()], responses=_READ)
    async def read_time_off(
        self,
        resource_id: FromPath[str],
        time_off_id: FromPath[str],
        request: Request,
        catalogue: NamedDependency[Catalogue],
    ) -> Response[TimeOffAnswer]:
        """Get a time off of a resource.

        Dates as they were given, instants in UTC.
        """
        resource = await catalogue.read(Resource, resource_id, without=["schedule"])
        return versioned(_time_off(time_off_of(resource, time_off_id), request), resource.version)

    @delete(
        "/time-off/{time_off_id:str}",
        operation_id="deleteTimeOff",
        guards=[needs("catalogue:write")],
        responses=problems("not-found", "stale", *_WRITE_PATH),
    )
    async def delete_time_off(
        self,
        resource_id: FromPath[str],
        time_off_id: FromPath[str],
        request: Request,
        catalogue: NamedDependency[Catalogue],
        if_match: OptionalIfMatchHeader = None,
    ) -> Response[None]:
        """Delete a time off of a resource.

        From then on its schedule alone says when it is open.
        """
        matching = IfMatch.read_optional(if_match)
        version = await remove_time_off(catalogue, resource_id, time_off_id, matching, caller_of(request))
        return Response(None, status_code=HTTP_204_NO_CONTENT, headers={"ETag": etag(version)})


def _schedule_of(stored: tuple[dict[str, Any], int]) -> Response[ScheduleAnswer]:
    """A schedule as it is stored, with its resource's version: a model for each of its windows would hold the loop."""
    schedule, version = stored
    written: Any = msgspec.json.encode(schedule, enc_hook=shown_text)  # what others wrote is shown as text
    return Response(written, headers={"ETag": etag(version)}, media_type=MediaType.JSON)


def _time_off(off: TimeOff, request: Request) -> TimeOffAnswer:
    answer = TimeOffAnswer.model_validate(off)
    return answer if caller_of(request).may("catalogue:write") else answer.model_copy(update={"reason": None})


class Services(Controller):
    """What can be done with resources."""

    path = "/services"
    tags = ("Services",)

    @post(operation_id="createService", guards=[needs("catalogue:write")], responses=_ADD)
    async def create(
        self, data: JSONBody[NewService], catalogue: NamedDependency[Catalogue]
    ) -> Response[ServiceAnswer]:
        """Create a service.

        It has an id of its own if none is given.
        """
        return _made("/v1/services", ServiceAnswer.model_validate(await catalogue.add_service(data)))

    @get(operation_id="listServices", guards=[any_key()], responses=_LIST)
    async def find(
        self, catalogue: NamedDependency[Catalogue], limit: LimitParameter = LIMIT, cursor: CursorParameter = None
    ) -> Page[ServiceAnswer]:
        """List services.

        By id.
        """
        return Page[ServiceAnswer].of(await catalogue.page(Service, limit + 1, _after(cursor)), limit, _mark)

    @get("/{service_id:str}", operation_id="getService", guards=[any_key()], responses=_READ)
    async def read(self, service_id: FromPath[str], catalogue: NamedDependency[Catalogue]) -> Response[ServiceAnswer]:
        """Get a service.

        Its `ETag` is what a change needs.
        """
        return _shown(ServiceAnswer.model_validate(await catalogue.read(Service, service_id)))

    @patch(
        "/{service_id:str}",
        operation_id="updateService",
        guards=[needs("catalogue:write")],
        responses=problems(*_EDITED, *_WRITE_PATH, body=True),
    )
    async def update(
        self,
        service_id: FromPath[str],
        request: Request,
        data: JSONBody[ServicePatch],
        catalogue: NamedDependency[Catalogue],
        if_match: IfMatchHeader = None,
    ) -> Response[ServiceAnswer]:
        """Update a service.

        What is booked keeps its times and buffers.
        """
        edited = await catalogue.edit_service(service_id, data, IfMatch.read(if_match), caller_of(request))
        return _shown(ServiceAnswer.model_validate(edited))


class Customers(Controller):
    """Who books. A key that is bound to a customer reads that one alone and changes none."""

    path = "/customers"
    tags = ("Customers",)

    @post(operation_id="createCustomer", guards=[needs("reservations:write")], responses=_ADD)
    async def create(
        self, request: Request, data: JSONBody[NewCustomer], catalogue: NamedDependency[Catalogue]
    ) -> Response[CustomerAnswer]:
        """Create a customer.

        It has an id of its own if none is given.
        """
        _require_unbound(request)
        return _made("/v1/customers", CustomerAnswer.model_validate(await catalogue.add_customer(data)))

    @get(operation_id="listCustomers", guards=[needs("reservations:read")], responses=_LIST)
    async def find(
        self,
        request: Request,
        catalogue: NamedDependency[Catalogue],
        limit: LimitParameter = LIMIT,
        cursor: CursorParameter = None,
        external_id: ExternalId = None,
    ) -> Page[CustomerAnswer]:
        """List customers.

        By id.
        """
        bound = caller_of(request).customer
        query = {} if external_id is None else {"externalId": external_id}
        found = await catalogue.page(Customer, limit + 1, _after(cursor), query, only=bound)
        return Page[CustomerAnswer].of(found, limit, _mark)

    @get("/{customer_id:str}", operation_id="getCustomer", guards=[needs("reservations:read")], responses=_READ)
    async def read(
        self, customer_id: FromPath[str], request: Request, catalogue: NamedDependency[Catalogue]
    ) -> Response[CustomerAnswer]:
        """Get a customer.

        Its `ETag` is what a change needs.
        """
        _require_sight(request, customer_id)
        return _shown(CustomerAnswer.model_validate(await catalogue.read(Customer, customer_id)))

    @patch(
        "/{customer_id:str}",
        operation_id="updateCustomer",
        guards=[needs("reservations:write")],
        responses=problems(*_EDITED, body=True),
    )
    async def update(
        self,
        customer_id: FromPath[str],
        request: Request,
        data: JSONBody[CustomerPatch],
        catalogue: NamedDependency[Catalogue],
        if_match: IfMatchHeader = None,
    ) -> Response[CustomerAnswer]:
        """Update a customer.

        What is left out stays as it is.
        """
        _require_sight(request, customer_id)
        _require_unbound(request)
        return _shown(
            CustomerAnswer.model_validate(await catalogue.edit_customer(customer_id, data, IfMatch.read(if_match)))
        )


def _require_sight(request: Request, customer_id: str) -> None:
    if not caller_of(request).sees(customer_id):
        raise not_found("customer", customer_id)


def _require_unbound(request: Request) -> None:
    if caller_of(request).customer is not None:
        raise Problem("forbidden", "A key that is bound to a customer books for it, but adds and edits no customers.")


router = Router("/v1", route_handlers=[Resources, Hours, Services, Customers])

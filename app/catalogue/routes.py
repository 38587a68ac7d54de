"""`/v1/resources`, `/v1/services`."""

from collections.abc import Callable, Sequence
from typing import Annotated, TypeAlias, TypeVar

from litestar import Controller, Response, Router
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from app.access.routes import any_key, caller_of, needs
from app.catalogue.schemas import (
    CatalogueAnswer,
    NewResource,
    NewService,
    ResourceAnswer,
    ResourcePatch,
    ServiceAnswer,
    ServicePatch,
)
from app.catalogue.service import Catalogue
from app.domain.ids import ResourceId, ServiceId
from app.http.answers import built, versioned
from app.http.etags import IfMatch, IfMatchHeader
from app.http.openapi import ProblemNames, problems
from app.http.paging import LIMIT, CursorParameter, LimitParameter, Page, cursor_id, id_mark
from app.http.parameters import check_filter_values
from app.http.request import Request
from app.http.routing import get, patch, post
from app.storage.catalogue import with_active, with_any
from app.storage.documents import Resource, Service
from app.storage.stored_catalogue import HOURS_FIELDS, LONG_FIELDS

A = TypeVar("A", bound=CatalogueAnswer)

CREATE = problems("exists", body=True)
LIST = problems()
GET = problems("not-found")
UPDATE: ProblemNames = ("not-found", "stale", "precondition-required")

Force: TypeAlias = Annotated[
    bool, QueryParameter(description="Edit even if bookings lose their place or break a rule by it; they stay.")
]
ServiceFilter: TypeAlias = Annotated[
    list[ServiceId] | None, QueryParameter(name="service", description="That offer one of these services; repeatable.")
]
ActiveFilter: TypeAlias = Annotated[
    bool | None, QueryParameter(description="Only those that can be booked anew, or only the others.")
]


class Resources(Controller):
    """What can be booked."""

    path = "/resources"
    tags = ("Resources",)

    @post(operation_id="createResource", guards=[needs("catalogue:write")], responses=CREATE)
    async def create(
        self, request: Request, data: JSONBody[NewResource], catalogue: NamedDependency[Catalogue]
    ) -> Response[ResourceAnswer]:
        """Create a resource.

        Its id is generated if none is given.
        """
        added = await catalogue.add_resource(data, caller_of(request))
        return made("/v1/resources", ResourceAnswer.model_validate(added))

    @get(operation_id="listResources", guards=[any_key()], responses=LIST)
    async def find(
        self,
        request: Request,
        catalogue: NamedDependency[Catalogue],
        limit: LimitParameter = LIMIT,
        cursor: CursorParameter = None,
        services: ServiceFilter = None,
        active: ActiveFilter = None,
    ) -> Response[Page[ResourceAnswer]]:
        """List resources.

        By id.
        """
        check_filter_values(service=services)
        without, query = unseen_fields(request), with_any("services", services) | with_active(active=active)
        found = await catalogue.page(Resource, limit + 1, cursor_id(cursor), query, without=without)
        return await _listed(request, found, lambda: Page[ResourceAnswer].of(found, limit, id_mark))

    @get("/{resource_id:str}", operation_id="getResource", guards=[any_key()], responses=GET)
    async def read(
        self, resource_id: FromPath[ResourceId], request: Request, catalogue: NamedDependency[Catalogue]
    ) -> Response[ResourceAnswer]:
        """Get a resource.

        A change needs its `ETag` in `If-Match`.
        """
        found = await catalogue.read(Resource, resource_id, without=unseen_fields(request))
        return shown(ResourceAnswer.model_validate(found))

    @patch(
        "/{resource_id:str}",
        operation_id="updateResource",
        guards=[needs("catalogue:write")],
        responses=problems(*UPDATE, "stranded-bookings", body=True),
    )
    async def update(
        self,
        resource_id: FromPath[ResourceId],
        request: Request,
        data: JSONBody[ResourcePatch],
        catalogue: NamedDependency[Catalogue],
        if_match: IfMatchHeader = None,
        *,
        force: Force = False,
    ) -> Response[ResourceAnswer]:
        """Update a resource.

        If bookings would lose their place or break a rule, the edit is refused with a list of them, unless it is
        forced.
        """
        edited = await catalogue.edit_resource(
            resource_id, data, IfMatch.read(if_match), caller_of(request), force=force
        )
        return shown(ResourceAnswer.model_validate(edited))


class Services(Controller):
    """What can be done with resources."""

    path = "/services"
    tags = ("Services",)

    @post(operation_id="createService", guards=[needs("catalogue:write")], responses=CREATE)
    async def create(
        self, request: Request, data: JSONBody[NewService], catalogue: NamedDependency[Catalogue]
    ) -> Response[ServiceAnswer]:
        """Create a service.

        Its id is generated if none is given.
        """
        added = await catalogue.add_service(data, caller_of(request))
        return made("/v1/services", ServiceAnswer.model_validate(added))

    @get(operation_id="listServices", guards=[any_key()], responses=LIST)
    async def find(
        self,
        request: Request,
        catalogue: NamedDependency[Catalogue],
        limit: LimitParameter = LIMIT,
        cursor: CursorParameter = None,
        active: ActiveFilter = None,
    ) -> Response[Page[ServiceAnswer]]:
        """List services.

        By id.
        """
        without = unseen_fields(request)
        found = await catalogue.page(Service, limit + 1, cursor_id(cursor), with_active(active=active), without=without)
        return await _listed(request, found, lambda: Page[ServiceAnswer].of(found, limit, id_mark))

    @get("/{service_id:str}", operation_id="getService", guards=[any_key()], responses=GET)
    async def read(
        self, service_id: FromPath[ServiceId], request: Request, catalogue: NamedDependency[Catalogue]
    ) -> Response[ServiceAnswer]:
        """Get a service.

        A change needs its `ETag` in `If-Match`.
        """
        found = await catalogue.read(Service, service_id, without=unseen_fields(request))
        return shown(ServiceAnswer.model_validate(found))

    @patch(
        "/{service_id:str}",
        operation_id="updateService",
        guards=[needs("catalogue:write")],
        responses=problems(*UPDATE, body=True),
    )
    async def update(
        self,
        service_id: FromPath[ServiceId],
        request: Request,
        data: JSONBody[ServicePatch],
        catalogue: NamedDependency[Catalogue],
        if_match: IfMatchHeader = None,
    ) -> Response[ServiceAnswer]:
        """Update a service.

        Existing reservations keep their times and buffers.
        """
        edited = await catalogue.edit_service(service_id, data, IfMatch.read(if_match), caller_of(request))
        return shown(ServiceAnswer.model_validate(edited))


def unseen_fields(request: Request) -> frozenset[str]:
    """The stored fields that the caller does not see: the key of a customer need not know who edits the catalogue."""
    return HOURS_FIELDS if caller_of(request).customer is None else LONG_FIELDS


async def _listed(
    request: Request, found: Sequence[Resource | Service], build: Callable[[], Page[A]]
) -> Response[Page[A]]:
    return await built(request, build, parts=sum(1 + len(each.history) for each in found))


def shown(answer: A) -> Response[A]:
    """An object, with its version as the tag."""
    return versioned(answer, answer.version)


def made(path: str, answer: A) -> Response[A]:
    """A new object, with its address below the path."""
    return versioned(answer, answer.version, status=201, location=f"{path}/{answer.id}")


router = Router("/v1", route_handlers=[Resources, Services])

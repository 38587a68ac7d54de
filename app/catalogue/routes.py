"""`/v1/resources`, `/v1/services`, `/v1/customers`."""

from collections.abc import Callable, Sequence
from typing import Annotated, TypeAlias, TypeVar

from litestar import Controller, Response, Router
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from app.access.routes import any_key, caller_of, needs
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
from app.domain.ids import ResourceId, ServiceId
from app.errors import Problem, not_found
from app.http.answers import built, versioned
from app.http.etags import IfMatch, IfMatchHeader
from app.http.openapi import ProblemNames, problems
from app.http.paging import LIMIT, CursorParameter, LimitParameter, Page, cursor_id, id_mark
from app.http.parameters import check_filter_values
from app.http.request import Request
from app.http.routing import get, patch, post
from app.storage.catalogue import with_active, with_any
from app.storage.documents import Customer, Resource, Service
from app.storage.stored_catalogue import HOURS_FIELDS, LONG_FIELDS

A = TypeVar("A", bound=CatalogueAnswer)

_CREATE = problems("exists", body=True)
_LIST = problems()
_GET = problems("not-found")
_UPDATE: ProblemNames = ("not-found", "stale", "precondition-required")

Force: TypeAlias = Annotated[
    bool, QueryParameter(description="Edit even if bookings lose their place or break a rule by it; they stay.")
]
ServiceFilter: TypeAlias = Annotated[
    list[ServiceId] | None, QueryParameter(name="service", description="That offer one of these services; repeatable.")
]
ActiveFilter: TypeAlias = Annotated[
    bool | None, QueryParameter(description="Only those that can be booked anew, or only the others.")
]
ExternalIdFilter: TypeAlias = Annotated[
    list[str] | None,
    QueryParameter(name="externalId", description="With one of these ids of your own system; repeatable."),
]
EmailFilter: TypeAlias = Annotated[
    list[str] | None,
    QueryParameter(name="email", description="With one of these addresses, written exactly so; repeatable."),
]


class Resources(Controller):
    """What can be booked."""

    path = "/resources"
    tags = ("Resources",)

    @post(operation_id="createResource", guards=[needs("catalogue:write")], responses=_CREATE)
    async def create(
        self, request: Request, data: JSONBody[NewResource], catalogue: NamedDependency[Catalogue]
    ) -> Response[ResourceAnswer]:
        """Create a resource.

        Its id is generated if none is given.
        """
        added = await catalogue.add_resource(data, caller_of(request))
        return _made("/v1/resources", ResourceAnswer.model_validate(added))

    @get(operation_id="listResources", guards=[any_key()], responses=_LIST)
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
        without, query = _unseen_fields(request), with_any("services", services) | with_active(active=active)
        found = await catalogue.page(Resource, limit + 1, cursor_id(cursor), query, without=without)
        return await _listed(request, found, lambda: Page[ResourceAnswer].of(found, limit, id_mark))

    @get("/{resource_id:str}", operation_id="getResource", guards=[any_key()], responses=_GET)
    async def read(
        self, resource_id: FromPath[ResourceId], request: Request, catalogue: NamedDependency[Catalogue]
    ) -> Response[ResourceAnswer]:
        """Get a resource.

        A change needs its `ETag` in `If-Match`.
        """
        found = await catalogue.read(Resource, resource_id, without=_unseen_fields(request))
        return _shown(ResourceAnswer.model_validate(found))

    @patch(
        "/{resource_id:str}",
        operation_id="updateResource",
        guards=[needs("catalogue:write")],
        responses=problems(*_UPDATE, "stranded-bookings", body=True),
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
        return _shown(ResourceAnswer.model_validate(edited))


class Services(Controller):
    """What can be done with resources."""

    path = "/services"
    tags = ("Services",)

    @post(operation_id="createService", guards=[needs("catalogue:write")], responses=_CREATE)
    async def create(
        self, request: Request, data: JSONBody[NewService], catalogue: NamedDependency[Catalogue]
    ) -> Response[ServiceAnswer]:
        """Create a service.

        Its id is generated if none is given.
        """
        added = await catalogue.add_service(data, caller_of(request))
        return _made("/v1/services", ServiceAnswer.model_validate(added))

    @get(operation_id="listServices", guards=[any_key()], responses=_LIST)
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
        without = _unseen_fields(request)
        found = await catalogue.page(Service, limit + 1, cursor_id(cursor), with_active(active=active), without=without)
        return await _listed(request, found, lambda: Page[ServiceAnswer].of(found, limit, id_mark))

    @get("/{service_id:str}", operation_id="getService", guards=[any_key()], responses=_GET)
    async def read(
        self, service_id: FromPath[ServiceId], request: Request, catalogue: NamedDependency[Catalogue]
    ) -> Response[ServiceAnswer]:
        """Get a service.

        A change needs its `ETag` in `If-Match`.
        """
        found = await catalogue.read(Service, service_id, without=_unseen_fields(request))
        return _shown(ServiceAnswer.model_validate(found))

    @patch(
        "/{service_id:str}",
        operation_id="updateService",
        guards=[needs("catalogue:write")],
        responses=problems(*_UPDATE, body=True),
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
        return _shown(ServiceAnswer.model_validate(edited))


class Customers(Controller):
    """Who books. A key that is bound to a customer reads that one alone and changes none."""

    path = "/customers"
    tags = ("Customers",)

    @post(operation_id="createCustomer", guards=[needs("reservations:write")], responses=_CREATE)
    async def create(
        self, request: Request, data: JSONBody[NewCustomer], catalogue: NamedDependency[Catalogue]
    ) -> Response[CustomerAnswer]:
        """Create a customer.

        Its id is generated if none is given.
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
        external_ids: ExternalIdFilter = None,
        emails: EmailFilter = None,
    ) -> Page[CustomerAnswer]:
        """List customers.

        By id.
        """
        bound = caller_of(request).customer
        check_filter_values(externalId=external_ids, email=emails)
        query = with_any("externalId", external_ids) | with_any("email", emails)
        found = await catalogue.page(Customer, limit + 1, cursor_id(cursor), query, only=bound)
        return Page[CustomerAnswer].of(found, limit, id_mark)

    @get("/{customer_id:str}", operation_id="getCustomer", guards=[needs("reservations:read")], responses=_GET)
    async def read(
        self, customer_id: FromPath[str], request: Request, catalogue: NamedDependency[Catalogue]
    ) -> Response[CustomerAnswer]:
        """Get a customer.

        A change needs its `ETag` in `If-Match`.
        """
        _require_sight(request, customer_id)
        return _shown(CustomerAnswer.model_validate(await catalogue.read(Customer, customer_id)))

    @patch(
        "/{customer_id:str}",
        operation_id="updateCustomer",
        guards=[needs("reservations:write")],
        responses=problems(*_UPDATE, "forbidden-transition", "exists", body=True),
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

        Fields that are left out stay as they are. One that was erased cannot be changed.
        """
        _require_sight(request, customer_id)
        _require_unbound(request)
        return _shown(
            CustomerAnswer.model_validate(await catalogue.edit_customer(customer_id, data, IfMatch.read(if_match)))
        )


def _unseen_fields(request: Request) -> frozenset[str]:
    """The stored fields that the caller does not see: the key of a customer need not know who edits the catalogue."""
    return HOURS_FIELDS if caller_of(request).customer is None else LONG_FIELDS


async def _listed(
    request: Request, found: Sequence[Resource | Service], build: Callable[[], Page[A]]
) -> Response[Page[A]]:
    return await built(request, build, parts=sum(1 + len(each.history) for each in found))


def _require_sight(request: Request, customer_id: str) -> None:
    if not caller_of(request).sees(customer_id):
        raise not_found("customer", customer_id)


def _require_unbound(request: Request) -> None:
    if caller_of(request).customer is not None:
        raise Problem("forbidden", "A key that is bound to a customer books for it, but adds and edits no customers.")


def _shown(answer: A) -> Response[A]:
    return versioned(answer, answer.version)


def _made(path: str, answer: A) -> Response[A]:
    return versioned(answer, answer.version, status=201, location=f"{path}/{answer.id}")


router = Router("/v1", route_handlers=[Resources, Services, Customers])

"""`/v1/resources`, `/v1/services`, `/v1/customers`."""

from typing import Annotated, TypeAlias, TypeVar

from litestar import Controller, Response, Router, get, patch, post
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
from app.errors import Problem, not_found
from app.storage.documents import CatalogueObject, Customer, Resource, Service
from app.wire.answers import versioned
from app.wire.openapi import problems
from app.wire.paging import LIMIT, CursorParameter, LimitParameter, Page, read_cursor
from app.wire.request import Request
from app.wire.versions import IfMatch, IfMatchHeader

A = TypeVar("A", bound=CatalogueAnswer)

_ADD = problems("exists", body=True)
_LIST = problems()
_READ = problems("not-found")
_EDITED = ("not-found", "stale", "precondition-required")
_WRITE_PATH = ("overloaded", "outcome-unknown")

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

    @post(operation_id="addResource", guards=[needs("catalogue:write")], responses=_ADD)
    async def add(self, data: JSONBody[NewResource], catalogue: NamedDependency[Catalogue]) -> Response[ResourceAnswer]:
        """Add a resource."""
        return _made("/v1/resources", ResourceAnswer.model_validate(await catalogue.add_resource(data)))

    @get(operation_id="listResources", guards=[any_key()], responses=_LIST)
    async def find(
        self, catalogue: NamedDependency[Catalogue], limit: LimitParameter = LIMIT, cursor: CursorParameter = None
    ) -> Page[ResourceAnswer]:
        """List resources by id."""
        return Page[ResourceAnswer].of(await catalogue.page(Resource, limit + 1, _after(cursor)), limit, _mark)

    @get("/{resource_id:str}", operation_id="readResource", guards=[any_key()], responses=_READ)
    async def read(self, resource_id: FromPath[str], catalogue: NamedDependency[Catalogue]) -> Response[ResourceAnswer]:
        """Read a resource."""
        return _shown(ResourceAnswer.model_validate(await catalogue.read(Resource, resource_id)))

    @patch(
        "/{resource_id:str}",
        operation_id="editResource",
        guards=[needs("catalogue:write")],
        responses=problems(*_EDITED, "stranded-bookings", *_WRITE_PATH, body=True),
    )
    async def edit(
        self,
        resource_id: FromPath[str],
        request: Request,
        data: JSONBody[ResourcePatch],
        catalogue: NamedDependency[Catalogue],
        if_match: IfMatchHeader = None,
        *,
        force: Force = False,
    ) -> Response[ResourceAnswer]:
        """Edit a resource by a merge patch.

        Bookings that would lose their room or break a rule by it are listed instead, unless it is forced.
        """
        edited = await catalogue.edit_resource(
            resource_id, data, IfMatch.read(if_match), caller_of(request), force=force
        )
        return _shown(ResourceAnswer.model_validate(edited))


class Services(Controller):
    """What can be done with resources."""

    path = "/services"
    tags = ("Services",)

    @post(operation_id="addService", guards=[needs("catalogue:write")], responses=_ADD)
    async def add(self, data: JSONBody[NewService], catalogue: NamedDependency[Catalogue]) -> Response[ServiceAnswer]:
        """Add a service."""
        return _made("/v1/services", ServiceAnswer.model_validate(await catalogue.add_service(data)))

    @get(operation_id="listServices", guards=[any_key()], responses=_LIST)
    async def find(
        self, catalogue: NamedDependency[Catalogue], limit: LimitParameter = LIMIT, cursor: CursorParameter = None
    ) -> Page[ServiceAnswer]:
        """List services by id."""
        return Page[ServiceAnswer].of(await catalogue.page(Service, limit + 1, _after(cursor)), limit, _mark)

    @get("/{service_id:str}", operation_id="readService", guards=[any_key()], responses=_READ)
    async def read(self, service_id: FromPath[str], catalogue: NamedDependency[Catalogue]) -> Response[ServiceAnswer]:
        """Read a service."""
        return _shown(ServiceAnswer.model_validate(await catalogue.read(Service, service_id)))

    @patch(
        "/{service_id:str}",
        operation_id="editService",
        guards=[needs("catalogue:write")],
        responses=problems(*_EDITED, *_WRITE_PATH, body=True),
    )
    async def edit(
        self,
        service_id: FromPath[str],
        request: Request,
        data: JSONBody[ServicePatch],
        catalogue: NamedDependency[Catalogue],
        if_match: IfMatchHeader = None,
    ) -> Response[ServiceAnswer]:
        """Edit a service by a merge patch.

        What is booked keeps its times and buffers.
        """
        edited = await catalogue.edit_service(service_id, data, IfMatch.read(if_match), caller_of(request))
        return _shown(ServiceAnswer.model_validate(edited))


class Customers(Controller):
    """Who books. A key that is bound to a customer reads that one alone and changes none."""

    path = "/customers"
    tags = ("Customers",)

    @post(operation_id="addCustomer", guards=[needs("reservations:write")], responses=_ADD)
    async def add(
        self, request: Request, data: JSONBody[NewCustomer], catalogue: NamedDependency[Catalogue]
    ) -> Response[CustomerAnswer]:
        """Add a customer."""
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
        """List customers by id."""
        bound = caller_of(request).customer
        query = {} if external_id is None else {"externalId": external_id}
        found = await catalogue.page(Customer, limit + 1, _after(cursor), query, only=bound)
        return Page[CustomerAnswer].of(found, limit, _mark)

    @get("/{customer_id:str}", operation_id="readCustomer", guards=[needs("reservations:read")], responses=_READ)
    async def read(
        self, customer_id: FromPath[str], request: Request, catalogue: NamedDependency[Catalogue]
    ) -> Response[CustomerAnswer]:
        """Read a customer."""
        _require_sight(request, customer_id)
        return _shown(CustomerAnswer.model_validate(await catalogue.read(Customer, customer_id)))

    @patch(
        "/{customer_id:str}",
        operation_id="editCustomer",
        guards=[needs("reservations:write")],
        responses=problems(*_EDITED, body=True),
    )
    async def edit(
        self,
        customer_id: FromPath[str],
        request: Request,
        data: JSONBody[CustomerPatch],
        catalogue: NamedDependency[Catalogue],
        if_match: IfMatchHeader = None,
    ) -> Response[CustomerAnswer]:
        """Edit a customer by a merge patch."""
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


router = Router("/v1", route_handlers=[Resources, Services, Customers])

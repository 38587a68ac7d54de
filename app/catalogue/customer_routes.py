"""`/v1/customers`."""

from typing import Annotated, TypeAlias

from litestar import Controller, Response, Router
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from app.access.routes import caller_of, needs
from app.catalogue.customer_schemas import CustomerAnswer, CustomerPatch, NewCustomer
from app.catalogue.routes import CREATE, GET, LIST, UPDATE, made, shown
from app.catalogue.service import Catalogue
from app.errors import Problem, not_found
from app.http.etags import IfMatch, IfMatchHeader
from app.http.openapi import problems
from app.http.paging import LIMIT, CursorParameter, LimitParameter, Page, cursor_id, id_mark
from app.http.parameters import check_filter_values
from app.http.request import Request
from app.http.routing import get, patch, post
from app.storage.catalogue import with_any
from app.storage.documents import Customer

ExternalIdFilter: TypeAlias = Annotated[
    list[str] | None,
    QueryParameter(name="externalId", description="With one of these ids of your own system; repeatable."),
]
EmailFilter: TypeAlias = Annotated[
    list[str] | None,
    QueryParameter(name="email", description="With one of these addresses, written exactly so; repeatable."),
]


class Customers(Controller):
    """Who books. A key that is bound to a customer reads that one alone and changes none."""

    path = "/customers"
    tags = ("Customers",)

    @post(operation_id="createCustomer", guards=[needs("reservations:write")], responses=CREATE)
    async def create(
        self, request: Request, data: JSONBody[NewCustomer], catalogue: NamedDependency[Catalogue]
    ) -> Response[CustomerAnswer]:
        """Create a customer.

        Its id is generated if none is given.
        """
        _require_unbound(request)
        return made("/v1/customers", CustomerAnswer.model_validate(await catalogue.add_customer(data)))

    @get(operation_id="listCustomers", guards=[needs("reservations:read")], responses=LIST)
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

    @get("/{customer_id:str}", operation_id="getCustomer", guards=[needs("reservations:read")], responses=GET)
    async def read(
        self, customer_id: FromPath[str], request: Request, catalogue: NamedDependency[Catalogue]
    ) -> Response[CustomerAnswer]:
        """Get a customer.

        A change needs its `ETag` in `If-Match`.
        """
        _require_sight(request, customer_id)
        return shown(CustomerAnswer.model_validate(await catalogue.read(Customer, customer_id)))

    @patch(
        "/{customer_id:str}",
        operation_id="updateCustomer",
        guards=[needs("reservations:write")],
        responses=problems(*UPDATE, "forbidden-transition", "exists", body=True),
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
        return shown(
            CustomerAnswer.model_validate(await catalogue.edit_customer(customer_id, data, IfMatch.read(if_match)))
        )


def _require_sight(request: Request, customer_id: str) -> None:
    if not caller_of(request).sees(customer_id):
        raise not_found("customer", customer_id)


def _require_unbound(request: Request) -> None:
    if caller_of(request).customer is not None:
        raise Problem("forbidden", "A key that is bound to a customer books for it, but adds and edits no customers.")


router = Router("/v1", route_handlers=[Customers])

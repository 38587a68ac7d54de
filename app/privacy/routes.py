"""`/v1/customers/{id}/erase` and `/v1/customers/{id}/export`."""

from litestar import Controller, Response, Router
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED

from app.access.routes import caller_of, needs
from app.catalogue.customer_schemas import CustomerAnswer
from app.catalogue.queries import read
from app.http.answers import versioned
from app.http.json_stream import JsonStream
from app.http.openapi import problems
from app.http.paging import CursorParameter
from app.http.request import Request
from app.http.routing import get, post
from app.privacy.erasure import Erasure
from app.privacy.export import export
from app.privacy.schemas import CustomerExport
from app.storage.documents import Customer

_GOING_ON = ResponseSpec(CustomerAnswer, generate_examples=False, description="The worker clears the rest.")


class CustomerData(Controller):
    """What a customer may ask for."""

    path = "/customers/{customer_id:str}"
    tags = ("Customers",)

    @post(
        "/erase",
        operation_id="eraseCustomer",
        guards=[needs("admin")],
        status_code=HTTP_200_OK,
        responses={HTTP_202_ACCEPTED: _GOING_ON, **problems("not-found")},
    )
    async def erase(
        self, customer_id: FromPath[str], request: Request, erasure: NamedDependency[Erasure]
    ) -> Response[CustomerAnswer]:
        """Erase a customer.

        Clears its name, e-mail, telephone and all other fields of its own; the notes, metadata, references and reasons
        of its reservations; these texts in the answers that are stored under Idempotency-Keys, which are repeated
        without them from then on, and in events; and what people noted on findings of these reservations. Times,
        statuses and ids stay. Followers of events and webhooks are told by `customer.erased`. Nothing can be booked for
        it any more. The answer is 202, and the customer is `erasing`, where the worker has to go on; repeating it is
        harmless.
        """
        customer = await erasure.erase(customer_id, caller_of(request).prefix)
        answer = CustomerAnswer.model_validate(customer)
        if customer.erasing:
            path = f"/v1/customers/{customer_id}"
            return versioned(answer, customer.version, status=HTTP_202_ACCEPTED, location=path)
        return versioned(answer, customer.version)

    @get("/export", operation_id="exportCustomer", guards=[needs("admin")], responses=problems("not-found"))
    async def export(
        self,
        customer_id: FromPath[str],
        request: Request,
        erasure: NamedDependency[Erasure],
        cursor: CursorParameter = None,
    ) -> Response[CustomerExport]:
        """Export all that is stored about a customer.

        One document, sent while it is read. If it would take longer than a request may, it ends with `next`: the
        cursor of a document with the rest.
        """
        customer = await read(erasure.store, Customer, customer_id)
        return JsonStream(export(erasure.store, customer, caller_of(request), cursor))


router = Router("/v1", route_handlers=[CustomerData])

"""`/v1/resources/{id}/calendar.ics`, `/v1/customers/{id}/calendar.ics`, and their secret addresses."""

from hashlib import blake2b
from typing import Annotated, cast

from litestar import Response, Router
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.status_codes import HTTP_201_CREATED

from app.access.rate_limits import RATE_LIMITS, RateLimits
from app.access.routes import caller_of, needs, open_to_all
from app.calendars.rendering import MEDIA_TYPE
from app.calendars.schemas import CalendarAddressAnswer, NewCalendarAddress
from app.calendars.service import CalendarQuestion, Calendars
from app.errors import Problem
from app.http.json_response import JsonResponse
from app.http.openapi import problems
from app.http.parameters import read_instant
from app.http.request import Request
from app.http.routing import delete, get, post
from app.storage.documents import CalendarKind

FromParameter = Annotated[
    str | None, QueryParameter(name="from", description="What ends after this instant; default: 30 days ago.")
]
ToParameter = Annotated[
    str | None,
    QueryParameter(description="What begins before this instant, at most 400 days after `from`; default: in 366 days."),
]
NamesParameter = Annotated[
    bool, QueryParameter(description="Name services and customers, with notes; else it says when alone.")
]

_READ = needs("reservations:read")
_OPEN = needs("reservations:read", "reservations:write")
_ICS = MEDIA_TYPE.partition(";")[0]
_PRIVATE = "private, no-cache"
"""No cache that others use has it, and the caller's own asks by the tag whether it is still the same."""


@get(
    "/resources/{resource_id:str}/calendar.ics",
    guards=[_READ],
    responses=problems("not-found"),
    operation_id="getResourceCalendar",
    media_type=_ICS,
    tags=["Calendars"],
)
async def read_resource_calendar(
    request: Request,
    resource_id: FromPath[str],
    calendars: NamedDependency[Calendars],
    from_: FromParameter = None,
    to: ToParameter = None,
    names: NamesParameter = False,
) -> Response[str]:
    """Get the calendar of a resource.

    Its reservations as iCalendar (RFC 5545), times in UTC. `UID` stays, `SEQUENCE` grows with each change; what was
    cancelled or has expired is `CANCELLED`, what is pending `TENTATIVE`. At most 5,000 events. A key that is bound to a
    customer sees that customer's reservations alone.
    """
    return await _calendar(request, calendars, _question("resource", resource_id, from_, to, names=names))


@get(
    "/customers/{customer_id:str}/calendar.ics",
    guards=[_READ],
    responses=problems("not-found"),
    operation_id="getCustomerCalendar",
    media_type=_ICS,
    tags=["Calendars"],
)
async def read_customer_calendar(
    request: Request,
    customer_id: FromPath[str],
    calendars: NamedDependency[Calendars],
    from_: FromParameter = None,
    to: ToParameter = None,
    names: NamesParameter = False,
) -> Response[str]:
    """Get the calendar of a customer.

    As that of a resource.
    """
    return await _calendar(request, calendars, _question("customer", customer_id, from_, to, names=names))


@get(
    "/calendars/{secret:str}/calendar.ics",
    guards=[open_to_all()],
    responses=problems("not-found", "rate-limited", key=False),
    operation_id="getCalendarByAddress",
    media_type=_ICS,
    tags=["Calendars"],
)
async def read_calendar_by_address(
    request: Request,
    secret: FromPath[str],
    calendars: NamedDependency[Calendars],
    from_: FromParameter = None,
    to: ToParameter = None,
) -> Response[str]:
    """Get the calendar at a secret address.

    For programs that send no key. The address was made by `POST /v1/resources/{id}/calendar` or `POST
    /v1/customers/{id}/calendar`, which decided whether it names anybody. It ends with the key that made it. Requests
    with a secret that is not known count like those with a wrong key.
    """
    limits = cast("RateLimits", request.app.state[RATE_LIMITS])
    if calendars.is_crowded:  # an address that sent too much does not make the crowd larger
        limits.refuse_full(request)
    found = await calendars.find(secret)
    if found is None:
        await limits.count_address(request)
        raise Problem("not-found", "There is no calendar at this address, or it has ended.")
    address, caller = found
    await limits.count_calendar(request, address.id)
    request.scope["user"] = caller
    return await _calendar(request, calendars, _question(address.kind, address.owner, from_, to, names=address.names))


@post(
    "/resources/{resource_id:str}/calendar",
    guards=[_OPEN],
    responses=problems("not-found", body=True),
    operation_id="createResourceCalendarAddress",
    tags=["Calendars"],
)
async def open_resource_calendar(
    request: Request,
    resource_id: FromPath[str],
    calendars: NamedDependency[Calendars],
    data: JSONBody[NewCalendarAddress | None] = None,
) -> Response[CalendarAddressAnswer]:
    """Open the calendar of a resource to a secret address.

    Whoever knows the address reads the calendar without a key, as long as the key that made it is neither revoked nor
    expired. The answer is the only one that shows it. A calendar has one address: another one ends it.
    """
    return await _open(request, calendars, "resource", resource_id, data)


@post(
    "/customers/{customer_id:str}/calendar",
    guards=[_OPEN],
    responses=problems("not-found", "forbidden-transition", body=True),
    operation_id="createCustomerCalendarAddress",
    tags=["Calendars"],
)
async def open_customer_calendar(
    request: Request,
    customer_id: FromPath[str],
    calendars: NamedDependency[Calendars],
    data: JSONBody[NewCalendarAddress | None] = None,
) -> Response[CalendarAddressAnswer]:
    """Open the calendar of a customer to a secret address.

    As that of a resource. It also ends when the customer is erased.
    """
    return await _open(request, calendars, "customer", customer_id, data)


@delete(
    "/resources/{resource_id:str}/calendar",
    guards=[_OPEN],
    responses=problems("not-found", "outcome-unknown"),
    operation_id="deleteResourceCalendarAddress",
    tags=["Calendars"],
)
async def close_resource_calendar(
    request: Request, resource_id: FromPath[str], calendars: NamedDependency[Calendars]
) -> None:
    """End the secret address of the calendar of a resource.

    Repeating it is harmless.
    """
    await calendars.close("resource", resource_id, caller_of(request))


@delete(
    "/customers/{customer_id:str}/calendar",
    guards=[_OPEN],
    responses=problems("not-found", "outcome-unknown"),
    operation_id="deleteCustomerCalendarAddress",
    tags=["Calendars"],
)
async def close_customer_calendar(
    request: Request, customer_id: FromPath[str], calendars: NamedDependency[Calendars]
) -> None:
    """End the secret address of the calendar of a customer.

    Repeating it is harmless.
    """
    await calendars.close("customer", customer_id, caller_of(request))


def _question(kind: CalendarKind, owner: str, from_: str | None, to: str | None, *, names: bool) -> CalendarQuestion:
    """The parameters of a request.

    Raises:
        Problem: `invalid`.
    """
    return CalendarQuestion(kind, owner, names, read_instant("from", from_), read_instant("to", to))


async def _calendar(request: Request, calendars: Calendars, question: CalendarQuestion) -> Response[str]:
    body = await calendars.calendar(question, caller_of(request))
    tag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
    return JsonResponse(body, headers={"ETag": tag, "Cache-Control": _PRIVATE}, media_type=MEDIA_TYPE)


async def _open(
    request: Request, calendars: Calendars, kind: CalendarKind, owner: str, body: NewCalendarAddress | None
) -> Response[CalendarAddressAnswer]:
    names = body is not None and body.names
    address, secret = await calendars.open(kind, owner, caller_of(request), names=names)
    path = f"/v1/calendars/{secret}/calendar.ics"
    url = None if calendars.public_url is None else calendars.public_url + path
    answer = CalendarAddressAnswer(path=path, url=url, names=names, created_at=address.created_at)
    location = f"/v1/{kind}s/{owner}/calendar.ics"
    return JsonResponse(answer.to_json(), status=HTTP_201_CREATED, headers={"Location": location})


router = Router(
    "/v1",
    route_handlers=[
        read_resource_calendar,
        read_customer_calendar,
        read_calendar_by_address,
        open_resource_calendar,
        open_customer_calendar,
        close_resource_calendar,
        close_customer_calendar,
    ],
)

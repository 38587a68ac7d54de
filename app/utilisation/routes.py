"""`/v1/utilisation`."""

from typing import Annotated

from litestar import Response, Router
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from app.access.routes import caller_of, needs
from app.domain.ids import ResourceId, ServiceId
from app.domain.utilisation import PeriodLength
from app.http.json_response import JsonResponse
from app.http.openapi import problems
from app.http.request import Request
from app.http.routing import get
from app.utilisation.schemas import UtilisationAnswer
from app.utilisation.service import Reports, UtilisationQuestion

FromParameter = Annotated[str, QueryParameter(name="from", description="The first day, like `2026-03-08`.")]
ToParameter = Annotated[str, QueryParameter(description="The day after the last one, at most 366 days after `from`.")]
ResourceParameter = Annotated[ResourceId | None, QueryParameter(description="A resource.")]
ServiceParameter = Annotated[
    ServiceId | None, QueryParameter(description="The active resources that offer this service, each with all it has.")
]
PerParameter = Annotated[
    PeriodLength, QueryParameter(description="An item for each `day`, each `week` from Monday, or each `month`.")
]


@get(
    "/utilisation",
    guards=[needs("reservations:read")],
    responses=problems("overloaded"),
    operation_id="getUtilisation",
    tags=["Utilisation"],
)
async def read_utilisation(
    request: Request,
    reports: NamedDependency[Reports],
    from_: FromParameter,
    to: ToParameter,
    resource: ResourceParameter = None,
    service: ServiceParameter = None,
    per: PerParameter = "day",
) -> Response[UtilisationAnswer]:
    """Report how much of the open time is booked.

    Of a resource, or of each resource that offers a service, by local days of the resource: how long it is open, how
    much of that is booked, how many reservations began, how many of them were no-shows, and how many were cancelled
    late. Schedules, capacities and notices count as they are now. The first and the last week or month may be a part of
    one. At most 20,000 items, and 100,000 reservations.
    """
    question = UtilisationQuestion(resource, service, from_, to, per)
    return JsonResponse(await reports.utilisation(question, caller_of(request)))


router = Router("/v1", route_handlers=[read_utilisation])

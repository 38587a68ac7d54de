"""`/v1/availability`."""

from typing import Annotated, Literal

from litestar import Controller, Response
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from app.access.routes import any_key, caller_of
from app.availability.questions import Question, TimeQuestion
from app.availability.schemas import AvailabilityAnswer, AvailabilityExplanation, PoolExplanation
from app.availability.service import Availability
from app.domain.grid import STARTS_MAX
from app.domain.ids import ResourceId, ServiceId
from app.errors import invalid_parameter
from app.http.json_response import JsonResponse
from app.http.openapi import problems
from app.http.parameters import read_instant
from app.http.request import Request
from app.http.routing import get

_MINUTES = 366 * 24 * 60

ServiceParameter = Annotated[ServiceId | None, QueryParameter(description="The service to book.")]
ResourceParameter = Annotated[
    ResourceId | None, QueryParameter(description="The resource; left out: the service's whole pool.")
]
FromParameter = Annotated[str, QueryParameter(name="from", description="A local date or an instant; slots start here.")]
ToParameter = Annotated[
    str | None,
    QueryParameter(
        description="A date or an instant, excluded; at most 92 days after `from`. Required without `first`."
    ),
]
PerParameter = Annotated[
    Literal["day"] | None,
    QueryParameter(description="`day`: for each local day that has any, its first start and how many starts it has."),
]
DistinctParameter = Annotated[
    Literal["start"] | None,
    QueryParameter(description="`start`: one item per start, with the resources that are free then."),
]
AnswerLimitParameter = Annotated[
    int | None, QueryParameter(ge=1, le=STARTS_MAX, description="End after so many items; with `first` 1 by default.")
]
FirstParameter = Annotated[
    bool, QueryParameter(description="The soonest from `from` on, within 366 days or the horizon; without `to`.")
]
ZoneParameter = Annotated[
    str | None,
    QueryParameter(description="For dates and `localStart`; default: the resource's, the pool's if all agree, or UTC."),
]
GuestsParameter = Annotated[int, QueryParameter(ge=1, le=10_000, description="How many people come.")]
MinutesParameter = Annotated[
    int | None,
    QueryParameter(
        ge=1, le=_MINUTES, description="The length; required without a service; of a flexible one by default its least."
    ),
]
DaysParameter = Annotated[
    int | None, QueryParameter(ge=1, le=366, description="The days of a full-day service; default 1.")
]
IgnoreParameter = Annotated[
    str | None, QueryParameter(description="A reservation that is to be moved; needs `reservations:read`.")
]
StartParameter = Annotated[str, QueryParameter(name="startTime", description="When it would begin.")]
EndParameter = Annotated[
    str | None, QueryParameter(name="endTime", description="When it would end; as in a booking it may be left out.")
]


class AvailabilityRoutes(Controller):
    """Free times, and the reasons why another time is not free."""

    path = "/v1/availability"
    tags = ("Availability",)
    guards = (any_key(),)

    @get(responses=problems("overloaded"), operation_id="listAvailability")
    async def list_slots(
        self,
        request: Request,
        availability: NamedDependency[Availability],
        from_: FromParameter,
        to: ToParameter = None,
        service: ServiceParameter = None,
        resource: ResourceParameter = None,
        timezone: ZoneParameter = None,
        guests: GuestsParameter = 1,
        minutes: MinutesParameter = None,
        days: DaysParameter = None,
        ignore: IgnoreParameter = None,
        per: PerParameter = None,
        distinct: DistinctParameter = None,
        limit: AnswerLimitParameter = None,
        *,
        first: FirstParameter = False,
    ) -> Response[AvailabilityAnswer]:
        """List the slots that can be booked now.

        Every start on the grid; or the days or starts that have any, or the soonest. At most 92 days, and 50,000 starts
        to judge. A process answers a few such questions at a time: beyond a short queue, or if one takes too long, the
        answer is `overloaded`.
        """
        question = Question(
            service,
            resource,
            from_,
            to,
            timezone,
            guests,
            minutes,
            days,
            ignore=ignore,
            per=per,
            distinct=distinct,
            limit=limit,
            first=first,
        )
        written = await availability.slots(question, caller_of(request))
        return JsonResponse(written.body, headers={"ETag": written.tag})

    @get("/explain", responses=problems("overloaded"), operation_id="explainAvailability")
    async def explain(
        self,
        request: Request,
        availability: NamedDependency[Availability],
        start_time: StartParameter,
        end_time: EndParameter = None,
        service: ServiceParameter = None,
        resource: ResourceParameter = None,
        guests: GuestsParameter = 1,
        ignore: IgnoreParameter = None,
    ) -> Response[AvailabilityExplanation | PoolExplanation]:
        """Explain why a time can or cannot be booked.

        Every rule with its verdict, and the reservation, time off, closure or override to blame. A service without a
        resource explains each resource of its pool, by id; `bookable` says whether it can be booked on any of them.
        """
        start = read_instant("startTime", start_time)
        if start is None:  # pragma: no cover  # it is required
            raise invalid_parameter("startTime", "Say when it would begin.")
        end = read_instant("endTime", end_time)
        question = TimeQuestion(resource, service, start, end, guests, ignore)
        written = await availability.explain(question, caller_of(request))
        return JsonResponse(written.body, headers={"ETag": written.tag})


router = AvailabilityRoutes

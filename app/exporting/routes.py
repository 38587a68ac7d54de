"""`/v1/reservations/export`."""

from typing import Annotated

from litestar import Response, Router
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from app.access.routes import caller_of, needs
from app.exporting.rows import FORMATS, Format
from app.exporting.service import Exports
from app.http.file_stream import FileStream
from app.http.openapi import problems
from app.http.parameters import read_instant
from app.http.request import Request
from app.http.routing import get
from app.reservations.list_routes import (
    CustomerParameter,
    FromParameter,
    ResourceParameter,
    ServiceParameter,
    StartFromParameter,
    StartToParameter,
    StatusParameter,
    ToParameter,
)
from app.reservations.queries import Filters, check_filters

FormatParameter = Annotated[
    Format,
    QueryParameter(name="format", description="`csv`, with a header, in UTF-8; or `jsonl`, a JSON object a line."),
]

_ACCESS = needs("reservations:read")


@get(
    "/reservations/export",
    guards=[_ACCESS],
    responses=problems("overloaded"),
    operation_id="exportReservations",
    media_type="text/csv",
    tags=["Reservations"],
)
async def export_reservations(
    request: Request,
    exports: NamedDependency[Exports],
    resources: ResourceParameter = None,
    customers: CustomerParameter = None,
    services: ServiceParameter = None,
    statuses: StatusParameter = None,
    from_: FromParameter = None,
    to: ToParameter = None,
    start_from: StartFromParameter = None,
    start_to: StartToParameter = None,
    form: FormatParameter = "csv",
) -> Response[str]:
    """Export reservations as a file.

    A file that `reserva import` reads, by start, then id: `id`, `reference`, `resource`, `startTime`, `endTime`,
    `customer`, `service`, `guests`, `status` and `notes`. It may have any length: it is sent while it is read, and if
    it cannot be read to its end, the connection breaks off before the last chunk. Holds whose time is not over are
    left out. A cell of CSV that a spreadsheet would take for a formula begins with an apostrophe, which an import
    removes. The file is no snapshot: a reservation that is moved to another start meanwhile may be missing or be there
    twice.
    """
    caller = caller_of(request)
    filters = Filters(
        resources=resources,
        customers=customers,
        services=services,
        statuses=statuses or (),
        from_=read_instant("from", from_),
        to=read_instant("to", to),
        start_from=read_instant("startFrom", start_from),
        start_to=read_instant("startTo", start_to),
    )
    check_filters(filters, caller)

    async def is_admitted() -> bool:
        return await _ACCESS.still_admits(request)

    parts = await exports.file(filters.seen_by(caller), caller, FORMATS[form], is_admitted)
    return FileStream(parts, media_type=FORMATS[form].media_type, name=f"reservations.{form}")


router = Router("/v1", route_handlers=[export_reservations])

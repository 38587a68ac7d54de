"""The catalogue: lists of resources, services and customers, and a page for each of them. The API edits it."""

from typing import Annotated, Any

from litestar import Response, Router
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from app.access.routes import caller_of, in_session
from app.caller import Caller
from app.catalogue.customer_schemas import CustomerAnswer
from app.catalogue.queries import read_row
from app.catalogue.schemas import MAX_SERVICES, ResourceAnswer, ServiceAnswer
from app.catalogue.service import Catalogue
from app.console.catalogue_fields import FIELDS, Kind
from app.console.hours import absences_of, overrides_of, week_of
from app.console.pages import page, see
from app.console.wall_times import known_zone, stamp, wall
from app.domain.instants import to_millis
from app.domain.zones import local, zone
from app.errors import not_found
from app.http.models import Answer
from app.http.paging import CursorParameter, cursor_id, id_mark, split_page
from app.http.request import Request
from app.http.routing import get
from app.storage.catalogue import CatalogueStore, with_any
from app.storage.documents import CatalogueObject, Customer, Resource, Service
from app.storage.stored_catalogue import HOURS_FIELDS, UNLISTED_FIELDS

PAGE = 50
"""Objects of a page of a list."""

_DOCUMENTS: dict[Kind, type[CatalogueObject]] = {"resources": Resource, "services": Service, "customers": Customer}
_ANSWERS: dict[Kind, type[Answer]] = {
    "resources": ResourceAnswer,
    "services": ServiceAnswer,
    "customers": CustomerAnswer,
}

FindParameter = Annotated[str, QueryParameter(description="Of customers: an address, or an id of another system.")]


@get("/console/catalogue", guards=[in_session()])
async def first() -> Response[Any]:
    """The list of resources."""
    return see("/console/catalogue/resources")


@get("/console/catalogue/{kind:str}", guards=[in_session()])
async def objects(
    request: Request,
    kind: FromPath[str],
    catalogue: NamedDependency[Catalogue],
    find: FindParameter = "",
    cursor: CursorParameter = None,
) -> Response[Any]:
    """A list, by id."""
    caller = caller_of(request)
    listed = _kind(kind, caller)
    wanted = find.strip() if listed == "customers" else ""
    query = with_any("email" if "@" in wanted else "externalId", [wanted] if wanted else None)
    found = await catalogue.page(_DOCUMENTS[listed], PAGE + 1, cursor_id(cursor), query)
    shown, following = split_page(found, PAGE, id_mark)
    return page(
        request,
        "catalogue",
        kind=listed,
        kinds=lists_of(caller),
        items=[_fields(listed, each) for each in shown],
        following=following,
        find=wanted,
        may_edit=_may_edit(listed, caller),
    )


@get("/console/catalogue/{kind:str}/{identity:str}", guards=[in_session()])
async def one(
    request: Request, kind: FromPath[str], identity: FromPath[str], catalogue: NamedDependency[Catalogue]
) -> Response[Any]:
    """An object with its fields and its history; of a resource its hours and its times off as well."""
    caller = caller_of(request)
    listed = _kind(kind, caller)
    found = await catalogue.read(_DOCUMENTS[listed], identity, without=HOURS_FIELDS)
    fields = _fields(listed, found)
    context = await _hours(catalogue, found, caller) if isinstance(found, Resource) else {}
    return page(
        request,
        "catalogue-object",
        section="catalogue",
        kind=listed,
        fields=fields,
        inputs=FIELDS[listed],
        may_edit=_may_edit(listed, caller) and "erasedAt" not in fields,
        wall=wall,
        stamp=stamp,
        **context,
    )


async def _hours(catalogue: Catalogue, resource: Resource, caller: Caller) -> dict[str, Any]:
    """What the page of a resource shows beside its fields."""
    row = await read_row(catalogue.store, Resource, resource.id, fields=HOURS_FIELDS)
    schedule = row.get("schedule")
    names = CatalogueStore(catalogue.store)
    offered = await names.find_rows(Service, {}, MAX_SERVICES, after=None, without=UNLISTED_FIELDS)
    timezone = known_zone(resource.timezone)
    today = local(to_millis(catalogue.store.clock.now()), zone(timezone)).date().isoformat()
    named = {each["_id"]: str(each.get("name", each["_id"])) for each in offered}
    beyond = await names.find_names(Service, {*resource.services} - named.keys())
    return {
        "timezone": timezone,
        "week": week_of(schedule),
        "overrides": overrides_of(schedule, today),
        "absences": absences_of(row.get("timeOff"), today),
        "sees_reasons": caller.may("catalogue:write"),
        "services": named | {each: beyond.get(each, each) for each in resource.services if each not in named},
    }


def _fields(kind: Kind, found: CatalogueObject) -> dict[str, Any]:
    """The fields of an object as the API answers them."""
    return _ANSWERS[kind].model_validate(found).model_dump(mode="json", by_alias=True, exclude_none=True)


def lists_of(caller: Caller) -> list[str]:
    """The lists that a caller may see, closures with them, in the order of their tabs."""
    return [*(kind for kind in FIELDS if kind != "customers" or caller.may("reservations:read")), "closures"]


def _kind(text: str, caller: Caller) -> Kind:
    """The list in an address.

    Raises:
        Problem: `not-found`; `forbidden` for customers without their scope.
    """
    kind: Kind | None = next((each for each in FIELDS if each == text), None)
    if kind is None:
        raise not_found("list", text)
    if kind == "customers":
        caller.require("reservations:read")
    return kind


def _may_edit(kind: Kind, caller: Caller) -> bool:
    return caller.may("reservations:write" if kind == "customers" else "catalogue:write")


router = Router("/", route_handlers=[first, objects, one])

"""The list of closures, beside those of the catalogue. The API makes and deletes them."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from litestar import Response, Router
from litestar.di import NamedDependency

from app.access.routes import caller_of, in_session
from app.catalogue.service import Catalogue
from app.console.catalogue_routes import PAGE, lists_of
from app.console.hours import Span, span_of
from app.console.pages import page
from app.console.wall_times import stamp, wall
from app.http.paging import CursorParameter, cursor_id, id_mark, split_page
from app.http.request import Request
from app.http.routing import get
from app.storage.catalogue import CatalogueStore
from app.storage.documents import Closure, Resource, Service

NAMED = 6
"""Resources, and services, that the list shows of one closure."""


class _Row(NamedTuple):
    """A closure as the list shows it."""

    closure: Closure
    span: Span
    is_over: bool
    """Whether it has ended everywhere on earth."""


@get("/console/catalogue/closures", guards=[in_session()])
async def closures(
    request: Request, catalogue: NamedDependency[Catalogue], cursor: CursorParameter = None
) -> Response[Any]:
    """Closures by id, past ones too: when they are, and what they close."""
    caller = caller_of(request)
    found = await catalogue.page(Closure, PAGE + 1, cursor_id(cursor), without={"history"})
    shown, following = split_page(found, PAGE, id_mark)
    names = CatalogueStore(catalogue.store)
    today = catalogue.store.clock.now().date().isoformat()
    return page(
        request,
        "closures",
        section="catalogue",
        kind="closures",
        kinds=lists_of(caller),
        rows=[_Row(each, span_of(each.from_, each.to), each.to < today) for each in shown],
        following=following,
        named=NAMED,
        names={
            "resources": await names.find_names(Resource, _named(each.resources for each in shown)),
            "services": await names.find_names(Service, _named(each.services for each in shown)),
        },
        may_edit=caller.may("catalogue:write"),
        wall=wall,
        stamp=stamp,
    )


def _named(lists: Iterable[Sequence[str] | None]) -> set[str]:
    """The ids that the list shows."""
    return {each for ids in lists for each in (ids or ())[:NAMED]}


router = Router("/", route_handlers=[closures])

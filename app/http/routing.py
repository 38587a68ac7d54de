"""The decorators of routes: Litestar's handlers, without the copy of itself that a handler shows to each guard."""

from functools import partial
from typing import Any

from litestar.connection import ASGIConnection
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from typing_extensions import override


class _Route(HTTPRouteHandler):
    @override
    async def authorize_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        for guard in self.resolve_guards():
            await guard(connection, self)  # type: ignore[misc]  # Litestar's own types let guards be synchronous


get = partial(_Route, http_method=HttpMethod.GET)
post = partial(_Route, http_method=HttpMethod.POST)
patch = partial(_Route, http_method=HttpMethod.PATCH)
put = partial(_Route, http_method=HttpMethod.PUT)
delete = partial(_Route, http_method=HttpMethod.DELETE)

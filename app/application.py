"""The application without what it runs with: routes, checks, errors, documentation."""

from contextlib import AbstractAsyncContextManager

from litestar import Litestar
from litestar.plugins.pydantic import PydanticPlugin
from msgspec import Raw

from app.access import key_routes
from app.access.routes import describe_access, open_to_all
from app.availability import routes as availability_routes
from app.calendars import routes as calendar_routes
from app.catalogue import closure_routes, customer_routes, schedule_routes
from app.catalogue import routes as catalogue_routes
from app.console import routes as console_routes
from app.console.pages import template_config
from app.events import routes as event_routes
from app.exporting import routes as exporting_routes
from app.http import docs
from app.http.models import Answer
from app.http.problems import EXCEPTION_HANDLERS
from app.http.request import MAX_BODY_BYTES, Request
from app.http.request_checks import RequestChecks
from app.operations import routes as operations_routes
from app.privacy import routes as privacy_routes
from app.reconciliation import routes as reconciliation_routes
from app.reservations import group_routes, move_routes, series_routes, status_routes
from app.reservations import routes as reservation_routes
from app.services import Providers
from app.utilisation import routes as utilisation_routes
from app.webhooks import routes as webhook_routes

LIFESPAN, PROVIDERS, HANDLER = "lifespan", "providers", "handler"
"""The keys in the application's state of what is open from its start to its stop, of its services, and of what answers
a request before anything is wrapped around it."""


def application() -> Litestar:
    """An application that is not equipped yet; `app.main` does that.

    To build the routes takes ten times as long as to equip them.
    """
    request_checks, providers = RequestChecks(), Providers()
    app = Litestar(
        route_handlers=[
            operations_routes.router,
            catalogue_routes.router,
            customer_routes.router,
            privacy_routes.router,
            schedule_routes.router,
            closure_routes.router,
            reservation_routes.router,
            exporting_routes.router,
            status_routes.router,
            group_routes.router,
            move_routes.router,
            series_routes.router,
            availability_routes.router,
            calendar_routes.router,
            utilisation_routes.router,
            reconciliation_routes.router,
            event_routes.router,
            key_routes.router,
            webhook_routes.router,
            docs.router(open_to_all()),
            console_routes.router,
        ],
        template_config=template_config(),
        request_class=Request,
        lifespan=[_lifespan],
        dependencies=providers.dependencies(),
        plugins=[PydanticPlugin(prefer_alias=True, validate_strict=True)],
        type_encoders={Answer: lambda answer: Raw(answer.to_json())},
        before_request=request_checks,
        exception_handlers=EXCEPTION_HANDLERS,
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=docs.config(),
        logging_config=None,
    )
    app.state[PROVIDERS], app.state[HANDLER] = providers, app.asgi_handler
    request_checks.collect(app)
    describe_access(app)
    return app


def _lifespan(app: Litestar) -> AbstractAsyncContextManager[None]:
    lifespan: AbstractAsyncContextManager[None] = app.state[LIFESPAN](app)
    return lifespan

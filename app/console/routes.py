"""All routes of the console; none is part of the API's description."""

from litestar import Router

from app.console import (
    asset_routes,
    calendar_routes,
    catalogue_routes,
    closure_routes,
    key_routes,
    operator_routes,
    review_routes,
    run_routes,
    series_routes,
    sign_in_routes,
    today_routes,
    webhook_routes,
)
from app.console.pages import PAGE_PROBLEMS

router = Router(
    "/",
    route_handlers=[
        Router(
            "/",
            route_handlers=[
                sign_in_routes.router,
                calendar_routes.router,
                series_routes.router,
                today_routes.router,
                review_routes.router,
                run_routes.router,
                catalogue_routes.router,
                closure_routes.router,
                operator_routes.router,
                key_routes.router,
                webhook_routes.router,
            ],
            exception_handlers=PAGE_PROBLEMS,
        ),
        asset_routes.router,
    ],
    include_in_schema=False,
)

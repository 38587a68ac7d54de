"""The page of webhooks; its buttons call the API."""

from typing import Any

from litestar import Response, Router
from litestar.di import NamedDependency

from app.access.routes import in_session
from app.console.pages import page
from app.http.request import Request
from app.http.routing import get
from app.storage.outbox import EVENT_TYPES
from app.webhooks.schemas import WebhookAnswer
from app.webhooks.service import WEBHOOKS_MAX, Webhooks


@get("/console/webhooks", guards=[in_session("admin")])
async def webhooks_page(request: Request, webhooks: NamedDependency[Webhooks]) -> Response[Any]:
    """All webhooks: where they go, and how they fare."""
    now = webhooks.now()
    found = [WebhookAnswer.of(each, now) for each in await webhooks.page(WEBHOOKS_MAX * 2, None)]
    return page(request, "webhooks", webhooks=found, types=EVENT_TYPES)


router = Router("/", route_handlers=[webhooks_page])

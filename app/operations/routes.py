"""`/healthz`, `/readyz` and `/metrics`, for whoever watches the process."""

from typing import Annotated, Literal

from litestar import MediaType, Response, Router, get
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from pydantic import Field

from app.access.routes import needs, open_to_all
from app.http.models import Answer
from app.http.openapi import problems
from app.operations.metrics import CONTENT_TYPE, rendered
from app.operations.service import Operations


class HealthAnswer(Answer):
    """The process runs."""

    status: Literal["ok"] = "ok"


class ReadyAnswer(Answer):
    """Whether requests can be served, and in which mode bookings are made."""

    ready: bool
    mode: Literal["strict", "optimistic"]
    reason: Annotated[str | None, Field(description="Why not; only if it is not ready.")] = None


@get("/healthz", guards=[open_to_all()], responses=problems(key=False), operation_id="health", tags=["Operations"])
async def health() -> HealthAnswer:
    """The process runs; nothing else is asked."""
    return HealthAnswer()


_NOT_READY = ResponseSpec(ReadyAnswer, generate_examples=False, description="Not ready, with the same body.")


@get(
    "/readyz",
    guards=[open_to_all()],
    responses=problems(key=False) | {503: _NOT_READY},
    operation_id="ready",
    tags=["Operations"],
)
async def ready(operations: NamedDependency[Operations]) -> Response[ReadyAnswer]:
    """The database answers and has its indexes; 503 with the same body and a `reason` if not, or before its end."""
    state = await operations.state()
    return Response(
        ReadyAnswer(ready=state.ready, mode=state.mode, reason=state.reason), status_code=200 if state.ready else 503
    )


@get(
    "/metrics",
    guards=[needs("admin")],
    responses=problems(),
    operation_id="metrics",
    tags=["Operations"],
    media_type=MediaType.TEXT,
)
async def metrics(operations: NamedDependency[Operations]) -> Response[bytes]:
    """The mode, findings and reconciliations in numbers, as Prometheus reads them."""
    return Response(rendered(await operations.figures(), operations.mode), headers={"Content-Type": CONTENT_TYPE})


router = Router("/", route_handlers=[health, ready, metrics])

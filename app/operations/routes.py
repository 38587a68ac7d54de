"""The routes `/healthz`, `/readyz` and `/metrics`."""

from typing import Annotated, Literal

from litestar import MediaType, Response, Router
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from pydantic import Field

from app.access.routes import needs, open_to_all
from app.http.models import Answer, Instant
from app.http.openapi import problems
from app.http.routing import get
from app.operations.metrics import CONTENT_TYPE, Scrape
from app.operations.service import Operations


class HealthAnswer(Answer):
    """The process runs."""

    status: Literal["ok"]
    """Always this."""


class ReadinessChecks(Answer):
    """How what the process uses fares."""

    database: Literal["ok", "failed", "unknown"]
    """Whether the database answers; `unknown`: it was not asked."""
    indexes: Literal["ok", "failed", "unknown"]
    """Whether the indexes are as they must be; `unknown`: they were not asked for."""
    redis: Literal["ok", "degraded", "unset"]
    """`degraded` if Redis does not answer: bookings work, and jobs wait in the database. `unset`: there is none."""
    relay: Literal["ok", "degraded", "unknown"]
    """`degraded` if events have waited for their place for more than ten seconds: bookings work, and followers see
    nothing new. `unknown`: the database was not asked."""
    last_reconciliation: Instant | None = None
    """When the last reconciliation that succeeded ended, if one did and the database was asked."""


class ReadinessAnswer(Answer):
    """Whether requests can be served, and in which mode bookings are made."""

    ready: bool
    """Whether requests can be served."""
    mode: Literal["strict", "optimistic"]
    """How bookings are made: `strict` by transactions, `optimistic` without them."""
    reason: Annotated[str | None, Field(description="Why not; only if it is not ready.")] = None
    checks: ReadinessChecks
    """How what the process uses fares. Redis and the relay do not count for `ready`."""


@get("/healthz", guards=[open_to_all()], responses=problems(key=False), operation_id="getHealth", tags=["Operations"])
async def health() -> HealthAnswer:
    """Get whether the process runs.

    Nothing else is asked.
    """
    return HealthAnswer(status="ok")


_NOT_READY = ResponseSpec(ReadinessAnswer, generate_examples=False, description="Not ready, with the same body.")


@get(
    "/readyz",
    guards=[open_to_all()],
    responses=problems(key=False) | {503: _NOT_READY},
    operation_id="getReadiness",
    tags=["Operations"],
)
async def ready(operations: NamedDependency[Operations]) -> Response[ReadinessAnswer]:
    """Get whether requests can be served.

    The database answers and has its indexes; 503 with the same body and a `reason` if not, or when the process is
    about to end. Redis that is away is `degraded` and no reason: bookings do without it. So is a relay that is late.
    """
    state = await operations.readiness()
    checks = ReadinessChecks.model_validate(state)
    return Response(
        ReadinessAnswer(ready=state.ready, mode=state.mode, reason=state.reason, checks=checks),
        status_code=200 if state.ready else 503,
    )


@get(
    "/metrics",
    guards=[needs("metrics:read")],
    responses=problems(),
    operation_id="getMetrics",
    tags=["Operations"],
    media_type=MediaType.TEXT,
)
async def metrics(scrape: NamedDependency[Scrape]) -> Response[bytes]:
    """Get metrics in the format of Prometheus.

    Requests, the write path, connections and the event loop of all processes; findings, reconciliations and keys.
    """
    return Response(await scrape.text(), headers={"Content-Type": CONTENT_TYPE})


router = Router("/", route_handlers=[health, ready, metrics])

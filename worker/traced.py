"""Jobs from the queue as spans, which continue the trace of what queued them."""

from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from functools import wraps
from typing import Any

from arq.typing import WorkerCoroutine

from app.telemetry.tracer import Tracer
from worker.jobs import Context


def traced(job: Callable[..., Coroutine[Any, Any, object]]) -> WorkerCoroutine:
    """The job, which also takes the headers that the queue adds to its arguments where there are traces."""

    @wraps(job)
    async def run(ctx: Context, *arguments: str, **carrier: str) -> object:
        tracer: Tracer | None = ctx.get("tracer")
        with nullcontext() if tracer is None else tracer.job(job.__name__, carrier):
            return await job(ctx, *arguments)

    return run

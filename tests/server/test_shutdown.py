"""The end of an app and of a worker: everything that they opened is closed."""

import inspect
import sys
from importlib import import_module
from typing import Any

import pytest

from app.access.key_uses import KeyUses
from app.access.rate_limits import RateLimits
from app.booking import BookingService
from app.cluster import worker_heartbeat
from app.events.relay import Relay
from app.http.failure_log import FailureLog
from app.job_queue import Queue
from app.main import create_app
from app.operations.metrics import Scrape
from app.reconciliation.alerts import Alerts
from app.reconciliation.optimistic_followups import OptimisticFollowups
from app.settings import Settings
from app.storage.client import Store
from app.storage.leases import OWNER
from app.wakeups import Wakeups
from app.webhooks.dispatcher import Dispatcher
from app.work import WorkPool

OF_AN_APP: dict[type, str] = {
    KeyUses: "close",
    Scrape: "stop",
    BookingService: "stop",
    Wakeups: "close",
    WorkPool: "close",
    FailureLog: "close",
    OptimisticFollowups: "close",
    Queue: "close",
    RateLimits: "close",
}
OF_A_WORKER: dict[type, str] = {
    Dispatcher: "stop",
    Relay: "stop",
    BookingService: "stop",
    Wakeups: "close",
    Alerts: "aclose",
}


def let_fail(monkeypatch: pytest.MonkeyPatch, kinds: dict[type, str]) -> list[type]:
    """Let each of these fail after it was closed; those that were closed, in their order."""
    closed: list[type] = []

    def failing(kind: type, name: str) -> Any:
        close = getattr(kind, name)

        async def fail_late(self: object) -> None:
            closed.append(kind)
            await close(self)
            raise RuntimeError(kind.__name__)

        def fail(self: object) -> None:
            closed.append(kind)
            close(self)
            raise RuntimeError(kind.__name__)

        return fail_late if inspect.iscoroutinefunction(close) else fail

    for kind, name in kinds.items():
        monkeypatch.setattr(kind, name, failing(kind, name))
    return closed


async def test_an_app_closes_each_whatever_the_others_do(mock_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though every one of them fails at its end, all are closed, the uses of keys first; the failure is seen."""
    closed = let_fail(monkeypatch, OF_AN_APP)

    with pytest.raises(ExceptionGroup):  # the framework puts the failure into one
        async with create_app(Settings(), store=mock_store).lifespan():
            pass

    assert closed[0] is KeyUses
    assert {*closed} == {*OF_AN_APP}


async def test_a_worker_closes_each_whatever_the_others_do(
    mock_store: Store, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though others fail at its end, its heartbeat is taken away and the database is closed."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.delitem(sys.modules, "worker.settings", raising=False)
    settings = import_module("worker.settings")
    monkeypatch.delitem(sys.modules, "worker.settings")  # it knows the address of this Redis

    async def opened(_: object) -> Store:
        return mock_store

    databases: list[Store] = []

    async def close() -> None:
        databases.append(mock_store)

    ctx: dict[str, Any] = {}
    with monkeypatch.context() as patched:
        patched.setattr(settings, "connect", opened)
        patched.setattr(mock_store, "close", close)
        closed = let_fail(patched, OF_A_WORKER)
        await settings.startup(ctx)
        await worker_heartbeat.beat(mock_store, OWNER, "host")
        with pytest.raises(RuntimeError):
            await settings.shutdown(ctx)

    assert {*closed} == {*OF_A_WORKER}
    assert databases == [mock_store]
    assert (await worker_heartbeat.workers(mock_store)).alive == 0

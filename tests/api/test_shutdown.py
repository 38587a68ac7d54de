"""The end of an app: everything that it opened is closed."""

import inspect
from typing import Any

import pytest

from app.access.key_uses import KeyUses
from app.access.rate_limits import RateLimits
from app.booking import BookingService
from app.http.failure_log import FailureLog
from app.job_queue import Queue
from app.main import create_app
from app.operations.metrics import Scrape
from app.reconciliation.optimistic_followups import OptimisticFollowups
from app.settings import Settings
from app.storage.client import Store
from app.work import WorkPool

CLOSED: dict[type, str] = {
    KeyUses: "close",
    Scrape: "stop",
    BookingService: "stop",
    WorkPool: "close",
    FailureLog: "close",
    OptimisticFollowups: "close",
    Queue: "close",
    RateLimits: "close",
}


async def test_each_is_closed_whatever_the_others_do(mock_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though every one of them fails at its end, all are closed, the uses of keys first; the failure is seen."""
    closed: list[type] = []

    def let_fail(kind: type, name: str) -> None:
        close = getattr(kind, name)

        async def fail_late(self: object) -> None:
            closed.append(kind)
            await close(self)
            raise RuntimeError(kind.__name__)

        def fail(self: object) -> None:
            closed.append(kind)
            close(self)
            raise RuntimeError(kind.__name__)

        failing: Any = fail_late if inspect.iscoroutinefunction(close) else fail
        monkeypatch.setattr(kind, name, failing)

    for kind, name in CLOSED.items():
        let_fail(kind, name)

    with pytest.raises(ExceptionGroup):  # the framework puts the failure into one
        async with create_app(Settings(), store=mock_store).lifespan():
            pass

    assert closed[0] is KeyUses
    assert {*closed} == {*CLOSED}

"""mongomock-motor made to behave: its calls never yield to the event loop, so races would never show."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from mongomock_motor import AsyncCursor, AsyncLatentCommandCursor, AsyncMongoMockClient, AsyncMongoMockCollection

Call = Callable[..., Coroutine[Any, Any, Any]]


def yielding(call: Call) -> Call:
    """The same call, after other tasks had a turn."""

    @wraps(call)
    async def after_a_turn(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return await call(*args, **kwargs)

    return after_a_turn


def let_calls_yield() -> None:
    """Let every call on a collection or cursor yield first; for the life of this process."""
    for kind in (AsyncMongoMockCollection, AsyncCursor, AsyncLatentCommandCursor):
        for name in dir(kind):
            call = getattr(kind, name)
            if inspect.iscoroutinefunction(call):
                setattr(kind, name, yielding(call))


def mock_client() -> Any:
    """A client with a server of its own in this process."""
    return AsyncMongoMockClient(tz_aware=True)

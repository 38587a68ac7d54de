"""The app in this process and this event loop, and a client that speaks HTTP to it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from litestar import Litestar

from app.access.schemas import NewKey
from app.access.service import IssuedKey, Keys
from app.application import application
from app.http.models import read_body
from app.main import equip
from app.settings import Settings
from app.storage.client import Store


async def create_key(store: Store, name: str, scopes: Sequence[str], **more: Any) -> IssuedKey:
    """A new key, of the fields of a `POST /v1/keys`."""
    return await Keys(store).create(read_body(NewKey, {"name": name, "scopes": [*scopes], **more}), by="test")


async def make_key(store: Store, *scopes: str, customer: str | None = None) -> str:
    """A key with the given scopes, as it goes into `Authorization: Bearer`."""
    return (await create_key(store, "test", scopes, **({"customer": customer} if customer else {}))).token


class UntilAnswered:
    """An ASGI application as a server runs it: the last part of an answer ends the request, not the application.

    A stream of events has no last part; its client leaves with the first.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request; an error of the application before its answer is complete is raised here."""
        complete = asyncio.get_running_loop().create_future()
        is_stream = False

        async def send_on(message: Any) -> None:
            nonlocal is_stream
            if message["type"] == "http.response.start":
                is_stream = (b"content-type", b"text/event-stream") in message["headers"]
            elif is_stream:
                message = message | {"more_body": False}
            if is_stream and complete.done():
                return
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body") and not complete.done():
                complete.set_result(None)

        work = asyncio.create_task(self._app(scope, receive, send_on))
        self._running.add(work)
        work.add_done_callback(self._running.discard)
        try:
            await asyncio.wait((work, complete), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            work.cancel()
            raise
        if work.done():
            await work


_FREE: list[Litestar] = []
"""Applications of this process that no test uses at present; to build one takes longer than most tests."""


@asynccontextmanager
async def serving(
    store: Store, *, settings: Settings | None = None, scopes: Sequence[str] = ("admin",)
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key of the given scopes; what the app does not handle itself raises in the test."""
    app = equip(_FREE.pop() if _FREE else application(), settings or Settings(), store=store)
    headers = {"Authorization": f"Bearer {await make_key(store, *scopes)}"}
    asgi: Any = UntilAnswered(app)  # httpx and Litestar spell the same protocol differently
    async with (
        running(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(asgi), base_url="http://test", headers=headers) as client,
    ):
        yield client
    _FREE.append(app)


@asynccontextmanager
async def running(app: Litestar) -> AsyncIterator[None]:
    """The app's lifespan, in a task of its own: a fixture is set up and taken down in different ones."""
    started, stop = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.lifespan():
            started.set()
            await stop.wait()

    life, start = asyncio.create_task(live()), asyncio.create_task(started.wait())
    await asyncio.wait({life, start}, return_when=asyncio.FIRST_COMPLETED)
    start.cancel()
    try:
        if not life.done():
            yield
    finally:
        stop.set()
        await life

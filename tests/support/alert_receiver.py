"""A receiver of alerts: an HTTP server of a few lines that answers as a test wants, and records its requests."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeAlias

Answer: TypeAlias = Callable[[asyncio.StreamWriter], Awaitable[None]]


class ReceivedRequest(NamedTuple):
    """A request as the receiver got it."""

    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The `text` of the message, its only member."""
        message = json.loads(self.body)
        assert message.keys() == {"text"}
        return str(message["text"])


class Receiver:
    """The received requests, in order, and the answer to the next."""

    def __init__(self) -> None:
        self.requests: list[ReceivedRequest] = []
        self.answer: Answer = answer_with(204)
        self.port = 0
        self.connections = 0
        self.keeps_connections = False
        """Whether a connection may bring more than one request."""
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The address of the receiver."""
        return f"http://127.0.0.1:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Record and answer what comes over a connection."""
        self.connections += 1
        serving = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)
        await asyncio.wait([serving])

    async def close(self) -> None:
        """Break off the answers that have no end."""
        for each in self._serving:
            each.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer_one(reader, writer)
            while self.keeps_connections:
                await self._answer_one(reader, writer)
            writer.close()
            await writer.wait_closed()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the sender has closed the connection
        finally:
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        self.requests.append(ReceivedRequest(headers, await reader.readexactly(int(headers["content-length"]))))
        await self.answer(writer)


def answer_with(status: int, *headers: str) -> Answer:
    """An answer without a body."""
    lines = [f"HTTP/1.1 {status} Word", "Content-Length: 0", "Connection: close", *headers, "", ""]

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join(lines).encode())
        await writer.drain()

    return answer


@asynccontextmanager
async def alert_receiver(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver that answers 204 until a test sets another answer."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver.close()

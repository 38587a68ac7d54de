"""The connection that messages to a receiver share, and what a receiver can do to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.outgoing import connection as kept
from app.outgoing import receiver as ours
from app.outgoing.connection import Connection
from app.outgoing.network import Network
from app.outgoing.receiver import DeliveryFailed, Message, Receiver

TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """A receiver that keeps connections; it closes one after an answer that is told to be the last one."""

    def __init__(self) -> None:
        self.connections = 0
        self.got: list[str] = []
        self.answers: list[bytes] = []
        """The next answers; after them, each message is taken."""
        self.ends: set[int] = set()
        """The messages, by their number, after whose answers the connection is closed."""
        self.closed = asyncio.Event()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes over one connection."""
        self.connections += 1
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = dict(line.split(": ", 1) for line in lines[1:] if line)
                await reader.readexactly(int(headers["Content-Length"]))
                self.got.append(headers["webhook-id"])
                writer.write(self.answers.pop(0) if self.answers else TAKEN)
                await writer.drain()
                if len(self.got) in self.ends:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.closed.set()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server on this host."""
    found = Server()
    listening = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = listening.sockets[0].getsockname()[1]
    yield found
    listening.close()


@asynccontextmanager
async def sending(server: Server, network: Network | None = None) -> AsyncIterator["Sender"]:
    """What sends messages to a server over a connection that is kept."""
    network = network or Network(private=True)
    async with Connection(network) as connection:
        yield Sender(Receiver(f"http://127.0.0.1:{server.port}/hook", (), network), connection)


class Sender:
    """Sends messages one after the other."""

    def __init__(self, receiver: Receiver, connection: Connection) -> None:
        self.receiver, self.connection = receiver, connection

    async def send(self, *names: str) -> None:
        """Send a message of each id."""
        for name in names:
            await self.receiver.post(Message(name, "{}"), connection=self.connection)


async def test_messages_share_a_connection(server: Server) -> None:
    """It is made for the first of them, and closed at the end."""
    async with sending(server) as sender:
        await sender.send(*"abc")
    await server.closed.wait()

    assert (server.got, server.connections) == ([*"abc"], 1)


async def test_it_is_as_old_as_it_may_be(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the host is looked up anew, and its address judged."""
    looked_up: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        del port
        looked_up.append(host)
        return [host]

    monkeypatch.setattr(kept, "AGE_SECONDS_MAX", 0.0)
    async with sending(server, Network(private=True, resolver=resolve)) as sender:
        await sender.send(*"abc")

    assert (len(looked_up), server.connections) == (3, 3)


async def test_a_receiver_may_close_it(server: Server) -> None:
    """What is sent over a connection that was closed meanwhile is sent over a new one, and is no failure."""
    server.ends = {1, 2}
    async with sending(server) as sender:
        await sender.send("a")
        await server.closed.wait()
        await sender.send("b", "c")

    assert (server.got[0], server.got[-1], {*server.got}) == ("a", "c", {*"abc"})
    assert server.connections == 3


@pytest.mark.parametrize("cut", [b"", b"HTTP/1.1 200 OK\r\nContent-Le"])
async def test_one_that_breaks_at_once_is_a_failure(server: Server, cut: bytes) -> None:
    """A message is sent twice at the most, the second time over a connection that was made for it."""
    server.answers, server.ends = [TAKEN, cut, cut], {2, 3}
    async with sending(server) as sender:
        await sender.send("a")
        with pytest.raises(DeliveryFailed, match="RemoteProtocolError"):
            await sender.send("b")
        await sender.send("c")

    assert (server.got, server.connections) == ([*"abbc"], 3)


async def test_an_answer_that_is_not_read_to_its_end(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts, and no part of it is taken for the next answer."""
    monkeypatch.setattr(ours, "DRAIN_BYTES", 3)
    server.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 10 + b"HTTP/1.1 500 No\r\n\r\n"]
    async with sending(server) as sender:
        await sender.send(*"ab")

    assert (server.got, server.connections) == ([*"ab"], 2)


async def test_an_answer_before_its_question(server: Server) -> None:
    """A second answer to one message is not that to the next one."""
    server.answers = [TAKEN + b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"]
    async with sending(server) as sender:
        await sender.send(*"ab")

    assert server.got == [*"ab"]

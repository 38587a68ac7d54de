"""Connections to receivers: a name is resolved once, its addresses are judged, and one of those is connected to.

So a name that answers with another address a moment later gains nothing. The name itself stays what TLS asks for and
verifies, and what the `Host` header says.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from threading import Thread
from typing import TypeAlias, cast

import httpcore
from typing_extensions import override

from app.outgoing.addresses import is_public
from app.single_flight import SingleFlight

CONNECT_SECONDS = 5.0
"""For the resolution of a name and the connection to one of its addresses."""
ADDRESSES_MAX = 8
"""Addresses of a name that are tried; each has its share of the time."""

Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
"""From a host and a port to addresses; it raises an OSError where there are none."""
SocketOptions: TypeAlias = Iterable[
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
]


class AddressRefused(Exception):  # noqa: N818 -- named for what happened, like the failures of the library
    """A receiver has no address that a message may go to."""


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host by the system's resolver, in the order in which it prefers them.

    Each lookup has a thread of its own, which does not keep the process from ending: a resolver that hangs holds up
    neither another lookup nor anything else that runs in threads.

    Raises:
        OSError: the name has no address, or could not be looked up.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def tell(addresses: list[str] | OSError) -> None:
        if found.done():
            return
        if isinstance(addresses, OSError):
            found.set_exception(addresses)
        else:
            found.set_result(addresses)

    def look_up() -> None:
        answer: list[str] | OSError
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer = [str(address[0]) for *_, address in rows]
        except OSError as error:
            answer = error
        except UnicodeError as error:  # a label that is empty or too long
            answer = OSError(str(error))
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, answer)

    Thread(target=look_up, daemon=True, name="resolver").start()
    return await found


class Network(httpcore.AsyncNetworkBackend):
    """What connects to receivers.

    Args:
        private: Whether addresses that are not public may be connected to.
        resolver: Looks up names. Equal lookups at the same time are one, so there are never more than hosts.
    """

    def __init__(self, *, private: bool, resolver: Resolve = resolve) -> None:
        self._private = private
        self._resolve = resolver
        self._lookups: SingleFlight[tuple[str, int], list[str]] = SingleFlight()
        self._sockets = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first permitted address of a host that accepts, within `CONNECT_SECONDS`.

        Args:
            host: A name or an address.
            port: The port.
            timeout: Seconds; unused, as the time is this module's own.
            local_address: Unused.
            socket_options: Those of the socket.

        Raises:
            AddressRefused: none of its addresses is permitted.
            OSError: the name has no address, or the time was over.
            httpcore.ConnectError: no address accepts.
        """
        del timeout, local_address
        loop = asyncio.get_running_loop()
        until = loop.time() + CONNECT_SECONDS
        async with asyncio.timeout_at(until):
            found = await asyncio.shield(self._lookups.task((host, port), lambda: self._look_up(host, port)))
        permitted = [each for each in dict.fromkeys(found) if self._private or is_public(each)][:ADDRESSES_MAX]
        failure: Exception = AddressRefused("no address of its host is a public one")
        for place, address in enumerate(permitted):
            share = (until - loop.time()) / (len(permitted) - place)
            try:
                async with asyncio.timeout(share):
                    return await self._sockets.connect_tcp(address, port, socket_options=socket_options)
            except (httpcore.ConnectError, TimeoutError) as error:
                failure = error
        raise failure

    async def _look_up(self, host: str, port: int) -> list[str]:
        return await self._resolve(host, port)

    @override
    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: SocketOptions | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: a receiver is on the network. The `timeout`, in seconds, is unused.

        Raises:
            AddressRefused: always.
        """
        raise AddressRefused("a receiver is on the network")

    @override
    async def sleep(self, seconds: float) -> None:
        """Wait; only for repeated attempts of the library, of which there are none."""
        await asyncio.sleep(seconds)

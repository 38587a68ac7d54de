"""The connection to a receiver, kept for messages that follow each other.

To connect takes as long as to send a message, over TLS twice as long. The address was judged when it was connected to,
and a connection stays with its address, so what is sent over it later goes nowhere else.
"""

import asyncio
from functools import cache
from ssl import SSLContext
from types import TracebackType
from typing import Self

import httpcore
import httpx

from app.outgoing.network import Network

AGE_SECONDS_MAX = 60.0
"""How long a connection is used: a name may have another address by then, or one that is refused."""


class Connection:
    """One connection at a time, made when it is needed and closed at the end of a block.

    Args:
        network: What connects, and judges the address.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._pool: httpcore.AsyncConnectionPool | None = None
        self._until = 0.0

    async def __aenter__(self) -> Self:
        """Connect to nothing yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()

    async def send(self, request: httpcore.Request) -> httpcore.Response:
        """Send a request, and wait for the head of its answer, which is to be closed before the next request.

        A receiver may close a connection that it has kept, at any time; the request is then sent over a new one. So it
        is where the receiver has sent more than an answer: the rest would count as the answer to this request.

        Raises:
            AddressRefused, OSError, httpcore.NetworkError, httpcore.ProtocolError: there is no answer.
        """
        now = asyncio.get_running_loop().time()
        if self._pool is not None and (now >= self._until or not _is_connected(self._pool)):
            await self.close()
        if self._pool is not None:
            try:
                return await self._pool.handle_async_request(request)
            except (httpcore.NetworkError, httpcore.RemoteProtocolError):
                await self.close()
        if self._pool is None:
            self._pool = httpcore.AsyncConnectionPool(
                ssl_context=_tls(), max_connections=1, keepalive_expiry=AGE_SECONDS_MAX, network_backend=self._network
            )
            self._until = now + AGE_SECONDS_MAX
        return await self._pool.handle_async_request(request)

    async def close(self) -> None:
        """Close it, if there is one."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()


def _is_connected(pool: httpcore.AsyncConnectionPool) -> bool:
    """Whether there is a connection on which nothing is under way, and nothing came that nobody has asked for.

    The library tells the latter by a private attribute alone; without it, the connection is not used again.
    """
    connection = next(iter(pool.connections), None)
    state = getattr(getattr(connection, "_connection", None), "_h11_state", None)
    return connection is not None and connection.is_idle() and getattr(state, "trailing_data", None) == (b"", False)


@cache
def _tls() -> SSLContext:
    """What verifies certificates: by the usual authorities, or those of `SSL_CERT_FILE`."""
    return httpx.create_ssl_context()

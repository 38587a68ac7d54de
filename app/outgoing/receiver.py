"""Receivers of messages: a message is one POST, and any answer but 2xx is a failure.

Messages are signed as Standard Webhooks say (https://www.standardwebhooks.com): `webhook-id`, `webhook-timestamp`,
`webhook-signature`. Redirects are not followed, and no proxy of the environment is used.
"""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import Sequence
from contextlib import aclosing, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpcore
import httpx
from standardwebhooks.webhooks import Webhook

from app.outgoing.connection import Connection
from app.outgoing.network import CONNECT_SECONDS, AddressRefused, Network
from app.telemetry.tracer import PASSED_ON

POST_SECONDS = 10.0
"""For everything: name resolution, connection, the request, and the answer as far as it is read."""
DRAIN_SECONDS = 1.0
"""For the body of an answer, so that the receiver is not cut off while it sends it."""
DRAIN_BYTES = 16 * 1024
RETRY_AFTER_MAX = timedelta(hours=1)
REASON_CHARACTERS_MAX = 200
"""Of why an attempt failed: it is stored for each, and may be what the other side chose."""

_FAILURES = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, AddressRefused, OSError)
"""What the library raises has no base of its own; a TimeoutError is an OSError."""


@dataclass(frozen=True, slots=True)
class Message:
    """The body of a request, a JSON text, and the `webhook-id` by which a receiver recognizes a repeated one."""

    id: str
    body: str


class DeliveryFailed(Exception):  # noqa: N818 -- an answer of the receiver, worth another try
    """The receiver did not accept a message; the text says why, shortly and without the address.

    Attributes:
        status: The status of its answer, if there was one.
        pause: How long the receiver asked not to be called (`Retry-After`), at most an hour.
    """

    def __init__(self, reason: str, status: int | None = None, pause: timedelta = timedelta(0)) -> None:
        super().__init__(reason[:REASON_CHARACTERS_MAX])
        self.status = status
        self.pause = pause


class Receiver:
    """The address of a receiver.

    Args:
        url: The address; it may hold secrets and is never shown.
        keys: The secrets that sign messages: each makes a signature of its own, of which one must be known there.
        network: What connects to it.
    """

    def __init__(self, url: str, keys: Sequence[bytes], network: Network) -> None:
        self._url = url
        self._signers = [Webhook(key) for key in keys]
        self._network = network
        parts = urlsplit(url)
        self.name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self.fingerprint = hashlib.sha256(b"\n".join([url.encode(), *(keys or [b""])])).hexdigest()[:8]

    async def post(
        self, message: Message, seconds: float | None = None, *, connection: Connection | None = None
    ) -> int:
        """Send a message once; the status of the answer. Any 2xx is an acceptance, whatever its body.

        Args:
            message: The message.
            seconds: How long everything may take; `POST_SECONDS` if left out.
            connection: That of messages before, to be used again; one for this message alone if left out.

        Raises:
            DeliveryFailed: any other answer, or none.
        """
        seconds = POST_SECONDS if seconds is None else seconds
        try:
            request = self._request(message)
            async with nullcontext(connection) if connection else Connection(self._network) as used:
                async with asyncio.timeout(seconds) as limit:
                    answer = await used.send(request)
                await _drain(answer, limit.when())
        except TimeoutError:
            raise DeliveryFailed(f"it did not answer within {seconds:g} seconds") from None
        except AddressRefused as error:
            raise DeliveryFailed(str(error)) from None
        except (httpcore.ProtocolError, httpcore.UnsupportedProtocol, httpx.InvalidURL, ValueError) as error:
            raise DeliveryFailed(type(error).__name__) from None  # its text may repeat the answer or the address
        except _FAILURES as error:
            raise DeliveryFailed(f"{type(error).__name__}: {error}".removesuffix(": ")) from None
        if not 200 <= answer.status < 300:  # noqa: PLR2004 -- the statuses of success
            redirected = "; redirects are not followed" if 300 <= answer.status < 400 else ""  # noqa: PLR2004 -- the statuses of a redirect
            raise DeliveryFailed(f"it answered {answer.status}{redirected}", answer.status, retry_after(answer.headers))
        return answer.status

    def _request(self, message: Message) -> httpcore.Request:
        url, body = httpx.URL(self._url), message.body.encode()
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        headers: dict[bytes | str, bytes | str] = {
            "Host": url.netloc.decode("ascii"),
            "Content-Length": str(len(body)),
            "User-Agent": "Reserva",
            "Content-Type": "application/json",
            "webhook-id": message.id,
        }
        headers.update(PASSED_ON.get().items())
        if url.userinfo:
            credentials = b64encode(f"{url.username}:{url.password}".encode()).decode()
            headers["Authorization"] = f"Basic {credentials}"
        if self._signers:
            now = datetime.now(UTC)
            headers["webhook-timestamp"] = str(int(now.timestamp()))
            headers["webhook-signature"] = " ".join(each.sign(message.id, now, message.body) for each in self._signers)
        limits = {"timeout": {"connect": CONNECT_SECONDS}}
        return httpcore.Request("POST", target, headers=headers, content=body, extensions=limits)


async def _drain(answer: httpcore.Response, until: float | None) -> None:
    """Read a bounded part of the body of an answer, for a bounded time; it is not used.

    A connection whose answer was not read to its end is closed.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + DRAIN_SECONDS
    size = 0
    with suppress(*_FAILURES):
        async with aclosing(answer), asyncio.timeout_at(end if until is None else min(end, until)):
            async for part in answer.aiter_stream():
                size += len(part)
                if size >= DRAIN_BYTES:
                    return


def retry_after(headers: Sequence[tuple[bytes, bytes]]) -> timedelta:
    """The pause that `Retry-After` asks for, in seconds or as a date (RFC 9110, 10.2.3), at most an hour; else zero."""
    text = next((value.decode("latin-1") for name, value in headers if name.lower() == b"retry-after"), "").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:9]), RETRY_AFTER_MAX.total_seconds()))
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return timedelta(0)
    pause = until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)
    return min(max(pause, timedelta(0)), RETRY_AFTER_MAX)

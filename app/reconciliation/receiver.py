"""The receiver of alerts: a message is one POST, and any answer but 2xx is a failure.

A message is JSON with a `text`, as Slack and its like accept it, signed as Standard Webhooks say
(https://www.standardwebhooks.com): `webhook-id`, `webhook-timestamp`, `webhook-signature`.
"""

import asyncio
import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx
from standardwebhooks.webhooks import Webhook

from app.telemetry.tracer import PASSED_ON

POST_SECONDS = 10.0
"""For name resolution, connection, the request and the head of the answer together."""
DRAIN_SECONDS = 1.0
"""For the body of an answer, so that the receiver is not cut off while it sends it."""
DRAIN_BYTES = 16 * 1024
RETRY_AFTER_MAX = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Message:
    """A text and its subject; equal messages have the same `id`, by which a receiver recognizes a repeated one."""

    text: str
    subject: str

    @property
    def id(self) -> str:
        """The `webhook-id`."""
        return "msg_" + hashlib.sha256(f"{self.subject}\n{self.text}".encode()).hexdigest()[:32]

    @property
    def body(self) -> str:
        """The body of the request."""
        return json.dumps({"text": self.text}, ensure_ascii=False)


class DeliveryFailed(Exception):  # noqa: N818 -- an answer of the receiver, worth another try
    """The receiver did not accept a message; the text says why, without the address.

    Attributes:
        pause: How long the receiver asked not to be called (`Retry-After`), at most an hour.
    """

    def __init__(self, reason: str, pause: timedelta = timedelta(0)) -> None:
        super().__init__(reason)
        self.pause = pause


class Receiver:
    """An alert URL.

    Args:
        url: The address; it may hold secrets and is never shown.
        key: The secret that signs messages, if there is one.
    """

    def __init__(self, url: str, key: bytes | None) -> None:
        self._url = url
        self._webhook = None if key is None else Webhook(key)
        parts = urlsplit(url)
        self.name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self.fingerprint = hashlib.sha256(url.encode() + b"\n" + (key or b"")).hexdigest()[:8]

    async def post(self, message: Message) -> None:
        """Send a message once; any 2xx is an acceptance, whatever its body.

        Raises:
            DeliveryFailed: any other answer, or none.
        """
        try:
            async with httpx.AsyncClient(timeout=POST_SECONDS) as client:
                request = client.build_request("POST", self._url, content=message.body, headers=self._headers(message))
                async with asyncio.timeout(POST_SECONDS):
                    answer = await client.send(request, stream=True)
                await _drain(answer)
        except (httpx.TransportError, OSError) as error:  # a TimeoutError is an OSError
            raise DeliveryFailed(f"{type(error).__name__}: {error}".removesuffix(": ")) from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise DeliveryFailed(type(error).__name__) from None  # its text may repeat the address
        if not answer.is_success:
            redirected = "; redirects are not followed" if answer.is_redirect else ""
            raise DeliveryFailed(f"it answered {answer.status_code}{redirected}", retry_after(answer.headers))

    def _headers(self, message: Message) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "webhook-id": message.id, **PASSED_ON.get()}
        if self._webhook is not None:
            now = datetime.now(UTC)
            headers["webhook-timestamp"] = str(int(now.timestamp()))
            headers["webhook-signature"] = self._webhook.sign(message.id, now, message.body)
        return headers


async def _drain(answer: httpx.Response) -> None:
    """Read a bounded part of the body of an answer, for a bounded time; it is not used."""
    size = 0
    with suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for part in answer.aiter_raw(DRAIN_BYTES):
                size += len(part)
                if size >= DRAIN_BYTES:
                    return


def retry_after(headers: httpx.Headers) -> timedelta:
    """The pause that `Retry-After` asks for, in seconds or as a date (RFC 9110, 10.2.3), at most an hour; else zero."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:9]), RETRY_AFTER_MAX.total_seconds()))
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return timedelta(0)
    pause = until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)
    return min(max(pause, timedelta(0)), RETRY_AFTER_MAX)

"""The receiver of alerts: one message, one POST, and what came of it, whatever it answers.

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

ATTEMPT_SECONDS = 10.0
"""For all of it: a name to resolve, a connection, the request and the head of the answer."""
REST_SECONDS = 1.0
"""For the rest of an answer, so that a receiver is not cut off in its last sentence."""
ANSWER_BYTES = 16 * 1024
LONGEST_RETRY_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Message:
    """A text and what it is about: equal ones have the same `id`, by which a receiver knows a repeated one."""

    text: str
    subject: str

    @property
    def id(self) -> str:
        """The `webhook-id`."""
        return "msg_" + hashlib.sha256(f"{self.subject}\n{self.text}".encode()).hexdigest()[:32]

    @property
    def body(self) -> str:
        """What is sent."""
        return json.dumps({"text": self.text}, ensure_ascii=False)


class NotTaken(Exception):  # noqa: N818 -- an answer of theirs, worth another try
    """The receiver did not take a message; it says why, without the address.

    Attributes:
        pause: What the receiver wants to be left alone for, at most an hour.
    """

    def __init__(self, reason: str, pause: timedelta = timedelta(0)) -> None:
        super().__init__(reason)
        self.pause = pause


class Receiver:
    """Who gets alerts.

    Args:
        url: Where it is; it may hold secrets and is never shown.
        key: What to sign with, if anything.
    """

    def __init__(self, url: str, key: bytes | None) -> None:
        self._url = url
        self._webhook = None if key is None else Webhook(key)
        parts = urlsplit(url)
        self.name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self.fingerprint = hashlib.sha256(url.encode() + b"\n" + (key or b"")).hexdigest()[:8]

    async def take(self, message: Message) -> None:
        """Send a message, once; any 2xx is an answer, whatever comes behind it.

        Raises:
            NotTaken: anything else.
        """
        try:
            async with httpx.AsyncClient(timeout=ATTEMPT_SECONDS) as client:
                request = client.build_request("POST", self._url, content=message.body, headers=self._head(message))
                async with asyncio.timeout(ATTEMPT_SECONDS):
                    answer = await client.send(request, stream=True)
                await _hear_out(answer)
        except (httpx.TransportError, OSError) as error:  # a TimeoutError is an OSError
            raise NotTaken(f"{type(error).__name__}: {error}".removesuffix(": ")) from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise NotTaken(type(error).__name__) from None  # its text may repeat the address
        if not answer.is_success:
            redirected = "; redirects are not followed" if answer.is_redirect else ""
            raise NotTaken(f"it answered {answer.status_code}{redirected}", retry_after(answer.headers))

    def _head(self, message: Message) -> dict[str, str]:
        head = {"Content-Type": "application/json", "webhook-id": message.id}
        if self._webhook is not None:
            now = datetime.now(UTC)
            head["webhook-timestamp"] = str(int(now.timestamp()))
            head["webhook-signature"] = self._webhook.sign(message.id, now, message.body)
        return head


async def _hear_out(answer: httpx.Response) -> None:
    """Read what is left of an answer, a little of it and for a short time; nobody needs it."""
    size = 0
    with suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(REST_SECONDS):
            async for part in answer.aiter_raw(ANSWER_BYTES):
                size += len(part)
                if size >= ANSWER_BYTES:
                    return


def retry_after(headers: httpx.Headers) -> timedelta:
    """What `Retry-After` asks for, in seconds or as a date (RFC 9110, 10.2.3), at most an hour; else nothing."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:9]), LONGEST_RETRY_AFTER.total_seconds()))
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return timedelta(0)
    pause = until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)
    return min(max(pause, timedelta(0)), LONGEST_RETRY_AFTER)

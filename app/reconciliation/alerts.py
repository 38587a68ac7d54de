"""Telling people of findings that a run opened: a warning in the log each, and a message to the alert URL.

Neither keeps the run waiting. The message is JSON with a `text`, as Slack and its like accept it, and signed as Stripe
signs: `Reserva-Signature: t=<seconds>,v1=<HMAC-SHA256 of "t.body" in hex>`.
"""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

import httpx
import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from app.settings import Settings
from app.storage.documents import Finding
from app.timeline.instants import render

Teller: TypeAlias = Callable[[Sequence[Finding]], None]
"""Told of the findings that a run opened; returns at once."""

TRIES = 6
LONGEST_WAIT_SECONDS = 30.0
ANSWER_SECONDS = 10.0
LAST_SECONDS = 15.0
"""How long a process that ends waits for what it still has to say."""
LINES = 20
"""Findings that one message names; of more it says how many."""

log = structlog.get_logger()


def warn(findings: Sequence[Finding]) -> None:
    """The seed's line for each, with all that it left out."""
    for finding in findings:
        log.warning(
            said(finding),
            finding=str(finding.id),
            run=str(finding.run),
            resource=finding.resource,
            start=render(finding.from_),
            end=render(finding.to),
            peak=finding.peak,
            capacity=finding.capacity,
            reservations=[str(reservation) for reservation in finding.reservations],
        )


def said(finding: Finding) -> str:
    """One finding in a line."""
    first, *others = (str(reservation) for reservation in finding.reservations)
    what = f"{first} overlaps {', '.join(others)}" if others else f"{first} is more than the resource holds"
    return f"Conflict detected: {what}"


def sign(secret: str, body: bytes, at: int) -> str:
    """The signature of a body that is sent at that second."""
    signed = hmac.new(secret.encode(), str(at).encode() + b"." + body, hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"


class _Refused(Exception):  # noqa: N818 -- an answer of theirs, worth another try
    """The receiver did not take the message."""


class Alerts:
    """Who is told of new findings; call it with them.

    Args:
        settings: Where to send, and the secret to sign with. Without a URL the log is all.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.alert_url
        self._secret = settings.alert_secret
        self._sending: set[asyncio.Task[None]] = set()

    def __call__(self, findings: Sequence[Finding]) -> None:
        """Warn, and send a message on the side."""
        warn(findings)
        if self._url is not None and findings:
            task = asyncio.create_task(self._send(self._url, text_of(findings)))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def aclose(self) -> None:
        """Give what is being sent a little time, then leave."""
        if self._sending:
            _, late = await asyncio.wait(self._sending, timeout=LAST_SECONDS)
            for task in late:
                task.cancel()
            if late:
                log.error("the alert URL does not answer; the log has what it was not told", messages=len(late))

    async def _send(self, url: str, text: str) -> None:
        body = json.dumps({"text": text}, ensure_ascii=False).encode()
        retrying = AsyncRetrying(
            stop=stop_after_attempt(TRIES),
            wait=wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT_SECONDS),
            retry=retry_if_exception_type((httpx.TransportError, _Refused)),
            reraise=True,
        )
        try:
            async with httpx.AsyncClient(timeout=ANSWER_SECONDS) as client:
                await retrying(self._post, client, url, body)
        except (httpx.HTTPError, httpx.InvalidURL, _Refused) as error:
            reason = f"{type(error).__name__}: {error}"
            log.warning("the alert URL was not told of new findings; the log was", error=reason)

    async def _post(self, client: httpx.AsyncClient, url: str, body: bytes) -> None:
        headers = {"Content-Type": "application/json"}
        if self._secret:
            headers["Reserva-Signature"] = sign(self._secret, body, int(time.time()))
        answer = await client.post(url, content=body, headers=headers)
        if not answer.is_success:
            raise _Refused(f"it answered {answer.status_code}")


def text_of(findings: Sequence[Finding]) -> str:
    """What a message says: a line for each of the first findings, with the ids that a person looks for."""
    lines = [
        f"{finding.resource}, {render(finding.from_)} to {render(finding.to)}: {finding.peak} of {finding.capacity}"
        f" taken. {said(finding)} (finding {finding.id})"
        for finding in findings[:LINES]
    ]
    if len(findings) > LINES:
        lines.append(f"… and {len(findings) - LINES} more")
    return "\n".join(lines)

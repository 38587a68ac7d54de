"""The limits of requests: of a key, and of an address that sends requests without a valid one.

Answers tell clients where they stand, in the header fields of the IETF's draft
(draft-ietf-httpapi-ratelimit-headers): `RateLimit-Policy: "key";q=600;w=60` and `RateLimit: "key";r=599;t=60`.
"""

import asyncio
from functools import lru_cache
from math import ceil
from typing import NamedTuple

from app.access.counts import Counted, Counts
from app.access.shared_counts import SharedCounts
from app.caller import Caller
from app.errors import RateLimited
from app.http.addresses import Addresses
from app.http.request import AnyConnection, add_header
from app.rates import Rate, read_rate
from app.settings import Settings

RATE_LIMITS = "rate_limits"
"""The key of the limits in the application's state."""


class RateLimits:
    """Counts requests, and refuses those above a rate.

    Args:
        settings: The rates of keys that have none of their own, and of addresses; trusted proxies; and where Redis is.
    """

    def __init__(self, settings: Settings) -> None:
        self._addresses = Addresses(settings.trusted_networks())
        self._of_a_key = _Limit("key", "The API key {}", settings.rate_limit, settings.redis_url)
        self._of_an_address = _Limit(
            "address", "An address without a valid API key", settings.address_rate_limit, settings.redis_url
        )

    async def start(self) -> None:
        """Find out whether Redis counts."""
        await asyncio.gather(self._of_a_key.start(), self._of_an_address.start())

    async def close(self) -> None:
        """Close the connections to Redis, as far as it lets go of them in time."""
        await asyncio.gather(self._of_a_key.close(), self._of_an_address.close())

    async def count_key(self, connection: AnyConnection, caller: Caller) -> None:
        """Count a request with a valid key.

        Raises:
            Problem: `rate-limited`.
        """
        await self._of_a_key.count(connection, caller.prefix, caller.rate_limit)

    async def count_calendar(self, connection: AnyConnection, identity: str) -> None:
        """Count a request for the calendar at a secret address, which may be read as often as a key may ask.

        Raises:
            Problem: `rate-limited`.
        """
        await self._of_a_key.count(connection, identity, subject="The address of a calendar")

    async def count_address(self, connection: AnyConnection) -> None:
        """Count a request without a valid key.

        Raises:
            Problem: `rate-limited`.
        """
        await self._of_an_address.count(connection, self._addresses.counted(connection.scope))

    def refuse_full(self, connection: AnyConnection) -> None:
        """Refuse a request of an address that has sent too many without a valid key; one that has not is not counted.

        Raises:
            Problem: `rate-limited`.
        """
        self._of_an_address.refuse_full(connection, self._addresses.counted(connection.scope))


class _Policy(NamedTuple):
    """A rate, and the header that announces it."""

    rate: Rate
    header: bytes


@lru_cache(maxsize=1_000)
def _policy(kind: str, rate: str) -> _Policy | None:
    known = read_rate(rate)
    return None if known is None else _Policy(known, f'"{kind}";q={known.count};w={known.seconds}'.encode())


class _Limit:
    """The limit of each of one kind.

    Args:
        kind: The name of the limit in headers and counts.
        subject: Who is limited, for people; `{}` stands for the one.
        rate: The rate of those that have none of their own.
        redis_url: Where the counts are that all processes share; None: this process counts alone.
    """

    def __init__(self, kind: str, subject: str, rate: str, redis_url: str | None) -> None:
        self._kind = kind
        self._subject = subject
        self._rate = rate
        # One each for keys and addresses, so that many addresses neither delay the counts of keys nor evict them.
        self._shared = None if redis_url is None else SharedCounts(redis_url, kind)
        self._counts = Counts(self._shared)

    async def start(self) -> None:
        """Find out whether Redis counts."""
        if self._shared is not None:
            await self._shared.start()

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._shared is not None:
            await self._shared.close()

    async def count(
        self, connection: AnyConnection, identity: str, own_rate: str | None = None, *, subject: str | None = None
    ) -> None:
        """Count a request of one of them.

        Raises:
            Problem: `rate-limited`.
        """
        policy = _policy(self._kind, own_rate or self._rate)
        if policy is not None:
            rate = policy.rate
            counted = await self._counts.add(_name(self._kind, identity, rate), rate.seconds, rate.count)
            self._judge(connection, subject or self._subject.format(identity), policy, counted)

    def refuse_full(self, connection: AnyConnection, identity: str) -> None:
        """Refuse a request of one whose limit is reached, as far as this process knows.

        Raises:
            Problem: `rate-limited`.
        """
        policy = _policy(self._kind, self._rate)
        if policy is not None:
            counted = self._counts.full(_name(self._kind, identity, policy.rate), policy.rate.count)
            if counted is not None:
                self._judge(connection, self._subject.format(identity), policy, counted)

    def _judge(self, connection: AnyConnection, subject: str, policy: _Policy, counted: Counted) -> None:
        rate, header = policy
        seconds = max(ceil(counted.seconds_left), 1)
        remaining = max(rate.count - counted.number, 0)
        add_header(connection.scope, b"ratelimit-policy", header)
        add_header(connection.scope, b"ratelimit", f'"{self._kind}";r={remaining};t={seconds}'.encode())
        if counted.number > rate.count:
            requests = "1 request" if rate.count == 1 else f"{rate.count:,} requests"
            unit = "an hour" if rate.unit == "hour" else f"a {rate.unit}"
            raise RateLimited(f"{subject} may send {requests} {unit}; ask again in {seconds} s.", seconds)


def _name(kind: str, identity: str, rate: Rate) -> str:
    """What requests are counted under. The unit is part of it: those of a day are not held against a rate a minute."""
    return f"{kind}/{identity}/{rate.unit}"

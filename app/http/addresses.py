"""The address of a client: what requests without a valid key are counted by."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from itertools import islice
from typing import TypeAlias

from litestar.types import Scope

Address: TypeAlias = IPv4Address | IPv6Address

HOPS_MAX = 20
"""Addresses of an `X-Forwarded-For` that are looked at, from its end."""
_IPV6_PREFIX = 64
"""The bits of an IPv6 address that tell customers of a provider apart; all addresses below them are one customer's."""


class Addresses:
    """Finds out the address of the client of a request.

    Args:
        proxies: The proxies whose `X-Forwarded-For` is believed. A header of others can say anything.
    """

    def __init__(self, proxies: Sequence[IPv4Network | IPv6Network] = ()) -> None:
        self._proxies = proxies

    def counted(self, scope: Scope) -> str:
        """The address that a request is counted by: of IPv6 its network of 64 bits."""
        address = self._client(scope)
        if isinstance(address, IPv6Address):
            return str(IPv6Network((int(address), _IPV6_PREFIX), strict=False))
        return "unknown" if address is None else str(address)

    def _client(self, scope: Scope) -> Address | None:
        """The last address of the way of a request that is no proxy's, as far as the proxies tell it."""
        peer = scope["client"]
        address = _read_address(peer[0] if peer else "")
        hops = islice(_hops(scope), HOPS_MAX)
        while address is not None and any(address in network for network in self._proxies):
            before = _read_address(next(hops, ""))
            if before is None:
                break
            address = before
        return address


def _hops(scope: Scope) -> Iterator[str]:
    """The addresses in `X-Forwarded-For`, the last first: each proxy adds the one that it was asked by."""
    values = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return (hop.strip() for hop in reversed(b",".join(values).decode("latin-1").split(",")))


def _read_address(text: str) -> Address | None:
    """An address; None for what is none, like a socket of the file system. IPv4 in the form of IPv6 is IPv4."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address

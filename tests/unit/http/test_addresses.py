"""The address that a request is counted by."""

from ipaddress import ip_network
from typing import Any

import pytest

from app.http.addresses import HOPS_MAX, Addresses

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def scope(peer: str | None, *forwarded: str) -> Any:
    """The scope of a request from a peer, with headers `X-Forwarded-For`."""
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return {"client": None if peer is None else (peer, 1234), "headers": headers}


@pytest.mark.parametrize(
    ("peer", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("/run/reserva.sock", "unknown"),
        (None, "unknown"),
    ],
)
def test_of_ipv6_a_network_counts_as_one(peer: str | None, counted: str) -> None:
    """A customer of a provider has all addresses of 64 bits, and changes them as often as they like."""
    assert Addresses().counted(scope(peer)) == counted


@pytest.mark.parametrize("proxies", [(), PROXIES])
def test_a_stranger_cannot_choose_an_address(proxies: Any) -> None:
    """The header of a peer that is no trusted proxy means nothing."""
    assert Addresses(proxies).counted(scope("192.0.2.7", "203.0.113.9")) == "192.0.2.7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("fd00::1", ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9 , 10.0.0.3,10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9", "10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, , 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["10.0.0.3"], "10.0.0.3"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
    ],
)
def test_behind_trusted_proxies(peer: str, forwarded: list[str], counted: str) -> None:
    """The last address that is no proxy's counts: what stands before it, the client itself may have written."""
    assert Addresses(PROXIES).counted(scope(peer, *forwarded)) == counted


def test_a_long_way_is_not_walked_to_its_end() -> None:
    """A header of thousands of proxies costs no more than one of twenty."""
    way = ["203.0.113.9", *["10.0.0.2"] * HOPS_MAX]

    assert Addresses(PROXIES).counted(scope("10.0.0.1", ",".join(way))) == "10.0.0.2"
    assert Addresses(PROXIES).counted(scope("10.0.0.1", ",".join(way[:-1]))) == "203.0.113.9"

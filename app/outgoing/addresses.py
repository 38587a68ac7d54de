"""Which addresses of the Internet a message may go to, where a client has named the receiver.

An address that only this server can reach (a loopback, a private network, the metadata of a cloud) is refused, because
whoever may make a webhook would reach through us what the network keeps from others. Addresses that carry another one
in themselves are judged by that one.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_UNICAST = IPv6Network("2000::/3")
"""All that is routed between networks today; what lies outside is local, reserved or a translation."""
_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL = (IPv4Network("192.0.0.0/24"), IPv4Network("168.63.129.16/32"))
"""Of protocols between neighbours, and of the platform of a cloud: what counts as public, and is not routed to all."""


def is_public(text: str) -> bool:
    """Whether an address is one of the public Internet, and carries none that is not.

    Args:
        text: An address as a resolver answers it; a zone may follow after `%`.

    Raises:
        ValueError: this is no address.
    """
    address = ip_address(text)
    if isinstance(address, IPv4Address):
        return _is_public(address)
    if address.ipv4_mapped is not None:
        return _is_public(address.ipv4_mapped)
    if address in _NAT64:
        return _is_public(_last_four_bytes(address))
    carried = [*(address.teredo or ()), *([address.sixtofour] if address.sixtofour else [])]
    return address in _UNICAST and address.is_global and all(map(_is_public, carried))


def _is_public(address: IPv4Address) -> bool:
    is_local = any(address in network for network in _LOCAL)
    return address.is_global and not (address.is_multicast or address.is_reserved or is_local)


def _last_four_bytes(address: IPv6Address) -> IPv4Address:
    return IPv4Address(address.packed[-4:])

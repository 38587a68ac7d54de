"""The values of settings that are more than a text or a number: networks, keys in base64, addresses."""

import re
from base64 import b64decode
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import urlsplit


def networks(text: str | None) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks of a list with commas; a single address is a network of its own.

    Raises:
        ValueError: one of them is none.
    """
    return tuple(ip_network(part.strip()) for part in text.split(",")) if text else ()


def decoded_keys(text: str | None) -> list[bytes]:
    """The keys of a list with commas, in either alphabet of base64; an invalid one is empty."""
    url_safe = str.maketrans("-_", "+/")
    return [decode_base64(part.strip().translate(url_safe)) for part in text.split(",")] if text else []


def decode_base64(text: str) -> bytes:
    """Decode base64 with or without padding; empty if the text is invalid."""
    try:
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""


def url_fault(url: str, schemes: tuple[str, ...]) -> str | None:
    """The fault of an address, if it has one. It is not quoted, because it may contain a password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "its host or port cannot be read"
    local = parts.scheme == "unix"
    tests = {
        "it has a blank or a control character in it": re.search(r"[\s\x00-\x1f\x7f]", url),
        f"it must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}": parts.scheme not in schemes,
        "it names no socket": local and not parts.path,
        "it names no host": not local and not host,
        "0 is no port": port == 0,
        "its path must be the number of a database": parts.scheme in {"redis", "rediss"}
        and not re.fullmatch(r"/?[0-9]*", parts.path),
        "it can have no option but db, the number of a database": "http" not in parts.scheme
        and not re.fullmatch(r"(db=[0-9]+)?", parts.query),
    }
    return next((fault for fault, holds in tests.items() if holds), None)

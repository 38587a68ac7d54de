"""Addresses of receivers that a client has given, as far as they can be judged without looking a name up."""

import re
from urllib.parse import urlsplit

import httpx

from app.outgoing.addresses import is_public

URL_CHARACTERS_MAX = 2_048
PORT_MAX = 65_535
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f]")


def url_fault(text: str) -> str | None:
    """Why a text is no address of a receiver; None if it is one."""
    if _UNPRINTABLE.search(text):
        return "it has a blank or a control character in it"
    try:
        urlsplit(text)  # it refuses brackets that the other takes for a name
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        return "its host, its port or its path cannot be read"
    tests = {
        "it must begin with https:// or http://": url.scheme not in {"http", "https"},
        "it names no host": not url.host,
        "it can have no user or password": bool(url.userinfo),
        "it can have no fragment": "#" in text,
        "its port is none": url.port is not None and not 0 < url.port <= PORT_MAX,
    }
    return next((fault for fault, holds in tests.items() if holds), None)


def names_refused_address(text: str) -> bool:
    """Whether the host of an address of a receiver is itself an address that is not public."""
    try:
        return not is_public(httpx.URL(text).host)
    except ValueError:
        return False  # a name, which is judged when it is connected to

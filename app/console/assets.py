"""The files that pages load: style sheets, scripts, and words for the scripts.

All of them lie under one address with the hash of their content, so that a browser keeps them for good, and modules
import each other by relative paths.
"""

import gzip
import json
from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import NamedTuple

from app.console.words import LANGUAGES, words_of

PATH = "/console/static"

_TYPES: Mapping[str, str] = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


class Asset(NamedTuple):
    """A file that pages load, as it is and compressed by gzip."""

    content: bytes
    zipped: bytes
    media_type: str


class Assets(NamedTuple):
    """All files by their names, and the hash of all of them."""

    by_name: Mapping[str, Asset]
    version: str

    def address(self, name: str) -> str:
        """Where a browser finds a file."""
        return f"{PATH}/{self.version}/{name}"


@cache
def assets() -> Assets:
    """The files of this process; they never change while it runs."""
    contents = {
        file.name: file.read_bytes() for file in (files("app.console") / "static").iterdir() if _suffix(file.name)
    }
    contents |= {f"words.{each}.json": json.dumps(words_of(each)).encode() for each in LANGUAGES}
    digest = blake2b(digest_size=8)
    for name, content in sorted(contents.items()):
        digest.update(name.encode() + b"\0" + content)
    by_name = {
        name: Asset(content, gzip.compress(content, mtime=0), _TYPES[_suffix(name)])
        for name, content in contents.items()
    }
    return Assets(by_name, digest.hexdigest())


def _suffix(name: str) -> str:
    """The known ending of a name; empty for any other."""
    return next((suffix for suffix in _TYPES if name.endswith(suffix)), "")

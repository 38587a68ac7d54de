"""Versions of objects as `ETag`, and `If-Match`, which changes require."""

import re
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from litestar.params import HeaderParameter

from app.errors import Problem

IfMatchHeader: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match",
        description='The ETag of the version that you want to change, like `"3"`; `*` for whatever it is.',
    ),
]
"""The type of a handler's parameter: `if_match: IfMatchHeader = None`."""

OptionalIfMatchHeader: TypeAlias = Annotated[
    str | None,
    HeaderParameter(name="If-Match", description="Only if it is still at this version; left out: whatever it is."),
]
"""The same for POST and DELETE that change part of an object; parsed by `IfMatch.read_optional`."""

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')
_VERSION = re.compile(r'(?:W/)?"([1-9][0-9]{0,17})"')


def read_version(text: str) -> int | None:
    """The version in a field of a form; None for what no object can have."""
    match = _VERSION.fullmatch(f'"{text}"')
    return None if match is None else int(match[1])


def etag(version: int) -> str:
    """The `ETag` of a version: `"3"`."""
    return f'"{version}"'


@dataclass(frozen=True, slots=True)
class IfMatch:
    """The versions that the client agrees to change; None: any version."""

    versions: frozenset[int] | None

    @classmethod
    def read(cls, header: str | None) -> "IfMatch":
        """Parse the header: `*`, or a list of tags.

        A weak tag counts as its strong one, because proxies that compress weaken tags. A tag that was never an object's
        is well formed and matches nothing.

        Raises:
            Problem: `precondition-required` without the header, `invalid` if it is no list of tags.
        """
        if header is None:
            raise Problem("precondition-required", 'Send If-Match with the ETag that you read, like "3" (or *).')
        if header.strip() == "*":
            return cls(None)
        tags = [tag.strip() for tag in header.split(",")]
        if not all(_TAG.fullmatch(tag) for tag in tags):
            raise Problem("invalid", 'Write If-Match as the ETag came, in double quotes, like "3" (or *).')
        return cls(frozenset(int(match[1]) for tag in tags if (match := _VERSION.fullmatch(tag))))

    @classmethod
    def read_optional(cls, header: str | None) -> "IfMatch":
        """Parse a header that may be left out: then any version matches."""
        return cls(None) if header is None else cls.read(header)

    def expected(self, version: int) -> int | None:
        """The version that a guarded update must match, given the version that was just read; None: any.

        Raises:
            Problem: `stale` if the header names other versions.
        """
        if self.versions is None:
            return None
        if version not in self.versions:
            raise stale(version)
        return version


def stale(version: int) -> Problem:
    """The problem of a change to a version that is no longer current."""
    return Problem("stale", f"The object is at version {version} by now; read it again, then repeat the change.")

"""How many files a process of the app needs open, and may."""

import resource
from dataclasses import dataclass

CONNECTIONS = 10_000
"""Connections of clients that one `serve` accepts by default, over all of its processes."""

OTHER_FILES = 256
"""Open files of a process besides the connections of clients."""


@dataclass(frozen=True, slots=True)
class OpenFiles:
    """How many files a process of the app may have open here, and how many it wants by default."""

    allowed: int
    wanted: int


def open_files() -> OpenFiles:
    """The limit to which `serve` raises its own, and what it needs for its connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + OTHER_FILES
    return OpenFiles(wanted if hard == resource.RLIM_INFINITY else hard, wanted)

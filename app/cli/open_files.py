"""How many files a process of the app needs open."""

CONNECTIONS = 10_000
"""Connections of clients that one `serve` accepts by default, over all of its processes."""

OTHER_FILES = 256
"""Open files of a process besides the connections of clients."""

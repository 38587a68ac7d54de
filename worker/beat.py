"""Where a worker says in Redis that it lives; arq renews it every few seconds, and it lapses by itself.

Without arq, because a health check is a process of its own that must be cheap.
"""

import socket


def beat_key() -> str:
    """The key of the workers of this host, which in a container is one."""
    return f"reserva:health-check:{socket.gethostname()}"

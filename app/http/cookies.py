"""The cookies of a request, as they came.

Litestar parses them with `http.cookies`, which needs quadratic time for a quoted value on Python before 3.11.10 and
3.12.6 (CVE-2024-7592), and a stranger chooses the header. Our own cookies need no quotes.
"""

from app.http.request import AnyConnection


def read_cookie(connection: AnyConnection, name: str) -> str | None:
    """The value of a cookie that the request brings, without unquoting; None where it is missing or empty."""
    for header in (value for key, value in connection.scope["headers"] if key == b"cookie"):
        for pair in header.decode("latin-1").split(";"):
            found, _, value = pair.strip().partition("=")
            if found == name and value:
                return value
    return None

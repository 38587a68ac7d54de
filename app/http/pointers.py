"""RFC 6901 pointers: here alone the path of a fault is written as clients read it."""

from app.errors import Fault


def pointer_of(fault: Fault) -> str:
    """The pointer into a JSON body, like `/weekly/0/from`, empty for the body itself; of a parameter `?name`."""
    if fault.in_query:
        return f"?{fault.path[0]}"
    return "".join(f"/{escape(str(part))}" for part in fault.path)


def escape(token: str) -> str:
    """One token of a pointer; what UTF-8 cannot carry is written as its escape."""
    return token.replace("~", "~0").replace("/", "~1").encode("utf-8", "backslashreplace").decode()

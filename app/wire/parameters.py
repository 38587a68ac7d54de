"""Query parameters that Litestar does not read the way bodies are read."""

from datetime import datetime

from app.errors import invalid
from app.timeline.instants import parse


def read_instant(name: str, text: str | None) -> datetime | None:
    """An instant, written as in bodies.

    Raises:
        Problem: `invalid`, pointing at the parameter.
    """
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise invalid(f"?{name}", str(error)) from None

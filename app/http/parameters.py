"""Query parameters of types that Litestar does not have."""

from datetime import datetime

from app.domain.instants import parse
from app.errors import invalid_parameter


def read_instant(name: str, text: str | None) -> datetime | None:
    """The instant in a parameter; None if the parameter is absent.

    Raises:
        Problem: `invalid`, pointing at the parameter.
    """
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise invalid_parameter(name, str(error)) from None

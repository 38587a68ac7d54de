"""Query parameters: types that Litestar does not have, and how many values filters take."""

from collections.abc import Sequence
from datetime import datetime

from app.domain.instants import parse
from app.errors import invalid_parameter

FILTER_VALUES_MAX = 200
"""How many values the filters of a list have together."""


def check_filter_values(**filters: Sequence[object] | None) -> None:
    """Refuse filters with too many values; each is named as its parameter.

    Raises:
        Problem: `invalid`, pointing at the one with the most values.
    """
    counts = {name: len(values or ()) for name, values in filters.items()}
    if (total := sum(counts.values())) > FILTER_VALUES_MAX:
        detail = f"The filters have {total} values; ask for at most {FILTER_VALUES_MAX} at a time."
        raise invalid_parameter(max(counts, key=lambda name: counts[name]), detail)


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

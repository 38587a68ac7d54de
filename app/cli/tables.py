"""Tables for a terminal, or for a pipe in whole lines."""

from collections.abc import Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from app.domain.instants import render
from app.storage.values import printable

_WHOLE_MINUTE = ":00.000Z"


def when(instant: datetime) -> str:
    """An instant; one on a whole minute without its seconds."""
    return short(render(instant)) or ""


def short(text: str | None) -> str | None:
    """The text of an instant; on a whole minute without seconds."""
    if text is None or not text.endswith(_WHOLE_MINUTE):
        return text
    return text.removesuffix(_WHOLE_MINUTE) + "Z"


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table of foreign texts; None is an empty cell."""
    result = Table(box=None, pad_edge=False)
    for heading in headings:
        result.add_column(heading, overflow="fold")
    for row in rows:
        result.add_row(*(Text("" if cell is None else printable(str(cell))) for cell in row))
    return result

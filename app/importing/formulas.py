"""Texts in cells that a spreadsheet would take for a formula: an apostrophe before them says that they are text.

What an export writes may have been typed by a stranger, into the notes of a booking. So a text that begins like a
formula gets an apostrophe, and one that begins with an apostrophe before such a beginning gets another; an import takes
one away. Nothing else is changed, so every text comes back as it was.
"""

import re

_BEGINNING = r"\s*['=+\-@\uFF1D\uFF0B\uFF0D\uFF20]|[\t\r\n]"
"""Of a formula, after blanks, or with the wide signs of East Asian keyboards; a tab or a line end may be skipped."""
_FORMULA = re.compile(_BEGINNING)
_GUARDED = re.compile(f"'(?={_BEGINNING})")


def guarded(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def without_guard(cell: str) -> str:
    """The text of a cell."""
    return cell[1:] if _GUARDED.match(cell) else cell

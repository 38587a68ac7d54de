"""The elements of a JSON array, one by one, so that an array of millions need not be in memory.

The scanner reads brackets, commas and quotes only. A later reader decides whether an element is valid JSON, so a bad
element affects no other. A quote that is open at a line's end was never closed: no JSON string has line ends in it.
"""

import re
from collections.abc import Iterator

from app.importing.source import Piece, UnreadableError

ELEMENT_CHARACTERS_MAX = 1 << 20
"""Characters."""

_MARKS = re.compile(r'\\.|["{}\[\],]', re.DOTALL)


def elements(pieces: Iterator[Piece]) -> Iterator[tuple[int, str]]:
    """The text of each element, with the number of the line that it begins on.

    Raises:
        UnreadableError: the array does not end, something is behind its end, or an element is too long.
    """
    scanner = _Scanner()
    for number, piece in pieces:
        yield from scanner.read(number, piece)
    scanner.check_end()


class _Scanner:
    """The position in the array: `depth` is 1 between its elements, and 0 before and behind it."""

    def __init__(self) -> None:
        self._depth = 0
        self._quoted = False
        self._ended = False
        self._carry = ""
        self._line = 1
        self._parts: list[str] = []
        self._size = 0

    def read(self, number: int, piece: str) -> Iterator[tuple[int, str]]:
        """The elements that end in this piece."""
        text = self._carry + piece
        self._carry = "\\" if (len(text) - len(text.rstrip("\\"))) % 2 else ""  # the escaped sign is in the next piece
        text = text.removesuffix(self._carry)
        begin = 0
        for mark in _MARKS.finditer(text):
            self._check_inside(number, mark[0])
            before = self._depth
            ends = self._step(mark[0])
            if ends:
                self._append(number, text[begin : mark.start()])
                yield from self._finish_element()
            if ends or not before:
                begin = mark.end()
        self._check_inside(number, text[begin:])
        self._append(number, text[begin:])
        if text.endswith(("\n", "\r")):
            self._quoted = False

    def check_end(self) -> None:
        """Refuse an array that is still open."""
        if not self._ended:
            raise UnreadableError(
                f"The array does not end: from line {self._line} on a bracket or a quote is missing, or it was cut."
            )

    def _step(self, sign: str) -> bool:
        """Go past a sign, and return whether an element ends there."""
        if sign == '"':
            self._quoted = not self._quoted
        if self._quoted:
            return False
        if sign in "{[":
            self._depth += 1
        elif sign in "}]":
            self._depth -= 1
            self._ended = not self._depth
        return self._ended or (sign == "," and self._depth == 1)

    def _append(self, number: int, text: str) -> None:
        if not self._parts and not text.strip():
            return
        if not self._parts:
            self._line = number
        self._parts.append(text)
        self._size += len(text)
        if self._size > ELEMENT_CHARACTERS_MAX:
            raise UnreadableError(f"The row that begins on line {self._line} is longer than any can be; check its end.")

    def _finish_element(self) -> Iterator[tuple[int, str]]:
        """The element that has ended; before the end of the array there may be none."""
        text = "".join(self._parts).strip()
        self._parts, self._size = [], 0
        if text or not self._ended:
            yield self._line, text

    def _check_inside(self, number: int, text: str) -> None:
        if self._ended and text.strip():
            raise UnreadableError(f"Behind the end of the array, on line {number}, there is more; take it out.")

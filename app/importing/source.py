"""A file as numbered pieces of text, wherever it comes from: a path, a pipe, gzipped or not, UTF-8 or UTF-16.

Other content is refused with what it is and how to save it as text. A file is read once, piece by piece; only a
regular file is scanned before, so that one in a wrong encoding is refused before anything of it is booked.
"""

import gzip
import io
import os
import select
import stat
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from typing_extensions import override

PIECE_CHARACTERS_MAX = 1 << 20
"""Characters. A line that is longer comes in several pieces; no row is."""

Piece: TypeAlias = tuple[int, str]
"""The number of a line, from 1, and it with its end, or a part of it that is as long as a piece may be."""

STANDARD_INPUT = Path("-")

_HEAD_BYTES = 4_096
_GZIP = b"\x1f\x8b"
_WORKBOOK = "export its sheet as CSV (in Excel: Save As, CSV UTF-8)"
_FOREIGN: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a workbook (.xlsx, .ods) or another zip archive", f"{_WORKBOOK}, or unpack it"),
    (b"\xd0\xcf\x11\xe0", "an old workbook (.xls) or another Office document", _WORKBOOK),
    (b"%PDF", "a PDF", "export the table as CSV where it comes from"),
    (b"{\\rtf", "a text document (.rtf)", "save the table as CSV"),
    (b"SQLite format 3", "a SQLite database", "export the table as CSV: sqlite3 -header -csv FILE 'select …'"),
    (b"PAR1", "a Parquet file", "write it as CSV or JSON lines"),
    (b"BZh", "compressed by bzip2", "decompress it, or compress it by gzip"),
    (b"\xfd7zXZ", "compressed by xz", "decompress it, or compress it by gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "decompress it, or compress it by gzip"),
    (b"7z\xbc\xaf", "a 7-Zip archive", "unpack it"),
    (b"\xff\xfe\x00\x00", "UTF-32", "save it as UTF-8"),
    (b"\x00\x00\xfe\xff", "UTF-32", "save it as UTF-8"),
)
_MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<table")
_CONTROL_CHARACTERS = frozenset(range(32)) - frozenset(b"\t\n\v\f\r")
"""Control characters that no header has."""
_MARK = "\ufeff"
_UTF8_MARK, _UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")


class UnreadableError(Exception):
    """The file, or the rest of it, cannot be read; the message says what to do."""


class InterruptedReadingError(UnreadableError):
    """Reading was stopped."""


def empty_file() -> UnreadableError:
    """The error of a file without content."""
    return UnreadableError("The file is empty: not even a header is in it. Check what wrote it.")


class _Bytes(Protocol):
    """Where bytes come from: a file, or what decompresses one."""

    def readinto(self, buffer: bytearray | memoryview, /) -> int | None:
        """Read into a buffer; 0 at the end."""


class _StoppablePipe(_Bytes):
    """A pipe, or anything else whose reads may block, that another thread can stop."""

    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw
        self._stopped, self._stop = os.pipe()

    @override
    def readinto(self, buffer: bytearray | memoryview, /) -> int | None:
        """Read what comes.

        Raises:
            InterruptedReadingError: it was stopped.
        """
        if self._stopped in select.select([self._raw.fileno(), self._stopped], [], [])[0]:
            raise InterruptedReadingError
        return self._raw.readinto(buffer)

    def stop(self) -> None:
        """Let the reader, in whatever thread, read no more."""
        os.write(self._stop, b".")

    def close(self) -> None:
        """Close what `stop` needs."""
        os.close(self._stop)
        os.close(self._stopped)


class _CountedBytes(io.RawIOBase):
    """Counted bytes whose beginning can be peeked at before they are read, also those of a pipe."""

    def __init__(self, raw: _Bytes) -> None:
        self._raw = raw
        self.count = 0
        self.head = b""
        while len(self.head) < _HEAD_BYTES and (more := self._read(_HEAD_BYTES)):
            self.head += more
        self._left = self.head

    def _read(self, size: int) -> bytes:
        buffer = bytearray(size)
        return bytes(buffer[: self._raw.readinto(buffer) or 0])

    @override
    def readable(self) -> bool:
        """Always true."""
        return True

    @override
    def readinto(self, buffer: Any, /) -> int:
        """Read what was peeked at, then the rest."""
        view = memoryview(buffer).cast("B")
        found, self._left = self._left[: len(view)], self._left[len(view) :]
        size = len(found)
        if found:
            view[:size] = found
        else:
            size = self._raw.readinto(view) or 0
        self.count += size
        return size


class Source:
    """A file being read; `size` is that of a regular file on the disk, and `read_bytes` how far the reader is in it.

    Raises:
        UnreadableError: it is empty, or no readable text.
    """

    def __init__(self, path: Path) -> None:
        self._stopped = False
        self._pipe: _StoppablePipe | None = None
        with self._reasons():
            self._file = io.FileIO(0, closefd=False) if path == STANDARD_INPUT else io.FileIO(path)
            try:
                found = os.fstat(self._file.fileno())
                self.size = found.st_size if stat.S_ISREG(found.st_mode) else None
                self._pipe = _StoppablePipe(self._file) if self.size is None else None
                self._counted = _CountedBytes(self._pipe or self._file)
                self._text, self._undecided = _opened(self._counted)
                if self.size is not None and path != STANDARD_INPUT and self._undecided:
                    with io.FileIO(path) as again:
                        _check_encoding(_opened(_CountedBytes(again))[0])
            except BaseException:
                self.close()
                raise

    @property
    def read_bytes(self) -> int:
        """How many bytes were read."""
        return self._counted.count

    def is_at(self, path: Path) -> bool:
        """Whether it is the file at that path, by whatever names."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), path.stat())
        except OSError:
            return False

    def stop(self) -> None:
        """Stop the reader from another thread, also where it is blocked on a pipe."""
        self._stopped = True
        if self._pipe is not None:
            self._pipe.stop()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def pieces(self) -> Iterator[Piece]:
        """The text, line by line; what is not UTF-8 is in it as lone surrogates, which spoil only their own row.

        A byte order mark at the beginning of a line, as concatenated files have, is left out.

        Raises:
            UnreadableError: it ends in the middle of an archive, or its first text beyond ASCII is not UTF-8.
            InterruptedReadingError: it was stopped.
        """
        with self._reasons():
            for number, piece in _checked(_numbered(self._text), decided=not self._undecided):
                if self._stopped:
                    raise InterruptedReadingError
                yield number, piece.lstrip(_MARK)

    @contextmanager
    def _reasons(self) -> Generator[None]:
        try:
            yield
        except UnicodeDecodeError as error:
            raise UnreadableError(f"The file is not the text that it begins as: {error}.") from error
        except (OSError, EOFError, zlib.error) as error:
            raise UnreadableError(f"The file cannot be read to its end: {error}") from error


def _opened(counted: _CountedBytes) -> tuple[io.TextIOWrapper, bool]:
    """The text, and whether its encoding is still a guess.

    Raises:
        UnreadableError: it is empty, or not text.
    """
    if counted.head.startswith(_GZIP):
        counted = _CountedBytes(gzip.GzipFile(fileobj=io.BufferedReader(counted)))
        if counted.head.startswith(_GZIP):
            raise UnreadableError("The file is gzipped twice; decompress it once.")
    head = counted.head
    _refuse_foreign(head)
    utf16 = head.startswith(_UTF16_MARKS)
    # What is no UTF-8 stays visible as lone surrogates.
    encoding, errors = ("utf-16", "surrogatepass") if utf16 else ("utf-8-sig", "surrogateescape")
    undecided = not utf16 and not head.startswith(_UTF8_MARK)
    return io.TextIOWrapper(io.BufferedReader(counted), encoding, errors, newline=""), undecided


def _refuse_foreign(head: bytes) -> None:
    if not head.removeprefix(_UTF8_MARK).strip() and len(head) < _HEAD_BYTES:
        raise empty_file()
    for start, what, remedy in _FOREIGN:
        if head.startswith(start):
            raise UnreadableError(f"The file is {what}, not CSV or JSON; {remedy}.")
    if head.lstrip()[:9].lower().startswith(_MARKUP):
        raise UnreadableError(f"The file is HTML or XML, not CSV or JSON; if it is a workbook, {_WORKBOOK}.")
    if not head.startswith(_UTF16_MARKS) and b"\0" in head[:2]:
        raise UnreadableError("The file is UTF-16 or UTF-32 without its mark; save it as UTF-8 (in Excel: CSV UTF-8).")
    if not head.startswith(_UTF16_MARKS) and not _CONTROL_CHARACTERS.isdisjoint(head.split(b"\n", 1)[0]):
        raise UnreadableError("The file is binary, not CSV or JSON; export it as CSV.")


def _numbered(text: io.TextIOWrapper) -> Iterator[Piece]:
    number = 1
    while piece := text.readline(PIECE_CHARACTERS_MAX):
        yield number, piece
        number += piece.endswith(("\n", "\r"))


def _checked(pieces: Iterator[Piece], *, decided: bool) -> Iterator[Piece]:
    """The pieces, as long as the first one beyond ASCII is UTF-8.

    The first such piece decides the encoding: text of another encoding is hardly ever valid UTF-8, and in a file of
    UTF-8 an invalid row is only a bad row.
    """
    for number, piece in pieces:
        if not decided and not piece.isascii():
            decided = True
            if not is_text(piece):
                raise UnreadableError(
                    f"The file is not UTF-8 (line {number}); it looks like Latin-1 or Windows-1252. Save it as UTF-8:"
                    " in Excel as CSV UTF-8, elsewhere by `iconv -f WINDOWS-1252 -t UTF-8 FILE`."
                )
        yield number, piece


def _check_encoding(text: io.TextIOWrapper) -> None:
    """Read until the encoding is decided.

    Raises:
        UnreadableError: it is not UTF-8.
    """
    for _, piece in _checked(_numbered(text), decided=False):
        if not piece.isascii():
            return


def is_text(text: str) -> bool:
    """Whether there is nothing in it that was not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def whole_lines(pieces: Iterator[Piece]) -> Iterator[tuple[int, str | None]]:
    """Each line with its number; None for one that is longer than any row."""
    for number, piece in pieces:
        if len(piece) < PIECE_CHARACTERS_MAX or piece.endswith(("\n", "\r")):
            yield number, piece
            continue
        for _, more in pieces:
            if len(more) < PIECE_CHARACTERS_MAX or more.endswith(("\n", "\r")):
                break
        yield number, None

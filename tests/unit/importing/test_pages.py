"""The pages in which a file is read."""

from collections.abc import Iterator

import pytest

from app.importing import pages
from app.importing.pages import pages_of
from app.importing.records import Record
from app.importing.source import UnreadableError
from tests.support.import_rows import import_row


def records(count: int) -> Iterator[Record]:
    """Records of a file, of which the second is no row."""
    for line in range(1, count + 1):
        yield Record(line, import_row(f"{line}") if line != 2 else {})


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first page have two rows and the others four."""
    monkeypatch.setattr(pages, "FIRST_PAGE_ROWS", 2)
    monkeypatch.setattr(pages, "PAGE_ROWS", 4)


def lines_of(read: Iterator[list[pages.Entry]]) -> list[list[int]]:
    """The lines of each page."""
    return [[entry.record.line for entry in page] for page in read]


def test_all_records_are_in_pages_in_the_order_of_the_file() -> None:
    """A short page comes first, the last one has what is left, and a record that is no row has its outcome at once."""
    read = [*pages_of(records(8), None)]

    assert lines_of(iter(read)) == [[1, 2], [3, 4, 5, 6], [7, 8]]
    assert [(entry.row is None, entry.outcome is not None) for entry in read[0]] == [(False, False), (True, True)]
    assert lines_of(pages_of(records(0), None)) == []


def test_a_page_ends_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of a slow pipe do not wait until a page is full."""
    monkeypatch.setattr(pages, "PAGE_SECONDS", 0.0)

    assert lines_of(pages_of(records(3), None)) == [[1], [2], [3]]


def test_what_was_read_of_a_cut_file_is_in_its_last_page() -> None:
    """The error that ends the file is raised after the rows before it."""

    def cut() -> Iterator[Record]:
        yield from records(3)
        raise UnreadableError("It ends here.")

    read = pages_of(cut(), None)

    assert [len(next(read)), len(next(read))] == [2, 1]
    with pytest.raises(UnreadableError):
        next(read)

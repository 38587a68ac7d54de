"""Cursors and pages."""

import json
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.instants import LATEST
from app.errors import Problem
from app.http.paging import read_cursor, split_page, write_cursor
from app.http.pointers import pointer_of

IDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
INSTANTS = st.integers(0, LATEST - 1)


def packed(value: object) -> str:
    """A cursor that we never wrote."""
    return urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).rstrip(b"=").decode()


@given(INSTANTS, IDS)
def test_a_cursor_says_where_the_page_ended(instant: int, identity: str) -> None:
    """What goes in comes out, of the same types."""
    assert read_cursor(write_cursor(instant, identity), int, str) == (instant, identity)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: urlsafe_b64encode(raw).decode()))
def test_any_other_text_is_refused(text: str) -> None:
    """With a pointer at the parameter, and nothing worse."""
    with pytest.raises(Problem) as raised:
        read_cursor(text, int, str)

    assert [pointer_of(fault) for fault in raised.value.faults] == ["?cursor"]


@pytest.mark.parametrize(
    "cursor",
    [
        packed([1]),
        packed(["a", 1]),
        packed([1, "a", "b"]),
        packed([True, "a"]),
        packed([1.0, "a"]),
        packed([LATEST, "a"]),
        packed([2**70, "a"]),
        packed([None, "a"]),
        packed({"1": "a"}),
        packed("1a"),
        packed([1, "a"]).rstrip("=") + "A",
        write_cursor(1, "a") + "=",
        write_cursor(1, "a" * 4_000),
    ],
)
def test_a_cursor_of_another_list_is_refused(cursor: str) -> None:
    """Other types, other lengths, instants outside the calendar, other spellings."""
    with pytest.raises(Problem):
        read_cursor(cursor, int, str)


@given(st.lists(st.integers(0, 9), max_size=12).map(sorted), st.integers(1, 5))
def test_pages_join_to_the_whole(ids: list[int], limit: int) -> None:
    """Following `next` gives everything once, in order; the last page has none."""
    ids = sorted(set(ids))
    seen: list[int] = []
    cursor: str | None = None
    while True:
        last = -1 if cursor is None else int(read_cursor(cursor, int)[0])
        found = [identity for identity in ids if identity > last][: limit + 1]
        page, cursor = split_page(found, limit, lambda identity: (identity,))
        seen += page
        if cursor is None:
            break
        assert len(page) == limit

    assert seen == ids

"""The list of findings: checks its filters, and reads and writes its cursors."""

import hashlib
from datetime import datetime
from typing import NamedTuple

from app.domain.instants import render
from app.errors import Problem, invalid_parameter
from app.http.paging import bad_cursor, read_cursor, write_cursor
from app.storage.client import Store
from app.storage.documents import Finding
from app.storage.finding_pages import FindingFilters, FindingKey, FindingOrder, find_page
from app.storage.values import object_id

MAX_VALUES = 200
"""The largest number of values of all filters together."""

_DIGEST_BYTES = 6
_BEYOND_NUMBERS = 2**63
"""Above every whole number of BSON."""


def check(filters: FindingFilters) -> None:
    """Refuse a span that ends before it begins, and more values than one query is to have.

    Raises:
        Problem: `invalid`.
    """
    if filters.from_ is not None and filters.to is not None and filters.to <= filters.from_:
        raise invalid_parameter("to", "`to` must lie after `from`.")
    if len(filters.states) + len(filters.resources) + (filters.customer is not None) > MAX_VALUES:
        raise Problem("invalid", f"All filters together take at most {MAX_VALUES} values.")


def digest(filters: FindingFilters) -> str:
    """A digest of the filters, by which a cursor of another list is recognized."""
    instants = (filters.from_, filters.to, filters.updated_since)
    spans = [None if each is None else render(each) for each in instants]
    parts = repr((sorted({*filters.states}), sorted({*filters.resources}), filters.customer, spans))
    return hashlib.blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()


class ListedFindings(NamedTuple):
    """A page, the cursor of the next one if there is one, and how many match the filters in all."""

    findings: list[Finding]
    following: str | None
    total: int


async def list_findings(
    store: Store, filters: FindingFilters, order: FindingOrder, limit: int, cursor: str | None
) -> ListedFindings:
    """A page of findings with the first of their reservations each.

    Raises:
        Problem: `invalid` for filters that make no sense, and a cursor of another list.
    """
    check(filters)
    name = (order, digest(filters))
    after = None if cursor is None else _read_key(cursor, name)
    page = await find_page(store, filters, order, limit, after)
    following = None if page.last is None else write_cursor(*name, _text(page.last.value), str(page.last.id))
    return ListedFindings(page.findings, following, page.total)


def _text(value: object) -> str:
    """A value that the list is sorted by, as part of a cursor; empty where a finding has none."""
    if value is None:
        return ""
    return render(value) if isinstance(value, datetime) else str(value)


def _read_key(cursor: str, name: tuple[str, str]) -> FindingKey:
    """The key of the last finding of the page before.

    Raises:
        Problem: `invalid` for a cursor that is none, or that belongs to another order or other filters.
    """
    *of, text, identity = map(str, read_cursor(cursor, str, str, str, str))
    if tuple(of) != name or (last := object_id(identity)) is None:
        raise bad_cursor()
    return FindingKey(_value(text, name[0]), last)


def _value(text: str, order: str) -> int | datetime | None:
    """The value of which `_text` made a part of a cursor.

    Raises:
        Problem: `invalid` for a text that `_text` cannot have made, and for a value that no finding can have.
    """
    if not text and order == "excess":
        return None
    try:
        value: int | datetime = int(text) if order == "excess" else datetime.fromisoformat(text)
        ours = _text(value) == text and (isinstance(value, datetime) or abs(value) < _BEYOND_NUMBERS)
    except (ValueError, OverflowError):
        raise bad_cursor() from None
    if not ours:
        raise bad_cursor()
    return value

"""Who may do what: every route is asked with every kind of key, and the answers are the table of `docs/access.md`."""

import os
from pathlib import Path

import pytest

from app.access.routes import Access
from app.caller import METRICS_SCOPE, SCOPES
from app.settings import Settings
from app.storage.client import Store
from tests.support.access_table import COLUMNS, CUSTOMER, INVALID, RouteOf, Walk, cell, page
from tests.support.api_client import ApiClient
from tests.support.http_client import serving
from tests.support.servers import ROOT

DOCUMENT = Path(ROOT) / "docs" / "access.md"
WRITE = os.environ.get("TEST_ACCESS_TABLE") == "write"


def allowed_by(access: Access, scope: str) -> str:
    """What the declared guard says to a key with one scope."""
    if not access.requires_key or scope == "admin":
        return "yes"
    if not access.scopes:
        return "no" if scope == METRICS_SCOPE else "yes"
    return "yes" if (scope,) == access.scopes else "no"


@pytest.mark.servers("transactions", "fast", once=True)
async def test_every_route_answers_every_kind_of_key_as_declared(store: Store) -> None:
    """A route without a guard, a guard that lets others pass, and a page that says otherwise are all seen here."""
    async with serving(store, settings=Settings(rate_limit="0")) as client:
        walk = Walk(ApiClient(client, store))
        await walk.prepare()
        rows: list[tuple[RouteOf, dict[str, str]]] = []
        for route in walk.routes:
            assert route.access is not None, route.name
            for kind in INVALID:
                refused = await walk.statuses(route, kind)
                assert (refused == [401, 401]) is route.access.requires_key, (route.name, kind, refused)
            cells = {column: cell(*(await walk.statuses(route, column))) for column in COLUMNS}
            expected = {scope: allowed_by(route.access, scope) for scope in SCOPES}
            assert {scope: cells[scope] for scope in SCOPES} == expected, route.name
            assert cells[CUSTOMER] in {"yes", "own", "no"}, route.name
            rows.append((route, cells))

    if WRITE:
        DOCUMENT.write_text(page(rows), encoding="utf-8")
    assert DOCUMENT.read_text(encoding="utf-8") == page(rows), "TEST_ACCESS_TABLE=write writes the page anew"

"""Every route asked with every kind of key: what came of it, as the table of `docs/access.md`."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from pydantic.alias_generators import to_camel

from app.access.routes import Access, access_of
from app.access.service import Keys
from app.caller import CUSTOMER_SCOPES, SCOPES
from app.errors import KINDS
from app.http.openapi import document
from app.http.openapi_examples import PATH_PARAMETERS
from tests.support.api_client import ApiClient, booking_body, created
from tests.support.described_api import Sample, operations_by_id
from tests.support.findings import insert_finding
from tests.support.http_client import create_key
from tests.support.times import DAY, HOUR, NINE

PAGE = """# Who may do what

This table is what the app answered when every route was asked with every kind of key.
A test asks again and compares, so that it fails for a route or a scope that is missing here or answers otherwise.

- **yes**: the request is judged by its content.
- **own**: so it is for what belongs to the key's customer; what belongs to others is 404, like what is not there.
- **no**: 403, naming the scope that is missing.
- Without a key, or with one that is unknown, was revoked or has expired, every route that needs a key is 401.
- HEAD is answered like GET, and OPTIONS to everybody.

A key may have several scopes, and may then do what one of them allows. A route that needs two is `no` for either alone.
`customer` is a key with `reservations:read` and `reservations:write` that is bound to a customer.
What belongs to other customers is 422 where a body names it.
The pages of [the console](console.md) take no key but a session, which may do what the key may that it was opened with.

"""
NO_KEY, CUSTOMER = "no valid key", "customer"
COLUMNS = (*SCOPES, CUSTOMER)
UNAUTHENTICATED, FORBIDDEN, NOT_FOUND = (KINDS[name].status for name in ("unauthenticated", "forbidden", "not-found"))
INVALID = ("none", "wrong", "revoked", "expired")
"""The kinds of keys that open nothing."""

_UNDESCRIBED = {"name": "swagger-ui.css"}
"""Parameters of paths that are no part of the description."""


@dataclass(frozen=True, slots=True)
class RouteOf:
    """A route with its guard; `operation` is its name in the description, None for pages of browsers."""

    path: str
    method: str
    access: Access | None
    operation: str | None

    @property
    def name(self) -> str:
        """As the table names it."""
        return f"{self.method} {re.sub(r'{(.*?)}', lambda match: f'{{{to_camel(match[1])}}}', self.path)}"


def routes_of(app: Litestar) -> list[RouteOf]:
    """Every route of the app but those of the console and Litestar's own answers to OPTIONS, by path."""
    found = [
        RouteOf(route.path_format, method, access_of(handler), _operation(handler))
        for route in app.routes
        if isinstance(route, HTTPRoute) and not route.path.startswith("/console")
        for method, (handler, _) in route.route_handler_map.items()
        if method != "OPTIONS"
    ]
    return sorted(found, key=lambda each: (each.path, each.method))


def _operation(handler: HTTPRouteHandler) -> str | None:
    return str(handler.operation_id) if handler.resolve_include_in_schema() else None


class Walk:
    """Asks every route; everything that a path or a body can name is there, once for each of two customers."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        api.client.headers.pop("Authorization", None)  # it would be sent where a key is left out
        self._keys: dict[str, str] = {}
        self._names: dict[str, dict[str, str]] = {}
        self._operations = operations_by_id(document(self._app))

    @property
    def _app(self) -> Litestar:
        transport: Any = self._api.client._transport
        app: Litestar = transport.app._app
        return app

    @property
    def routes(self) -> list[RouteOf]:
        """The routes of the app."""
        return routes_of(self._app)

    async def prepare(self) -> None:
        """Fill the database, and make a key of each kind."""
        api = self._api
        await api.service()
        await api.resource(services=["cut"], capacity=50)
        for place, customer in enumerate(("ann", "bob")):
            self._names[customer] = await self._belongings(customer, NINE + place * DAY)
        ann = {"customer": "ann", "scopes": [*CUSTOMER_SCOPES]}
        for column in COLUMNS:
            wanted = ann if column == CUSTOMER else {"scopes": [column]}
            self._keys[column] = (await create_key(api.store, column, **wanted)).token
        await self._make_invalid_keys()

    async def _belongings(self, customer: str, start: Any) -> dict[str, str]:
        """Everything that an example of the description names, as it is for one customer."""
        api = self._api
        await api.add("customers", id=customer)
        booking = await api.booked(start, service="cut", customer=customer, expiresInSeconds=86_400)
        group = {"reservations": [booking_body(start + HOUR, service="cut", customer=customer)] * 2}
        run = await api.request("POST", "/v1/reconciliations", json={})
        address = created(await api.request("POST", f"/v1/customers/{customer}/calendar"))
        return {
            "resourceId": "room",
            "serviceId": "cut",
            "customerId": customer,
            "reservationId": booking["id"],
            "groupId": created(await api.request("POST", "/v1/groups", json=group))["id"],
            "seriesId": await self._series(customer, start),
            "findingId": str(await insert_finding(api.store, len(self._names))),
            "reconciliationId": run.json()["id"],
            "secret": address["path"].split("/")[3],
            "keyPrefix": (await create_key(api.store, "named", ["reservations:read"])).key.id,
        }

    async def _series(self, customer: str, start: Any) -> str:
        """The id of a series of a customer."""
        reservation = {"resource": "room", "service": "cut", "customer": customer}
        reservation["localStart"] = f"{start + HOUR:%Y-%m-%dT%H:%M}"
        series = {"reservation": reservation, "rule": "FREQ=DAILY;COUNT=2", "onConflict": "refuse"}
        return str(created(await self._api.request("POST", "/v1/series", json=series))["id"])

    async def _make_invalid_keys(self) -> None:
        api, keys = self._api, Keys(self._api.store)
        revoked, expired = [await create_key(api.store, name, ["admin"]) for name in ("revoked", "expired")]
        await keys.revoke(revoked.key.id, "test")
        past = {"expiresAt": api.store.clock.now() - timedelta(seconds=1)}
        await api.store.database["keys"].update_one({"_id": expired.key.id}, {"$set": past})
        wrong = self._keys["admin"][:-4] + "AAAA"
        self._keys |= dict(zip(INVALID, ("", wrong, revoked.token, expired.token), strict=True))

    async def statuses(self, route: RouteOf, kind: str) -> list[int]:
        """The answers to a kind of key: about what belongs to Ann, and about what belongs to Bob."""
        return [await self._status(route, kind, owner) for owner in ("ann", "bob")]

    async def _status(self, route: RouteOf, kind: str, owner: str) -> int:
        names = {**self._names[owner], "timeOffId": await self._time_off(), "webhookId": await self._webhook()}
        names["closureId"] = await self._closure()
        sample = self._sample(route, names)
        headers = sample.headers | ({"Authorization": f"Bearer {token}"} if (token := self._keys[kind]) else {})
        content = None if sample.body is None else _named(json.dumps(sample.body), names)
        answer = await self._api.client.request(
            sample.method, sample.path, params=sample.parameters, headers=headers, content=content
        )
        return answer.status_code

    async def _time_off(self) -> str:
        """The id of a time off; one of the walk's requests deletes it."""
        row = await self._api.store.database["resources"].find_one({"_id": "room"})
        if row and row.get("timeOff"):
            return str(row["timeOff"][-1]["id"])
        away = {"from": "2035-08-01", "to": "2035-08-02"}
        return str(created(await self._api.request("POST", "/v1/resources/room/time-off", json=away))["id"])

    async def _closure(self) -> str:
        """The id of a closure; one of the walk's requests deletes it."""
        row = await self._api.store.database["closures"].find_one({})
        if row:
            return str(row["_id"])
        holidays = {"name": "Holidays", "from": "2035-12-24", "to": "2035-12-27"}
        return str(created(await self._api.request("POST", "/v1/closures", json=holidays))["id"])

    async def _webhook(self) -> str:
        """The id of a webhook; one of the walk's requests deletes it."""
        row = await self._api.store.database["webhooks"].find_one({})
        if row:
            return str(row["_id"])
        return str(created(await self._api.request("POST", "/v1/webhooks", json={"url": "http://localhost:1/"}))["id"])

    def _sample(self, route: RouteOf, names: Mapping[str, str]) -> Sample:
        if route.operation is None:
            path = route.path
            for name, value in _UNDESCRIBED.items():
                path = path.replace(f"{{{name}}}", value)
            return Sample("", route.method, path, {}, {}, None)
        return next(self._operations[route.operation].samples(names))


def _named(body: str, names: Mapping[str, str]) -> str:
    """A body in which the ids of the examples are those of the walk."""
    for name, value in names.items():
        body = body.replace(f'"{PATH_PARAMETERS[name][1]}"', f'"{value}"')
    return body


def cell(own: int, others: int) -> str:
    """What a kind of key may do, by its answers about its own and about others'."""
    if own == FORBIDDEN and others in {FORBIDDEN, NOT_FOUND}:
        return "no"
    if own in {UNAUTHENTICATED, FORBIDDEN, NOT_FOUND} or others in {UNAUTHENTICATED, FORBIDDEN}:
        return f"{own} and {others}"
    return "own" if others == NOT_FOUND else "yes"


def page(rows: Sequence[tuple[RouteOf, Mapping[str, str]]]) -> str:
    """The text of the page."""
    return PAGE + "\n".join(_lines(rows)) + "\n"


def _lines(rows: Sequence[tuple[RouteOf, Mapping[str, str]]]) -> Iterator[str]:
    yield f"| route | needs | {' | '.join(f'`{column}`' for column in COLUMNS)} |"
    yield "|---" * (2 + len(COLUMNS)) + "|"
    for route, cells in rows:
        yield f"| `{route.name}` | {needed(route.access)} | {' | '.join(cells[column] for column in COLUMNS)} |"


def needed(access: Access | None) -> str:
    """What a guard asks for."""
    if access is None:
        return "undeclared"
    if not access.requires_key:
        return "no key"
    return " and ".join(f"`{scope}`" for scope in access.scopes) or "any key"

"""A client of the API with a key, in few words, and the assertions that most answers need."""

from datetime import datetime, timedelta
from typing import Any

import httpx
from bson import ObjectId

from app.domain.instants import render
from app.domain.rules import RULES
from app.errors import KINDS, ProblemName
from app.storage.client import Store
from tests.support.http_client import make_key
from tests.support.times import HOUR, NINE

RESERVATIONS = "/v1/reservations"


class ApiClient:
    """Requests with one key, and reads of the database for what no request shows."""

    def __init__(self, client: httpx.AsyncClient, store: Store) -> None:
        self.client = client
        self.store = store
        self.token: str = client.headers["Authorization"].removeprefix("Bearer ")

    async def with_scopes(self, *scopes: str, customer: str | None = None) -> "ApiClient":
        """A client of the same app with a new key of the given scopes."""
        other = ApiClient(self.client, self.store)
        other.token = await make_key(self.store, *scopes, customer=customer)
        return other

    @property
    def prefix(self) -> str:
        """The prefix of the key in use."""
        return self.token.removeprefix("rsv_").split("_")[0]

    async def request(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """One request with this key."""
        known = {"Authorization": f"Bearer {self.token}"}
        return await self.client.request(method, path, headers=known | (headers or {}), **more)

    async def get(self, path: str, **parameters: Any) -> httpx.Response:
        """Send a GET."""
        return await self.request("GET", path, params=parameters)

    async def add(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Add to the catalogue: `services`, `resources`, `customers`."""
        return created(await self.request("POST", f"/v1/{kind}", json={"name": "a name"} | fields))

    async def service(self, identity: str = "cut", **fields: Any) -> dict[str, Any]:
        """Add a service, of an hour unless `fields` give another length."""
        fixed = {} if "durationType" in fields else {"durationType": "fixed", "durationMinutes": 60}
        return await self.add("services", id=identity, **(fixed | fields))

    async def resource(self, identity: str = "room", **fields: Any) -> dict[str, Any]:
        """Add a resource."""
        return await self.add("resources", id=identity, **fields)

    async def edit(self, path: str, **fields: Any) -> httpx.Response:
        """Merge a patch into whatever version there is."""
        return await self.request("PATCH", path, json=fields, headers={"If-Match": "*"})

    async def post(self, body: dict[str, Any], *, key: str | None = None, **parameters: Any) -> httpx.Response:
        """Book, with the body as it is."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.request("POST", RESERVATIONS, json=body, headers=headers, params=parameters)

    async def book(
        self, start: datetime = NINE, length: timedelta | None = HOUR, *, key: str | None = None, **fields: Any
    ) -> httpx.Response:
        """Try to book the room for an hour."""
        return await self.post(booking_body(start, length, **fields), key=key)

    async def booked(self, start: datetime = NINE, length: timedelta | None = HOUR, **fields: Any) -> dict[str, Any]:
        """Book the room for an hour."""
        return created(await self.book(start, length, **fields))

    async def verb(self, reservation: dict[str, Any], verb: str, **fields: Any) -> httpx.Response:
        """`cancel` it, `confirm` it, …; without fields there is no body."""
        return await self.request("POST", f"{path_of(reservation)}/{verb}", **({"json": fields} if fields else {}))

    async def change(self, reservation: dict[str, Any], **patch: Any) -> httpx.Response:
        """Merge a patch into a reservation, whatever its version is."""
        return await self.edit(path_of(reservation), **patch)

    async def read(self, reservation: dict[str, Any]) -> dict[str, Any]:
        """The reservation as it reads now."""
        return ok(await self.get(path_of(reservation)))

    async def ids(self, path: str = RESERVATIONS, **parameters: Any) -> list[str]:
        """The ids on one page of a list."""
        return [item["id"] for item in ok(await self.get(path, **parameters))["items"]]

    async def overwrite(self, reservation: dict[str, Any], **fields: Any) -> None:
        """Change what is stored, past everything: this is how time goes by in a test."""
        row = {"_id": _identity(reservation)}
        assert (await self.store.database["reservations"].update_one(row, {"$set": fields})).matched_count == 1

    async def expire(self, reservation: dict[str, Any]) -> None:
        """Let the time of a hold be over since a second."""
        await self.overwrite(reservation, expiresAt=self.store.clock.now() - timedelta(seconds=1))

    async def begin(self, reservation: dict[str, Any]) -> None:
        """Let a reservation have begun a second ago; its end stays."""
        begun = self.store.clock.now() - timedelta(seconds=1)
        await self.overwrite(reservation, startTime=begun, blockStart=begun)

    async def stored(self, reservation: dict[str, Any]) -> dict[str, Any]:
        """The stored document of a reservation."""
        row: dict[str, Any] | None = await self.store.database["reservations"].find_one({"_id": _identity(reservation)})
        assert row is not None
        return row

    async def contents(self) -> dict[str, list[dict[str, Any]]]:
        """The stored documents, without keys and the counters of guards: what a refused request must not change."""
        names = ("reservations", "resources", "services", "customers")
        found = {name: await self.store.database[name].find().sort("_id", 1).to_list(None) for name in names}
        return found | {
            "guards": await self.store.database["guards"].find({}, {"rules": 1}).sort("_id", 1).to_list(None)
        }


def _identity(reservation: dict[str, Any]) -> Any:
    return ObjectId(reservation["id"])


def path_of(reservation: dict[str, Any]) -> str:
    """The path of a reservation."""
    return f"{RESERVATIONS}/{reservation['id']}"


def booking_body(start: datetime = NINE, length: timedelta | None = HOUR, **fields: Any) -> dict[str, Any]:
    """The body of a booking of the room; without a length it has no `endTime`."""
    end = {} if length is None else {"endTime": render(start + length)}
    return {"resource": "room", "startTime": render(start)} | end | fields


def created(answer: httpx.Response) -> dict[str, Any]:
    """The body of a 201."""
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def ok(answer: httpx.Response) -> dict[str, Any]:
    """The body of a 200, which shows its version as its tag."""
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    if "version" in body:
        assert answer.headers["ETag"] == f'"{body["version"]}"'
    return body


def problem(answer: httpx.Response, name: ProblemName, *pointers: str) -> dict[str, Any]:
    """The body of a problem of that name; with pointers, it must blame exactly those given."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    body: dict[str, Any] = answer.json()
    assert (body["type"], answer.status_code) == (f"/problems/{name}", KINDS[name].status), answer.text
    assert body["status"] == answer.status_code
    assert body["title"] == KINDS[name].title
    assert body["detail"].endswith((".", ")", "…"))
    assert body["requestId"] == answer.headers["X-Request-Id"]
    if pointers:
        assert [fault["pointer"] for fault in body["errors"]] == [*pointers], answer.text
    return body


def pointers(answer: httpx.Response) -> list[str]:
    """The pointers of a problem's errors."""
    return [fault["pointer"] for fault in problem(answer, "invalid")["errors"]]


def failed_rules(body: dict[str, Any]) -> list[str]:
    """The rules that say no; the verdicts of all of them must be there, in their order."""
    assert [check["rule"] for check in body["checks"]] == list(RULES)
    return [check["rule"] for check in body["checks"] if not check["ok"]]

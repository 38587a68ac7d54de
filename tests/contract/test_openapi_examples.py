"""The examples of the description: each is what it says, and each request is answered as it stands."""

import copy
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from bson import ObjectId

from app.http.openapi import document
from app.main import create_app
from app.reconciliation.engine import reconcile_reservations
from app.settings import Settings
from app.storage.client import Store
from app.trial.demo import create_demo
from tests.support.described_api import DescribedOperation, Sample, flaws, operations_by_id
from tests.support.http_client import serving

JSON = "application/json"

ORDER = (
    *("getHealth", "getReadiness", "getMetrics"),
    *("listResources", "getResource", "createResource", "updateResource"),
    *("listServices", "getService", "createService", "updateService"),
    *("listCustomers", "getCustomer", "createCustomer", "updateCustomer"),
    *("getResourceSchedule", "replaceResourceSchedule"),
    *("createTimeOff", "listTimeOff", "getTimeOff", "deleteTimeOff"),
    *("createClosure", "listClosures", "getClosure", "updateClosure", "deleteClosure"),
    *("listAvailability", "explainAvailability"),
    *("createReservation", "listReservations", "exportReservations", "listCustomerReservations", "getReservation"),
    *("updateReservation", "createMoves", "extendReservation", "confirmReservation", "cancelReservation"),
    *("completeReservation", "markReservationNoShow", "reopenReservation"),
    *("getResourceCalendar", "createResourceCalendarAddress", "getCustomerCalendar", "createCustomerCalendarAddress"),
    *("getCalendarByAddress", "deleteResourceCalendarAddress", "deleteCustomerCalendarAddress"),
    "getUtilisation",
    *("createGroup", "getGroup", "confirmGroup", "cancelGroup"),
    *("createSeries", "getSeries", "confirmSeries", "moveSeries", "cancelSeries"),
    *("createReconciliation", "listReconciliations", "getReconciliation"),
    *("listFindings", "getFinding", "assignFinding", "acknowledgeFinding", "acceptFinding", "reopenFinding"),
    *("transitionFindings", "resolveFinding"),
    *("listEvents", "streamEvents"),
    *("exportCustomer", "eraseCustomer"),
    *("createKey", "listKeys", "getKey", "updateKey", "rotateKey", "revokeKey"),
    *("createWebhook", "listWebhooks", "getWebhook", "updateWebhook", "rotateWebhook", "replayWebhook", "testWebhook"),
    *("listWebhookDeliveries", "deleteWebhook"),
)
"""Every operation, in an order in which each finds what it is about."""

ABOUT = {
    "extendReservation": "hold",
    "confirmReservation": "hold",
    "cancelReservation": "anyone",
    "completeReservation": "walkIn",
    "reopenReservation": "again",
    "markReservationNoShow": "again",
}
"""Which of the reservations an operation is tried on; others take the first."""


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    """The description of the API."""
    return document(create_app(Settings()))


def test_every_body_and_answer_has_an_example_that_is_one(described: dict[str, Any]) -> None:
    """Each component that is answered has one, each body too, and all are valid."""
    schemas = described["components"]["schemas"]
    bodies = [
        media
        for operation in operations_by_id(described).values()
        for media in operation.about.get("requestBody", {}).get("content", {}).values()
    ]

    for media in bodies:
        assert media["examples"]
        for name, example in media["examples"].items():
            assert flaws(described, media["schema"], example["value"]) == [], name
    for name, schema in schemas.items():
        assert schema.get("additionalProperties") is False or "examples" in schema, name
        for example in schema.get("examples", []):
            assert flaws(described, {"$ref": f"#/components/schemas/{name}"}, example) == [], name


def test_every_operation_is_tried(described: dict[str, Any]) -> None:
    """The order of the next test leaves none out."""
    assert sorted(ORDER) == sorted(operations_by_id(described))


class Walk:
    """Sends the examples one after the other, and remembers the ids that the server gives."""

    def __init__(self, client: httpx.AsyncClient, store: Store, described: dict[str, Any]) -> None:
        self.client = client
        self.store = store
        self.described = described
        self.operations = operations_by_id(described)
        self.ids: dict[str, str] = {}
        self.reservations: dict[str, str] = {}

    async def send(self, name: str) -> None:
        """Send all examples of one operation; each must be answered as it is described."""
        operation = self.operations[name]
        ids = {**self.ids, "reservationId": self.reservations.get(ABOUT.get(name, "booking"), "")}
        for sample in operation.samples(ids):
            await self._send(name, operation, sample)

    async def _send(self, name: str, operation: DescribedOperation, sample: Sample) -> Any:
        answer = await self.client.request(
            sample.method,
            sample.path,
            params=sample.parameters,
            headers=sample.headers,
            **({} if sample.body is None else {"json": await self._with_ids(name, sample.body)}),
        )
        assert answer.is_success, (name, sample.name, answer.text)
        described = operation.about["responses"][str(answer.status_code)]
        promised = set(described["headers"]) - {"Idempotent-Replayed"}
        assert not [header for header in promised if header not in answer.headers], (name, sample.name)
        if JSON in described.get("content", {}):
            body = answer.json()
            assert flaws(self.described, described["content"][JSON]["schema"], body) == [], name
            self._remember(name, sample, body)

    def _remember(self, name: str, sample: Sample, body: Any) -> None:
        made = {"createTimeOff": "timeOffId", "createGroup": "groupId", "createReconciliation": "reconciliationId"}
        made |= {"createWebhook": "webhookId", "createSeries": "seriesId", "createClosure": "closureId"}
        if name == "createKey":
            self.ids["keyPrefix"] = body["prefix"]
        elif name == "createCustomerCalendarAddress":
            self.ids["secret"] = body["path"].split("/")[3]
        elif name in made:
            self.ids[made[name]] = body["id"]
        elif name == "createReservation":
            self.reservations[sample.name] = body["id"]

    async def _with_ids(self, name: str, example: Any) -> Any:
        body = copy.deepcopy(example)
        if name == "createMoves":
            (move,) = body["moves"]
            read = await self.client.get(f"/v1/reservations/{self.reservations['booking']}")
            move |= {"reservation": read.json()["id"], "version": read.json()["version"]}
        elif name == "transitionFindings":
            body["ids"] = [self.ids["findingId"]]
        return body

    async def book_again(self) -> None:
        """The walk-in once more: by now the first one has taken place."""
        operation = self.operations["createReservation"]
        (sample,) = [each for each in operation.samples({}) if each.name == "walkIn"]
        await self._send("createReservation", operation, sample._replace(name="again"))

    async def double_book(self) -> ObjectId:
        """A copy of the booking that was moved, past the API, which a reconciliation finds; the id of the copy."""
        rows = self.store.database["reservations"]
        row = await rows.find_one({"_id": ObjectId(self.reservations["booking"])})
        copied = {**(row or {}), "_id": ObjectId()}
        await rows.insert_one(copied)
        await reconcile_reservations(self.store, "full")
        (finding,) = (await self.client.get("/v1/findings")).json()["items"]
        self.ids["findingId"] = finding["id"]
        identity: ObjectId = copied["_id"]
        return identity


@pytest.fixture
async def limited_client(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """HTTP on the app as operators run it, which tells of its limit."""
    async with serving(store, settings=Settings(rate_limit="600/minute")) as client:
        yield client


@pytest.mark.servers("transactions")
async def test_every_request_succeeds_as_it_is_prefilled(
    limited_client: httpx.AsyncClient, store: Store, described: dict[str, Any]
) -> None:
    """On the demo catalogue, with nothing filled in but the ids that the server gave, and answered as described."""
    await create_demo(limited_client)
    walk = Walk(limited_client, store, described)
    copied = None
    for name in ORDER:
        if name == "markReservationNoShow":
            await walk.book_again()
        if name == "listFindings":
            copied = await walk.double_book()
        if name == "resolveFinding":
            await store.database["reservations"].delete_one({"_id": copied})
        await walk.send(name)

"""Scopes, and keys that are bound to a customer and see no other customer."""

from typing import Any

import pytest

from app.caller import SCOPES
from app.domain.instants import render
from tests.support.api_client import RESERVATIONS, ApiClient, booking_body, created, ok, path_of, problem
from tests.support.times import HOUR, NINE

READ, WRITE = "reservations:read", "reservations:write"
OTHERS = [scope for scope in SCOPES if scope not in {READ, WRITE, "admin"}]
NOBODY = "0" * 24

READS = ["", "/{id}", "/../customers/ann/reservations"]
WRITES: list[tuple[str, str, Any]] = [
    ("POST", "", booking_body(NINE + 5 * HOUR)),
    ("PATCH", "/{id}", {"notes": "x"}),
    ("POST", "/{id}/confirm", {}),
    ("POST", "/{id}/cancel", {}),
    ("POST", "/{id}/complete", {}),
    ("POST", "/{id}/no-show", {}),
    ("POST", "/{id}/extend", {"expiresInSeconds": 60}),
]


def path_below(below: str, identity: str) -> str:
    """A path below `/v1/reservations`, or beside it."""
    return f"{RESERVATIONS}{below}".replace("reservations/../", "").replace("{id}", identity)


@pytest.fixture
async def api(api: ApiClient) -> ApiClient:
    """A room and a boat, a service, two customers."""
    await api.service()
    await api.resource(services=["cut"])
    await api.resource("boat", capacity=4, capacityMode="guests", services=["cut"])
    for name in ("ann", "bob"):
        await api.add("customers", id=name)
    return api


class TestScopes:
    """Reading needs one scope, writing the other, and none contains another."""

    @pytest.mark.parametrize("below", READS)
    async def test_reading(self, api: ApiClient, below: str) -> None:
        """403 names what is missing, whatever else the key has; `admin` has all."""
        path = path_below(below, (await api.booked(customer="ann"))["id"])

        refused = problem(await (await api.with_scopes(WRITE, *OTHERS)).get(path), "forbidden")
        assert READ in refused["detail"]
        ok(await (await api.with_scopes(READ)).get(path))
        ok(await (await api.with_scopes("admin")).get(path))

    @pytest.mark.parametrize(("method", "below", "body"), WRITES)
    async def test_writing(self, api: ApiClient, method: str, below: str, body: Any) -> None:
        """The refusal comes before the body is read and discloses nothing of the reservation."""
        reservation = await api.booked()
        reader = await api.with_scopes(READ, *OTHERS)
        before = await api.contents()

        for identity in (reservation["id"], NOBODY):
            for sent in (body, {"nonsense": 1}):
                answer = await reader.request(method, path_below(below, identity), json=sent)
                assert WRITE in problem(answer, "forbidden")["detail"]
        assert await api.contents() == before

    @pytest.mark.parametrize(("method", "below", "body"), [("GET", below, None) for below in READS] + WRITES)
    async def test_nothing_without_a_key(self, api: ApiClient, method: str, below: str, body: Any) -> None:
        """401, with how to send one; also for a key that was made up."""
        reservation = await api.booked()
        for header in ("", "Bearer ", "Bearer rsv_aaaaaaaa_" + "x" * 43, "Basic eDp5", api.token):
            headers = {"Authorization": header, "If-Match": "*"}
            answer = await api.client.request(method, path_below(below, reservation["id"]), json=body, headers=headers)
            problem(answer, "unauthenticated")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert await api.read(reservation) == reservation

    async def test_who_may_only_write_sees_what_it_did(self, api: ApiClient) -> None:
        """Its own answers are complete; conflicting reservations are shown by their times alone."""
        clerk = await api.with_scopes(WRITE)
        reservation = await clerk.booked()

        ok(await clerk.change(reservation, notes="x"))
        body = problem(await clerk.book(NINE + HOUR / 2), "conflict")
        assert body["conflicts"] == [{"startTime": reservation["startTime"], "endTime": reservation["endTime"]}]
        assert reservation["id"] not in str(body)


class TestBound:
    """A key bound to a customer sees, books and changes only that customer's."""

    @pytest.fixture
    async def ann(self, api: ApiClient) -> ApiClient:
        """Ann herself."""
        return await api.with_scopes(READ, WRITE, customer="ann")

    async def test_it_books_for_its_customer(self, api: ApiClient, ann: ApiClient) -> None:
        """Its bookings are for its customer, also where the body names none."""
        mine = [await ann.booked(service="cut"), await ann.booked(NINE + HOUR, service="cut", customer="ann")]

        assert [each["customer"] for each in mine] == ["ann", "ann"]
        assert await api.ids(customer="ann") == [each["id"] for each in mine]

    @pytest.mark.parametrize("customer", ["bob", "nobody"])
    async def test_others_do_not_exist_in_a_body(self, api: ApiClient, ann: ApiClient, customer: str) -> None:
        """422 in the same words, whether there is one of that name or not."""
        reservation = await ann.booked(service="cut")
        before = await api.contents()

        refusals = [
            problem(await ann.book(NINE + HOUR, service="cut", customer=customer), "invalid", "/customer"),
            problem(await ann.change(reservation, customer=customer), "invalid", "/customer"),
            problem(await api.book(NINE + HOUR, customer="no-one"), "invalid", "/customer"),
        ]
        assert len({body["detail"].replace(customer, "no-one") for body in refusals}) == 1
        assert await api.contents() == before

    async def test_it_does_not_give_its_bookings_away(self, ann: ApiClient) -> None:
        """Unsetting the customer leaves its own."""
        reservation = await ann.booked(service="cut")

        assert ok(await ann.change(reservation, customer=None))["customer"] == "ann"

    @pytest.mark.parametrize(("method", "below", "body"), [("GET", "/{id}", None), *WRITES[1:]])
    @pytest.mark.parametrize("whose", ["bob", None])
    async def test_a_strangers_reservation_is_not_there(
        self, api: ApiClient, ann: ApiClient, method: str, below: str, body: Any, whose: str | None
    ) -> None:
        """404 in the same words as for an id that there never was; it is unchanged, and no version is disclosed."""
        of = {} if whose is None else {"customer": whose}
        theirs = created(await api.post(booking_body(expiresInSeconds=60) | of))
        details = []
        for identity in (theirs["id"], NOBODY):
            for tag in ("*", '"1"', '"7"'):
                answer = await ann.request(method, path_below(below, identity), json=body, headers={"If-Match": tag})
                details.append(problem(answer, "not-found")["detail"].replace(identity, "-"))

        assert len(set(details)) == 1
        assert await api.read(theirs) == theirs

    async def test_lists_show_only_its_own(self, api: ApiClient, ann: ApiClient) -> None:
        """No filter shows another customer's reservations; another's history is not found."""
        mine = await ann.booked(service="cut")
        await api.booked(NINE + HOUR, customer="bob")
        await api.booked(NINE + 2 * HOUR)

        assert await ann.ids() == [mine["id"]]
        assert await ann.ids(resource="room", status=["confirmed", "pending"]) == [mine["id"]]
        assert await ann.ids(customer="ann") == [mine["id"]]
        assert await ann.ids(customer="bob") == []
        assert await ann.ids("/v1/customers/ann/reservations") == [mine["id"]]
        for name in ("bob", "nobody"):
            problem(await ann.get(f"/v1/customers/{name}/reservations"), "not-found")

    async def test_pages_show_only_its_own(self, api: ApiClient, ann: ApiClient) -> None:
        """A stranger's cursor leads only to what is its own."""
        for hour in range(4):
            await api.booked(NINE + hour * HOUR, customer="bob")
        mine = await ann.booked(NINE + 5 * HOUR, service="cut")
        cursor = ok(await api.get(RESERVATIONS, limit=1))["next"]

        assert await ann.ids(cursor=cursor) == [mine["id"]]

    async def test_a_strangers_conflict_shows_only_its_times(self, api: ApiClient, ann: ApiClient) -> None:
        """Its own is shown whole; of the checks as well."""
        theirs = await api.booked(resource="boat", guests=2, customer="bob", notes="secret")
        nobodys = await api.booked(resource="boat", guests=1)
        mine = await ann.booked(resource="boat", service="cut", guests=1)
        reservation = await ann.booked(NINE + 5 * HOUR, resource="boat", service="cut", guests=1)

        for answer in (
            await ann.book(resource="boat", service="cut", guests=1),
            await ann.change(reservation, startTime=render(NINE)),
        ):
            body = problem(answer, "conflict")
            time = {"startTime": "2030-01-07T09:00:00.000Z", "endTime": "2030-01-07T10:00:00.000Z"}
            assert [conflict for conflict in body["conflicts"] if len(conflict) > 2] == [
                time | {"status": "confirmed", "reservation": mine["id"]}
            ]
            assert [conflict for conflict in body["conflicts"] if len(conflict) == 2] == [time, time]
            for stranger in (theirs, nobodys):
                assert stranger["id"] not in answer.text
            assert "bob" not in answer.text
            assert "secret" not in answer.text

    async def test_it_lifts_no_rule(self, api: ApiClient, ann: ApiClient) -> None:
        """Neither by force nor by approving its own request."""
        await api.service("asked", approval=True)
        await api.resource("salon", services=["asked"])
        request = await ann.booked(service="asked", resource="salon")

        problem(await ann.post(booking_body(), force="true"), "forbidden")
        problem(await ann.verb(request, "confirm"), "forbidden")
        assert ok(await api.verb(request, "confirm"))["status"] == "confirmed"

    async def test_what_was_handed_on_is_gone(self, api: ApiClient, ann: ApiClient) -> None:
        """And what was handed over is there; a replay still tells what was answered."""
        first = await ann.book(service="cut", key="k")
        mine = created(first)
        theirs = await api.booked(NINE + HOUR, customer="bob")
        ok(await api.change(mine, customer="bob"))
        ok(await api.change(theirs, customer="ann"))

        problem(await ann.get(path_of(mine)), "not-found")
        ok(await ann.get(path_of(theirs)))
        assert (await ann.book(service="cut", key="k")).content == first.content


class TestOnlyWithAService:
    """A key bound to a customer books and changes nothing that no notice, horizon, length or approval would bind."""

    @pytest.fixture
    async def ann(self, api: ApiClient) -> ApiClient:
        """A key of the customer Ann, with a service that wants a day's notice."""
        await api.service("planned", minimumNoticeMinutes=24 * 60)
        await api.resource("salon", services=["planned"], capacity=4)
        return await api.with_scopes(READ, WRITE, customer="ann")

    async def test_it_books_nothing_without_one(self, api: ApiClient, ann: ApiClient) -> None:
        """Neither alone nor as a member of a group, nor as a hold; the field is named, and nothing is written."""
        before = await api.contents()
        day = {"startTime": "1999-01-04T09:00:00Z", "endTime": "1999-10-31T09:00:00Z"}
        for body in (booking_body(), booking_body(expiresInSeconds=60), booking_body() | day):
            problem(await ann.post(body), "invalid", "/service")
        members = {"reservations": [booking_body(resource="salon", service="planned"), booking_body()]}
        problem(await ann.request("POST", "/v1/groups", json=members), "invalid", "/reservations/1/service")

        assert await api.contents() == before

    async def test_it_does_not_get_rid_of_one(self, api: ApiClient, ann: ApiClient) -> None:
        """Null in a patch is refused for a hold, a request and a confirmed booking."""
        await api.service("asked", approval=True)
        await api.resource("studio", services=["asked"], capacity=4)
        in_the_salon: dict[str, Any] = {"resource": "salon", "service": "planned"}
        hold = await ann.booked(**in_the_salon, expiresInSeconds=60)
        asked = await ann.booked(resource="studio", service="asked")
        for each in (hold, asked, await ann.booked(**in_the_salon)):
            problem(await ann.change(each, service=None), "invalid", "/service")
            assert await api.read(each) == each

    async def test_what_has_none_is_not_moved(self, api: ApiClient, ann: ApiClient) -> None:
        """Without a service its booking cannot be patched in time or moved; notes and cancelling are allowed."""
        plain = await api.booked(customer="ann")
        later = render(NINE + 5 * HOUR)
        problem(await ann.change(plain, startTime=later), "forbidden")
        problem(await ann.change(plain, endTime=later), "forbidden")
        moves = {"moves": [{"reservation": plain["id"], "version": 1, "startTime": later}]}
        problem(await ann.request("POST", "/v1/moves", json=moves), "forbidden", "/moves/0")

        ok(await ann.change(plain, notes="x"))
        ok(await ann.verb(plain, "cancel"))

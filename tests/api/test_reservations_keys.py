"""Who may do what: scopes, and keys that are bound to a customer and know of nobody else."""

from typing import Any

import pytest

from app.caller import SCOPES
from app.domain.instants import render
from tests.support.api_client import HOUR, NINE, RESERVATIONS, Visitor, at, good, made, problem, wanted

READ, WRITE = "reservations:read", "reservations:write"
OTHERS = [scope for scope in SCOPES if scope not in {READ, WRITE, "admin"}]
NOBODY = "0" * 24

READS = ["", "/{id}", "/../customers/ann/reservations"]
WRITES: list[tuple[str, str, Any]] = [
    ("POST", "", wanted(NINE + 5 * HOUR)),
    ("PATCH", "/{id}", {"notes": "x"}),
    ("POST", "/{id}/confirm", {}),
    ("POST", "/{id}/cancel", {}),
    ("POST", "/{id}/complete", {}),
    ("POST", "/{id}/no-show", {}),
    ("POST", "/{id}/extend", {"expiresInSeconds": 60}),
]


def path_of(below: str, identity: str) -> str:
    """A path below `/v1/reservations`, or beside it."""
    return f"{RESERVATIONS}{below}".replace("reservations/../", "").replace("{id}", identity)


@pytest.fixture
async def shop(visitor: Visitor) -> Visitor:
    """A room and a boat, a service, two customers."""
    await visitor.service()
    await visitor.resource(services=["cut"])
    await visitor.resource("boat", capacity=4, capacityMode="guests", services=["cut"])
    for name in ("ann", "bob"):
        await visitor.add("customers", id=name)
    return visitor


class TestScopes:
    """Reading needs one scope, writing the other, and none contains another."""

    @pytest.mark.parametrize("below", READS)
    async def test_reading(self, shop: Visitor, below: str) -> None:
        """403 names what is missing, whatever else the key has; `admin` has all."""
        path = path_of(below, (await shop.booked(customer="ann"))["id"])

        refused = problem(await (await shop.other(WRITE, *OTHERS)).get(path), "forbidden")
        assert READ in refused["detail"]
        good(await (await shop.other(READ)).get(path))
        good(await (await shop.other("admin")).get(path))

    @pytest.mark.parametrize(("method", "below", "body"), WRITES)
    async def test_writing(self, shop: Visitor, method: str, below: str, body: Any) -> None:
        """Refused before the body is looked at and before anything is told of the reservation."""
        reservation = await shop.booked()
        reader = await shop.other(READ, *OTHERS)
        before = await shop.everything()

        for identity in (reservation["id"], NOBODY):
            for sent in (body, {"nonsense": 1}):
                answer = await reader.ask(method, path_of(below, identity), json=sent)
                assert WRITE in problem(answer, "forbidden")["detail"]
        assert await shop.everything() == before

    @pytest.mark.parametrize(("method", "below", "body"), [("GET", below, None) for below in READS] + WRITES)
    async def test_nothing_without_a_key(self, shop: Visitor, method: str, below: str, body: Any) -> None:
        """401, with how to send one; also for a key that was made up."""
        reservation = await shop.booked()
        for header in ("", "Bearer ", "Bearer rsv_aaaaaaaa_" + "x" * 43, "Basic eDp5", shop.token):
            headers = {"Authorization": header, "If-Match": "*"}
            answer = await shop.client.request(method, path_of(below, reservation["id"]), json=body, headers=headers)
            problem(answer, "unauthenticated")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert await shop.read(reservation) == reservation

    async def test_who_may_only_write_sees_what_it_did(self, shop: Visitor) -> None:
        """Its own answers are whole; who is in the way is told by times alone."""
        clerk = await shop.other(WRITE)
        reservation = await clerk.booked()

        good(await clerk.change(reservation, notes="x"))
        body = problem(await clerk.book(NINE + HOUR / 2), "conflict")
        assert body["conflicts"] == [{"startTime": reservation["startTime"], "endTime": reservation["endTime"]}]
        assert reservation["id"] not in str(body)


class TestBound:
    """A key bound to a customer sees, books and changes only that customer's."""

    @pytest.fixture
    async def ann(self, shop: Visitor) -> Visitor:
        """Ann herself."""
        return await shop.other(READ, WRITE, customer="ann")

    async def test_it_books_for_its_customer(self, shop: Visitor, ann: Visitor) -> None:
        """Also where it says nobody."""
        mine = [await ann.booked(service="cut"), await ann.booked(NINE + HOUR, service="cut", customer="ann")]

        assert [each["customer"] for each in mine] == ["ann", "ann"]
        assert await shop.ids(customer="ann") == [each["id"] for each in mine]

    @pytest.mark.parametrize("customer", ["bob", "nobody"])
    async def test_others_do_not_exist_in_a_body(self, shop: Visitor, ann: Visitor, customer: str) -> None:
        """422 in the same words, whether there is one of that name or not."""
        reservation = await ann.booked(service="cut")
        before = await shop.everything()

        told = [
            problem(await ann.book(NINE + HOUR, service="cut", customer=customer), "invalid", "/customer"),
            problem(await ann.change(reservation, customer=customer), "invalid", "/customer"),
            problem(await shop.book(NINE + HOUR, customer="no-one"), "invalid", "/customer"),
        ]
        assert len({body["detail"].replace(customer, "no-one") for body in told}) == 1
        assert await shop.everything() == before

    async def test_it_does_not_give_its_bookings_away(self, ann: Visitor) -> None:
        """Unsetting the customer leaves its own."""
        reservation = await ann.booked(service="cut")

        assert good(await ann.change(reservation, customer=None))["customer"] == "ann"

    @pytest.mark.parametrize(("method", "below", "body"), [("GET", "/{id}", None), *WRITES[1:]])
    @pytest.mark.parametrize("whose", ["bob", None])
    async def test_a_strangers_reservation_is_not_there(
        self, shop: Visitor, ann: Visitor, method: str, below: str, body: Any, whose: str | None
    ) -> None:
        """404 in the same words as for an id that there never was; nothing happens to it, no version is told."""
        of = {} if whose is None else {"customer": whose}
        theirs = made(await shop.post(wanted(expiresInSeconds=60) | of))
        told = []
        for identity in (theirs["id"], NOBODY):
            for tag in ("*", '"1"', '"7"'):
                answer = await ann.ask(method, path_of(below, identity), json=body, headers={"If-Match": tag})
                told.append(problem(answer, "not-found")["detail"].replace(identity, "-"))

        assert len(set(told)) == 1
        assert await shop.read(theirs) == theirs

    async def test_lists_show_only_its_own(self, shop: Visitor, ann: Visitor) -> None:
        """Whatever is filtered by; another's history is not found."""
        mine = await ann.booked(service="cut")
        await shop.booked(NINE + HOUR, customer="bob")
        await shop.booked(NINE + 2 * HOUR)

        assert await ann.ids() == [mine["id"]]
        assert await ann.ids(resource="room", status=["confirmed", "pending"]) == [mine["id"]]
        assert await ann.ids(customer="ann") == [mine["id"]]
        assert await ann.ids(customer="bob") == []
        assert await ann.ids("/v1/customers/ann/reservations") == [mine["id"]]
        for name in ("bob", "nobody"):
            problem(await ann.get(f"/v1/customers/{name}/reservations"), "not-found")

    async def test_pages_show_only_its_own(self, shop: Visitor, ann: Visitor) -> None:
        """A stranger's cursor leads only to what is its own."""
        for hour in range(4):
            await shop.booked(NINE + hour * HOUR, customer="bob")
        mine = await ann.booked(NINE + 5 * HOUR, service="cut")
        cursor = good(await shop.get(RESERVATIONS, limit=1))["next"]

        assert await ann.ids(cursor=cursor) == [mine["id"]]

    async def test_a_strangers_conflict_shows_only_its_times(self, shop: Visitor, ann: Visitor) -> None:
        """Its own is shown whole; of the checks as well."""
        theirs = await shop.booked(resource="boat", guests=2, customer="bob", notes="secret")
        nobodys = await shop.booked(resource="boat", guests=1)
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

    async def test_it_lifts_no_rule(self, shop: Visitor, ann: Visitor) -> None:
        """Neither by force nor by approving its own request."""
        await shop.service("asked", approval=True)
        await shop.resource("salon", services=["asked"])
        request = await ann.booked(service="asked", resource="salon")

        problem(await ann.post(wanted(), force="true"), "forbidden")
        problem(await ann.verb(request, "confirm"), "forbidden")
        assert good(await shop.verb(request, "confirm"))["status"] == "confirmed"

    async def test_what_was_handed_on_is_gone(self, shop: Visitor, ann: Visitor) -> None:
        """And what was handed over is there; a replay still tells what was answered."""
        first = await ann.book(service="cut", key="k")
        mine = made(first)
        theirs = await shop.booked(NINE + HOUR, customer="bob")
        good(await shop.change(mine, customer="bob"))
        good(await shop.change(theirs, customer="ann"))

        problem(await ann.get(at(mine)), "not-found")
        good(await ann.get(at(theirs)))
        assert (await ann.book(service="cut", key="k")).content == first.content


class TestOnlyWithAService:
    """A key bound to a customer books and changes nothing that no notice, horizon, length or approval would bind."""

    @pytest.fixture
    async def ann(self, shop: Visitor) -> Visitor:
        """Ann herself, in a shop whose one service wants a day's notice."""
        await shop.service("planned", minimumNoticeMinutes=24 * 60)
        await shop.resource("salon", services=["planned"], capacity=4)
        return await shop.other(READ, WRITE, customer="ann")

    async def test_it_books_nothing_without_one(self, shop: Visitor, ann: Visitor) -> None:
        """Neither alone nor as a member of a group, nor held; the field is named, and nothing is written."""
        before = await shop.everything()
        day = {"startTime": "1999-01-04T09:00:00Z", "endTime": "1999-10-31T09:00:00Z"}
        for body in (wanted(), wanted(expiresInSeconds=60), wanted() | day):
            problem(await ann.post(body), "invalid", "/service")
        members = {"reservations": [wanted(resource="salon", service="planned"), wanted()]}
        problem(await ann.ask("POST", "/v1/groups", json=members), "invalid", "/reservations/1/service")

        assert await shop.everything() == before

    async def test_it_does_not_get_rid_of_one(self, shop: Visitor, ann: Visitor) -> None:
        """Whether held, asked for or confirmed; null in a patch is refused."""
        await shop.service("asked", approval=True)
        await shop.resource("studio", services=["asked"], capacity=4)
        in_the_salon: dict[str, Any] = {"resource": "salon", "service": "planned"}
        held = await ann.booked(**in_the_salon, expiresInSeconds=60)
        asked = await ann.booked(resource="studio", service="asked")
        for each in (held, asked, await ann.booked(**in_the_salon)):
            problem(await ann.change(each, service=None), "invalid", "/service")
            assert await shop.read(each) == each

    async def test_what_has_none_is_not_moved(self, shop: Visitor, ann: Visitor) -> None:
        """Somebody else booked it so: a patch and a move are refused, while notes and cancelling are allowed."""
        plain = await shop.booked(customer="ann")
        later = render(NINE + 5 * HOUR)
        problem(await ann.change(plain, startTime=later), "forbidden")
        problem(await ann.change(plain, endTime=later), "forbidden")
        moves = {"moves": [{"reservation": plain["id"], "version": 1, "startTime": later}]}
        problem(await ann.ask("POST", "/v1/moves", json=moves), "forbidden", "/moves/0")

        good(await ann.change(plain, notes="x"))
        good(await ann.verb(plain, "cancel"))

"""Groups and moves over HTTP, as far as a server without transactions goes: one reservation at a time.

Groups of several reservations are tested in tests/server.
"""

from datetime import timedelta
from typing import Any

import pytest

from app.domain.instants import render
from app.errors import ProblemName
from app.settings import Settings
from app.storage.client import Store
from tests.support.api_client import ApiClient, booking_body, created, ok, path_of, problem
from tests.support.group_requests import GROUPS, MOVES, move_of, post_group, post_moves
from tests.support.http_client import serving
from tests.support.times import HOUR, MINUTE, NINE

NOBODY = "0" * 24


class TestBooking:
    """`POST /v1/groups`."""

    async def test_a_group_is_its_reservations(self, api: ApiClient) -> None:
        """201 with an id, the members as they would be alone but for the group, a Location and an ETag."""
        await api.resource()
        answer = await post_group(api)
        body = created(answer)

        (member,) = body["reservations"]
        assert body == {"id": member["group"], "reservations": [member], "version": 1}
        assert answer.headers["Location"] == f"{GROUPS}/{body['id']}"
        assert answer.headers["ETag"] == '"1"'
        assert ok(await api.get(answer.headers["Location"])) == body
        assert ok(await api.get(path_of(member))) == member

    async def test_a_group_shows_its_members_as_they_are_now(self, api: ApiClient) -> None:
        """Each change of a member is one of the group's version, and a hold whose time has come reads as expired."""
        await api.resource()
        body = created(await post_group(api, expiresInSeconds=60))
        (member,) = body["reservations"]
        ok(await api.change(member, notes="x"))

        read = ok(await api.get(f"{GROUPS}/{body['id']}"))
        assert (read["version"], read["reservations"][0]["notes"]) == (2, "x")
        await api.expire(member)
        read = ok(await api.get(f"{GROUPS}/{body['id']}"))
        assert read["reservations"][0]["status"] == "expired"

    async def test_the_group_sets_the_length_of_its_holds(self, api: ApiClient) -> None:
        """`expiresInSeconds` of the group makes holds, so does that of a member; both at once are refused."""
        await api.resource(capacity=9)
        (by_group,) = created(await post_group(api, expiresInSeconds=60))["reservations"]
        (by_member,) = created(await post_group(api, booking_body(expiresInSeconds=60)))["reservations"]
        twice = await post_group(api, booking_body(), booking_body(expiresInSeconds=60), expiresInSeconds=60)

        for hold in (by_group, by_member):
            assert hold["status"] == "pending"
            assert (await api.stored(hold))["expiresAt"] - (await api.stored(hold))["createdAt"] == MINUTE
        problem(twice, "invalid", "/reservations/1/expiresInSeconds")

    async def test_several_need_transactions(self, api: ApiClient) -> None:
        """More than one is `strict-only` here, and nothing is written."""
        await api.resource()
        await api.resource("other")
        before = await api.contents()

        problem(await post_group(api, booking_body(), booking_body(resource="other")), "strict-only")
        assert await api.contents() == before

    async def test_a_refusal_is_a_single_one_in_a_list(self, api: ApiClient) -> None:
        """A member carries the conflicts and checks that it would be refused with alone; only rules change the type."""
        await api.resource()
        await api.booked()
        alone = problem(await api.book(NINE + HOUR / 2), "conflict")
        body = problem(await post_group(api, booking_body(NINE + HOUR / 2)), "conflict", "/reservations/0/startTime")

        (member,) = body["members"]
        assert member == {"index": 0, **{name: alone[name] for name in ("conflicts", "checks", "nextFree")}}
        assert member["conflicts"][0].keys() == {"startTime", "endTime", "status", "reservation"}
        assert "`reservations[0]`" in body["detail"]
        ok(await api.edit("/v1/resources/room?force=true", active=False))
        alone = problem(await api.book(NINE + HOUR / 2), "rule")
        body = problem(await post_group(api, booking_body(NINE + HOUR / 2)), "rule")
        assert body["members"] == [{"index": 0, "checks": alone["checks"]}]

    async def test_a_refusal_tells_no_more_than_may_be_read(self, api: ApiClient) -> None:
        """A stranger's booking that conflicts with a member shows only its times."""
        await api.add("customers", id="ann")
        await api.service()
        await api.resource(services=["cut"])
        await api.booked()
        ann = await api.with_scopes("reservations:read", "reservations:write", customer="ann")

        (member,) = problem(await post_group(ann, booking_body(service="cut")), "conflict")["members"]
        assert [conflict.keys() for conflict in member["conflicts"]] == [{"startTime", "endTime"}]
        assert [check for check in member["checks"] if "reservation" in check] == []

    @pytest.mark.parametrize(
        ("member", "pointer"),
        [
            (booking_body(resource="nowhere"), "/reservations/0/resource"),
            (booking_body(service="nothing"), "/reservations/0/service"),
            (booking_body(customer="nobody"), "/reservations/0/customer"),
            (booking_body(length=-HOUR), "/reservations/0/endTime"),
            (booking_body(length=None), "/reservations/0/endTime"),
            (booking_body(guests=0), "/reservations/0/guests"),
            (booking_body(colour="red"), "/reservations/0/colour"),
            (booking_body(group=NOBODY), "/reservations/0/group"),
            ({"resource": "room"}, "/reservations/0/startTime"),
            (7, "/reservations/0"),
        ],
    )
    async def test_what_is_wrong_with_a_member_is_pointed_at(
        self, api: ApiClient, member: dict[str, Any], pointer: str
    ) -> None:
        """The problem that the member would have alone, with a pointer into the group."""
        await api.resource()
        before = await api.contents()

        problem(await post_group(api, member), "invalid", pointer)
        assert await api.contents() == before

    async def test_all_members_are_looked_at(self, api: ApiClient) -> None:
        """All members with an unknown reference are named at once."""
        answer = await post_group(api, booking_body(customer="a"), booking_body(), booking_body(customer="b"))

        body = problem(answer, "invalid", "/reservations/0/customer", "/reservations/2/customer")
        assert [member["index"] for member in body["members"]] == [0, 2]

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({}, "/reservations"),
            ({"reservations": []}, "/reservations"),
            ({"reservations": [booking_body()] * 21}, "/reservations"),
            ({"reservations": {}}, "/reservations"),
            ({"reservations": [booking_body()], "expiresInSeconds": 9}, "/expiresInSeconds"),
            ({"reservations": [booking_body()], "name": "x"}, "/name"),
        ],
    )
    async def test_a_group_has_one_to_twenty_members(self, api: ApiClient, body: dict[str, Any], pointer: str) -> None:
        """Everything else is refused where it stands."""
        problem(await api.request("POST", GROUPS, json=body), "invalid", pointer)

    async def test_what_is_not_there_is_refused(self, api: ApiClient) -> None:
        """Members cannot be forced past the rules, and there is no list of groups."""
        await api.resource()

        problem(await api.request("POST", f"{GROUPS}?force=true", json={"reservations": [booking_body()]}), "invalid")
        problem(await api.get(GROUPS), "method-not-allowed")

    async def test_holds_of_a_group_count(self, mock_store: Store) -> None:
        """They and earlier holds stay within the limit of their customer, or of the key where there is none."""
        async with serving(mock_store, settings=Settings(max_holds=2, max_anonymous_holds=2)) as client:
            api = ApiClient(client, mock_store)
            await api.resource(capacity=9)
            await api.add("customers", id="ann")
            three = problem(await post_group(api, *[booking_body()] * 3, expiresInSeconds=60), "hold-limit")
            created(await post_group(api, expiresInSeconds=60))
            two = problem(await post_group(api, *[booking_body()] * 2, expiresInSeconds=60), "hold-limit")
            for_ann = [booking_body(customer="ann"), booking_body(customer="ann"), booking_body()]
            problem(await post_group(api, *for_ann, expiresInSeconds=60), "strict-only")
            created(await post_group(api, expiresInSeconds=60))

            held: dict[str, Any] = {"expiresInSeconds": 60, "holder": "v1"}
            of_v1 = problem(await post_group(api, *[booking_body()] * 3, **held), "hold-limit")
            assert "The holder 'v1' may have 2 live holds" in of_v1["detail"]
            created(await post_group(api, booking_body(customer="ann"), **held))
            created(await post_group(api, booking_body(holder="v2", expiresInSeconds=60)))
            problem(await post_group(api, holder="v1"), "invalid", "/holder")
            problem(await post_group(api, booking_body(holder="v2"), **held), "invalid", "/reservations/0/holder")

            assert "2 live holds without a holder or customer at once, and 3 are wanted" in three["detail"]
            assert "has 1 live holds without a holder or customer and 2 more are wanted, of 2" in two["detail"]
            assert api.prefix in two["detail"]
            problem(await post_group(api, expiresInSeconds=60), "hold-limit")
            created(await post_group(api))


class TestVerbs:
    """Confirm and cancel."""

    async def test_confirm_and_cancel_are_harmless_to_repeat(self, api: ApiClient) -> None:
        """Each answers with the group as it is then, with its reason in the history, and again without a change."""
        await api.resource()
        body = created(await post_group(api, expiresInSeconds=60))
        path = f"{GROUPS}/{body['id']}"

        for verb, status, version in (("confirm", "confirmed", 2), ("cancel", "cancelled", 3)):
            answer = ok(await api.request("POST", f"{path}/{verb}", json={"reason": "why"}))
            again = ok(await api.request("POST", f"{path}/{verb}", headers={"Idempotency-Key": "x"}))
            assert again == answer == ok(await api.get(path))
            (member,) = answer["reservations"]
            assert (member["status"], answer["version"]) == (status, version)
            assert member["history"][-1]["reason"] == "why"

    async def test_what_has_ended_cannot_come_back(self, api: ApiClient) -> None:
        """A group none of whose members can reach the status is refused."""
        await api.resource()
        cancelled = created(await post_group(api))
        ok(await api.request("POST", f"{GROUPS}/{cancelled['id']}/cancel"))
        expired = created(await post_group(api, expiresInSeconds=60))
        await api.expire(expired["reservations"][0])

        problem(await api.request("POST", f"{GROUPS}/{cancelled['id']}/confirm"), "forbidden-transition")
        problem(await api.request("POST", f"{GROUPS}/{expired['id']}/cancel"), "forbidden-transition")
        late = problem(await api.request("POST", f"{GROUPS}/{expired['id']}/confirm"), "hold-expired")
        assert [member["index"] for member in late["members"]] == [0]
        assert "errors" not in late

    async def test_bad_bodies_are_refused(self, api: ApiClient) -> None:
        """There is nothing to say but a reason."""
        await api.resource()
        body = created(await post_group(api))

        problem(await api.request("POST", f"{GROUPS}/{body['id']}/cancel", json={"x": 1}), "invalid", "/x")

    async def test_approval_and_notice_need_an_admin(self, api: ApiClient) -> None:
        """Confirming what needs approval is forbidden to others, and cancelling comes too late, as they are alone."""
        await api.service(approval=True, cancellationNoticeMinutes=60)
        await api.resource(services=["cut"])
        writer = await api.with_scopes("reservations:read", "reservations:write")
        soon = api.store.clock.now() + 30 * MINUTE
        body = created(await post_group(writer, booking_body(soon, None, service="cut")))
        path = f"{GROUPS}/{body['id']}"

        problem(await writer.request("POST", f"{path}/confirm"), "forbidden")
        ok(await api.request("POST", f"{path}/confirm"))
        assert problem(await writer.request("POST", f"{path}/cancel"), "too-late")["until"]
        ok(await api.request("POST", f"{path}/cancel"))

    async def test_a_group_of_holds_becomes_requests(self, api: ApiClient) -> None:
        """Confirmed without reservations:admin its members that need approval become requests, which others confirm."""
        await api.service(approval=True)
        await api.resource(services=["cut"])
        writer = await api.with_scopes("reservations:read", "reservations:write")
        body = created(await post_group(writer, booking_body(service="cut"), expiresInSeconds=60))
        path = f"{GROUPS}/{body['id']}/confirm"

        (member,) = ok(await writer.request("POST", path))["reservations"]
        assert (member["status"], "expiresAt" in member, member["version"]) == ("pending", False, 2)
        problem(await writer.request("POST", path), "forbidden")
        assert [each["status"] for each in ok(await api.request("POST", path))["reservations"]] == ["confirmed"]


class TestSight:
    """Who may do what, and whose groups there are for whom."""

    async def test_scopes(self, api: ApiClient) -> None:
        """Reading needs reservations:read, everything else reservations:write."""
        await api.resource()
        body = created(await post_group(api))
        path = f"{GROUPS}/{body['id']}"
        reader, writer = await api.with_scopes("reservations:read"), await api.with_scopes("reservations:write")

        ok(await reader.get(path))
        problem(await writer.get(path), "forbidden")
        for refused in (
            await post_group(reader),
            await post_moves(reader, move_of(body["reservations"][0])),
            await reader.request("POST", f"{path}/confirm"),
            await reader.request("POST", f"{path}/cancel"),
        ):
            assert "reservations:write" in problem(refused, "forbidden")["detail"]

    @pytest.mark.parametrize("identity", [NOBODY, "x", "any"])
    async def test_an_unknown_group_is_not_found(self, api: ApiClient, identity: str) -> None:
        """The id of an unknown group is not found, whether or not it is well formed."""
        problem(await api.get(f"{GROUPS}/{identity}"), "not-found")
        problem(await api.request("POST", f"{GROUPS}/{identity}/confirm"), "not-found")
        problem(await api.request("POST", f"{GROUPS}/{identity}/cancel"), "not-found")

    async def test_a_bound_key_has_its_own_groups(self, api: ApiClient) -> None:
        """Its customer is filled in, another's is unknown to it, and a stranger's group reads as none at all."""
        for customer in ("ann", "bob"):
            await api.add("customers", id=customer)
        await api.service()
        await api.resource(capacity=9, services=["cut"])
        ann = await api.with_scopes("reservations:read", "reservations:write", customer="ann")
        hers = created(await post_group(ann, booking_body(service="cut")))
        his = created(await post_group(api, booking_body(customer="bob")))
        nobodys = created(await post_group(api))

        assert [member["customer"] for member in hers["reservations"]] == ["ann"]
        assert ok(await ann.get(f"{GROUPS}/{hers['id']}")) == hers
        problem(await post_group(ann, booking_body(customer="bob")), "invalid", "/reservations/0/customer")
        before = await api.contents()
        for stranger in (his, nobodys):
            problem(await ann.get(f"{GROUPS}/{stranger['id']}"), "not-found")
            problem(await ann.request("POST", f"{GROUPS}/{stranger['id']}/confirm"), "not-found")
            problem(await ann.request("POST", f"{GROUPS}/{stranger['id']}/cancel"), "not-found")
            (member,) = stranger["reservations"]
            strange = problem(await post_moves(ann, move_of(member)), "invalid", "/moves/0/reservation")
            unknown = problem(
                await post_moves(ann, move_of(member | {"id": NOBODY})), "invalid", "/moves/0/reservation"
            )
            assert strange["detail"].replace(member["id"], NOBODY) == unknown["detail"]
        assert await api.contents() == before


class TestMoves:
    """`POST /v1/moves`, of one."""

    async def test_a_move_keeps_the_length_and_tells_why(self, api: ApiClient) -> None:
        """200 with the reservation at its new place, one version on."""
        await api.resource()
        await api.resource("other", timezone="Europe/Berlin")
        before = await api.booked(notes="x")
        there = render(NINE + 5 * HOUR)
        answer = ok(await post_moves(api, move_of(before, resource="other", startTime=there), reason="rain"))

        (after,) = answer["reservations"]
        assert answer == {"reservations": [await api.read(before)]}
        assert (after["resource"], after["startTime"], after["endTime"]) == ("other", there, render(NINE + 6 * HOUR))
        assert (after["version"], after["notes"], after["timezone"]) == (2, "x", "Europe/Berlin")
        assert after["history"][-1]["changed"] == ["endTime", "resource", "startTime"]
        assert after["history"][-1]["reason"] == "rain"

    async def test_staying_changes_nothing(self, api: ApiClient) -> None:
        """A move that moves nothing is no new version."""
        await api.resource()
        before = await api.booked()

        assert ok(await post_moves(api, move_of(before)))["reservations"] == [before]
        assert ok(await post_moves(api, move_of(before, startTime=before["startTime"])))["reservations"] == [before]

    async def test_a_stale_version_is_named(self, api: ApiClient) -> None:
        """412, by its place in the list."""
        await api.resource()
        reservation = await api.booked()
        ok(await api.change(reservation, notes="x"))
        body = problem(await post_moves(api, move_of(reservation)), "stale", "/moves/0/version")

        assert [member["index"] for member in body["members"]] == [0]
        assert "`moves[0]`" in body["detail"]

    @pytest.mark.parametrize(
        ("fields", "name", "pointer"),
        [
            ({"startTime": render(NINE + 2 * HOUR)}, "conflict", "/moves/0/startTime"),
            ({"resource": "nowhere"}, "invalid", "/moves/0/resource"),
            ({"resource": "closed"}, "rule", "/moves/0/resource"),
            ({"endTime": render(NINE)}, "invalid", "/moves/0/endTime"),
            ({"endTime": render(NINE + timedelta(days=400))}, "invalid", "/moves/0/endTime"),
            ({"startTime": "2030-01-07T09:00:00"}, "invalid", "/moves/0/startTime"),
            ({"version": 0}, "invalid", "/moves/0/version"),
            ({"version": "1"}, "invalid", "/moves/0/version"),
            ({"reservation": "x"}, "invalid", "/moves/0/reservation"),
            ({"reservation": NOBODY}, "invalid", "/moves/0/reservation"),
            ({"service": "cut"}, "invalid", "/moves/0/service"),
            ({"resource": None}, "invalid", "/moves/0/resource"),
        ],
    )
    async def test_where_it_cannot_go(
        self, api: ApiClient, fields: dict[str, Any], name: ProblemName, pointer: str
    ) -> None:
        """Each problem points into the list, and nothing is written."""
        await api.resource()
        await api.resource("closed", active=False)
        reservation = await api.booked()
        await api.booked(NINE + 2 * HOUR)
        before = await api.contents()

        problem(await post_moves(api, move_of(reservation, **fields)), name, pointer)
        assert await api.contents() == before

    async def test_what_a_resource_does_not_offer_is_blamed_on_it(self, api: ApiClient) -> None:
        """A move says no service, so the resource that lacks it is pointed at."""
        await api.service()
        await api.resource(services=["cut"])
        await api.resource("other")
        reservation = await api.booked(length=None, service="cut")
        body = problem(await post_moves(api, move_of(reservation, resource="other")), "rule", "/moves/0/resource")

        (member,) = body["members"]
        assert [check["rule"] for check in member["checks"] if not check["ok"]] == ["service-offered"]

    async def test_one_reservation_moves_once(self, api: ApiClient) -> None:
        """The second mention is pointed at."""
        await api.resource()
        one, two = await api.booked(), await api.booked(NINE + HOUR)

        problem(await post_moves(api, move_of(one), move_of(two), move_of(one)), "invalid", "/moves/2/reservation")

    async def test_several_need_transactions(self, api: ApiClient) -> None:
        """More than one is `strict-only` here, and nothing is written."""
        await api.resource()
        one, two = await api.booked(), await api.booked(NINE + HOUR)
        before = await api.contents()

        there = {"startTime": render(NINE + 9 * HOUR)}
        problem(await post_moves(api, move_of(one, **there), move_of(two)), "strict-only")
        assert await api.contents() == before

    @pytest.mark.parametrize("count", [0, 51])
    async def test_one_to_fifty_are_moved(self, api: ApiClient, count: int) -> None:
        """More or fewer are refused."""
        await api.resource()
        reservation = await api.booked()

        problem(await post_moves(api, *[move_of(reservation)] * count), "invalid", "/moves")

    async def test_who_may_not_cancel_late_may_not_move_late(self, api: ApiClient) -> None:
        """Inside the cancellation notice a confirmed booking needs reservations:admin to be moved."""
        await api.service(cancellationNoticeMinutes=60)
        await api.resource(services=["cut"])
        soon = api.store.clock.now() + 30 * MINUTE
        reservation = await api.booked(soon, None, service="cut")
        writer = await api.with_scopes("reservations:read", "reservations:write")
        later = move_of(reservation, startTime=render(soon + timedelta(days=1)))

        body = problem(await post_moves(writer, later), "too-late", "/moves/0")
        assert body["until"] == body["members"][0]["until"] == render(soon - timedelta(hours=1))
        assert "reservations:admin" in body["detail"]
        ok(await post_moves(api, later))

    @pytest.mark.parametrize(("verb", "name"), [("cancel", "forbidden-transition"), (None, "hold-expired")])
    async def test_what_has_ended_stays(self, api: ApiClient, verb: str | None, name: ProblemName) -> None:
        """Neither a final reservation nor an expired hold moves."""
        await api.resource()
        reservation = await api.booked(expiresInSeconds=60)
        if verb:
            reservation = ok(await api.verb(reservation, verb))
        else:
            await api.expire(reservation)

        problem(await post_moves(api, move_of(reservation, startTime=render(NINE + HOUR))), name, "/moves/0")


class TestReplays:
    """Idempotency-Keys of groups and moves."""

    async def test_a_group_is_made_once(self, api: ApiClient) -> None:
        """The first answer again, byte for byte, whatever happened to the group and to its key's right since."""
        await api.add("customers", id="ann")
        await api.add("customers", id="bob")
        await api.service()
        await api.resource(services=["cut"])
        ann = await api.with_scopes("reservations:read", "reservations:write", customer="ann")
        first = await post_group(ann, booking_body(service="cut"), key="k", expiresInSeconds=60)
        body = created(first)
        (member,) = body["reservations"]
        await api.expire(member)
        ok(await api.edit("/v1/resources/room?force=true", active=False))
        again = await post_group(ann, booking_body(service="cut"), key="k", expiresInSeconds=60)

        assert (again.status_code, again.content) == (201, first.content)
        for name in ("Location", "ETag", "Content-Type"):
            assert again.headers[name] == first.headers[name]
        assert again.headers["Idempotent-Replayed"] == "true"
        assert "Idempotent-Replayed" not in first.headers
        assert len(await api.ids()) == 1

    async def test_a_move_is_made_once(self, api: ApiClient) -> None:
        """Also when it moved nothing, when its version is long gone, and when it has become a stranger's."""
        for customer in ("ann", "bob"):
            await api.add("customers", id=customer)
        await api.service()
        await api.resource(services=["cut"])
        ann = await api.with_scopes("reservations:read", "reservations:write", customer="ann")
        reservation = await api.booked(customer="ann", service="cut")
        bodies = {"go": [move_of(reservation, startTime=render(NINE + 5 * HOUR))], "stay": [move_of(reservation)]}
        first = {key: await post_moves(ann, *bodies[key], key=key) for key in ("stay", "go")}
        assert [answer.status_code for answer in first.values()] == [200, 200]
        ok(await api.change(reservation, customer="bob", startTime=render(NINE)))

        for key, answer in first.items():
            again = await post_moves(ann, *bodies[key], key=key)
            assert (again.status_code, again.content) == (200, answer.content)
            assert again.headers["Idempotent-Replayed"] == "true"
            assert "Location" not in again.headers
            problem(await post_moves(ann, *bodies[key], key=key, reason="x"), "idempotency-mismatch")
        assert ok(await api.get(path_of(reservation)))["startTime"] == render(NINE)

    async def test_a_key_belongs_to_its_body_and_route(self, api: ApiClient) -> None:
        """Another body is refused; the same key of a group, a move, a reservation or a stranger is another one."""
        await api.resource(capacity=9)
        (member,) = created(await post_group(api, key="k"))["reservations"]

        problem(await post_group(api, booking_body(guests=2), key="k"), "idempotency-mismatch")
        ok(await post_moves(api, move_of(member), key="k"))
        created(await api.book(key="k"))
        created(await post_group(await api.with_scopes("admin"), key="k"))
        assert len(await api.ids()) == 3

    async def test_a_refused_one_stores_nothing(self, api: ApiClient) -> None:
        """Its repetition is judged afresh."""
        await api.resource()
        in_the_way = await api.booked()
        problem(await post_group(api, key="k"), "conflict")
        ok(await api.verb(in_the_way, "cancel"))

        created(await post_group(api, key="k"))

    async def test_a_repeated_key_is_answered_at_the_limit(self, mock_store: Store) -> None:
        """It makes no further hold."""
        async with serving(mock_store, settings=Settings(max_anonymous_holds=1)) as client:
            api = ApiClient(client, mock_store)
            await api.resource(capacity=9)
            first = await post_group(api, key="k", expiresInSeconds=60)

            assert (await post_group(api, key="k", expiresInSeconds=60)).content == first.content
            problem(await post_group(api, key="k", expiresInSeconds=61), "idempotency-mismatch")
            problem(await post_group(api, key="l", expiresInSeconds=60), "hold-limit")

    @pytest.mark.parametrize("key", ["", "ä", "x" * 256, "a b"])
    async def test_a_key_is_visible_ascii(self, api: ApiClient, key: str) -> None:
        """As everywhere."""
        headers = [(b"Idempotency-Key", key.encode())]
        for path, body in (
            (GROUPS, {"reservations": [booking_body()]}),
            (MOVES, {"moves": [move_of({"id": NOBODY, "version": 1})]}),
        ):
            answer = await api.client.request("POST", path, json=body, headers=headers)
            problem(answer, "invalid")

"""Groups and moves over HTTP, as far as a server without transactions goes: one reservation at a time.

What several of them promise is held in tests/server.
"""

from datetime import timedelta
from typing import Any

import pytest

from app.domain.instants import render
from app.errors import ProblemName
from app.settings import Settings
from app.storage.client import Store
from tests.support.api_client import HOUR, MINUTE, NINE, Visitor, at, good, made, problem, wanted
from tests.support.group_requests import GROUPS, MOVES, group, move, to
from tests.support.http_client import serving

NOBODY = "0" * 24


class TestBooking:
    """`POST /v1/groups`."""

    async def test_a_group_is_its_reservations(self, visitor: Visitor) -> None:
        """201 with an id, the members as they would be alone but for the group, a Location and an ETag."""
        await visitor.resource()
        answer = await group(visitor)
        body = made(answer)

        (member,) = body["reservations"]
        assert body == {"id": member["group"], "reservations": [member], "version": 1}
        assert answer.headers["Location"] == f"{GROUPS}/{body['id']}"
        assert answer.headers["ETag"] == '"1"'
        assert good(await visitor.get(answer.headers["Location"])) == body
        assert good(await visitor.get(at(member))) == member

    async def test_a_group_shows_its_members_as_they_are_now(self, visitor: Visitor) -> None:
        """Each change of a member is one of the group's version, and a hold whose time has come reads as expired."""
        await visitor.resource()
        body = made(await group(visitor, expiresInSeconds=60))
        (member,) = body["reservations"]
        good(await visitor.change(member, notes="x"))

        read = good(await visitor.get(f"{GROUPS}/{body['id']}"))
        assert (read["version"], read["reservations"][0]["notes"]) == (2, "x")
        await visitor.lapse(member)
        read = good(await visitor.get(f"{GROUPS}/{body['id']}"))
        assert read["reservations"][0]["status"] == "expired"

    async def test_the_group_says_how_long_its_members_are_held(self, visitor: Visitor) -> None:
        """`expiresInSeconds` of the group makes holds, so does that of a member; both at once are refused."""
        await visitor.resource(capacity=9)
        (by_group,) = made(await group(visitor, expiresInSeconds=60))["reservations"]
        (by_member,) = made(await group(visitor, wanted(expiresInSeconds=60)))["reservations"]
        twice = await group(visitor, wanted(), wanted(expiresInSeconds=60), expiresInSeconds=60)

        for held in (by_group, by_member):
            assert held["status"] == "pending"
            assert (await visitor.stored(held))["expiresAt"] - (await visitor.stored(held))["createdAt"] == MINUTE
        problem(twice, "invalid", "/reservations/1/expiresInSeconds")

    async def test_several_need_transactions(self, visitor: Visitor) -> None:
        """More than one is `strict-only` here, and nothing is written."""
        await visitor.resource()
        await visitor.resource("other")
        before = await visitor.everything()

        problem(await group(visitor, wanted(), wanted(resource="other")), "strict-only")
        assert await visitor.everything() == before

    async def test_a_refusal_is_a_single_one_in_a_list(self, visitor: Visitor) -> None:
        """A member carries the conflicts and checks that it would be refused with alone; only rules change the type."""
        await visitor.resource()
        await visitor.booked()
        alone = problem(await visitor.book(NINE + HOUR / 2), "conflict")
        body = problem(await group(visitor, wanted(NINE + HOUR / 2)), "conflict", "/reservations/0/startTime")

        (member,) = body["members"]
        assert member == {"index": 0, "conflicts": alone["conflicts"], "checks": alone["checks"]}
        assert member["conflicts"][0].keys() == {"startTime", "endTime", "status", "reservation"}
        assert "`reservations[0]`" in body["detail"]
        good(await visitor.edit("/v1/resources/room?force=true", active=False))
        alone = problem(await visitor.book(NINE + HOUR / 2), "rule")
        body = problem(await group(visitor, wanted(NINE + HOUR / 2)), "rule")
        assert body["members"] == [{"index": 0, "checks": alone["checks"]}]

    async def test_a_refusal_tells_no_more_than_may_be_read(self, visitor: Visitor) -> None:
        """A stranger's booking in the way of a member shows only its times."""
        await visitor.add("customers", id="ann")
        await visitor.service()
        await visitor.resource(services=["cut"])
        await visitor.booked()
        ann = await visitor.other("reservations:read", "reservations:write", customer="ann")

        (member,) = problem(await group(ann, wanted(service="cut")), "conflict")["members"]
        assert [conflict.keys() for conflict in member["conflicts"]] == [{"startTime", "endTime"}]
        assert [check for check in member["checks"] if "reservation" in check] == []

    @pytest.mark.parametrize(
        ("member", "pointer"),
        [
            (wanted(resource="nowhere"), "/reservations/0/resource"),
            (wanted(service="nothing"), "/reservations/0/service"),
            (wanted(customer="nobody"), "/reservations/0/customer"),
            (wanted(length=-HOUR), "/reservations/0/endTime"),
            (wanted(length=None), "/reservations/0/endTime"),
            (wanted(guests=0), "/reservations/0/guests"),
            (wanted(colour="red"), "/reservations/0/colour"),
            (wanted(group=NOBODY), "/reservations/0/group"),
            ({"resource": "room"}, "/reservations/0/startTime"),
            (7, "/reservations/0"),
        ],
    )
    async def test_what_is_wrong_with_a_member_is_pointed_at(
        self, visitor: Visitor, member: dict[str, Any], pointer: str
    ) -> None:
        """The problem that the member would have alone, with a pointer into the group."""
        await visitor.resource()
        before = await visitor.everything()

        problem(await group(visitor, member), "invalid", pointer)
        assert await visitor.everything() == before

    async def test_all_members_are_looked_at(self, visitor: Visitor) -> None:
        """Each one that refers to nobody is named at once."""
        answer = await group(visitor, wanted(customer="a"), wanted(), wanted(customer="b"))

        body = problem(answer, "invalid", "/reservations/0/customer", "/reservations/2/customer")
        assert [member["index"] for member in body["members"]] == [0, 2]

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({}, "/reservations"),
            ({"reservations": []}, "/reservations"),
            ({"reservations": [wanted()] * 21}, "/reservations"),
            ({"reservations": {}}, "/reservations"),
            ({"reservations": [wanted()], "expiresInSeconds": 9}, "/expiresInSeconds"),
            ({"reservations": [wanted()], "name": "x"}, "/name"),
        ],
    )
    async def test_a_group_has_one_to_twenty_members(
        self, visitor: Visitor, body: dict[str, Any], pointer: str
    ) -> None:
        """Everything else is refused where it stands."""
        problem(await visitor.ask("POST", GROUPS, json=body), "invalid", pointer)

    async def test_what_is_not_there_is_refused(self, visitor: Visitor) -> None:
        """Members cannot be forced past the rules, and there is no list of groups."""
        await visitor.resource()

        problem(await visitor.ask("POST", f"{GROUPS}?force=true", json={"reservations": [wanted()]}), "invalid")
        problem(await visitor.get(GROUPS), "method-not-allowed")

    async def test_holds_of_a_group_count(self, mock_store: Store) -> None:
        """They and those before them stay within the limit of their customer, or of the key where there is none."""
        async with serving(mock_store, settings=Settings(max_holds=2, max_anonymous_holds=2)) as client:
            visitor = Visitor(client, mock_store)
            await visitor.resource(capacity=9)
            await visitor.add("customers", id="ann")
            three = problem(await group(visitor, *[wanted()] * 3, expiresInSeconds=60), "hold-limit")
            made(await group(visitor, expiresInSeconds=60))
            two = problem(await group(visitor, *[wanted()] * 2, expiresInSeconds=60), "hold-limit")
            for_ann = [wanted(customer="ann"), wanted(customer="ann"), wanted()]
            problem(await group(visitor, *for_ann, expiresInSeconds=60), "strict-only")
            made(await group(visitor, expiresInSeconds=60))

            assert "2 live holds without a customer at once, and 3 are wanted" in three["detail"]
            assert "has 1 live holds without a customer and 2 more are wanted, of 2" in two["detail"]
            assert visitor.prefix in two["detail"]
            problem(await group(visitor, expiresInSeconds=60), "hold-limit")
            made(await group(visitor))


class TestVerbs:
    """Confirm and cancel."""

    async def test_confirm_and_cancel_are_harmless_to_repeat(self, visitor: Visitor) -> None:
        """Each answers with the group as it is then, with its reason in the history, and again without a change."""
        await visitor.resource()
        body = made(await group(visitor, expiresInSeconds=60))
        path = f"{GROUPS}/{body['id']}"

        for verb, status, version in (("confirm", "confirmed", 2), ("cancel", "cancelled", 3)):
            answer = good(await visitor.ask("POST", f"{path}/{verb}", json={"reason": "why"}))
            again = good(await visitor.ask("POST", f"{path}/{verb}", headers={"Idempotency-Key": "x"}))
            assert again == answer == good(await visitor.get(path))
            (member,) = answer["reservations"]
            assert (member["status"], answer["version"]) == (status, version)
            assert member["history"][-1]["reason"] == "why"

    async def test_what_has_ended_cannot_come_back(self, visitor: Visitor) -> None:
        """A group of which nothing can reach the status is told so."""
        await visitor.resource()
        cancelled = made(await group(visitor))
        good(await visitor.ask("POST", f"{GROUPS}/{cancelled['id']}/cancel"))
        expired = made(await group(visitor, expiresInSeconds=60))
        await visitor.lapse(expired["reservations"][0])

        problem(await visitor.ask("POST", f"{GROUPS}/{cancelled['id']}/confirm"), "forbidden-transition")
        problem(await visitor.ask("POST", f"{GROUPS}/{expired['id']}/cancel"), "forbidden-transition")
        late = problem(await visitor.ask("POST", f"{GROUPS}/{expired['id']}/confirm"), "hold-expired")
        assert [member["index"] for member in late["members"]] == [0]
        assert "errors" not in late

    async def test_bad_bodies_are_refused(self, visitor: Visitor) -> None:
        """There is nothing to say but a reason."""
        await visitor.resource()
        body = made(await group(visitor))

        problem(await visitor.ask("POST", f"{GROUPS}/{body['id']}/cancel", json={"x": 1}), "invalid", "/x")

    async def test_approval_and_notice_need_an_admin(self, visitor: Visitor) -> None:
        """Confirming what needs approval is forbidden to others, and cancelling comes too late, as they are alone."""
        await visitor.service(approval=True, cancellationNoticeMinutes=60)
        await visitor.resource(services=["cut"])
        writer = await visitor.other("reservations:read", "reservations:write")
        soon = visitor.store.clock.now() + 30 * MINUTE
        body = made(await group(writer, wanted(soon, None, service="cut")))
        path = f"{GROUPS}/{body['id']}"

        problem(await writer.ask("POST", f"{path}/confirm"), "forbidden")
        good(await visitor.ask("POST", f"{path}/confirm"))
        assert problem(await writer.ask("POST", f"{path}/cancel"), "too-late")["until"]
        good(await visitor.ask("POST", f"{path}/cancel"))

    async def test_a_held_group_is_asked_for(self, visitor: Visitor) -> None:
        """Confirmed without reservations:admin its members that need approval become requests, which others confirm."""
        await visitor.service(approval=True)
        await visitor.resource(services=["cut"])
        writer = await visitor.other("reservations:read", "reservations:write")
        body = made(await group(writer, wanted(service="cut"), expiresInSeconds=60))
        path = f"{GROUPS}/{body['id']}/confirm"

        (member,) = good(await writer.ask("POST", path))["reservations"]
        assert (member["status"], "expiresAt" in member, member["version"]) == ("pending", False, 2)
        problem(await writer.ask("POST", path), "forbidden")
        assert [each["status"] for each in good(await visitor.ask("POST", path))["reservations"]] == ["confirmed"]


class TestSight:
    """Who may do what, and whose groups there are for whom."""

    async def test_scopes(self, visitor: Visitor) -> None:
        """Reading needs reservations:read, everything else reservations:write."""
        await visitor.resource()
        body = made(await group(visitor))
        path = f"{GROUPS}/{body['id']}"
        reader, writer = await visitor.other("reservations:read"), await visitor.other("reservations:write")

        good(await reader.get(path))
        problem(await writer.get(path), "forbidden")
        for refused in (
            await group(reader),
            await move(reader, to(body["reservations"][0])),
            await reader.ask("POST", f"{path}/confirm"),
            await reader.ask("POST", f"{path}/cancel"),
        ):
            assert "reservations:write" in problem(refused, "forbidden")["detail"]

    @pytest.mark.parametrize("identity", [NOBODY, "x", "any"])
    async def test_an_unknown_group_is_not_found(self, visitor: Visitor, identity: str) -> None:
        """Whatever the id looks like."""
        problem(await visitor.get(f"{GROUPS}/{identity}"), "not-found")
        problem(await visitor.ask("POST", f"{GROUPS}/{identity}/confirm"), "not-found")
        problem(await visitor.ask("POST", f"{GROUPS}/{identity}/cancel"), "not-found")

    async def test_a_bound_key_has_its_own_groups(self, visitor: Visitor) -> None:
        """Its customer is filled in, another's is unknown to it, and a stranger's group reads as none at all."""
        for customer in ("ann", "bob"):
            await visitor.add("customers", id=customer)
        await visitor.service()
        await visitor.resource(capacity=9, services=["cut"])
        ann = await visitor.other("reservations:read", "reservations:write", customer="ann")
        hers = made(await group(ann, wanted(service="cut")))
        his = made(await group(visitor, wanted(customer="bob")))
        nobodys = made(await group(visitor))

        assert [member["customer"] for member in hers["reservations"]] == ["ann"]
        assert good(await ann.get(f"{GROUPS}/{hers['id']}")) == hers
        problem(await group(ann, wanted(customer="bob")), "invalid", "/reservations/0/customer")
        before = await visitor.everything()
        for stranger in (his, nobodys):
            problem(await ann.get(f"{GROUPS}/{stranger['id']}"), "not-found")
            problem(await ann.ask("POST", f"{GROUPS}/{stranger['id']}/confirm"), "not-found")
            problem(await ann.ask("POST", f"{GROUPS}/{stranger['id']}/cancel"), "not-found")
            (member,) = stranger["reservations"]
            strange = problem(await move(ann, to(member)), "invalid", "/moves/0/reservation")
            unknown = problem(await move(ann, to(member | {"id": NOBODY})), "invalid", "/moves/0/reservation")
            assert strange["detail"].replace(member["id"], NOBODY) == unknown["detail"]
        assert await visitor.everything() == before


class TestMoves:
    """`POST /v1/moves`, of one."""

    async def test_a_move_keeps_the_length_and_tells_why(self, visitor: Visitor) -> None:
        """200 with the reservation at its new place, one version on."""
        await visitor.resource()
        await visitor.resource("other", timezone="Europe/Berlin")
        before = await visitor.booked(notes="x")
        there = render(NINE + 5 * HOUR)
        answer = good(await move(visitor, to(before, resource="other", startTime=there), reason="rain"))

        (after,) = answer["reservations"]
        assert answer == {"reservations": [await visitor.read(before)]}
        assert (after["resource"], after["startTime"], after["endTime"]) == ("other", there, render(NINE + 6 * HOUR))
        assert (after["version"], after["notes"], after["timezone"]) == (2, "x", "Europe/Berlin")
        assert after["history"][-1]["changed"] == ["endTime", "resource", "startTime"]
        assert after["history"][-1]["reason"] == "rain"

    async def test_staying_changes_nothing(self, visitor: Visitor) -> None:
        """A move that moves nothing is no new version."""
        await visitor.resource()
        before = await visitor.booked()

        assert good(await move(visitor, to(before)))["reservations"] == [before]
        assert good(await move(visitor, to(before, startTime=before["startTime"])))["reservations"] == [before]

    async def test_a_stale_version_is_named(self, visitor: Visitor) -> None:
        """412, by its place in the list."""
        await visitor.resource()
        reservation = await visitor.booked()
        good(await visitor.change(reservation, notes="x"))
        body = problem(await move(visitor, to(reservation)), "stale", "/moves/0/version")

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
        self, visitor: Visitor, fields: dict[str, Any], name: ProblemName, pointer: str
    ) -> None:
        """Each problem points into the list, and nothing is written."""
        await visitor.resource()
        await visitor.resource("closed", active=False)
        reservation = await visitor.booked()
        await visitor.booked(NINE + 2 * HOUR)
        before = await visitor.everything()

        problem(await move(visitor, to(reservation, **fields)), name, pointer)
        assert await visitor.everything() == before

    async def test_what_a_resource_does_not_offer_is_blamed_on_it(self, visitor: Visitor) -> None:
        """A move says no service, so the resource that lacks it is pointed at."""
        await visitor.service()
        await visitor.resource(services=["cut"])
        await visitor.resource("other")
        reservation = await visitor.booked(length=None, service="cut")
        body = problem(await move(visitor, to(reservation, resource="other")), "rule", "/moves/0/resource")

        (member,) = body["members"]
        assert [check["rule"] for check in member["checks"] if not check["ok"]] == ["service-offered"]

    async def test_one_reservation_moves_once(self, visitor: Visitor) -> None:
        """The second mention is pointed at."""
        await visitor.resource()
        one, two = await visitor.booked(), await visitor.booked(NINE + HOUR)

        problem(await move(visitor, to(one), to(two), to(one)), "invalid", "/moves/2/reservation")

    async def test_several_need_transactions(self, visitor: Visitor) -> None:
        """More than one is `strict-only` here, and nothing is written."""
        await visitor.resource()
        one, two = await visitor.booked(), await visitor.booked(NINE + HOUR)
        before = await visitor.everything()

        there = {"startTime": render(NINE + 9 * HOUR)}
        problem(await move(visitor, to(one, **there), to(two)), "strict-only")
        assert await visitor.everything() == before

    @pytest.mark.parametrize("count", [0, 51])
    async def test_one_to_fifty_are_moved(self, visitor: Visitor, count: int) -> None:
        """More or fewer are refused."""
        await visitor.resource()
        reservation = await visitor.booked()

        problem(await move(visitor, *[to(reservation)] * count), "invalid", "/moves")

    async def test_who_may_not_cancel_late_may_not_move_late(self, visitor: Visitor) -> None:
        """Inside the cancellation notice a confirmed booking needs reservations:admin to be moved."""
        await visitor.service(cancellationNoticeMinutes=60)
        await visitor.resource(services=["cut"])
        soon = visitor.store.clock.now() + 30 * MINUTE
        reservation = await visitor.booked(soon, None, service="cut")
        writer = await visitor.other("reservations:read", "reservations:write")
        later = to(reservation, startTime=render(soon + timedelta(days=1)))

        body = problem(await move(writer, later), "too-late", "/moves/0")
        assert body["until"] == body["members"][0]["until"] == render(soon - timedelta(hours=1))
        assert "reservations:admin" in body["detail"]
        good(await move(visitor, later))

    @pytest.mark.parametrize(("verb", "name"), [("cancel", "forbidden-transition"), (None, "hold-expired")])
    async def test_what_has_ended_stays(self, visitor: Visitor, verb: str | None, name: ProblemName) -> None:
        """Neither a final reservation nor an expired hold moves."""
        await visitor.resource()
        reservation = await visitor.booked(expiresInSeconds=60)
        if verb:
            reservation = good(await visitor.verb(reservation, verb))
        else:
            await visitor.lapse(reservation)

        problem(await move(visitor, to(reservation, startTime=render(NINE + HOUR))), name, "/moves/0")


class TestReplays:
    """Idempotency-Keys of groups and moves."""

    async def test_a_group_is_made_once(self, visitor: Visitor) -> None:
        """The first answer again, byte for byte, whatever happened to the group and to its key's right since."""
        await visitor.add("customers", id="ann")
        await visitor.add("customers", id="bob")
        await visitor.service()
        await visitor.resource(services=["cut"])
        ann = await visitor.other("reservations:read", "reservations:write", customer="ann")
        first = await group(ann, wanted(service="cut"), key="k", expiresInSeconds=60)
        body = made(first)
        (member,) = body["reservations"]
        await visitor.lapse(member)
        good(await visitor.edit("/v1/resources/room?force=true", active=False))
        again = await group(ann, wanted(service="cut"), key="k", expiresInSeconds=60)

        assert (again.status_code, again.content) == (201, first.content)
        for name in ("Location", "ETag", "Content-Type"):
            assert again.headers[name] == first.headers[name]
        assert again.headers["Idempotent-Replayed"] == "true"
        assert "Idempotent-Replayed" not in first.headers
        assert len(await visitor.ids()) == 1

    async def test_a_move_is_made_once(self, visitor: Visitor) -> None:
        """Also when it moved nothing, when its version is long gone, and when it has become a stranger's."""
        for customer in ("ann", "bob"):
            await visitor.add("customers", id=customer)
        await visitor.service()
        await visitor.resource(services=["cut"])
        ann = await visitor.other("reservations:read", "reservations:write", customer="ann")
        reservation = await visitor.booked(customer="ann", service="cut")
        bodies = {"go": [to(reservation, startTime=render(NINE + 5 * HOUR))], "stay": [to(reservation)]}
        first = {key: await move(ann, *bodies[key], key=key) for key in ("stay", "go")}
        assert [answer.status_code for answer in first.values()] == [200, 200]
        good(await visitor.change(reservation, customer="bob", startTime=render(NINE)))

        for key, answer in first.items():
            again = await move(ann, *bodies[key], key=key)
            assert (again.status_code, again.content) == (200, answer.content)
            assert again.headers["Idempotent-Replayed"] == "true"
            assert "Location" not in again.headers
            problem(await move(ann, *bodies[key], key=key, reason="x"), "idempotency-mismatch")
        assert good(await visitor.get(at(reservation)))["startTime"] == render(NINE)

    async def test_a_key_belongs_to_its_body_and_route(self, visitor: Visitor) -> None:
        """Another body is refused; the same key of a group, a move, a reservation or a stranger is another one."""
        await visitor.resource(capacity=9)
        (member,) = made(await group(visitor, key="k"))["reservations"]

        problem(await group(visitor, wanted(guests=2), key="k"), "idempotency-mismatch")
        good(await move(visitor, to(member), key="k"))
        made(await visitor.book(key="k"))
        made(await group(await visitor.other("admin"), key="k"))
        assert len(await visitor.ids()) == 3

    async def test_a_refused_one_stores_nothing(self, visitor: Visitor) -> None:
        """Its repetition is judged afresh."""
        await visitor.resource()
        in_the_way = await visitor.booked()
        problem(await group(visitor, key="k"), "conflict")
        good(await visitor.verb(in_the_way, "cancel"))

        made(await group(visitor, key="k"))

    async def test_a_repeated_key_is_answered_at_the_limit(self, mock_store: Store) -> None:
        """It makes no further hold."""
        async with serving(mock_store, settings=Settings(max_anonymous_holds=1)) as client:
            visitor = Visitor(client, mock_store)
            await visitor.resource(capacity=9)
            first = await group(visitor, key="k", expiresInSeconds=60)

            assert (await group(visitor, key="k", expiresInSeconds=60)).content == first.content
            problem(await group(visitor, key="k", expiresInSeconds=61), "idempotency-mismatch")
            problem(await group(visitor, key="l", expiresInSeconds=60), "hold-limit")

    @pytest.mark.parametrize("key", ["", "ä", "x" * 256, "a b"])
    async def test_a_key_is_visible_ascii(self, visitor: Visitor, key: str) -> None:
        """As everywhere."""
        headers = [(b"Idempotency-Key", key.encode())]
        for path, body in (
            (GROUPS, {"reservations": [wanted()]}),
            (MOVES, {"moves": [to({"id": NOBODY, "version": 1})]}),
        ):
            answer = await visitor.client.request("POST", path, json=body, headers=headers)
            problem(answer, "invalid")

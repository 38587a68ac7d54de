"""Changes of status over HTTP: confirm, cancel, complete, no-show, extend; expiry of holds; permissions."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from app.domain.instants import render
from app.domain.lifecycle import STATUSES
from app.settings import Settings
from app.storage.client import Store
from tests.support.api_client import ApiClient, created, ok, path_of, problem
from tests.support.http_client import serving
from tests.support.times import HOUR, MINUTE, NINE

SECOND = timedelta(seconds=1)
VERBS = {"confirm": "confirmed", "cancel": "cancelled", "complete": "completed", "no-show": "no-show"}
ALLOWED = {
    ("pending", "confirm"),
    ("pending", "cancel"),
    ("confirmed", "cancel"),
    ("confirmed", "complete"),
    ("confirmed", "no-show"),
}


@pytest.fixture
async def api(api: ApiClient) -> ApiClient:
    """A room, a service that wants approval, two customers."""
    await api.service("asked", approval=True)
    await api.resource(services=["asked"])
    for name in ("ann", "bob"):
        await api.add("customers", id=name)
    return api


async def in_status(api: ApiClient, status: str) -> dict[str, Any]:
    """A reservation that reads as such."""
    reservation = await api.booked(expiresInSeconds=60) if status in {"pending", "expired"} else await api.booked()
    if status == "expired":
        await api.expire(reservation)
    elif status not in {"pending", "confirmed"}:
        await api.overwrite(reservation, status=status)
    return await api.read(reservation)


async def ready_for(api: ApiClient, verb: str) -> dict[str, Any]:
    """A reservation that the verb applies to: a hold to be confirmed, else one that has begun."""
    reservation = await in_status(api, "pending" if verb in {"confirm", "extend"} else "confirmed")
    if verb in {"complete", "no-show"}:
        await api.begin(reservation)
    return await api.read(reservation)


class TestTransitions:
    """Which verb goes from where."""

    @pytest.mark.parametrize("status", STATUSES)
    async def test_every_verb_from_every_status(self, api: ApiClient, status: str) -> None:
        """What the contract draws is done, a repetition is harmless, all else is refused and changes nothing."""
        ok(await api.edit("/v1/resources/room", capacity=5))
        for verb, to in VERBS.items():
            reservation = await in_status(api, status)
            assert reservation["status"] == status
            if status == "confirmed":
                await api.begin(reservation)
                reservation = await api.read(reservation)
            answer = await api.verb(reservation, verb)
            if to == status:
                assert ok(answer) == reservation
            elif (status, verb) in ALLOWED:
                body = ok(answer)
                assert (body["status"], body["version"]) == (to, reservation["version"] + 1)
                assert ok(await api.verb(reservation, verb)) == body
            else:
                expired = status == "expired" and verb == "confirm"
                problem(answer, "hold-expired" if expired else "forbidden-transition")
                assert await api.read(reservation) == reservation

    @pytest.mark.parametrize("verb", VERBS)
    async def test_a_reason_is_stored_with_its_change(self, api: ApiClient, verb: str) -> None:
        """In the history, with who, when, from and to; a repetition with another reason changes nothing."""
        reservation = await ready_for(api, verb)
        clerk = await api.with_scopes("reservations:write")
        body = ok(await clerk.verb(reservation, verb, reason="as agreed"))

        *before, line = body["history"]
        assert before == reservation["history"]
        assert reservation["updatedAt"] <= line["at"] <= body["updatedAt"]
        assert line == {
            "at": line["at"],
            "by": clerk.prefix,
            "from": reservation["status"],
            "to": VERBS[verb],
            "reason": "as agreed",
        }
        assert ok(await api.verb(reservation, verb, reason="another")) == body
        assert "operation" not in str(body)

    @pytest.mark.parametrize("verb", VERBS)
    async def test_a_body_may_be_left_out(self, api: ApiClient, verb: str) -> None:
        """Without a body, with an empty one, or with an empty object no reason is stored."""
        empty = {"content": b"", "headers": {"Content-Type": "application/json"}}
        sendings: list[dict[str, Any]] = [{}, empty, {"json": {}}]
        for send in sendings:
            reservation = await ready_for(api, verb)
            body = ok(await api.request("POST", f"{path_of(reservation)}/{verb}", **send))
            assert "reason" not in body["history"][-1]
            await api.overwrite(reservation, status="cancelled")

    @pytest.mark.parametrize("verb", [*VERBS, "extend"])
    async def test_an_idempotency_key_changes_nothing(self, api: ApiClient, verb: str) -> None:
        """Accepted on verbs, where repeating is harmless: the answer is judged anew, and never marked a replay."""
        reservation = await ready_for(api, verb)
        body = {"json": {"expiresInSeconds": 600}} if verb == "extend" else {}
        path = f"{path_of(reservation)}/{verb}"

        for _ in range(2):
            answer = await api.request("POST", path, headers={"Idempotency-Key": "k"}, **body)
            ok(answer)
            assert "Idempotent-Replayed" not in answer.headers
        other = {"json": {"expiresInSeconds": 700}} if verb == "extend" else {"json": {"reason": "another body"}}
        ok(await api.request("POST", path, headers={"Idempotency-Key": "k"}, **other))

    async def test_the_double_booked_can_be_ended(self, api: ApiClient) -> None:
        """Cancelled, completed, confirmed: no overlap blocks a change that adds nothing."""
        reservations = [await in_status(api, "confirmed")]
        for day in range(1, 4):
            fields: dict[str, Any] = {"expiresInSeconds": 60} if day == 3 else {}
            other = await api.booked(NINE + day * timedelta(days=1), **fields)
            await api.overwrite(other, startTime=NINE, blockStart=NINE)
            await api.overwrite(other, endTime=NINE + HOUR, blockEnd=NINE + HOUR)
            reservations.append(other)

        for reservation, verb in zip(reservations, ("cancel", "complete", "no-show", "confirm"), strict=True):
            if verb != "confirm":
                await api.begin(reservation)
            assert ok(await api.verb(reservation, verb))["status"] == VERBS[verb]


class TestHolds:
    """A hold blocks its time for a while, then the time is free."""

    async def test_a_hold_is_pending_until_its_end(self, api: ApiClient) -> None:
        """From now, by the seconds asked for; it blocks like a booking."""
        hold = await api.booked(expiresInSeconds=10)
        row = await api.stored(hold)

        assert hold["status"] == "pending"
        assert hold["expiresAt"] == render(row["createdAt"] + 10 * SECOND)
        assert hold["history"] == [{"at": hold["createdAt"], "by": api.prefix, "to": "pending"}]
        body = problem(await api.book(NINE + 30 * MINUTE), "conflict")
        assert body["conflicts"][0]["status"] == "pending"

    @pytest.mark.parametrize("seconds", [10, 86_400])
    async def test_the_bounds_of_a_hold(self, api: ApiClient, seconds: int) -> None:
        """Both belong to it."""
        row = await api.stored(await api.booked(expiresInSeconds=seconds))

        assert row["expiresAt"] - row["createdAt"] == seconds * SECOND

    async def test_confirmed_it_is_a_booking_like_any_other(self, api: ApiClient) -> None:
        """Without an end of its own."""
        hold = await api.booked(expiresInSeconds=60)
        body = ok(await api.verb(hold, "confirm"))

        assert body["status"] == "confirmed"
        assert "expiresAt" not in body
        assert "expiresAt" not in await api.stored(hold)

    async def test_at_its_end_it_reads_as_expired(self, api: ApiClient) -> None:
        """It is shown as expired before that is stored; reading stores nothing."""
        hold = await api.booked(expiresInSeconds=60)
        await api.expire(hold)
        body = await api.read(hold)

        assert body["status"] == "expired"
        assert (await api.stored(hold))["status"] == "pending"
        assert {**body, "status": "pending", "expiresAt": hold["expiresAt"]} == hold

    async def test_late_is_expired_even_if_the_time_is_free(self, api: ApiClient) -> None:
        """Confirm, extend and every PATCH; cancelling it is just not possible any more."""
        hold = await api.booked(expiresInSeconds=60)
        await api.expire(hold)

        problem(await api.verb(hold, "confirm"), "hold-expired")
        problem(await api.verb(hold, "extend", expiresInSeconds=600), "hold-expired")
        for patch in ({"startTime": render(NINE + HOUR)}, {"guests": 2}, {"notes": "x"}, {"customer": "ann"}):
            problem(await api.change(hold, **patch), "hold-expired")
        problem(await api.verb(hold, "cancel"), "forbidden-transition")
        assert (await api.stored(hold))["version"] == 1

    async def test_who_takes_its_place_writes_it_down(self, api: ApiClient) -> None:
        """In the same step, with a line in its history; from then on it stays expired for every caller."""
        hold = await api.booked(expiresInSeconds=60)
        before = await api.booked(NINE - 30 * MINUTE, 30 * MINUTE, expiresInSeconds=60)
        touching = [before, await api.booked(NINE + HOUR, expiresInSeconds=60)]
        for each in (hold, *touching):
            await api.expire(each)
        clerk = await api.with_scopes("reservations:write")
        taker = await clerk.booked()
        row = await api.stored(hold)

        assert (row["status"], row["version"]) == ("expired", 2)
        body = await api.read(hold)
        assert body["history"][-1] == {
            "at": taker["createdAt"],
            "by": clerk.prefix,
            "from": "pending",
            "to": "expired",
        }
        assert [(await api.stored(each))["status"] for each in touching] == ["pending", "pending"]
        problem(await api.verb(hold, "confirm"), "hold-expired")
        problem(await api.change(hold, notes="x"), "hold-expired")

    async def test_a_move_takes_its_place_as_well(self, api: ApiClient) -> None:
        """Every change that adds load marks the expired holds that it meets."""
        hold = await api.booked(expiresInSeconds=60)
        await api.expire(hold)
        mover = await api.booked(NINE + 2 * HOUR)
        ok(await api.change(mover, startTime=render(NINE)))

        assert (await api.stored(hold))["status"] == "expired"

    async def test_an_expired_hold_blocks_no_booking(self, api: ApiClient) -> None:
        """Neither in a conflict nor in what an edit strands."""
        hold = await api.booked(expiresInSeconds=60)
        await api.expire(hold)
        ok(await api.edit("/v1/resources/room", active=False))

        assert (await api.read(hold))["status"] == "expired"


class TestExtend:
    """A longer hold."""

    @pytest.mark.parametrize("service", [None, "asked"])
    async def test_from_now(self, api: ApiClient, service: str | None) -> None:
        """Not from its end; with a line in its history."""
        of: dict[str, Any] = {} if service is None else {"service": service}
        hold = await api.booked(expiresInSeconds=600, **of)
        for seconds in (3_600, 7_200):
            body = ok(await api.verb(hold, "extend", expiresInSeconds=seconds))
            row = await api.stored(hold)
            assert row["expiresAt"] - row["updatedAt"] == seconds * SECOND
            assert body["expiresAt"] == render(row["expiresAt"])
            assert body["history"][-1] == {"at": body["updatedAt"], "by": api.prefix, "changed": ["expiresAt"]}

    async def test_it_never_becomes_shorter(self, api: ApiClient) -> None:
        """Asked for less than it has it stays as it is, without a line in its history."""
        hold = await api.booked(expiresInSeconds=600)

        assert ok(await api.verb(hold, "extend", expiresInSeconds=10)) == hold

    async def test_at_most_a_day_after_it_was_made(self, api: ApiClient) -> None:
        """86,400 seconds after `createdAt`, however often it is extended."""
        hold = await api.booked(expiresInSeconds=600)
        made_at = api.store.clock.now() - 86_400 * SECOND + HOUR
        await api.overwrite(hold, createdAt=made_at)

        problem(await api.verb(hold, "extend", expiresInSeconds=3_601), "invalid", "/expiresInSeconds")
        body = ok(await api.verb(hold, "extend", expiresInSeconds=3_500))
        assert body["expiresAt"] <= render(made_at + 86_400 * SECOND)

    @pytest.mark.parametrize("status", ["confirmed", "cancelled", "completed", "no-show"])
    async def test_only_a_hold(self, api: ApiClient, status: str) -> None:
        """What is no hold has no end to be moved."""
        reservation = await in_status(api, status)

        problem(await api.verb(reservation, "extend", expiresInSeconds=60), "forbidden-transition")

    async def test_a_request_is_no_hold(self, api: ApiClient) -> None:
        """It waits for approval without an end."""
        request = await api.booked(service="asked")

        problem(await api.verb(request, "extend", expiresInSeconds=60), "forbidden-transition")


class TestApproval:
    """Who confirms a request."""

    async def test_only_an_admin_confirms(self, api: ApiClient) -> None:
        """403 names the scope, and nothing happens; a repetition of what an admin did is harmless."""
        clerk = await api.with_scopes("reservations:write", "reservations:read")
        request = await clerk.booked(service="asked")
        refused = problem(await clerk.verb(request, "confirm"), "forbidden")

        assert "reservations:admin" in refused["detail"]
        assert await api.read(request) == request
        body = ok(await api.verb(request, "confirm"))
        assert body["status"] == "confirmed"
        assert ok(await clerk.verb(request, "confirm")) == body

    async def test_a_confirmed_hold_becomes_a_request(self, api: ApiClient) -> None:
        """It waits without an end, blocks on, and is confirmed by an admin alone; an admin's own hold at once."""
        clerk = await api.with_scopes("reservations:write", "reservations:read")
        hold = await clerk.booked(service="asked", expiresInSeconds=60)
        body = ok(await clerk.verb(hold, "confirm", reason="please"))

        assert (body["status"], "expiresAt" in body, body["version"]) == ("pending", False, 2)
        assert body["history"][1:] == [
            {"at": body["updatedAt"], "by": clerk.prefix, "changed": ["expiresAt"], "reason": "please"}
        ]
        assert "expiresAt" not in await api.stored(hold)
        problem(await clerk.verb(hold, "confirm"), "forbidden")
        problem(await clerk.verb(hold, "extend", expiresInSeconds=60), "forbidden-transition")
        problem(await api.book(), "conflict")
        ok(await api.verb(hold, "confirm"))
        hold = await api.booked(NINE + HOUR, service="asked", expiresInSeconds=60)
        assert ok(await api.verb(hold, "confirm"))["status"] == "confirmed"

    async def test_a_request_stays_one_without_its_service(self, api: ApiClient) -> None:
        """A caller without `reservations:admin` changes neither its service nor, once it has none, its status."""
        await api.service("cut")
        await api.resource("salon", services=["asked", "cut"])
        clerk = await api.with_scopes("reservations:write", "reservations:read")
        request = await clerk.booked(service="asked", resource="salon")
        for service in (None, "cut"):
            body = problem(await clerk.change(request, service=service), "forbidden")
            assert "reservations:admin" in body["detail"]
        ok(await clerk.change(request, startTime=render(NINE + HOUR), service="asked"))

        ok(await api.change(request, service=None))
        problem(await clerk.verb(request, "confirm"), "forbidden")
        assert (await api.read(request))["status"] == "pending"

    async def test_anyone_may_withdraw_a_request(self, api: ApiClient) -> None:
        """Who asked can say no."""
        clerk = await api.with_scopes("reservations:write")
        request = await clerk.booked(service="asked")

        ok(await clerk.verb(request, "cancel"))

    async def test_it_is_the_present_service_that_asks(self, api: ApiClient) -> None:
        """Approval set since then makes a request of a hold; a request stays one, whatever became of its service."""
        await api.service("cut")
        await api.resource("salon", services=["cut"])
        clerk = await api.with_scopes("reservations:write")
        hold = await clerk.booked(service="cut", resource="salon", expiresInSeconds=60)
        request = await clerk.booked(service="asked")
        ok(await api.edit("/v1/services/cut", approval=True))
        ok(await api.edit("/v1/services/asked", approval=False))

        assert ok(await clerk.verb(hold, "confirm"))["status"] == "pending"
        problem(await clerk.verb(request, "confirm"), "forbidden")

    async def test_confirm_judges_no_rule_again(self, api: ApiClient) -> None:
        """A pending reservation is confirmed although its service was deactivated or removed, or its start is past."""
        hold = await api.booked(service="asked")
        ok(await api.edit("/v1/services/asked", active=False, minimumNoticeMinutes=60))
        path = "/v1/resources/room"
        forced: dict[str, Any] = {
            "json": {"services": [], "active": False},
            "headers": {"If-Match": "*"},
            "params": {"force": "true"},
        }
        ok(await api.request("PATCH", path, **forced))
        past = api.store.clock.now() - HOUR
        await api.overwrite(hold, startTime=past, blockStart=past)

        assert ok(await api.verb(hold, "confirm"))["status"] == "confirmed"


class TestCancellationNotice:
    """How late one may cancel."""

    @pytest.fixture
    async def salon(self, api: ApiClient) -> ApiClient:
        """A service that wants to know two hours before."""
        await api.service("firm", cancellationNoticeMinutes=120)
        await api.resource("salon", services=["firm"])
        return api

    async def test_inside_it_only_an_admin_cancels(self, salon: ApiClient) -> None:
        """Before it any caller may; inside it, and after the start, 409 names the scope and the latest time."""
        clerk = await salon.with_scopes("reservations:write", "reservations:read")
        now = salon.store.clock.now()
        early, late = [
            await salon.booked(now + minutes * MINUTE, service="firm", resource="salon") for minutes in (181, 119)
        ]
        past = await salon.booked(now + 10 * HOUR, service="firm", resource="salon")
        await salon.overwrite(past, startTime=now - 10 * HOUR, endTime=now - 9 * HOUR)

        ok(await clerk.verb(early, "cancel"))
        for reservation in (late, past):
            body = problem(await clerk.verb(reservation, "cancel"), "too-late")
            assert "reservations:admin" in body["detail"]
            assert body["until"] == render((await salon.stored(reservation))["startTime"] - 120 * MINUTE)
        ok(await salon.verb(late, "cancel"))
        ok(await clerk.verb(late, "cancel"))

    async def test_only_what_is_confirmed_is_bound(self, salon: ApiClient) -> None:
        """A hold is given back at any time; without a service there is no notice."""
        clerk = await salon.with_scopes("reservations:write")
        start = salon.store.clock.now() + 10 * MINUTE
        hold = await clerk.booked(start, service="firm", resource="salon", expiresInSeconds=60)

        ok(await clerk.verb(hold, "cancel"))
        ok(await clerk.verb(await clerk.booked(start), "cancel"))

    async def test_it_is_the_present_notice(self, salon: ApiClient) -> None:
        """As the service says now."""
        clerk = await salon.with_scopes("reservations:write")
        start = salon.store.clock.now() + HOUR
        reservation = await clerk.booked(start, service="firm", resource="salon")

        problem(await clerk.verb(reservation, "cancel"), "too-late")
        ok(await salon.edit("/v1/services/firm", cancellationNoticeMinutes=30))
        ok(await clerk.verb(reservation, "cancel"))


class TestWhatTookPlace:
    """Complete and no-show speak of what was, and give nothing up that is to come."""

    @pytest.mark.parametrize("verb", ["complete", "no-show"])
    async def test_the_outcome_is_not_recorded_before_the_start(self, api: ApiClient, verb: str) -> None:
        """For every caller it is 409 until the start and nothing changes; from the start on it is done."""
        clerk = await api.with_scopes("reservations:write", "reservations:read")
        booking = await api.booked()
        for who in (api, clerk):
            assert booking["startTime"] in problem(await who.verb(booking, verb), "forbidden-transition")["detail"]
        assert await api.read(booking) == booking

        now = api.store.clock.now()
        await api.overwrite(booking, startTime=now, blockStart=now)
        assert ok(await clerk.verb(booking, verb))["status"] == VERBS[verb]

    @pytest.mark.parametrize("verb", ["complete", "no-show"])
    @pytest.mark.parametrize("begun", [False, True])
    async def test_a_customer_does_not_say_whether_it_came(self, api: ApiClient, verb: str, *, begun: bool) -> None:
        """A key bound to a customer is refused with 403 whenever it asks; of a stranger's it learns nothing."""
        ann = await api.with_scopes("reservations:write", "reservations:read", customer="ann")
        booking, strangers = await api.booked(customer="ann"), await api.booked(NINE + HOUR, customer="bob")
        for each in (booking, strangers) if begun else ():
            await api.begin(each)

        problem(await ann.verb(booking, verb), "forbidden")
        problem(await ann.verb(strangers, verb), "not-found")
        assert (await api.stored(booking))["version"] == 1


class TestHoldLimit:
    """`RESERVA_MAX_HOLDS` live holds of a customer, `RESERVA_MAX_ANONYMOUS_HOLDS` of a key without one."""

    @pytest.fixture
    async def thrifty(self, mock_store: Store) -> AsyncIterator[ApiClient]:
        """An app that allows two of each."""
        async with serving(mock_store, settings=Settings(max_holds=2, max_anonymous_holds=2)) as client:
            api = ApiClient(client, mock_store)
            await api.resource(capacity=100)
            for name in ("ann", "bob"):
                await api.add("customers", id=name)
            yield api

    async def test_of_a_customer_across_keys(self, thrifty: ApiClient) -> None:
        """Over all keys, for each customer by itself; nothing is written by the one too many."""
        clerk = await thrifty.with_scopes("reservations:write")
        for caller in (thrifty, clerk):
            await caller.booked(customer="ann", expiresInSeconds=60)
        before = await thrifty.contents()

        for caller in (thrifty, clerk):
            body = problem(await caller.book(customer="ann", expiresInSeconds=60), "hold-limit")
            assert "The customer 'ann' has 2 live holds" in body["detail"]
        assert await thrifty.contents() == before
        await clerk.booked(customer="bob", expiresInSeconds=60)

    async def test_of_a_key_where_there_is_no_customer(self, thrifty: ApiClient) -> None:
        """Each key for itself, and what it holds for customers apart."""
        clerk = await thrifty.with_scopes("reservations:write")
        await thrifty.booked(customer="ann", expiresInSeconds=60)
        for _ in range(2):
            await thrifty.booked(expiresInSeconds=60)

        body = problem(await thrifty.book(expiresInSeconds=60), "hold-limit")
        assert f"The API key {thrifty.prefix} has 2 live holds without a holder or customer" in body["detail"]
        await clerk.booked(expiresInSeconds=60)

    async def test_of_a_holder_before_its_customer(self, thrifty: ApiClient) -> None:
        """The visitors of one key are counted apart, whatever customer they give; the limit of the key stays for none.

        Another key may mean another visitor by the same name.
        """
        clerk = await thrifty.with_scopes("reservations:write")
        hold: dict[str, Any] = {"expiresInSeconds": 60}
        ann, bob = [hold | {"customer": name} for name in ("ann", "bob")]
        for fields in (hold, ann):
            await thrifty.booked(holder="v1", **fields)
        for fields in (hold, ann, bob):
            body = problem(await thrifty.book(holder="v1", **fields), "hold-limit")
            assert "The holder 'v1' has 2 live holds, of 2" in body["detail"]
        for fields in (hold | {"holder": "v2"}, ann, hold):
            for _ in range(2):
                await thrifty.booked(**fields)
            problem(await thrifty.book(**fields), "hold-limit")
        await clerk.booked(holder="v1", **hold)

    async def test_a_hold_of_a_visitor_stays_its_own(self, thrifty: ApiClient) -> None:
        """Given to a customer at its limit, it counts for the visitor all the same; confirmed, it counts for nobody."""
        for _ in range(2):
            await thrifty.booked(customer="ann", expiresInSeconds=60)
        held = [await thrifty.booked(holder="v1", expiresInSeconds=60) for _ in range(2)]

        ok(await thrifty.change(held[0], customer="ann"))
        problem(await thrifty.book(holder="v1", expiresInSeconds=60), "hold-limit")
        ok(await thrifty.verb(held[1], "confirm", customer="ann"))
        await thrifty.booked(holder="v1", expiresInSeconds=60)

    async def test_only_a_hold_has_a_holder(self, thrifty: ApiClient) -> None:
        """And none that a customer holds with a key of its own."""
        await thrifty.service("cut")
        await thrifty.resource("salon", services=["cut"])
        ann = await thrifty.with_scopes("reservations:write", "reservations:read", customer="ann")

        problem(await thrifty.book(holder="v1"), "invalid", "/holder")
        of_ann: dict[str, Any] = {"resource": "salon", "service": "cut", "expiresInSeconds": 60}
        problem(await ann.book(holder="v1", **of_ann), "invalid", "/holder")
        await ann.booked(**of_ann)

    async def test_a_hold_counts_for_whom_it_is_given_to(self, thrifty: ApiClient) -> None:
        """Given to a customer, or back to the key that made it; no limit keeps it from being confirmed or extended."""
        of_ann = [await thrifty.booked(customer="ann", expiresInSeconds=60) for _ in range(2)]
        of_bob = await thrifty.booked(customer="bob", expiresInSeconds=60)
        before = await thrifty.contents()
        assert "'ann'" in problem(await thrifty.change(of_bob, customer="ann"), "hold-limit")["detail"]
        assert await thrifty.contents() == before
        ok(await thrifty.change(of_ann[0], customer="ann", notes="x"))
        ok(await thrifty.verb(of_ann[0], "extend", expiresInSeconds=70))

        clerk = await thrifty.with_scopes("reservations:write", "reservations:read")
        for _ in range(2):
            await thrifty.booked(expiresInSeconds=60)
        assert thrifty.prefix in problem(await clerk.change(of_bob, customer=None), "hold-limit")["detail"]
        ok(await thrifty.verb(of_ann[1], "confirm"))
        ok(await thrifty.change(of_bob, customer="ann"))
        ok(await thrifty.change(of_ann[1], customer="bob"))

    async def test_only_live_holds_count(self, thrifty: ApiClient) -> None:
        """Not what was confirmed, cancelled or has expired, not bookings, not requests."""
        await thrifty.service("asked", approval=True)
        await thrifty.resource("salon", services=["asked"], capacity=100)
        confirmed, cancelled, lapsed = [await in_turn(thrifty, verb) for verb in ("confirm", "cancel", "lapse")]
        for _ in range(3):
            await thrifty.booked()
            await thrifty.booked(service="asked", resource="salon")

        assert len({each["id"] for each in (confirmed, cancelled, lapsed)}) == 3
        for _ in range(2):
            await thrifty.booked(expiresInSeconds=60)
        problem(await thrifty.book(expiresInSeconds=60), "hold-limit")
        await thrifty.booked()

    async def test_zero_is_no_limit(self, mock_store: Store) -> None:
        """As many as fit."""
        async with serving(mock_store, settings=Settings(max_holds=0, max_anonymous_holds=0)) as client:
            api = ApiClient(client, mock_store)
            await api.resource(capacity=100)
            await api.add("customers", id="ann")
            for _ in range(25):
                await api.booked(expiresInSeconds=60)
                await api.booked(customer="ann", expiresInSeconds=60)

    async def test_twenty_by_default(self, api: ApiClient) -> None:
        """The default of a customer; a key has more."""
        await api.resource("hall", capacity=100)
        for _ in range(20):
            await api.booked(resource="hall", customer="ann", expiresInSeconds=60)
            await api.booked(resource="hall", expiresInSeconds=60)

        refused = await api.book(resource="hall", customer="ann", expiresInSeconds=60)
        assert "20" in problem(refused, "hold-limit")["detail"]
        assert Settings().max_anonymous_holds == 1_000
        await api.booked(resource="hall", expiresInSeconds=60)

    async def test_a_repeated_key_is_answered_at_the_limit_too(self, thrifty: ApiClient) -> None:
        """A replay makes no further hold; with another body it is a mismatch; a new key is refused by the limit."""
        first = await thrifty.book(expiresInSeconds=60, key="a")
        created(await thrifty.book(expiresInSeconds=60, key="b"))
        again = await thrifty.book(expiresInSeconds=60, key="a")

        assert again.content == first.content
        assert again.headers["Idempotent-Replayed"] == "true"
        problem(await thrifty.book(expiresInSeconds=61, key="a"), "idempotency-mismatch")
        problem(await thrifty.book(expiresInSeconds=60, key="c"), "hold-limit")


async def in_turn(api: ApiClient, verb: str) -> dict[str, Any]:
    """A hold that is none any more."""
    hold = await api.booked(expiresInSeconds=60)
    if verb == "lapse":
        await api.expire(hold)
    else:
        ok(await api.verb(hold, verb))
    return hold

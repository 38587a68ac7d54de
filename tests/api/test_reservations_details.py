"""What a booking page sets in the step that confirms a hold; and reopening what was recorded by mistake."""

from typing import Any

import pytest

from tests.support.api_client import ApiClient, ok, problem
from tests.support.times import HOUR, NINE

SENT: dict[str, Any] = {
    "customer": "ann",
    "notes": "First visit",
    "metadata": {"insured": True},
    "reference": "WEB-1042",
}


@pytest.fixture
async def api(api: ApiClient) -> ApiClient:
    """A room, a service that wants approval, two customers."""
    await api.service("asked", approval=True)
    await api.resource(services=["asked"])
    for name in ("ann", "bob"):
        await api.add("customers", id=name)
    return api


async def events_of(api: ApiClient, reservation: dict[str, Any]) -> list[tuple[str, int, list[str] | None]]:
    """The events of a reservation: types, versions, and what they say is changed."""
    rows = await api.store.database["outbox"].find().sort("_id", 1).to_list(None)
    ours = [row for row in rows if str(row["subject"]) == reservation["id"]]
    return [(row["type"], row["version"], row.get("changed")) for row in ours]


class TestConfirm:
    """One version, one line of history, one event."""

    async def test_the_details_are_set_in_the_same_step(self, api: ApiClient) -> None:
        """Whose it is, notes, metadata merged by key, and the reference; repeating it changes nothing."""
        hold = await api.booked(expiresInSeconds=60, metadata={"channel": "web", "insured": 1})
        body = ok(await api.verb(hold, "confirm", reason="paid", **SENT))

        assert {name: body[name] for name in SENT} == SENT | {"metadata": {"channel": "web", "insured": True}}
        assert (body["status"], body["version"], "expiresAt" in body) == ("confirmed", 2, False)
        assert body["history"][1:] == [
            {
                "at": body["updatedAt"],
                "by": api.prefix,
                "from": "pending",
                "to": "confirmed",
                "changed": sorted(SENT),
                "reason": "paid",
            }
        ]
        assert (await events_of(api, hold))[1:] == [("reservation.confirmed", 2, sorted(SENT))]
        assert ok(await api.verb(hold, "confirm", **SENT)) == body == await api.read(hold)
        assert len(await events_of(api, hold)) == 2

    async def test_only_what_changes_is_named(self, api: ApiClient) -> None:
        """What the hold has already is no change, and a bare confirmation has none."""
        first = await api.booked(expiresInSeconds=60, customer="ann", reference="7")
        second = await api.booked(NINE + HOUR, expiresInSeconds=60)

        changed = ok(await api.verb(first, "confirm", customer="ann", reference="7", notes="x"))["history"][-1]
        bare = ok(await api.verb(second, "confirm"))["history"][-1]
        assert changed["changed"] == ["notes"]
        assert "changed" not in bare

    async def test_a_confirmed_one_keeps_its_details(self, api: ApiClient) -> None:
        """A later confirmation that says something else is refused; PATCH is the way, which has no reference."""
        booked = ok(await api.verb(await api.booked(expiresInSeconds=60), "confirm", **SENT))
        for other in ({"customer": "bob"}, {"notes": "y"}, {"metadata": {"insured": 1}}, {"reference": "8"}):
            problem(await api.verb(booked, "confirm", **other), "forbidden-transition")
        problem(await api.change(booked, reference="8"), "invalid", "/reference")

        assert await api.read(booked) == booked

    async def test_what_is_refused_sets_nothing(self, api: ApiClient) -> None:
        """An unknown customer, too many keys, a hold whose time is over."""
        hold = await api.booked(expiresInSeconds=60, metadata={f"k{number}": 1 for number in range(19)})
        before = await api.stored(hold)
        problem(await api.verb(hold, "confirm", customer="nobody"), "invalid", "/customer")
        problem(await api.verb(hold, "confirm", metadata={"a": 1, "b": 2}), "invalid", "/metadata")
        assert await api.stored(hold) == before

        await api.expire(hold)
        problem(await api.verb(hold, "confirm", **SENT), "hold-expired")
        assert "notes" not in await api.stored(hold)

    async def test_a_request_has_them_too(self, api: ApiClient) -> None:
        """A hold on a service with approval becomes a request with all of it, in one version."""
        clerk = await api.with_scopes("reservations:write", "reservations:read")
        hold = await clerk.booked(service="asked", expiresInSeconds=60)
        body = ok(await clerk.verb(hold, "confirm", **SENT))

        assert (body["status"], body["version"]) == ("pending", 2)
        assert {name: body[name] for name in SENT} == SENT
        assert body["history"][-1]["changed"] == sorted([*SENT, "expiresAt"])
        assert [event[0] for event in await events_of(api, hold)] == ["reservation.held", "reservation.requested"]

    async def test_who_had_it_before_can_be_erased(self, api: ApiClient) -> None:
        """A hold that is handed over by its confirmation is remembered as the other's, as by a PATCH."""
        hold = await api.booked(expiresInSeconds=60, customer="bob")
        ok(await api.verb(hold, "confirm", **SENT))

        assert (await api.stored(hold))["formerCustomers"] == ["bob"]

    async def test_a_customers_key_confirms_for_itself(self, api: ApiClient) -> None:
        """Its own customer may be named, no other."""
        ann = await api.with_scopes("reservations:write", "reservations:read", customer="ann")
        hold = await ann.booked(service="asked", expiresInSeconds=60)

        problem(await ann.verb(hold, "confirm", customer="bob"), "invalid", "/customer")
        assert ok(await ann.verb(hold, "confirm", **SENT))["reference"] == "WEB-1042"


class TestReference:
    """The caller's own number of a reservation."""

    async def test_it_is_stored_and_not_unique(self, api: ApiClient) -> None:
        """Two may have the same; it is shown wherever they are."""
        for start in (NINE, NINE + HOUR):
            assert (await api.booked(start, reference="WEB 1042"))["reference"] == "WEB 1042"

        assert [item["reference"] for item in ok(await api.get("/v1/reservations"))["items"]] == ["WEB 1042"] * 2

    async def test_an_erasure_clears_it_with_the_holder(self, api: ApiClient) -> None:
        """Whatever names the person goes; the holder was never shown."""
        await api.add("customers", id="leaver-2")  # the app remembers whom it has erased, for other tests too
        hold = await api.booked(customer="leaver-2", reference="WEB-7", holder="visitor-7", expiresInSeconds=60)
        assert "holder" not in hold
        assert (await api.stored(hold))["holder"] == "visitor-7"
        ok(await api.request("POST", "/v1/customers/leaver-2/erase"))

        assert not {"holder", "reference"} & (await api.stored(hold)).keys()


class TestReopen:
    """Back from what was recorded by mistake."""

    @pytest.mark.parametrize("status", ["completed", "no-show"])
    async def test_what_ended_is_confirmed_again(self, api: ApiClient, status: str) -> None:
        """With its reason, its event, and its time taken; repeating it changes nothing."""
        booking = await api.booked()
        await api.overwrite(booking, status=status)
        body = ok(await api.verb(booking, "reopen", reason="came late"))

        assert (body["status"], body["version"]) == ("confirmed", 2)
        assert body["history"][-1] == {
            "at": body["updatedAt"],
            "by": api.prefix,
            "from": status,
            "to": "confirmed",
            "reason": "came late",
        }
        assert (await events_of(api, booking))[-1] == ("reservation.reopened", 2, None)
        assert ok(await api.verb(booking, "reopen", reason="again")) == body
        problem(await api.book(), "conflict")

    async def test_its_time_may_be_taken(self, api: ApiClient) -> None:
        """What was booked in the meantime keeps its place; other rules are not judged."""
        booking = await api.booked()
        await api.overwrite(booking, status="no-show")
        other = await api.booked()
        refused = problem(await api.verb(booking, "reopen", reason="x"), "conflict")

        assert [each["reservation"] for each in refused["conflicts"]] == [other["id"]]
        ok(await api.verb(other, "cancel"))
        ok(await api.edit("/v1/resources/room", active=False))
        ok(await api.verb(booking, "reopen", reason="x"))

    async def test_it_takes_as_much_as_is_counted_now(self, api: ApiClient) -> None:
        """What units mean may have changed while nothing blocked."""
        booking = await api.booked(guests=3)
        await api.overwrite(booking, status="completed")
        ok(await api.edit("/v1/resources/room", capacityMode="guests", capacity=2))
        problem(await api.verb(booking, "reopen", reason="x"), "conflict")
        ok(await api.edit("/v1/resources/room", capacity=3))

        assert ok(await api.verb(booking, "reopen", reason="x"))["units"] == 3

    async def test_only_what_took_place_or_did_not(self, api: ApiClient) -> None:
        """Neither a hold nor what was cancelled or has expired; and only by an admin of reservations, with a reason."""
        clerk = await api.with_scopes("reservations:write", "reservations:read")
        hold, cancelled = await api.booked(expiresInSeconds=60), await api.booked(NINE + HOUR)
        ok(await api.verb(cancelled, "cancel"))
        for each in (hold, cancelled):
            problem(await api.verb(each, "reopen", reason="x"), "forbidden-transition")
        await api.expire(hold)
        problem(await api.verb(hold, "reopen", reason="x"), "forbidden-transition")
        problem(await clerk.verb(cancelled, "reopen", reason="x"), "forbidden")
        problem(await api.request("POST", f"/v1/reservations/{hold['id']}/reopen", json={}), "invalid", "/reason")
        problem(await api.verb({"id": "0" * 24}, "reopen", reason="x"), "not-found")

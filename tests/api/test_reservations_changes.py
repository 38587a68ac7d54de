"""PATCH of a reservation: the fields that it may change, the fields that follow, and the rules that judge it."""

from datetime import datetime
from typing import Any

import pytest

from app.domain.instants import render
from tests.support.api_client import ApiClient, created, failed_rules, ok, path_of, problem
from tests.support.times import DAY, HOUR, MINUTE, NINE

TEN = NINE + HOUR
FINAL = ("cancel", "complete", "no-show")


def times(body: dict[str, Any]) -> list[str]:
    """Time and block, as `HH:MM` of one day."""
    return [body[name][11:16] for name in ("startTime", "endTime", "blockStart", "blockEnd")]


@pytest.fixture
async def api(api: ApiClient) -> ApiClient:
    """A room with two services, a hall, two customers."""
    await api.service("cut", bufferBeforeMinutes=10, bufferAfterMinutes=20)
    await api.service("wash", durationType="flexible", minMinutes=15, stepMinutes=15, maxMinutes=240)
    await api.resource("room", services=["cut", "wash"])
    await api.resource("hall", services=["cut"], timezone="Europe/Berlin")
    for name in ("ann", "bob"):
        await api.add("customers", id=name)
    return api


async def twins(api: ApiClient, **fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two bookings of one time on a room for one, as no honest path makes them."""
    first = await api.booked(**fields)
    second = await api.booked(NINE + 10 * DAY, **fields)
    row = await api.stored(first)
    await api.overwrite(second, **{name: row[name] for name in ("startTime", "endTime", "blockStart", "blockEnd")})
    return first, second


class TestVersions:
    """If-Match, ETag, and what counts as a change."""

    async def test_a_change_counts_the_version(self, api: ApiClient) -> None:
        """One more with each, in the body, the ETag and what is read later."""
        reservation = await api.booked()
        for version in (2, 3, 4):
            answer = await api.request(
                "PATCH", path_of(reservation), json={"notes": f"{version}"}, headers={"If-Match": f'"{version - 1}"'}
            )
            assert ok(answer)["version"] == version
            assert await api.read(reservation) == answer.json()

    async def test_without_if_match_nothing_is_changed(self, api: ApiClient) -> None:
        """428, however right the rest is."""
        reservation = await api.booked()

        problem(await api.request("PATCH", path_of(reservation), json={"notes": "x"}), "precondition-required")
        assert await api.read(reservation) == reservation

    @pytest.mark.parametrize("tag", ['"2"', '"0"', '"abc"', 'W/"2"', '"01"', '"2", "3"', '"99999999999999999999"'])
    async def test_another_version_is_stale(self, api: ApiClient, tag: str) -> None:
        """Tags that never were match nothing."""
        reservation = await api.booked()

        problem(
            await api.request("PATCH", path_of(reservation), json={"notes": "x"}, headers={"If-Match": tag}), "stale"
        )
        assert await api.read(reservation) == reservation

    @pytest.mark.parametrize("tag", ['"1"', "*", 'W/"1"', '"7", "1"', ' "1" '])
    async def test_the_version_or_any_will_do(self, api: ApiClient, tag: str) -> None:
        """Also one of several, and a weak one, which is what a proxy that compresses makes of it."""
        reservation = await api.booked()

        ok(await api.request("PATCH", path_of(reservation), json={"notes": "x"}, headers={"If-Match": tag}))

    async def test_stale_comes_before_everything_that_is_judged(self, api: ApiClient) -> None:
        """A stale version is reported first: not that the time is taken or the status final."""
        await api.booked(TEN)
        reservation = await api.booked()
        ok(await api.verb(reservation, "cancel"))
        patch = {"startTime": render(TEN)}

        problem(await api.request("PATCH", path_of(reservation), json=patch, headers={"If-Match": '"1"'}), "stale")
        problem(
            await api.request("PATCH", path_of(reservation), json=patch, headers={"If-Match": '"2"'}),
            "forbidden-transition",
        )

    async def test_what_changes_nothing_is_no_change(self, api: ApiClient) -> None:
        """An empty patch, and one that says what is there already."""
        reservation = await api.booked(notes="x", metadata={"a": 1}, customer="ann")
        same = {name: reservation[name] for name in ("resource", "startTime", "endTime", "guests", "notes", "metadata")}

        patches: list[dict[str, Any]] = [{}, same, {"service": None}, {"metadata": {}}, {"metadata": {"b": None}}]
        for patch in patches:
            assert ok(await api.change(reservation, **patch)) == reservation
        assert await api.read(reservation) == reservation

    async def test_merge_patch_has_a_type_of_its_own(self, api: ApiClient) -> None:
        """`application/merge-patch+json` reads as plain JSON does."""
        reservation = await api.booked(notes="x")
        headers = {"If-Match": "*", "Content-Type": "application/merge-patch+json"}

        assert "notes" not in ok(
            await api.request("PATCH", path_of(reservation), content=b'{"notes": null}', headers=headers)
        )

    async def test_the_history_tells_what_changed(self, api: ApiClient) -> None:
        """By whom, when, which fields, what followed left out; and never which operation."""
        reservation = await api.booked()
        clerk = await api.with_scopes("reservations:write", "reservations:read")
        body = ok(await clerk.change(reservation, guests=2, notes="x", startTime=render(TEN)))

        assert body["history"] == [
            *reservation["history"],
            {"at": body["updatedAt"], "by": clerk.prefix, "changed": ["endTime", "guests", "notes", "startTime"]},
        ]
        assert body["updatedAt"] >= reservation["updatedAt"]
        assert body["createdAt"] == reservation["createdAt"]

    async def test_the_history_tells_of_another_zone(self, api: ApiClient) -> None:
        """A zone that follows from a resource is not named; one that is changed alone is."""
        reservation = await api.booked()
        ok(await api.change(reservation, timezone="Asia/Tokyo"))
        history = ok(await api.change(reservation, resource="hall"))["history"]

        assert [line["changed"] for line in history[1:]] == [["timezone"], ["resource"]]

    async def test_the_history_keeps_fifty(self, api: ApiClient) -> None:
        """The last ones."""
        reservation = await api.booked()
        for number in range(51):
            ok(await api.change(reservation, notes=str(number)))
        history = (await api.read(reservation))["history"]

        assert len(history) == 50
        assert all(line["changed"] == ["notes"] for line in history)


class TestMerging:
    """What null, absence and objects mean."""

    async def test_null_unsets(self, api: ApiClient) -> None:
        """What may be absent is absent then, also in the database; guests are one again."""
        reservation = await api.booked(service="cut", customer="ann", notes="x", metadata={"a": 1}, guests=4)
        body = ok(await api.change(reservation, service=None, customer=None, notes=None, metadata=None, guests=None))

        assert not {"service", "customer", "notes", "metadata"} & body.keys()
        assert body["guests"] == 1
        assert not {"service", "customer", "notes", "metadata"} & (await api.stored(reservation)).keys()
        assert None not in (await api.stored(reservation)).values()
        assert times(body) == ["09:00", "10:00", "09:00", "10:00"]
        assert body["history"][-1]["changed"] == ["customer", "guests", "metadata", "notes", "service"]

    async def test_metadata_merges_by_key(self, api: ApiClient) -> None:
        """What is not mentioned stays, null takes a key out, the last key takes metadata out."""
        reservation = await api.booked(metadata={"a": 1, "b": "x", "c": True})
        body = ok(await api.change(reservation, metadata={"a": 2, "b": None, "d": 0.5}))

        assert body["metadata"] == {"a": 2, "c": True, "d": 0.5}
        body = ok(await api.change(reservation, metadata={"a": None, "c": None, "d": None}))
        assert "metadata" not in body
        assert "metadata" not in await api.stored(reservation)

    @pytest.mark.parametrize(("before", "after"), [(1, True), (True, 1), (0, False), (1, "1")])
    async def test_true_is_not_one(self, api: ApiClient, before: object, after: object) -> None:
        """What JSON tells apart is a change."""
        reservation = await api.booked(metadata={"a": before})
        body = ok(await api.change(reservation, metadata={"a": after}))

        assert body["version"] == 2
        assert (body["metadata"], type(body["metadata"]["a"])) == ({"a": after}, type(after))
        assert await api.read(reservation) == body

    async def test_metadata_has_its_limit_after_merging(self, api: ApiClient) -> None:
        """Twenty keys including the stored ones; one may go as another comes, and many nulls are no keys."""
        reservation = await api.booked(metadata={f"k{number}": number for number in range(20)})

        problem(await api.change(reservation, metadata={"new": 1}), "invalid", "/metadata")
        body = ok(await api.change(reservation, metadata={"new": 1, "k0": None}))
        assert len(body["metadata"]) == 20
        assert "metadata" not in ok(
            await api.change(reservation, metadata={**dict.fromkeys(body["metadata"]), "x": None, "y": None})
        )


class TestTimes:
    """Which other times follow from the ones that are given."""

    async def test_a_start_alone_keeps_the_length(self, api: ApiClient) -> None:
        """Of a plain booking and of one with a service."""
        plain = await api.booked(NINE, 95 * MINUTE)
        assert times(ok(await api.change(plain, startTime=render(NINE - HOUR)))) == [
            "08:00",
            "09:35",
            "08:00",
            "09:35",
        ]
        served = await api.booked(NINE + 3 * HOUR, 75 * MINUTE, service="wash")
        assert times(ok(await api.change(served, startTime=render(NINE + 4 * HOUR)))) == [
            "13:00",
            "14:15",
            "13:00",
            "14:15",
        ]

    async def test_a_start_takes_the_services_present_buffers(self, api: ApiClient) -> None:
        """What was stored stays until then: an edit of a service moves nothing, nor does an end or a note."""
        reservation = await api.booked(service="cut")
        ok(await api.edit("/v1/services/cut", bufferBeforeMinutes=30, bufferAfterMinutes=0))

        assert times(await api.read(reservation)) == ["09:00", "10:00", "08:50", "10:20"]
        assert times(ok(await api.change(reservation, notes="x", guests=2))) == ["09:00", "10:00", "08:50", "10:20"]
        body = ok(await api.change(reservation, startTime=render(NINE + 2 * HOUR)))
        assert times(body) == ["11:00", "12:00", "10:30", "12:00"]

    async def test_an_end_keeps_the_stored_buffers(self, api: ApiClient) -> None:
        """Longer at the end alone."""
        await api.service("long", durationType="flexible", minMinutes=15, maxMinutes=240, bufferAfterMinutes=5)
        await api.resource("salon", services=["long"])
        reservation = await api.booked(service="long", resource="salon")
        ok(await api.edit("/v1/services/long", bufferAfterMinutes=45))

        body = ok(await api.change(reservation, endTime=render(TEN + HOUR)))
        assert times(body) == ["09:00", "11:00", "09:00", "11:05"]

    async def test_another_resource_alone_keeps_time_and_buffers(self, api: ApiClient) -> None:
        """It takes the resource's zone along."""
        reservation = await api.booked(service="cut")
        ok(await api.edit("/v1/services/cut", bufferAfterMinutes=45))
        body = ok(await api.change(reservation, resource="hall"))

        assert (body["resource"], body["timezone"]) == ("hall", "Europe/Berlin")
        assert times(body) == ["09:00", "10:00", "08:50", "10:20"]
        await api.booked()

    async def test_the_zone_that_it_was_booked_in_stays_with_its_resource(self, api: ApiClient) -> None:
        """Neither guests nor another time change it; another resource brings its own."""
        local = {"resource": "hall", "localStart": "2030-01-07T04:00", "timezone": "America/New_York"}
        reservation = created(await api.post(local | {"localEnd": "2030-01-07T05:00"}))
        assert (times(reservation)[0], reservation["timezone"]) == ("09:00", "America/New_York")

        assert ok(await api.change(reservation, guests=1)) == reservation
        assert ok(await api.change(reservation, startTime=render(TEN)))["timezone"] == "America/New_York"
        assert ok(await api.change(reservation, resource="room"))["timezone"] == "UTC"

    async def test_a_new_fixed_service_sets_the_length(self, api: ApiClient) -> None:
        """With its buffers, at the present start or the given one."""
        reservation = await api.booked(length=30 * MINUTE)
        assert times(ok(await api.change(reservation, service="cut"))) == ["09:00", "10:00", "08:50", "10:20"]

        other = await api.booked(NINE + 5 * HOUR, 30 * MINUTE)
        body = ok(await api.change(other, service="cut", startTime=render(NINE + 6 * HOUR)))
        assert times(body) == ["15:00", "16:00", "14:50", "16:20"]

    async def test_the_service_that_it_has_sets_its_length_anew(self, api: ApiClient) -> None:
        """Naming it again takes what the service is by now."""
        reservation = await api.booked(service="cut")
        ok(await api.edit("/v1/services/cut", durationMinutes=90, bufferBeforeMinutes=0))

        assert times(ok(await api.change(reservation, service="cut"))) == ["09:00", "10:30", "09:00", "10:50"]

    async def test_an_end_must_agree_with_a_new_fixed_service(self, api: ApiClient) -> None:
        """As when booking."""
        reservation = await api.booked(length=30 * MINUTE)

        refused = problem(await api.change(reservation, service="cut", endTime=render(NINE + 30 * MINUTE)), "rule")
        assert failed_rules(refused) == ["duration"]
        ok(await api.change(reservation, service="cut", endTime=render(TEN)))

    async def test_a_new_flexible_service_keeps_the_length_and_judges_it(self, api: ApiClient) -> None:
        """It says what is allowed, not what it is."""
        reservation = await api.booked(length=50 * MINUTE)

        assert failed_rules(problem(await api.change(reservation, service="wash"), "rule", "/endTime")) == ["duration"]
        ok(await api.change(reservation, service="wash", endTime=render(NINE + 45 * MINUTE)))

    async def test_without_its_service_it_has_no_buffers(self, api: ApiClient) -> None:
        """The length stays."""
        reservation = await api.booked(service="cut")

        assert times(ok(await api.change(reservation, service=None))) == ["09:00", "10:00", "09:00", "10:00"]

    async def test_full_days_keep_their_number(self, api: ApiClient) -> None:
        """Two days stay two when moved across a change of the clocks, and when moved to another zone."""
        await api.service("days", durationType="full-day", maxDays=5)
        for name, zone in (("tent", "Europe/Berlin"), ("cabin", "America/New_York")):
            await api.resource(name, timezone=zone, services=["days"])
        start = datetime.fromisoformat("2030-01-06T23:00:00+00:00")
        reservation = await api.booked(start, 2 * DAY, resource="tent", service="days")

        body = ok(await api.change(reservation, startTime="2030-03-29T23:00:00Z"))
        assert (body["startTime"], body["endTime"]) == ("2030-03-29T23:00:00.000Z", "2030-03-31T22:00:00.000Z")
        body = ok(await api.change(reservation, startTime="2030-01-07T05:00:00Z", resource="cabin"))
        assert body["endTime"] == "2030-01-09T05:00:00.000Z"
        assert failed_rules(problem(await api.change(reservation, resource="tent"), "rule")) == ["duration"]

    @pytest.mark.parametrize("spoken", ["Europe/London", "UTC", "Pacific/Auckland", None])
    async def test_a_long_day_stays_one_day(self, api: ApiClient, spoken: str | None) -> None:
        """London's day of 25 hours is one day of London, in whichever zone it was sent, also when it moves out."""
        await api.service("days", durationType="full-day", maxDays=5)
        for name, zone in (("attic", "Europe/London"), ("tent", "Europe/Berlin")):
            await api.resource(name, timezone=zone, services=["days"])
        fields = {} if spoken is None else {"timezone": spoken}
        start = datetime.fromisoformat("2030-10-26T23:00:00+00:00")
        reservation = await api.booked(start, 25 * HOUR, resource="attic", service="days", **fields)

        body = ok(await api.change(reservation, startTime="2030-10-28T00:00:00Z"))
        assert body["endTime"] == "2030-10-29T00:00:00.000Z"
        body = ok(await api.change(reservation, startTime="2030-10-26T23:00:00Z"))
        assert body["endTime"] == "2030-10-28T00:00:00.000Z"
        body = ok(await api.change(reservation, startTime="2030-10-27T23:00:00Z", resource="tent"))
        assert body["endTime"] == "2030-10-28T23:00:00.000Z"

    @pytest.mark.parametrize(
        "patch",
        [
            {"endTime": render(NINE)},
            {"endTime": render(NINE - HOUR)},
            {"startTime": render(NINE), "endTime": render(NINE)},
            {"startTime": render(NINE + 2 * HOUR), "endTime": render(TEN)},
            {"endTime": render(NINE + 366 * DAY + MINUTE)},
        ],
    )
    async def test_an_end_lies_after_its_start_and_not_too_far(self, api: ApiClient, patch: dict[str, str]) -> None:
        """Whichever of the two is given."""
        reservation = await api.booked()

        problem(await api.change(reservation, **patch), "invalid", "/endTime")
        assert await api.read(reservation) == reservation


class TestLoad:
    """What could add load is judged like a booking; what cannot is never refused for an overlap."""

    async def test_a_move_onto_a_booking_is_a_conflict(self, api: ApiClient) -> None:
        """And nothing is changed by it."""
        taken = await api.booked(TEN)
        reservation = await api.booked()

        for patch in ({"startTime": render(NINE + MINUTE)}, {"endTime": render(TEN + MINUTE)}):
            body = problem(await api.change(reservation, **patch), "conflict", "/startTime")
            assert [conflict["reservation"] for conflict in body["conflicts"]] == [taken["id"]]
        other = await api.booked(TEN, resource="hall")
        problem(await api.change(other, resource="room"), "conflict")
        assert await api.read(reservation) == reservation

    async def test_it_does_not_conflict_with_itself(self, api: ApiClient) -> None:
        """Half an hour later, over its own present time."""
        reservation = await api.booked()

        ok(await api.change(reservation, startTime=render(NINE + 30 * MINUTE)))
        await api.booked(NINE - 30 * MINUTE)
        problem(await api.book(NINE), "conflict")

    async def test_a_moved_booking_leaves_its_time(self, api: ApiClient) -> None:
        """What it had is free, what it has is taken: time, resource, both."""
        reservation = await api.booked()
        ok(await api.change(reservation, resource="hall", startTime=render(TEN)))

        await api.booked()
        await api.booked(resource="hall")
        problem(await api.book(TEN, resource="hall"), "conflict")

    async def test_a_buffer_that_grows_is_load(self, api: ApiClient) -> None:
        """A new service for the same hour may not fit any more."""
        reservation = await api.booked()
        await api.booked(TEN, 10 * MINUTE)

        problem(await api.change(reservation, service="cut"), "conflict")

    async def test_more_guests_are_load_where_they_count(self, api: ApiClient) -> None:
        """There they need room; elsewhere they need none."""
        await api.resource("boat", capacity=4, capacityMode="guests")
        reservation = await api.booked(resource="boat", guests=2)
        await api.booked(resource="boat", guests=1)

        assert ok(await api.change(reservation, guests=3))["units"] == 3
        problem(await api.change(reservation, guests=4), "conflict")
        assert failed_rules(problem(await api.change(reservation, guests=5), "rule")) == ["guests", "capacity"]
        plain = await api.booked()
        assert ok(await api.change(plain, guests=10_000))["units"] == 1

    @pytest.mark.parametrize("hours", [30, 6 * 24, 9 * 24])
    async def test_a_lengthened_booking_blocks_to_its_end(self, api: ApiClient, hours: int) -> None:
        """Longer than anything there so far, here or on the resource that it was moved to."""
        end = NINE + hours * HOUR
        reservation = await api.booked()
        ok(await api.change(reservation, endTime=render(end)))

        problem(await api.book(end - MINUTE), "conflict")
        ok(await api.change(reservation, resource="hall"))
        problem(await api.book(end - MINUTE, resource="hall"), "conflict")
        await api.booked(end - MINUTE)

    async def test_a_shortened_booking_still_blocks(self, api: ApiClient) -> None:
        """Nine days that become six are found by another query."""
        reservation = await api.booked(length=9 * DAY)
        ok(await api.change(reservation, endTime=render(NINE + 6 * DAY)))

        problem(await api.book(NINE + 6 * DAY - MINUTE), "conflict")
        await api.booked(NINE + 6 * DAY)

    async def test_the_double_booked_can_do_all_that_adds_nothing(self, api: ApiClient) -> None:
        """Notes, customer, guests that do not count, less time at either end: no overlap is reported."""
        first, second = await twins(api)

        for patch in (
            {"notes": "x", "metadata": {"a": 1}},
            {"customer": "ann"},
            {"guests": 9},
            {"startTime": first["startTime"], "endTime": first["endTime"], "resource": "room"},
            {"endTime": render(NINE + 50 * MINUTE)},
            {"startTime": render(NINE + 10 * MINUTE), "endTime": render(NINE + 50 * MINUTE)},
        ):
            ok(await api.change(first, **patch))
        problem(await api.change(first, startTime=render(NINE + 20 * MINUTE)), "conflict")
        ok(await api.verb(second, "cancel"))

    async def test_the_double_booked_can_take_fewer_guests(self, api: ApiClient) -> None:
        """Fewer is less load; as many as before is no more."""
        await api.resource("boat", capacity=4, capacityMode="guests")
        first, _ = await twins(api, resource="boat", guests=4)

        ok(await api.change(first, guests=4, notes="x"))
        assert ok(await api.change(first, guests=3))["units"] == 3
        problem(await api.change(first, guests=4), "conflict")

    async def test_the_double_booked_can_leave(self, api: ApiClient) -> None:
        """To another time or resource where there is room."""
        first, second = await twins(api)

        ok(await api.change(first, resource="hall"))
        ok(await api.change(second, startTime=render(NINE + DAY)))
        await api.booked()

    async def test_what_is_switched_off_can_be_left_but_not_filled(self, api: ApiClient) -> None:
        """Moved away and shortened, not moved about or lengthened."""
        reservation = await api.booked()
        stay = await api.booked(NINE + 5 * HOUR)
        ok(
            await api.request(
                "PATCH",
                "/v1/resources/room",
                json={"active": False},
                headers={"If-Match": "*"},
                params={"force": "true"},
            )
        )

        for patch in ({"startTime": render(NINE + MINUTE)}, {"endTime": render(TEN + MINUTE)}):
            assert failed_rules(problem(await api.change(reservation, **patch), "rule", "/resource")) == [
                "resource-active"
            ]
        ok(await api.change(reservation, endTime=render(NINE + 30 * MINUTE)))
        ok(await api.change(reservation, resource="hall"))
        ok(await api.change(stay, notes="x"))
        ok(await api.verb(stay, "cancel"))

    async def test_less_time_is_still_checked_against_the_length(self, api: ApiClient) -> None:
        """A service's length is no overlap."""
        reservation = await api.booked(service="wash")

        assert failed_rules(problem(await api.change(reservation, endTime=render(NINE + 50 * MINUTE)), "rule")) == [
            "duration"
        ]
        ok(await api.change(reservation, endTime=render(NINE + 45 * MINUTE)))

    async def test_a_new_service_is_offered_and_active_even_within_the_time(self, api: ApiClient) -> None:
        """That it adds no load does not make it bookable here."""
        await api.service("short", durationMinutes=30)
        await api.service("gone", durationMinutes=30, active=False)
        ok(await api.edit("/v1/resources/room", services=["cut", "wash", "gone"]))
        reservation = await api.booked()

        assert failed_rules(problem(await api.change(reservation, service="short"), "rule", "/service")) == [
            "service-offered"
        ]
        assert failed_rules(problem(await api.change(reservation, service="gone"), "rule", "/service")) == [
            "service-active"
        ]

    async def test_a_time_grows_into_its_buffers_only_where_a_booking_could(self, api: ApiClient) -> None:
        """That its block is its own already opens no closed hours, by another service as little as by none."""
        await api.service("tidy", bufferBeforeMinutes=60, bufferAfterMinutes=60)
        await api.service("bare", durationType="flexible", minMinutes=60, maxMinutes=240)
        await api.resource("salon", services=["tidy", "bare"])
        hours = {"weekly": [{"days": ["mon"], "from": "09:00", "to": "10:00"}]}
        ok(await api.request("PUT", "/v1/resources/salon/schedule", json=hours, headers={"If-Match": "*"}))
        reservation = await api.booked(service="tidy", resource="salon")

        for service in (None, "bare"):
            for times in ({"endTime": render(TEN + HOUR)}, {"startTime": render(NINE - HOUR), "endTime": render(TEN)}):
                refused = problem(await api.change(reservation, service=service, **times), "rule", "/startTime")
                assert failed_rules(refused) == ["schedule"]
        ok(await api.edit("/v1/services/bare", horizonDays=1))
        earlier = {"startTime": render(NINE - 30 * MINUTE), "endTime": render(TEN)}
        assert failed_rules(problem(await api.change(reservation, service="bare", **earlier), "rule")) == [
            "horizon",
            "schedule",
        ]
        ok(await api.change(reservation, service=None))

    async def test_another_service_does_not_keep_the_hours_of_the_first(self, api: ApiClient) -> None:
        """Whole days need only a window each; what is cut out of one by another service lies within the hours."""
        await api.service("stay", durationType="full-day")
        await api.resource("salon", services=["stay", "wash"])
        hours = {"weekly": [{"days": ["mon"], "from": "09:00", "to": "17:00"}]}
        ok(await api.request("PUT", "/v1/resources/salon/schedule", json=hours, headers={"If-Match": "*"}))
        midnight = NINE - 9 * HOUR
        reservation = await api.booked(midnight, DAY, service="stay", resource="salon")

        for service in ("wash", None):
            night = {"startTime": render(midnight + HOUR), "endTime": render(midnight + 2 * HOUR), "service": service}
            assert failed_rules(problem(await api.change(reservation, **night), "rule", "/startTime")) == ["schedule"]
        day = {"startTime": render(NINE), "endTime": render(TEN), "service": "wash"}
        ok(await api.change(reservation, **day))

    async def test_policies_are_judged_where_load_could_come(self, api: ApiClient) -> None:
        """Moving into the notice, behind the horizon or into the past is refused, and lifted by force for an admin."""
        await api.service("strict", minimumNoticeMinutes=600, horizonDays=5)
        await api.resource("salon", services=["strict"])
        now = api.store.clock.now()
        reservation = await api.booked(now + 2 * DAY, service="strict", resource="salon")
        clerk = await api.with_scopes("reservations:write", "reservations:read")

        for start, rule in ((now + HOUR, "notice"), (now - DAY, "notice"), (now + 6 * DAY, "horizon")):
            assert failed_rules(
                problem(await api.change(reservation, startTime=render(start)), "rule", "/startTime")
            ) == [rule]
        path, patch = path_of(reservation), {"startTime": render(now + HOUR)}
        forced = {"json": patch, "params": {"force": "true"}, "headers": {"If-Match": "*"}}
        assert "reservations:admin" in problem(await clerk.request("PATCH", path, **forced), "forbidden")["detail"]
        ok(await api.request("PATCH", path, **forced))

    async def test_what_has_begun_can_be_prolonged(self, api: ApiClient) -> None:
        """Notice and horizon do not apply to a start that stays, also with another length, guests or resource."""
        await api.service("long", durationType="flexible", minMinutes=60, maxMinutes=600, minimumNoticeMinutes=30)
        for name in ("salon", "attic"):
            await api.resource(name, services=["long"], capacity=9, capacityMode="guests")
        now = api.store.clock.now().replace(microsecond=0)
        clerk = await api.with_scopes("reservations:write", "reservations:read")
        body = {"resource": "salon", "service": "long", "startTime": render(now - 30 * MINUTE)}
        begun = created(await api.post(body | {"endTime": render(now + 30 * MINUTE)}, force="true"))

        patches: list[dict[str, Any]] = [{"endTime": render(now + HOUR + 30 * MINUTE)}, {"guests": 3}]
        for patch in (*patches, {"resource": "attic"}):
            ok(await clerk.change(begun, **patch))
        move = {"reservation": begun["id"], "version": 4, "endTime": render(now + 2 * HOUR + 30 * MINUTE)}
        ok(await clerk.request("POST", "/v1/moves", json={"moves": [move]}))
        earlier = render(now - 31 * MINUTE)
        assert failed_rules(problem(await clerk.change(begun, startTime=earlier), "rule", "/startTime")) == ["notice"]

    async def test_a_start_stays_within_the_horizon(self, api: ApiClient) -> None:
        """A long time that begins inside it is not cut to a short one that begins beyond; a stay may outlast it."""
        await api.service("week", durationType="flexible", minMinutes=60, maxMinutes=20 * 1_440, horizonDays=5)
        await api.resource("salon", services=["week"])
        start = api.store.clock.now() + 4 * DAY
        reservation = await api.booked(start, 9 * DAY, service="week", resource="salon")

        beyond = await api.change(reservation, startTime=render(start + 8 * DAY), endTime=render(start + 9 * DAY))
        assert failed_rules(problem(beyond, "rule", "/startTime")) == ["horizon"]
        ok(await api.change(reservation, startTime=render(start + HOUR), endTime=render(start + 9 * DAY)))
        ok(await api.edit("/v1/services/week", horizonDays=1))
        ok(await api.change(reservation, endTime=render(start + 10 * DAY)))

    async def test_a_hold_can_be_changed_and_stays_one(self, api: ApiClient) -> None:
        """With the end that it has; a request stays a request."""
        hold = await api.booked(expiresInSeconds=60)
        body = ok(await api.change(hold, startTime=render(TEN), guests=2))

        assert (body["status"], body["expiresAt"]) == ("pending", hold["expiresAt"])


class TestFinal:
    """What is over."""

    @pytest.mark.parametrize("verb", FINAL)
    async def test_it_takes_only_notes_and_metadata(self, api: ApiClient, verb: str) -> None:
        """The whole patch is refused, whatever else is in it."""
        reservation = await api.booked()
        await api.begin(reservation)
        over = ok(await api.verb(reservation, verb))

        for patch in (
            {"startTime": render(NINE)},
            {"endTime": render(TEN)},
            {"resource": "hall"},
            {"service": None},
            {"customer": "ann"},
            {"guests": 1},
            {"notes": "x", "guests": 2},
        ):
            problem(await api.change(reservation, **patch), "forbidden-transition")
        assert await api.read(reservation) == over
        body = ok(await api.change(reservation, notes="x", metadata={"a": 1}))
        assert (body["notes"], body["metadata"], body["status"]) == ("x", {"a": 1}, over["status"])
        assert ok(await api.change(reservation, notes=None))["version"] == 4

    async def test_its_notes_are_no_load(self, api: ApiClient) -> None:
        """An expired hold cannot be changed, because its time may be taken by now."""
        reservation = await api.booked()
        ok(await api.verb(reservation, "cancel"))
        await api.booked()

        ok(await api.change(reservation, notes="x"))


class TestPermission:
    """The cancellation notice applies to moves as well, and no sequence of changes evades it."""

    @pytest.fixture
    async def late(self, api: ApiClient) -> dict[str, Any]:
        """A confirmed booking in an hour whose service wants to know a day before."""
        await api.service("firm", cancellationNoticeMinutes=24 * 60)
        await api.service("loose")
        await api.service("asked", approval=True)
        for name in ("salon", "attic"):
            await api.resource(name, services=["firm", "loose", "asked"])
        return await api.booked(api.store.clock.now() + HOUR, service="firm", resource="salon")

    async def test_inside_the_notice_only_an_admin_moves(self, api: ApiClient, late: dict[str, Any]) -> None:
        """By time, by an earlier end, fewer guests, by resource, and by another service, which has another notice."""
        clerk = await api.with_scopes("reservations:write", "reservations:read")
        away = render(api.store.clock.now() + 3 * DAY)

        ok(await clerk.change(late, notes="x", guests=3))
        patches: list[dict[str, Any]] = [
            {"startTime": away},
            {"resource": "attic"},
            {"service": "loose"},
            {"service": None},
            {"guests": 2},
            {"guests": None},
        ]
        for patch in patches:
            body = problem(await clerk.change(late, **patch), "too-late")
            assert "reservations:admin" in body["detail"]
            assert body["until"] == render((await api.stored(late))["startTime"] - DAY)
        problem(await clerk.verb(late, "cancel"), "too-late")
        ok(await api.change(late, guests=1))
        ok(await api.change(late, startTime=away))

    async def test_inside_the_notice_it_may_grow_but_not_shrink(self, api: ApiClient, late: dict[str, Any]) -> None:
        """A later end gives nothing up, and going back to the first one does."""
        long = {"durationType": "flexible", "durationMinutes": None, "minMinutes": 30, "maxMinutes": 120}
        ok(await api.edit("/v1/services/firm", **long))
        clerk = await api.with_scopes("reservations:write", "reservations:read")
        start = (await api.stored(late))["startTime"]

        ok(await clerk.change(late, endTime=render(start + 2 * HOUR)))
        problem(await clerk.change(late, endTime=render(start + HOUR)), "too-late")
        problem(await clerk.change(late, startTime=render(start + HOUR), endTime=render(start + 2 * HOUR)), "too-late")

    async def test_it_is_the_stored_start_that_counts(self, api: ApiClient, late: dict[str, Any]) -> None:
        """A patch with a later start is judged by the start before it, and one to an early start by the late one."""
        clerk = await api.with_scopes("reservations:write", "reservations:read")
        now = api.store.clock.now()
        far = await api.booked(now + 3 * DAY, service="firm", resource="salon")

        problem(await clerk.change(late, startTime=render(now + 2 * DAY)), "too-late")
        ok(await clerk.change(far, startTime=render(now + 3 * HOUR)))
        problem(await clerk.change(far, startTime=render(now + 4 * DAY)), "too-late")

    @pytest.mark.usefixtures("late")
    async def test_requests_and_holds_are_not_bound(self, api: ApiClient) -> None:
        """Nothing is promised yet."""
        clerk = await api.with_scopes("reservations:write", "reservations:read")
        start = api.store.clock.now() + 3 * HOUR
        hold = await clerk.booked(start, service="firm", resource="salon", expiresInSeconds=60)

        ok(await clerk.change(hold, startTime=render(start + HOUR)))
        ok(await clerk.verb(hold, "cancel"))

    @pytest.mark.usefixtures("late")
    async def test_what_is_confirmed_does_not_slip_into_a_service_that_wants_approval(self, api: ApiClient) -> None:
        """Else a client would approve itself; an admin may."""
        clerk = await api.with_scopes("reservations:write", "reservations:read")
        plain = await api.booked(service="loose", resource="salon")

        problem(await clerk.change(plain, service="asked"), "forbidden")
        assert ok(await api.change(plain, service="asked"))["status"] == "confirmed"

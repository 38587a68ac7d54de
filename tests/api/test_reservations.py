"""Booking and reading over HTTP: what may be booked, what is answered, and which reservations conflict."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from app.domain.instants import render
from tests.support.api_client import RESERVATIONS, ApiClient, booking_body, created, failed_rules, ok, path_of, problem
from tests.support.times import DAY, HOUR, MINUTE, NINE


class TestAnswer:
    """What a booking shows."""

    async def test_a_plain_booking_shows_no_more_than_it_has(self, api: ApiClient) -> None:
        """Every member of the contract that is set, none that is not, and never a null."""
        await api.resource(timezone="Europe/Berlin")
        answer = await api.book()
        body = created(answer)

        assert body == {
            "id": body["id"],
            "resource": "room",
            "status": "confirmed",
            "startTime": "2030-01-07T09:00:00.000Z",
            "endTime": "2030-01-07T10:00:00.000Z",
            "blockStart": "2030-01-07T09:00:00.000Z",
            "blockEnd": "2030-01-07T10:00:00.000Z",
            "guests": 1,
            "units": 1,
            "timezone": "Europe/Berlin",
            "version": 1,
            "createdAt": body["createdAt"],
            "updatedAt": body["createdAt"],
            "history": [{"at": body["createdAt"], "by": api.prefix, "to": "confirmed"}],
        }
        assert answer.headers["Location"] == path_of(body)
        assert answer.headers["ETag"] == '"1"'
        assert answer.headers["Content-Type"] == "application/json"
        assert "Idempotent-Replayed" not in answer.headers

    async def test_a_full_booking_shows_all_fields_that_were_sent(self, api: ApiClient) -> None:
        """Service, customer, notes and metadata come back as they were sent; buffers are in the block alone."""
        await api.service(bufferBeforeMinutes=10, bufferAfterMinutes=20)
        await api.resource(services=["cut"])
        await api.add("customers", id="ann")
        fields: dict[str, Any] = {
            "service": "cut",
            "customer": "ann",
            "guests": 3,
            "notes": "By the window, please. ☂",
            "metadata": {"a": "text", "b": 7, "c": 1.5, "d": True, "e": -(2**63), "f": 2**63 - 1, "ü": ""},
        }
        body = await api.booked(length=None, **fields)

        assert {name: body[name] for name in fields} == fields
        assert (body["startTime"], body["endTime"]) == ("2030-01-07T09:00:00.000Z", "2030-01-07T10:00:00.000Z")
        assert (body["blockStart"], body["blockEnd"]) == ("2030-01-07T08:50:00.000Z", "2030-01-07T10:20:00.000Z")
        assert body["units"] == 1
        assert [type(value) for value in body["metadata"].values()] == [str, int, float, bool, int, int, str]

    async def test_the_largest_values_are_accepted(self, api: ApiClient) -> None:
        """The longest notes, the most guests, the most and longest keys, the longest text; also beyond the BMP."""
        await api.resource()
        metadata: dict[str, Any] = {f"{number:040}": "\U0001f600" * 500 for number in range(20)}
        body = await api.booked(guests=10_000, notes="\U0001f600" * 2_000, metadata=metadata)

        assert (body["guests"], body["notes"], body["metadata"]) == (10_000, "\U0001f600" * 2_000, metadata)
        assert await api.read(body) == body

    async def test_it_reads_where_it_says(self, api: ApiClient) -> None:
        """The Location gives the same, with the same ETag."""
        await api.resource()
        answer = await api.book(notes="x", metadata={"a": 1})
        read = await api.get(answer.headers["Location"])

        assert ok(read) == created(answer)
        assert read.headers["ETag"] == answer.headers["ETag"]

    @pytest.mark.parametrize("identity", ["0" * 24, "f" * 24, "x", "any", "0" * 23, "%00", "%F0%9F%98%80", "null"])
    async def test_nothing_of_that_id_is_not_found(self, api: ApiClient, identity: str) -> None:
        """Any text in place of an id is answered alike by every method."""
        path = f"{RESERVATIONS}/{identity}"

        problem(await api.get(path), "not-found")
        problem(await api.edit(path, notes="x"), "not-found")
        for verb in ("confirm", "cancel", "complete", "no-show"):
            problem(await api.request("POST", f"{path}/{verb}"), "not-found")
        problem(await api.request("POST", f"{path}/extend", json={"expiresInSeconds": 60}), "not-found")

    @pytest.mark.parametrize(
        "text",
        [
            "2030-01-07T09:00:00Z",
            "2030-01-07T10:00:00.000+01:00",
            "2030-01-07t04:00:00.0-05:00",
            "2030-01-07T14:45:00+05:45",
        ],
    )
    async def test_instants_come_with_any_offset_and_leave_in_utc(self, api: ApiClient, text: str) -> None:
        """It is the instant that counts, written with milliseconds."""
        await api.resource()
        body = created(await api.post(booking_body() | {"startTime": text}))

        assert body["startTime"] == "2030-01-07T09:00:00.000Z"

    async def test_milliseconds_are_stored(self, api: ApiClient) -> None:
        """To the last one, in and out of the database."""
        await api.resource()
        body = await api.booked(NINE + timedelta(milliseconds=1), timedelta(minutes=1, milliseconds=997))

        assert (body["startTime"], body["endTime"]) == ("2030-01-07T09:00:00.001Z", "2030-01-07T09:01:00.998Z")
        assert await api.read(body) == body

    async def test_the_ends_of_time_can_be_booked(self, api: ApiClient) -> None:
        """The first and the last instant of 1970 to 2200."""
        await api.resource()
        first = {"startTime": "1970-01-01T00:00:00.000Z", "endTime": "1970-01-02T00:00:00.000Z"}
        last = {"startTime": "2200-12-31T00:00:00.000Z", "endTime": "2200-12-31T23:59:59.999Z"}

        for times in (first, last):
            body = created(await api.post(booking_body() | times))
            assert {name: body[name] for name in times} == times
            problem(await api.post(booking_body() | times), "conflict")


class TestLength:
    """How long it takes, and who says so."""

    async def test_a_fixed_service_sets_the_end(self, api: ApiClient) -> None:
        """It may be left out, and must agree if given."""
        await api.service(durationMinutes=45)
        await api.resource(services=["cut"])
        body = await api.booked(length=None, service="cut")

        assert body["endTime"] == "2030-01-07T09:45:00.000Z"
        await api.booked(NINE + HOUR, 45 * MINUTE, service="cut")
        refused = problem(await api.book(NINE + 2 * HOUR, 46 * MINUTE, service="cut"), "rule", "/endTime")
        assert failed_rules(refused) == ["duration"]

    async def test_without_a_service_the_end_is_required(self, api: ApiClient) -> None:
        """Nothing else tells it."""
        await api.resource()

        problem(await api.book(length=None), "invalid", "/endTime")

    async def test_a_flexible_service_needs_the_end(self, api: ApiClient) -> None:
        """And judges it: the least plus whole steps, up to the most."""
        await api.service(durationType="flexible", minMinutes=20, stepMinutes=15, maxMinutes=50)
        await api.resource(services=["cut"], capacity=10)

        problem(await api.book(length=None, service="cut"), "invalid", "/endTime")
        for minutes, fits in ((19, False), (20, True), (30, False), (35, True), (50, True), (65, False)):
            answer = await api.book(length=minutes * MINUTE, service="cut")
            assert answer.status_code == (201 if fits else 422), minutes
        assert failed_rules(problem(answer, "rule", "/endTime")) == ["duration"]

    async def test_the_step_is_a_minute_by_default(self, api: ApiClient) -> None:
        """Seconds are no step."""
        await api.service(durationType="flexible", minMinutes=20, maxMinutes=50)
        await api.resource(services=["cut"], capacity=10)

        await api.booked(length=33 * MINUTE, service="cut")
        problem(await api.book(length=33 * MINUTE + timedelta(seconds=30), service="cut"), "rule")

    @pytest.mark.parametrize(
        ("start", "end"),
        [
            ("2030-03-30T23:00:00Z", "2030-03-31T22:00:00Z"),  # the clocks go forward: 23 hours
            ("2030-10-26T22:00:00Z", "2030-10-27T23:00:00Z"),  # and back: 25
            ("2030-06-30T22:00:00Z", "2030-07-01T22:00:00Z"),
        ],
    )
    async def test_a_full_day_is_a_local_day(self, api: ApiClient, start: str, end: str) -> None:
        """Left out, the end is that of one day, however many hours it has; given, it is the same booking."""
        await api.service("day", durationType="full-day")
        await api.resource(services=["day"], timezone="Europe/Berlin")
        body = created(await api.post({"resource": "room", "service": "day", "startTime": start}))

        assert body["endTime"] == end.replace("Z", ".000Z")
        ok(await api.verb(body, "cancel"))
        created(await api.post({"resource": "room", "service": "day", "startTime": start, "endTime": end}))

    async def test_full_days_begin_and_end_at_first_instants(self, api: ApiClient) -> None:
        """Of local days: an hour off is refused, and so are another zone's midnights."""
        await api.service("day", durationType="full-day", maxDays=2)
        await api.resource(services=["day"], timezone="Europe/Berlin")
        start = datetime.fromisoformat("2030-06-30T22:00:00+00:00")

        for off in (start + HOUR, start + 2 * HOUR):
            refused = problem(await api.book(off, None, service="day"), "rule")
            assert failed_rules(refused) == ["duration"]
            assert failed_rules(problem(await api.book(start, off + DAY - start, service="day"), "rule")) == [
                "duration"
            ]
        await api.booked(start, 2 * DAY, service="day")
        assert failed_rules(problem(await api.book(start + 2 * DAY, 3 * DAY, service="day"), "rule")) == ["duration"]

    async def test_two_days_across_a_change_of_the_clocks(self, api: ApiClient) -> None:
        """47 hours are two days there; 48 are not."""
        await api.service("day", durationType="full-day", maxDays=2)
        await api.resource(services=["day"], timezone="Europe/Berlin", capacity=2)
        start = datetime.fromisoformat("2030-03-29T23:00:00+00:00")

        await api.booked(start, 47 * HOUR, service="day")
        problem(await api.book(start, 48 * HOUR, service="day"), "rule", "/endTime")

    async def test_the_longest_is_366_days(self, api: ApiClient) -> None:
        """And not a millisecond more."""
        await api.resource()

        problem(await api.book(length=366 * DAY + timedelta(milliseconds=1)), "invalid", "/endTime")
        await api.booked(length=366 * DAY)
        problem(await api.book(NINE + 365 * DAY), "conflict")

    async def test_the_shortest_is_a_minute(self, api: ApiClient) -> None:
        """A millisecond less is refused, alone, as a hold, in a group, by a change and by a move."""
        await api.resource(capacity=9)
        minute, less = timedelta(minutes=1), timedelta(seconds=59, milliseconds=999)
        booked = await api.booked(length=minute)

        problem(await api.book(length=less), "invalid", "/endTime")
        problem(await api.book(length=less, expiresInSeconds=60), "invalid", "/endTime")
        body = {"reservations": [booking_body(length=less)]}
        problem(await api.request("POST", "/v1/groups", json=body), "invalid", "/reservations/0/endTime")
        problem(await api.change(booked, endTime=render(NINE + less)), "invalid", "/endTime")
        problem(
            await api.change(booked, startTime=render(NINE + minute - less), endTime=render(NINE + minute)),
            "invalid",
        )
        move = {"reservation": booked["id"], "version": 1, "endTime": render(NINE + less)}
        problem(await api.request("POST", "/v1/moves", json={"moves": [move]}), "invalid", "/moves/0/endTime")
        assert await api.read(booked) == booked

    async def test_a_length_that_was_shorter_before_can_stay(self, api: ApiClient) -> None:
        """A booking of a second that was made when there was no shortest one: other fields of it may change."""
        await api.resource()
        booked = await api.booked()
        end = NINE + timedelta(seconds=1)
        await api.overwrite(booked, endTime=end, blockEnd=end)

        assert ok(await api.change(booked, notes="short"))["endTime"] == render(end)
        problem(await api.change(booked, startTime=render(NINE + HOUR)), "invalid", "/endTime")


class TestRoom:
    """Whether there is room."""

    async def test_touching_is_no_overlap(self, api: ApiClient) -> None:
        """Intervals are half-open, to the millisecond."""
        await api.resource()
        await api.booked(NINE)
        instant = timedelta(milliseconds=1)

        await api.booked(NINE - HOUR)
        await api.booked(NINE + HOUR)
        for start, length in ((NINE - HOUR, HOUR + instant), (NINE + HOUR - instant, HOUR), (NINE + MINUTE, MINUTE)):
            problem(await api.book(start, length), "conflict", "/startTime")

    async def test_it_is_the_peak_that_counts(self, api: ApiClient) -> None:
        """With 9 to 10 and 10 to 11 taken, a capacity of two has room for 9 to 11; then it is full."""
        await api.resource(capacity=2)
        await api.booked(NINE)
        await api.booked(NINE + HOUR)

        await api.booked(NINE, 2 * HOUR)
        problem(await api.book(NINE + 59 * MINUTE, 2 * MINUTE), "conflict")

    async def test_guests_count_where_the_resource_counts_them(self, api: ApiClient) -> None:
        """Units are the guests there, and one elsewhere."""
        await api.resource("boat", capacity=5, capacityMode="guests")
        await api.resource("hall", capacity=2)

        assert (await api.booked(resource="boat", guests=3))["units"] == 3
        assert (await api.booked(resource="hall", guests=300))["units"] == 1
        problem(await api.book(resource="boat", guests=3), "conflict")
        assert (await api.booked(resource="boat", guests=2))["units"] == 2
        refused = problem(await api.book(resource="boat", guests=6), "rule", "/guests", "/startTime")
        assert failed_rules(refused) == ["guests", "capacity"]

    async def test_buffers_of_both_neighbours_add_up(self, api: ApiClient) -> None:
        """The one's buffer after and the other's before lie between them, each with its own service."""
        await api.service("cut", bufferAfterMinutes=20)
        await api.service("dye", bufferBeforeMinutes=10)
        await api.resource(services=["cut", "dye"])
        await api.booked(service="cut")

        problem(await api.book(NINE + 89 * MINUTE, service="dye"), "conflict")
        problem(await api.book(NINE + 79 * MINUTE, MINUTE), "conflict")
        await api.booked(NINE + 90 * MINUTE, service="dye")

    async def test_starts_off_the_grid_can_be_booked(self, api: ApiClient) -> None:
        """The grid applies to slots, and not to bookings."""
        await api.service(slotIntervalMinutes=60)
        await api.resource(services=["cut"])

        await api.booked(NINE + timedelta(seconds=7, milliseconds=3), service="cut")

    async def test_what_is_cancelled_gives_its_time_back(self, api: ApiClient) -> None:
        """At once, and so does who did not come; who is done does as well."""
        await api.resource()
        for verb in ("cancel", "no-show", "complete"):
            booking = await api.booked()
            await api.begin(booking)
            ok(await api.verb(booking, verb))

        await api.booked()

    async def test_a_conflict_lists_the_blocking_reservations(self, api: ApiClient) -> None:
        """Up to ten, by start, with their own times and not their blocks; and every rule's verdict."""
        await api.service(bufferBeforeMinutes=5, bufferAfterMinutes=5)
        await api.resource(services=["cut"], capacity=12)
        taken = [await api.booked(NINE + minute * MINUTE, service="cut") for minute in range(12)]
        away = await api.booked(NINE + 3 * HOUR)
        body = problem(await api.book(NINE + 30 * MINUTE), "conflict", "/startTime")

        assert body["conflicts"] == [
            {
                "startTime": each["startTime"],
                "endTime": each["endTime"],
                "status": "confirmed",
                "reservation": each["id"],
            }
            for each in taken[:10]
        ]
        assert failed_rules(body) == ["capacity"]
        assert body["checks"][-1]["reservation"] == taken[0]["id"]
        assert away["id"] not in str(body)

    async def test_only_those_are_blamed_who_are_there_when_it_is_full(self, api: ApiClient) -> None:
        """A neighbour within the requested time that leaves room does not conflict."""
        await api.resource(capacity=2)
        await api.booked(NINE)
        full = [await api.booked(NINE + HOUR) for _ in range(2)]
        body = problem(await api.book(NINE, 2 * HOUR), "conflict")

        assert {conflict["reservation"] for conflict in body["conflicts"]} == {each["id"] for each in full}

    async def test_another_rule_beside_makes_it_a_rule(self, api: ApiClient) -> None:
        """Only capacity alone is a conflict; all failed rules are listed at once."""
        await api.service()
        await api.resource(services=["cut"])
        await api.booked()
        body = problem(await api.book(length=2 * HOUR, service="cut"), "rule", "/endTime", "/startTime")

        assert failed_rules(body) == ["duration", "capacity"]
        assert "conflicts" not in body


class TestRules:
    """What a policy refuses."""

    async def test_what_is_switched_off_takes_nothing_new(self, api: ApiClient) -> None:
        """A deactivated resource, a deactivated service, a service that the resource does not offer."""
        await api.service("cut")
        await api.service("dye")
        await api.resource(services=["cut"])

        assert failed_rules(problem(await api.book(service="dye"), "rule", "/service")) == ["service-offered"]
        ok(await api.edit("/v1/services/cut", active=False))
        assert failed_rules(problem(await api.book(service="cut"), "rule", "/service")) == ["service-active"]
        await api.booked()
        await api.resource("other", active=False)
        assert failed_rules(problem(await api.book(resource="other"), "rule", "/resource")) == ["resource-active"]

    async def test_a_service_is_not_booked_into_the_past(self, api: ApiClient) -> None:
        """Without a service there is no notice, so the past is free."""
        await api.service()
        await api.resource(services=["cut"])
        past = api.store.clock.now() - DAY

        assert failed_rules(problem(await api.book(past, service="cut"), "rule", "/startTime")) == ["notice"]
        await api.booked(past)

    async def test_notice_and_horizon(self, api: ApiClient) -> None:
        """Too late and too early are rules of the service."""
        await api.service(minimumNoticeMinutes=120, horizonDays=3)
        await api.resource(services=["cut"])
        now = api.store.clock.now()

        for start, rule in ((now + HOUR, "notice"), (now + 73 * HOUR, "horizon")):
            assert failed_rules(problem(await api.book(start, service="cut"), "rule", "/startTime")) == [rule]
        await api.booked(now + 71 * HOUR, service="cut")
        await api.booked(now + 3 * HOUR, service="cut")

    async def test_force_lifts_the_times_and_nothing_else(self, api: ApiClient) -> None:
        """An admin books late, early and into the past; never over another booking, nor against another rule."""
        await api.service(minimumNoticeMinutes=120, horizonDays=3)
        await api.service("dye")
        await api.resource(services=["cut"])
        now = api.store.clock.now()

        for start in (now + HOUR, now + 73 * HOUR, now - 73 * HOUR):
            created(await api.post(booking_body(start, service="cut"), force="true"))
        problem(await api.post(booking_body(now + HOUR, service="cut"), force="true"), "conflict")
        for more in ({"service": "dye"}, {"service": "cut", "endTime": render(NINE + 7 * HOUR)}):
            problem(await api.post(booking_body(NINE + 5 * HOUR) | more, force="true"), "rule")

    async def test_force_needs_its_scope(self, api: ApiClient) -> None:
        """403 names it; `force=false` is no force."""
        await api.resource()
        clerk = await api.with_scopes("reservations:write", "catalogue:write")
        refused = problem(await clerk.post(booking_body(), force="true"), "forbidden")

        assert "reservations:admin" in refused["detail"]
        created(await clerk.post(booking_body(), force="false"))

    async def test_approval_makes_a_request(self, api: ApiClient) -> None:
        """A request is pending without an end of its own; it blocks until it is decided."""
        await api.service(approval=True)
        await api.resource(services=["cut"])
        body = await api.booked(service="cut")

        assert body["status"] == "pending"
        assert "expiresAt" not in body
        assert body["history"][0]["to"] == "pending"
        problem(await api.book(), "conflict")


class TestAssignment:
    """Which member of a pool is booked; `tests/unit/booking/test_pools.py` has the shares."""

    async def test_the_service_names_it(self, api: ApiClient) -> None:
        """It is `even` where none is named, and a change counts from the next booking on."""
        assert (await api.service())["assignment"] == "even"
        for name, capacity in (("a", 5), ("b", 3), ("c", 3)):
            await api.resource(name, capacity=capacity, services=["cut"])
        anyone = {"service": "cut", "startTime": render(NINE)}
        ok(await api.edit("/v1/services/cut", assignment="first"))
        assert [created(await api.post(anyone))["resource"] for _ in range(6)][:5] == ["a"] * 5
        ok(await api.edit("/v1/services/cut", assignment="smallest"))
        later = anyone | {"startTime": render(NINE + HOUR)}
        assert "a" not in [created(await api.post(later))["resource"] for _ in range(6)]
        assert created(await api.post(later))["resource"] == "a"
        assert ok(await api.edit("/v1/services/cut", assignment=None))["assignment"] == "even"

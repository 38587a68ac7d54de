"""Calendars over HTTP: what is in them for whom, and their secret addresses."""

from typing import Any

import pytest

from app.calendars import service
from app.domain.instants import render
from app.settings import Settings
from app.storage.client import Store
from tests.support.api_client import ApiClient, created, ok, problem
from tests.support.calendar_files import ReadEvent, read_calendar
from tests.support.http_client import serving
from tests.support.log_lines import logging_to_text
from tests.support.times import DAY, HOUR

ROOM, ANN = "/v1/resources/room/calendar", "/v1/customers/ann/calendar"


@pytest.fixture
async def api(api: ApiClient) -> ApiClient:
    """A room with a service, and two customers."""
    await api.service(name="Cut")
    await api.resource(name="Room, 1", services=["cut"], capacity=9)
    for name in ("ann", "bob"):
        await api.add("customers", id=name, name=name.title())
    return api


def soon(api: ApiClient, days: int = 3) -> Any:
    """A time in some days."""
    return api.store.clock.now().replace(minute=0, second=0, microsecond=0) + days * DAY


async def events(api: ApiClient, path: str, **parameters: Any) -> list[ReadEvent]:
    """The events of a calendar."""
    answer = await api.get(path, **parameters)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    return read_calendar(answer.content)[1]


async def opened(api: ApiClient, path: str, **body: Any) -> str:
    """The path of a new address."""
    return str(created(await api.request("POST", path, json=body))["path"])


class TestCalendars:
    """What a key reads."""

    async def test_who_is_busy_when(self, api: ApiClient) -> None:
        """An event for each reservation, that says when and nothing else; with names also who, what, where and why."""
        booked = await api.booked(soon(api), service="cut", customer="ann", notes="by the; window")

        (plain,) = await events(api, f"{ROOM}.ics")
        (named,) = await events(api, f"{ROOM}.ics", names="true")
        (own,) = await events(api, f"{ANN}.ics", names="true")

        assert (plain.uid, plain.sequence, plain.start) == (f"{booked['id']}@reserva", 1, soon(api))
        assert (plain.summary, plain.location, plain.description) == ("Busy", None, None)
        assert (named.summary, named.location, named.description) == ("Cut · Ann", "Room, 1", "by the; window")
        assert own == named

    async def test_a_change(self, api: ApiClient) -> None:
        """The id stays and the sequence grows; what was cancelled says so, and so does a hold whose time is over."""
        booked = await api.booked(soon(api))
        ok(await api.change(booked, startTime=render(soon(api) + HOUR)))
        (moved,) = await events(api, f"{ROOM}.ics")
        ok(await api.verb(booked, "cancel"))
        hold = await api.booked(soon(api, 5), expiresInSeconds=60)
        cancelled, held = await events(api, f"{ROOM}.ics")
        await api.expire(hold)
        _, expired = await events(api, f"{ROOM}.ics")

        assert (moved.sequence, moved.start, moved.status) == (2, soon(api) + HOUR, "CONFIRMED")
        assert (cancelled.uid, cancelled.sequence, cancelled.status) == (moved.uid, 3, "CANCELLED")
        assert (held.status, expired.status, expired.sequence) == ("TENTATIVE", "CANCELLED", held.sequence + 1)

    async def test_its_span(self, api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
        """30 days back and a year ahead, or what is asked for, within bounds of length and number."""
        for days in (1, 300, 380):
            await api.booked(soon(api, days))

        async def span(first: int, last: int) -> Any:
            return await api.get(f"{ROOM}.ics", **{"from": render(soon(api, first)), "to": render(soon(api, last))})

        assert len(await events(api, f"{ROOM}.ics")) == 2
        assert len(read_calendar((await span(290, 390)).content)[1]) == 2
        problem(await span(0, 401), "invalid", "?to")
        problem(await span(9, 9), "invalid", "?to")
        monkeypatch.setattr(service, "EVENTS_MAX", 1)
        problem(await api.get(f"{ROOM}.ics"), "invalid", "?to")

    async def test_its_tag(self, api: ApiClient) -> None:
        """A calendar that is the same is 304; after a change it is another one."""
        booked = await api.booked(soon(api))
        tag = (await api.get(f"{ROOM}.ics")).headers["ETag"]

        again = await api.request("GET", f"{ROOM}.ics", headers={"If-None-Match": tag})
        ok(await api.verb(booked, "cancel"))
        changed = await api.request("GET", f"{ROOM}.ics", headers={"If-None-Match": tag})

        assert (again.status_code, again.content, again.headers["Cache-Control"]) == (304, b"", "private, no-cache")
        assert changed.status_code == 200

    async def test_for_a_customer(self, api: ApiClient) -> None:
        """A key that is bound to a customer reads that one's reservations alone, and nobody else's calendar."""
        await api.booked(soon(api), customer="ann")
        await api.booked(soon(api), customer="bob")
        bound = await api.with_scopes("reservations:read", "reservations:write", customer="ann")

        assert len(await events(bound, f"{ROOM}.ics")) == len(await events(bound, f"{ANN}.ics")) == 1
        problem(await bound.get("/v1/customers/bob/calendar.ics"), "not-found")
        problem(await bound.request("POST", ROOM), "forbidden")
        problem(await bound.request("DELETE", ROOM), "forbidden")
        problem(await bound.request("POST", "/v1/customers/bob/calendar"), "not-found")
        assert len(await events(api, await opened(bound, ANN))) == 1

    @pytest.mark.parametrize(
        "fields", [{"endTime": None}, {"endTime": "tomorrow"}, {"hours": 0}, {"hours": -1}, {"status": "maybe"}]
    )
    async def test_what_cannot_be_read(self, api: ApiClient, fields: dict[str, Any]) -> None:
        """A row of another program without a time, or that ends before it begins, is left out; the others are there."""
        await api.booked(soon(api))
        foreign = await api.booked(soon(api))
        if "hours" in fields:
            fields = {"endTime": soon(api) + fields["hours"] * HOUR}
        await api.overwrite(foreign, **fields)

        assert len(await events(api, f"{ROOM}.ics")) == 1

    @pytest.mark.parametrize("version", [2**31 - 1, 2**40, -(2**40), "new", 2.5])
    async def test_any_version(self, api: ApiClient, version: object) -> None:
        """A version that is no sequence of a calendar takes the nearest that is one, or none."""
        hold = await api.booked(soon(api), expiresInSeconds=60)
        await api.expire(hold)
        await api.overwrite(hold, version=version)

        (event,) = await events(api, f"{ROOM}.ics")
        assert 0 <= event.sequence < 2**31

    async def test_what_is_not_there(self, api: ApiClient) -> None:
        """No calendar of nobody."""
        problem(await api.get("/v1/resources/nowhere/calendar.ics"), "not-found")
        problem(await api.request("POST", "/v1/customers/nobody/calendar"), "not-found")


class TestAddresses:
    """Whoever knows one reads without a key."""

    async def read(self, api: ApiClient, path: str) -> Any:
        """Read without a key."""
        return await api.client.get(path, headers={"Authorization": ""})

    async def test_an_address(self, api: ApiClient) -> None:
        """It shows what was decided when it was made; the secret is stored nowhere, and another address ends it."""
        await api.booked(soon(api), service="cut", customer="ann")
        first = await opened(api, ROOM)
        plain = await self.read(api, first)
        second = await opened(api, ROOM, names=True)
        named = await self.read(api, second)
        stored = await api.store.database["calendarAddresses"].find().to_list(None)

        assert [event.summary for event in read_calendar(plain.content)[1]] == ["Busy"]
        assert [event.summary for event in read_calendar(named.content)[1]] == ["Cut · Ann"]
        problem(await self.read(api, first), "not-found")
        assert len(stored) == 1
        assert second.split("/")[3] not in str(stored)

    async def test_its_end(self, api: ApiClient) -> None:
        """It ends when it is ended, which may be repeated, and with the key that made it."""
        other = await api.with_scopes("reservations:read", "reservations:write")
        paths = [await opened(other, path) for path in (ROOM, ANN)]
        assert [(await self.read(api, path)).status_code for path in paths] == [200, 200]

        for _ in range(2):
            assert (await api.request("DELETE", ROOM)).status_code == 204
        assert [(await self.read(api, path)).status_code for path in paths] == [404, 200]
        await api.request("POST", f"/v1/keys/{other.prefix}/revoke")

        problem(await self.read(api, paths[1]), "not-found")

    async def test_an_erased_customer(self, api: ApiClient) -> None:
        """It ends when its customer is erased, and no other is made."""
        await api.add("customers", id="leaving")  # of its own: the app remembers for a while whom it has erased
        path = await opened(api, "/v1/customers/leaving/calendar", names=True)
        ok(await api.request("POST", "/v1/customers/leaving/erase"))

        problem(await self.read(api, path), "not-found")
        problem(await api.request("POST", "/v1/customers/leaving/calendar"), "forbidden-transition")
        assert await api.store.database["calendarAddresses"].count_documents({}) == 0

    async def test_guessed_secrets(self, mock_store: Store) -> None:
        """They count like wrong keys; a calendar whose address is known is served all the same."""
        limits = Settings(rate_limit="20/minute", rate_limit_address="3/minute")
        async with serving(mock_store, settings=limits) as http:
            api = ApiClient(http, mock_store)
            await api.resource()
            path = await opened(api, ROOM)
            guesses = [await self.read(api, f"/v1/calendars/{'x' * 42}{number}/calendar.ics") for number in range(5)]
            known = await self.read(api, path)
            for _ in range(20):
                last = await self.read(api, path)

        assert [answer.status_code for answer in guesses] == [404, 404, 404, 429, 429]
        assert known.status_code == 200
        assert "address of a calendar" in problem(last, "rate-limited")["detail"]

    async def test_the_log(self, api: ApiClient) -> None:
        """A line names the route and the key that opened the calendar, never a secret, whether it is known or not."""
        secret = (await opened(api, ROOM)).split("/")[3]

        with logging_to_text(log_level="debug") as log:
            for each in (secret, secret[::-1], f"{secret}%0a"):
                await self.read(api, f"/v1/calendars/{each}/calendar.ics")
                await self.read(api, f"/v1/calendars/{each}/calendar.ics?from={each}")

        known, *others = log.lines("request")
        assert {line["route"] for line in (known, *others)} == {"/v1/calendars/{secret}/calendar.ics"}
        assert known["key"] == api.prefix
        assert len(others) == 5
        assert secret not in log.text
        assert secret[::-1] not in log.text

    async def test_its_whole_address(self, mock_store: Store) -> None:
        """With a public address the answer has the whole one; an unknown field is refused."""
        async with serving(mock_store, settings=Settings(public_url="https://reserva.example.com/")) as http:
            api = ApiClient(http, mock_store)
            await api.resource()
            answer = await api.request("POST", ROOM)

        made = created(answer)
        assert made["url"] == f"https://reserva.example.com{made['path']}"
        assert answer.headers["Location"] == f"{ROOM}.ics"
        assert made["names"] is False

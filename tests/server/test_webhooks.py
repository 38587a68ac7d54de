"""Webhooks: every event is posted to those that want it, in order, at least once, whatever receivers do."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from pymongo import _csot
from pymongo.errors import AutoReconnect, ExecutionTimeout
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError
from structlog.testing import capture_logs

from app.domain.instants import MINUTE
from app.events.event_ids import event_id
from app.http.models import read_body
from app.outgoing import receiver as outgoing
from app.settings import Settings
from app.storage.client import Store
from app.storage.documents import Webhook, WebhookDelivery
from app.storage.event_log import EventLog
from app.storage.leases import WEBHOOKS, Grant, LeaseStore, OwnershipLost
from app.storage.webhooks import WebhookStore
from app.webhooks import courier, service
from app.webhooks import dispatcher as dispatching_module
from app.webhooks.courier import GIVEN_UP_AFTER
from app.webhooks.metrics import read_figures
from app.webhooks.schemas import WebhookPatch
from app.webhooks.service import ANY_VERSION, Webhooks
from tests.support import alert_receiver as theirs
from tests.support.alert_findings import ManualClock
from tests.support.alert_receiver import Answer, alert_receiver, answer_with
from tests.support.api_client import ApiClient, ok
from tests.support.commands import eventually, running_command, running_reserva
from tests.support.http_client import serving
from tests.support.webhooks import (
    PRIVATE,
    add_webhook,
    dispatcher_of,
    dispatching,
    log_events,
    look,
    reached,
    read,
    set_bounds,
)

pytestmark = pytest.mark.servers("any")
KEY, KEY2 = "A" * 43 + "=", "B" * 42 + "A="


@pytest.fixture
async def hook() -> AsyncIterator[theirs.Receiver]:
    """A receiver that takes everything until a test sets another answer."""
    async with alert_receiver() as server:
        yield server


@pytest.fixture
async def other_hook() -> AsyncIterator[theirs.Receiver]:
    """A second receiver."""
    async with alert_receiver() as server:
        yield server


def ids(receiver: theirs.Receiver) -> list[str]:
    """The ids of the events that came, in order."""
    return [got.headers["webhook-id"] for got in receiver.requests]


async def attempts(store: Store, webhook: Webhook) -> list[WebhookDelivery]:
    """The recorded attempts, the oldest first."""
    return (await WebhookStore(store).deliveries(webhook.id, 1_000))[::-1]


async def patch(store: Store, webhook: Webhook, **fields: Any) -> Webhook:
    """Change a webhook as a person does."""
    return await Webhooks(store, PRIVATE).change(str(webhook.id), read_body(WebhookPatch, fields), ANY_VERSION, "me")


def meanwhile(receiver: theirs.Receiver, act: Callable[[], Any]) -> None:
    """Let something happen while the next request is under way; all are answered as before."""
    before = receiver.answer

    async def answer(writer: asyncio.StreamWriter) -> None:
        receiver.answer = before
        await act()
        await before(writer)

    receiver.answer = answer


@pytest.mark.promise("webhooks")
class TestDelivery:
    """What comes, and in which order."""

    async def test_events_come_in_order_and_signed(self, store: Store, hook: theirs.Receiver) -> None:
        """Each event after the webhook's creation is one request, which the library of Standard Webhooks verifies."""
        await log_events(store, 3)
        webhook = await add_webhook(store, hook.url)
        places = await log_events(store, 120)
        async with dispatching(store):
            await reached(store, webhook, 123)

        assert ids(hook) == places
        got = hook.requests[0]
        body = Verifier(webhook.secret).verify(got.body, got.headers)
        assert body == json.loads(got.body)
        assert body.keys() == {"type", "timestamp", "data"}
        assert (body["type"], body["timestamp"]) == ("reservation.changed", "2030-01-07T09:00:00.000Z")
        assert body["data"]["id"] == event_id(4) == got.headers["webhook-id"]
        assert {(each.status, each.error, each.number) for each in await attempts(store, webhook)} == {(204, None, 1)}
        assert (await read(store, webhook)).delivered == 120

    async def test_what_is_not_wanted_is_passed_over(self, store: Store, hook: theirs.Receiver) -> None:
        """Types and resources choose; a moved reservation is of both resources; the cursor goes on without requests."""
        for name in ("a", "b"):
            await store.database["resources"].insert_one({"_id": name, "name": name})
        both = {"types": ["reservation.moved"], "resources": ["a"]}
        webhook = await add_webhook(store, hook.url, **both)
        await log_events(store, 70, resource="a")
        await log_events(store, 1, type="reservation.moved", resource="b")
        wanted = await log_events(store, 1, type="reservation.moved", resource="a")
        wanted += await log_events(store, 1, type="reservation.moved", resource="b", formerResource="a")
        await log_events(store, 1, type="customer.erased", resource=None)
        await look(dispatcher_of(store))

        assert ids(hook) == wanted
        assert (await read(store, webhook)).cursor == 74

    @pytest.mark.parametrize(
        "sent",
        [((1, 500), [1, 1, 2, 4]), ((1, 204), [1, 2, 4, 8, 16, 32, 50]), ((400_000, 204), [1, 2, 2])],
    )
    async def test_few_events_wait_in_memory(
        self,
        store: Store,
        clock: ManualClock,
        hook: theirs.Receiver,
        monkeypatch: pytest.MonkeyPatch,
        sent: tuple[tuple[int, int], list[int]],
    ) -> None:
        """Their number grows while they are taken; it is one after a failure, and no more than a megabyte of them."""
        (size, status), portions = sent
        webhook = await add_webhook(store, hook.url)
        count = sum(portions) - (status == 500)
        await log_events(store, count, state={"notes": "x" * size})
        reading, read_most = EventLog.read, list[int]()

        def watched(log: EventLog, after: int, until: int, most: int) -> Any:
            read_most.append(most)
            return reading(log, after, until, most)

        monkeypatch.setattr(EventLog, "read", watched)
        monkeypatch.setattr(courier, "FRESH_SECONDS", 3_600.0)  # a slow server is not what this is about
        hook.answer = answer_with(status)
        sender = dispatcher_of(store)
        await look(sender)
        hook.answer = answer_with(204)
        clock.advance(MINUTE)
        await look(sender)

        assert (read_most, (await read(store, webhook)).cursor) == (portions, count)

    async def test_nobody_waits_for_another(
        self, store: Store, hook: theirs.Receiver, other_hook: theirs.Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While one receiver does not answer, another gets all of its events; at most one request each is under way."""
        monkeypatch.setattr(outgoing, "POST_SECONDS", 600.0)
        release, began = asyncio.Event(), asyncio.Event()

        async def wait(writer: asyncio.StreamWriter) -> None:
            began.set()
            await release.wait()
            await answer_with(204)(writer)

        hook.answer = wait
        slow, good = await add_webhook(store, hook.url), await add_webhook(store, other_hook.url)
        places = await log_events(store, 60)
        async with dispatching(store):
            await reached(store, good, 60)
            await began.wait()
            assert ids(hook) == places[:1]
            assert (await read(store, slow)).cursor == 0
            release.set()
            await reached(store, slow, 60)

        assert ids(hook) == ids(other_hook) == places

    async def test_what_cannot_be_read_stops_no_other(self, store: Store, hook: theirs.Receiver) -> None:
        """A webhook that another program has damaged is left out."""
        damaged, webhook = await add_webhook(store, hook.url), await add_webhook(store, hook.url)
        await store.database["webhooks"].update_one({"_id": damaged.id}, {"$set": {"secret": 7}})
        await log_events(store, 2)
        await look(dispatcher_of(store))

        assert (await read(store, webhook)).cursor == 2
        assert [each.webhook.id for each in await read_figures(store)] == [webhook.id]

    async def test_a_cursor_beyond_the_log_is_taken_back(self, store: Store, hook: theirs.Receiver) -> None:
        """After a dump that has webhooks later than the log, the events that come next are passed over by none."""
        await log_events(store, 3)
        webhook = await add_webhook(store, hook.url)
        await store.database["webhooks"].update_one({"_id": webhook.id}, {"$set": {"cursor": 5}})
        sender = dispatcher_of(store)
        await look(sender)
        places = await log_events(store, 3)
        await look(sender)

        assert ids(hook) == places
        after = await read(store, webhook)
        assert (after.cursor, after.history[-1].by, after.history[-1].changed) == (6, "worker", ["cursor"])

    async def test_what_follows_shares_a_connection(self, store: Store, hook: theirs.Receiver) -> None:
        """A receiver that keeps connections is connected to once for all that waits, and anew for what comes later."""
        hook.keeps_connections, hook.answer = True, TestFailures.says(b"HTTP/1.1 204 No Content\r\n\r\n")
        await add_webhook(store, hook.url)
        places = await log_events(store, 9)
        sender = dispatcher_of(store)
        await look(sender)
        assert hook.connections == 1
        places += await log_events(store, 1)
        await look(sender)

        assert (ids(hook), hook.connections) == (places, 2)

    async def test_a_damaged_event_is_sent(self, store: Store, hook: theirs.Receiver) -> None:
        """What another program has done to an event holds up neither it nor those after it."""
        webhook = await add_webhook(store, hook.url)
        places = await log_events(store, 3)
        damage = {"type": 7, "at": "yesterday", "by": None, "version": "x"}
        await store.database["events"].update_one({"_id": 2}, {"$set": damage, "$unset": {"subject": ""}})
        await look(dispatcher_of(store))

        assert ids(hook) == places
        assert json.loads(hook.requests[1].body)["type"] == "reservation.changed"
        assert [each.error for each in await attempts(store, webhook)] == [None] * 3

    async def test_events_that_were_removed_are_missed(self, store: Store, hook: theirs.Receiver) -> None:
        """A webhook that was behind the oldest event goes on from there; its history, the log and a count say so."""
        webhook = await add_webhook(store, hook.url)
        places = await log_events(store, 8)
        await set_bounds(store, floor=5)
        with capture_logs() as logged:
            await look(dispatcher_of(store))

        assert ids(hook) == places[5:]
        after = await read(store, webhook)
        assert (after.history[-1].by, after.history[-1].changed, after.missed) == ("worker", ["cursor"], 5)
        assert [each["events"] for each in logged if "oldest event" in each["event"]] == [5]


@pytest.mark.promise("webhooks")
@pytest.mark.servers("any", once=True)
class TestFailures:
    """What receivers do instead of taking an event."""

    @staticmethod
    def says(*parts: bytes, for_ever: bool = False) -> Answer:
        """An answer of these bytes; the last of them again and again, as long as the sender listens."""

        async def answer(writer: asyncio.StreamWriter) -> None:
            for part in parts:
                writer.write(part)
                await writer.drain()
            while for_ever:
                writer.write(parts[-1])
                await writer.drain()
                await asyncio.sleep(0)

        return answer

    @pytest.mark.parametrize(
        ("answer", "status", "reason"),
        [
            (answer_with(500), 500, "it answered 500"),
            (answer_with(404), 404, "it answered 404"),
            (answer_with(302, "Location: http://127.0.0.1:1/"), 302, "it answered 302; redirects are not followed"),
            (says(b"HTTP/1.1 200 OK\r\nContent-Le"), None, "RemoteProtocolError"),
            (says(b""), None, "RemoteProtocolError"),
            (says(b"HTTP/1.1 200 OK\r\nX: ", b"x", for_ever=True), None, ""),
        ],
    )
    async def test_the_event_is_sent_again(
        self,
        store: Store,
        clock: ManualClock,
        hook: theirs.Receiver,
        answer: Answer,
        status: int | None,
        reason: str,
    ) -> None:
        """The reason is recorded, and once the pause is over the same event comes, then the next."""
        webhook = await add_webhook(store, hook.url)
        places = await log_events(store, 2)
        sender, hook.answer = dispatcher_of(store), answer
        await look(sender)
        await look(sender)
        assert ids(hook) == places[:1]
        failed = await read(store, webhook)
        assert failed.next_at is not None
        hook.answer = answer_with(204)
        clock.set(failed.next_at)
        await look(sender)

        assert ids(hook) == [places[0], *places]
        first, second, third = await attempts(store, webhook)
        assert (first.status, first.number, second.number, third.number) == (status, 1, 2, 1)
        assert first.error is not None
        assert first.error.startswith(reason)
        after = await read(store, webhook)
        assert (after.failures, after.next_at, after.failed, after.delivered) == (0, None, 1, 2)

    @pytest.mark.parametrize("head", [b"", b"HTTP/1.1 2"])
    async def test_silence_is_a_failure(
        self, store: Store, hook: theirs.Receiver, monkeypatch: pytest.MonkeyPatch, head: bytes
    ) -> None:
        """A receiver that accepts and says nothing, or half a line, is given up in time."""
        monkeypatch.setattr(outgoing, "POST_SECONDS", 0.3)
        release = asyncio.Event()

        async def silent(writer: asyncio.StreamWriter) -> None:
            writer.write(head)
            await release.wait()

        hook.answer = silent
        webhook = await add_webhook(store, hook.url)
        await log_events(store)
        await look(dispatcher_of(store))
        release.set()

        assert [each.error for each in await attempts(store, webhook)] == ["it did not answer within 0.3 seconds"]

    async def test_an_endless_body_does_not_matter(self, store: Store, hook: theirs.Receiver) -> None:
        """The status is the answer; of the body no more than 16 KiB are read."""
        hook.answer = self.says(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536, for_ever=True)
        webhook = await add_webhook(store, hook.url)
        places = await log_events(store, 2)
        await look(dispatcher_of(store))

        assert ids(hook) == places
        assert (await read(store, webhook)).failures == 0

    async def test_an_address_of_this_host_is_refused_at_each_delivery(
        self, store: Store, hook: theirs.Receiver
    ) -> None:
        """A name that has become that of a private address gets nothing, unless that is permitted."""
        webhook = await add_webhook(store, hook.url.replace("127.0.0.1", "localhost"))
        await log_events(store)
        await look(dispatcher_of(store, Settings()))

        assert [each.error for each in await attempts(store, webhook)] == ["no address of its host is a public one"]
        assert hook.requests == []

    async def test_retry_after_is_respected(self, store: Store, clock: ManualClock, hook: theirs.Receiver) -> None:
        """The next attempt is not before the time that the receiver asked for, which is an hour at most."""
        webhook = await add_webhook(store, hook.url)
        await log_events(store)
        hook.answer = answer_with(503, "Retry-After: 1800")
        sender = dispatcher_of(store)
        await look(sender)
        assert (await read(store, webhook)).next_at == clock.now() + timedelta(minutes=30)
        clock.advance(30 * MINUTE)
        hook.answer = answer_with(429, "Retry-After: 86400")
        await look(sender)

        assert (await read(store, webhook)).next_at == clock.now() + timedelta(hours=1)

    async def test_the_clock_is_set_back(self, store: Store, clock: ManualClock, hook: theirs.Receiver) -> None:
        """A pause that ends later than any can is over, and so is the lease of an owner that beat in the future."""
        await add_webhook(store, hook.url)
        places = await log_events(store)
        hook.answer = answer_with(500)
        await look(dispatcher_of(store))  # and is heard of no more
        clock.advance(-24 * 60 * MINUTE)
        hook.answer = answer_with(204)
        await look(dispatcher_of(store))

        assert ids(hook) == places * 2

    async def test_away_for_an_hour(self, store: Store, clock: ManualClock, hook: theirs.Receiver) -> None:
        """Attempts become rarer, and once the receiver is back it gets everything in order, without a gap."""
        webhook = await add_webhook(store, hook.url)
        began, sender = clock.now(), dispatcher_of(store)
        places = await log_events(store)
        hook.answer = answer_with(503)
        pauses: list[float] = []
        while clock.now() < began + timedelta(hours=1):
            await look(sender)
            next_at = (await read(store, webhook)).next_at
            assert next_at is not None
            pauses.append((next_at - clock.now()).total_seconds())
            places += await log_events(store)
            clock.set(next_at)
        failed = len(hook.requests)
        hook.answer = answer_with(204)
        await look(sender)

        assert all(5 * 2**step * 0.8 <= pause <= 5 * 2**step for step, pause in enumerate(pauses))
        assert ids(hook) == places[:1] * failed + places

    async def test_away_for_more_than_three_days(self, store: Store, clock: ManualClock, hook: theirs.Receiver) -> None:
        """Then it is paused; log, history and figures say so, nothing is sent, and it can be taken up without a gap."""
        webhook = await add_webhook(store, hook.url)
        began, sender = clock.now(), dispatcher_of(store)
        places = await log_events(store, 3)
        hook.answer = answer_with(500)
        with capture_logs() as logged:
            while (now := await read(store, webhook)).paused_at is None:
                clock.set(now.next_at or clock.now())
                await look(sender)
        tried = len(hook.requests)
        clock.advance(24 * 60 * MINUTE)
        await look(sender)

        assert now.paused_at == began + GIVEN_UP_AFTER
        assert (now.paused_because, now.next_at) == ("it answered 500", None)
        assert (now.history[-1].by, now.history[-1].changed) == ("worker", ["nextAt", "pausedAt"])
        assert 75 < tried < 110
        assert ids(hook) == places[:1] * tried
        (figures,) = await read_figures(store)
        assert (figures.lag_events, figures.webhook.failed) == (3, tried)
        lines = [each for each in logged if each.get("webhook") == str(webhook.id)]
        assert [each.get("failures") for each in lines] == [1, 2, 4, 8, 16, 32, 64, None]
        assert "is paused" in lines[-1]["event"]
        assert {each["log_level"] for each in lines} == {"warning"}

        hook.answer = answer_with(204)
        await patch(store, webhook, active=True)
        await look(sender)
        assert ids(hook)[tried:] == places

    @pytest.mark.parametrize(
        ("stored", "rendered", "reason"),
        [
            ({"url": "http://a[b/"}, {}, "ValueError"),
            ({"secret": "whsec_x"}, {}, "what is stored is no secret; another program has changed it"),
            ({"active": True}, {"side_effect": KeyError("x")}, "KeyError"),
        ],
    )
    async def test_what_cannot_be_sent_waits_too(
        self,
        store: Store,
        hook: theirs.Receiver,
        monkeypatch: pytest.MonkeyPatch,
        stored: dict[str, Any],
        rendered: dict[str, Any],
        reason: str,
    ) -> None:
        """An address, a secret or an event of which no request can be made is a failure like others, with a pause."""
        webhook = await add_webhook(store, hook.url)
        await log_events(store)
        await store.database["webhooks"].update_one({"_id": webhook.id}, {"$set": stored})
        monkeypatch.setattr(courier, "payload_of", Mock(**{"return_value": "{}", **rendered}))
        monkeypatch.setattr(dispatching_module, "PAUSE_SECONDS", 0.0)
        sender = dispatcher_of(store)
        with capture_logs() as logged:
            for _ in range(2):
                await sender.look()
                await asyncio.gather(*sender._under_way.values())

        failed = await read(store, webhook)
        assert failed.failures == 1
        assert failed.next_at is not None
        assert failed.next_at > store.clock.now()
        (attempt,) = await attempts(store, webhook)
        assert attempt.error == reason
        unforeseen = "secret" not in stored
        assert [bool(each["exc_info"]) for each in logged if each["log_level"] == "error"] == [True] * unforeseen
        assert hook.requests == []

    async def test_an_attempt_that_cannot_be_recorded(
        self, store: Store, clock: ManualClock, hook: theirs.Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What came of it counts all the same: after a failure there is a pause, and what was taken is not repeated."""
        monkeypatch.setattr(dispatching_module, "PAUSE_SECONDS", 0.0)
        monkeypatch.setattr(WebhookStore, "record", AsyncMock(side_effect=ExecutionTimeout("full")))
        webhook = await add_webhook(store, hook.url)
        places = await log_events(store, 2)
        hook.answer = answer_with(500)
        sender = dispatcher_of(store)
        await look(sender)
        await look(sender)
        failed = await read(store, webhook)
        assert (failed.failures, len(hook.requests)) == (1, 1)
        assert failed.next_at is not None
        hook.answer = answer_with(204)
        clock.set(failed.next_at)
        await look(sender)

        assert ids(hook) == [places[0], *places]

    async def test_a_refused_connection(self, store: Store) -> None:
        """Nobody listens there."""
        webhook = await add_webhook(store, "http://127.0.0.1:1/")
        await log_events(store)
        await look(dispatcher_of(store))

        (attempt,) = await attempts(store, webhook)
        assert attempt.status is None
        assert "ConnectError" in (attempt.error or "")


class TestPeople:
    """Changes while a request is under way."""

    async def test_a_replay_wins(self, store: Store, hook: theirs.Receiver) -> None:
        """The answer to the request under way does not move the cursor that a person has set."""
        webhook = await add_webhook(store, hook.url)
        places = await log_events(store, 4)
        sender = dispatcher_of(store)
        await look(sender)
        more = await log_events(store, 2)
        meanwhile(hook, lambda: Webhooks(store, PRIVATE).replay(str(webhook.id), event_id(1), "me"))
        await look(sender)
        await look(sender)

        assert ids(hook) == [*places, more[0], *places[1:], *more]

    async def test_a_replay_to_where_it_is_wins_too(self, store: Store, hook: theirs.Receiver) -> None:
        """It asks for the event under way once more; that one and those after it come again."""
        webhook = await add_webhook(store, hook.url)
        places = await log_events(store, 3)
        meanwhile(hook, lambda: Webhooks(store, PRIVATE).replay(str(webhook.id), event_id(0), "me"))
        sender = dispatcher_of(store)
        await look(sender)
        await look(sender)

        assert ids(hook) == [places[0], *places]
        after = await read(store, webhook)
        assert (after.cursor, after.version, after.history[-1].changed) == (3, 2, ["cursor"])

    async def test_a_change_counts_from_the_next_event(self, store: Store, hook: theirs.Receiver) -> None:
        """No event comes twice because of it."""
        webhook = await add_webhook(store, hook.url)
        first = await log_events(store, 2)
        wanted = await log_events(store, 2, type="reservation.moved")
        meanwhile(hook, lambda: patch(store, webhook, types=["reservation.moved"]))
        await look(dispatcher_of(store))

        assert ids(hook) == [first[0], *wanted]
        assert (await read(store, webhook)).version == 2

    async def test_a_failure_of_another_address_does_not_count(
        self, store: Store, hook: theirs.Receiver, other_hook: theirs.Receiver
    ) -> None:
        """A webhook whose address is changed while a request fails is tried at once at the new one."""
        webhook = await add_webhook(store, hook.url)
        places = await log_events(store, 2)
        hook.answer = answer_with(500)
        meanwhile(hook, lambda: patch(store, webhook, url=other_hook.url))
        sender = dispatcher_of(store)
        await look(sender)
        await look(sender)

        assert ids(other_hook) == places
        assert len(hook.requests) == 1

    async def test_one_that_is_not_active_waits(self, store: Store, hook: theirs.Receiver) -> None:
        """Nothing more is sent, and later it goes on where it was."""
        webhook = await add_webhook(store, hook.url)
        places = await log_events(store, 3)
        meanwhile(hook, lambda: patch(store, webhook, active=False))
        sender = dispatcher_of(store)
        await look(sender)
        await look(sender)
        assert ids(hook) == places[:1]
        await patch(store, webhook, active=True)
        await look(sender)

        assert ids(hook) == places

    async def test_one_that_is_deleted_is_over(self, store: Store, hook: theirs.Receiver) -> None:
        """Nothing more is sent."""
        webhook = await add_webhook(store, hook.url)
        places = await log_events(store, 3)
        meanwhile(hook, lambda: Webhooks(store, PRIVATE).delete(str(webhook.id)))
        sender = dispatcher_of(store)
        await look(sender)
        await look(sender)

        assert ids(hook) == places[:1]


@pytest.mark.servers("any", once=True)
class TestSecrets:
    """Signatures."""

    async def test_both_secrets_sign_during_an_overlap(
        self, store: Store, clock: ManualClock, hook: theirs.Receiver
    ) -> None:
        """The old one verifies for so long, and then no more."""
        webhook = await add_webhook(store, hook.url)
        issued = await Webhooks(store, PRIVATE).rotate(str(webhook.id), "me", overlap_minutes=60)
        sender = dispatcher_of(store)
        await log_events(store)
        await look(sender)
        clock.advance(61 * MINUTE)
        await log_events(store)
        await look(sender)
        during, after = hook.requests

        for secret in (webhook.secret, issued.secret):
            assert Verifier(secret).verify(during.body, during.headers)
        assert Verifier(issued.secret).verify(after.body, after.headers)
        with pytest.raises(WebhookVerificationError):
            Verifier(webhook.secret).verify(after.body, after.headers)

    async def test_the_key_changes_during_an_overlap(self, store: Store, hook: theirs.Receiver) -> None:
        """A rotation seals the former secrets anew, so both sign without the old key, and what was plain is sealed."""
        old, both, new = (Settings(webhook_private=True, secrets_key=each) for each in (KEY, f"{KEY2},{KEY}", KEY2))
        webhook = await add_webhook(store, hook.url)
        former = [webhook.secret]
        for settings in (old, both):
            issued = await Webhooks(store, settings).rotate(str(webhook.id), "me", overlap_minutes=60)
            former.append(issued.secret)
        await log_events(store)
        await look(dispatcher_of(store, new))

        (got,) = hook.requests
        for secret in former:
            assert Verifier(secret).verify(got.body, got.headers)
        assert "whsec_" not in str(await store.database["webhooks"].find_one())

    async def test_a_former_secret_that_cannot_be_opened_is_left_out(self, store: Store, hook: theirs.Receiver) -> None:
        """It keeps no event from going out, signed by the new one; a rotation without its key leaves it as it is."""
        webhook = await add_webhook(store, hook.url)
        old, new = (Webhooks(store, Settings(webhook_private=True, secrets_key=each)) for each in (KEY, KEY2))
        await old.rotate(str(webhook.id), "me")
        sealed = (await read(store, webhook)).secret
        issued = await new.rotate(str(webhook.id), "me", overlap_minutes=60)
        await log_events(store)
        await look(dispatcher_of(store, Settings(webhook_private=True, secrets_key=KEY2)))

        (got,) = hook.requests
        assert Verifier(issued.secret).verify(got.body, got.headers)
        assert [each.secret for each in (await read(store, webhook)).former_secrets or ()] == [sealed]

    async def test_sealed_secrets_sign(self, store: Store, hook: theirs.Receiver) -> None:
        """Where the key is missing, nothing goes out unsigned: that is a failure with its reason."""
        sealing = Settings(webhook_private=True, secrets_key=KEY)
        stored = await add_webhook(store, hook.url)
        issued = await Webhooks(store, sealing).rotate(str(stored.id), "me")
        await log_events(store)
        keyless = dispatcher_of(store)
        await look(keyless)
        await keyless.stop()
        assert [each.error for each in await attempts(store, stored)] == [
            "its secret is sealed, and RESERVA_SECRETS_KEY is not set"
        ]
        assert hook.requests == []
        await patch(store, stored, active=True)
        await look(dispatcher_of(store, sealing))

        got = hook.requests[0]
        assert Verifier(issued.secret).verify(got.body, got.headers)
        assert issued.secret.removeprefix("whsec_") not in str(await store.database["webhooks"].find_one())


@pytest.mark.promise("webhooks")
class TestProcesses:
    """Who sends, and what becomes of a request whose sender dies."""

    @pytest.mark.servers("fast")
    async def test_a_sender_is_killed_between_answer_and_note(
        self, store: Store, database_url: str, hook: theirs.Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another process takes over; the event comes once more, and then the others in order."""
        webhook = await add_webhook(store, hook.url)
        places = await log_events(store, 3)
        command = [sys.executable, "-m", "tests.support.webhook_process", database_url]
        with running_command(command, env={}) as process:
            await asyncio.to_thread(process.wait_for_line, "at answered")
            process.process.kill()
            process.process.wait()
        monkeypatch.setattr(dispatching_module, "DEAD_SECONDS", 0.1)
        async with dispatching(store):
            await reached(store, webhook, 3)

        assert ids(hook) == [places[0], *places]

    async def test_one_process_sends_at_a_time(self, store: Store, hook: theirs.Receiver) -> None:
        """A second one waits, and takes over at once when the first one ends."""
        await add_webhook(store, hook.url)
        first, second = dispatcher_of(store), dispatcher_of(store)
        places = await log_events(store)
        await look(first)
        places += await log_events(store)
        await look(second)
        assert ids(hook) == places[:1]
        await first.stop()
        await look(second)

        assert ids(hook) == places

    async def test_one_that_was_replaced_sends_no_more(
        self, store: Store, hook: theirs.Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its request under way is given up, and what comes of that moves nothing."""
        monkeypatch.setattr(dispatching_module, "BEAT_SECONDS", 0.0)
        webhook = await add_webhook(store, hook.url)
        places = await log_events(store, 3)
        second, began = dispatcher_of(store), asyncio.Event()
        answer = hook.answer

        async def hang(_: asyncio.StreamWriter) -> None:
            hook.answer = answer
            began.set()
            await asyncio.Event().wait()

        hook.answer = hang
        with capture_logs() as logged:
            async with dispatching(store) as first:
                await began.wait()
                await store.database["leases"].update_one({"_id": WEBHOOKS}, {"$unset": {"owner": ""}})
                await second.look()
                while first._under_way:  # noqa: ASYNC110  # it looks a few times a second
                    await asyncio.sleep(0.01)
                await asyncio.gather(*second._under_way.values())
                assert (await read(store, webhook)).cursor == 3
        await second.stop()

        assert ids(hook) == [places[0], *places]
        assert "another process sends" in str(logged)

    async def test_one_that_was_suspended_asks_first(self, store: Store, hook: theirs.Receiver) -> None:
        """A process that cannot be sure of its lease any more sends nothing until it has renewed it."""
        await add_webhook(store, hook.url)
        places = await log_events(store, 3)
        sender = dispatcher_of(store)

        async def be_suspended() -> None:
            sender._beat_at -= dispatching_module.SURE_SECONDS

        meanwhile(hook, be_suspended)
        await look(sender)
        assert ids(hook) == places[:1]
        await look(sender)

        assert ids(hook) == places

    async def test_a_late_grant_is_renewed_first(
        self, store: Store, hook: theirs.Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The lease counts from the request for it: if the answer was late, another process may have it by now."""
        await add_webhook(store, hook.url)
        await log_events(store)
        first, second, acquire = dispatcher_of(store), dispatcher_of(store), LeaseStore.acquire

        async def late(*args: Any, **options: Any) -> Grant | None:
            grant = await acquire(*args, **options)
            monkeypatch.setattr(LeaseStore, "acquire", acquire)
            await store.database["leases"].update_one({"_id": WEBHOOKS}, {"$unset": {"owner": ""}})
            await second.look()
            await asyncio.gather(*second._under_way.values())
            first._beat_at -= dispatching_module.DEAD_SECONDS
            return grant

        monkeypatch.setattr(LeaseStore, "acquire", late)
        with pytest.raises(OwnershipLost):
            await first.look()

        assert len(hook.requests) == 1

    async def test_the_database_has_a_limit_for_each_step(
        self, store: Store, hook: theirs.Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever a delivery reads or writes: a database that hangs does not hold it for ever."""
        webhook = await add_webhook(store, hook.url, types=["reservation.moved"])
        await log_events(store, 8)
        await log_events(store, type="reservation.moved")
        await log_events(store)
        await set_bounds(store, floor=5)
        limits: dict[str, float | None] = {}

        def watch(kind: type[Any], name: str) -> None:
            called = getattr(kind, name)

            async def watched(*args: Any) -> Any:
                limits[name] = _csot.get_timeout()
                return await called(*args)

            monkeypatch.setattr(kind, name, watched)

        for name in ("find", "update_webhook", "move_cursor", "note_success", "record"):
            watch(WebhookStore, name)
        await look(dispatcher_of(store))

        assert limits == dict.fromkeys(("find", "update_webhook", "note_success", "record", "move_cursor"), 10.0)
        assert (await read(store, webhook)).cursor == 10

    async def test_a_note_that_fails_is_repeated(
        self, store: Store, hook: theirs.Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If the database fails after an answer, the event comes again."""
        monkeypatch.setattr(dispatching_module, "PAUSE_SECONDS", 0.0)
        await add_webhook(store, hook.url)
        places = await log_events(store, 2)
        note = WebhookStore.note_success

        async def fail(*_: Any) -> None:
            monkeypatch.setattr(WebhookStore, "note_success", note)
            raise AutoReconnect("gone")

        monkeypatch.setattr(WebhookStore, "note_success", fail)
        sender = dispatcher_of(store)
        await look(sender)
        await look(sender)

        assert ids(hook) == [places[0], *places]

    @pytest.mark.servers("transactions", "fast")
    async def test_a_worker_sends_what_is_booked(
        self, store: Store, database_url: str, redis_url: str, hook: theirs.Receiver
    ) -> None:
        """From a booking over the API to the receiver: the event has the reservation as it is."""
        async with serving(store, settings=PRIVATE) as client:
            api = ApiClient(client, store)
            await api.resource("room")
            webhook = await add_webhook(store, hook.url)
            env = {"MONGODB_URL": database_url, "REDIS_URL": redis_url, "RESERVA_WEBHOOK_PRIVATE": "true"}
            with running_reserva("worker", cwd=None, **env):
                booked = await api.booked()
                await api.verb(booked, "cancel")
                assert await asyncio.to_thread(eventually, lambda: len(hook.requests) == 2)
            bodies = [Verifier(webhook.secret).verify(got.body, got.headers) for got in hook.requests]
            events = ok(await api.get("/v1/events"))["items"]

        assert [each["type"] for each in bodies] == ["reservation.created", "reservation.cancelled"]
        assert [each["data"] for each in bodies] == events
        assert events[0]["reservation"]["id"] == booked["id"]


@pytest.mark.servers("any", once=True)
class TestTest:
    """`POST …/test`."""

    @pytest.fixture
    async def api(self, store: Store) -> AsyncIterator[ApiClient]:
        """HTTP on an app that may send to this host."""
        async with serving(store, settings=PRIVATE) as client:
            yield ApiClient(client, store)

    async def outcome(self, api: ApiClient, webhook: Webhook) -> dict[str, Any]:
        """What came of a test."""
        return ok(await api.request("POST", f"/v1/webhooks/{webhook.id}/test"))

    async def test_it_is_sent_at_once(self, api: ApiClient, hook: theirs.Receiver) -> None:
        """Signed, also to a webhook that is not active; it is listed among the deliveries, and changes nothing."""
        webhook = await add_webhook(api.store, hook.url, active=False)
        answer = await self.outcome(api, webhook)
        got = hook.requests[0]

        assert (answer["delivered"], answer["status"], answer["event"]) == (True, 204, got.headers["webhook-id"])
        body = Verifier(webhook.secret).verify(got.body, got.headers)
        assert (body["type"], body["data"]) == ("webhook.test", {"webhook": str(webhook.id)})
        (listed,) = ok(await api.get(f"/v1/webhooks/{webhook.id}/deliveries"))["items"]
        assert (listed["event"], listed["type"]) == (answer["event"], "webhook.test")
        assert await read(api.store, webhook) == webhook

    async def test_it_says_what_is_wrong(
        self, api: ApiClient, hook: theirs.Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A failure is an answer too, and so is a receiver that says nothing in time."""
        monkeypatch.setattr(service, "TEST_SECONDS", 0.2)
        webhook = await add_webhook(api.store, hook.url)
        hook.answer = answer_with(500)
        failed = await self.outcome(api, webhook)
        release = asyncio.Event()

        async def hang(_: asyncio.StreamWriter) -> None:
            await release.wait()

        hook.answer = hang
        silent = await self.outcome(api, webhook)
        release.set()

        assert (failed["delivered"], failed["status"], failed["error"]) == (False, 500, "it answered 500")
        assert (silent["delivered"], silent["error"]) == (False, "it did not answer within 0.2 seconds")
        assert (await read(api.store, webhook)).failures == 0

"""Alerts: an open finding is sent until the receiver accepts it, by any running process, and once."""

import asyncio
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from pymongo import _csot
from redis import Redis
from structlog.testing import capture_logs

from app import job_queue
from app.domain.instants import MINUTE
from app.reconciliation import alerts, engine
from app.reconciliation.alerts import Alerts
from app.reconciliation.findings import transitions
from app.reconciliation.findings.transitions import FindingTransition
from app.settings import Settings
from app.storage.client import Store
from app.storage.documents import Finding
from app.storage.findings import UNALERTED
from app.storage.leases import ALERTS, DEAD_SECONDS, Grant, LeaseStore
from app.storage.runs import RunStore
from tests.support import alert_receiver as theirs
from tests.support.alert_findings import SEVEN, ManualClock, insert_open_findings, unalerted_count
from tests.support.alert_receiver import alert_receiver, answer_with
from tests.support.commands import eventually, run_reserva, running_command, running_reserva
from tests.support.times import HOUR, NINE

pytestmark = pytest.mark.servers("any")

KILLED = {"committed": (1, 1), "marked": (1, 1), "sent": (2, 2), "half marked": (1, 2)}
"""How many messages name the first and the second of two findings when their sender is killed at a stage."""


@pytest.fixture
async def hook() -> AsyncIterator[theirs.Receiver]:
    """A receiver that accepts every message until a test sets another answer."""
    async with alert_receiver() as server:
        yield server


async def state(store: Store) -> dict[str, Any]:
    """The stored state of the delivery."""
    row = await store.database["leases"].find_one({"_id": ALERTS})
    assert row is not None
    assert "owner" not in row
    return dict(row.get("delivery", {}))


def alerts_by_finding(receiver: theirs.Receiver, since: int = 0) -> Counter[str]:
    """How many of the received messages name each finding."""
    return Counter(name for got in receiver.requests[since:] for name in re.findall(r"\(finding (\w+)\)", got.text))


def alerted_count(receiver: theirs.Receiver) -> int:
    """How many findings the received messages announce, by name or in the count of the rest."""
    more = (re.search(r"… and ([\d,]+) more$", got.text) for got in receiver.requests)
    return alerts_by_finding(receiver).total() + sum(int(match[1].replace(",", "")) for match in more if match)


async def test_each_finding_is_sent_once(store: Store, hook: theirs.Receiver) -> None:
    """One message names all open findings not yet sent; findings in other states and later calls send nothing."""
    ids = await insert_open_findings(store, "a", "b")
    for other in ("acknowledged", "accepted", "resolved"):
        await insert_open_findings(store, "c", state=other)
    sender = Alerts(Settings(alert_url=hook.url))

    assert await sender.announce(store) == 2
    assert await sender.announce(store) == 0
    assert [alerts_by_finding(hook)[str(each)] for each in ids] == [1, 1]
    assert len(hook.requests) == 1
    rows = await store.database["findings"].find({"toldAt": {"$exists": True}}).to_list(None)
    assert [(row["_id"], "alert" in row, row["version"]) for row in rows] == [(each, False, 1) for each in ids]


async def test_without_an_address_nothing_is_sent(store: Store, hook: theirs.Receiver) -> None:
    """The first message after an address is set names the findings open then, and none resolved before."""
    await insert_open_findings(store, "a")
    (b,) = await insert_open_findings(store, "b")
    assert await Alerts(Settings()).announce(store) == 0
    await store.database["findings"].update_one({"resource": "a"}, {"$set": {"state": "resolved"}})
    await Alerts(Settings(alert_url=hook.url)).announce(store)

    assert alerts_by_finding(hook) == {str(b): 1}


async def test_a_crowd_is_one_message(store: Store, hook: theirs.Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message names the first findings and counts the rest; those beyond its limit follow in another at once."""
    monkeypatch.setattr(alerts, "FINDINGS_MAX", 60)
    monkeypatch.setattr(alerts, "MARK_BATCH", 7)
    await insert_open_findings(store, *(f"r{number:03}" for number in range(85)))

    assert await Alerts(Settings(alert_url=hook.url)).announce(store) == 85
    assert [got.text.splitlines()[-1] for got in hook.requests] == ["… and 40 more", "… and 5 more"]
    assert alerted_count(hook) == 85
    assert await unalerted_count(store) == 0


@pytest.mark.promise("alerts")
async def test_a_receiver_that_is_away_for_hours(store: Store, clock: ManualClock, hook: theirs.Receiver) -> None:
    """Delivery is retried with growing pauses of at most an hour until one message announces every finding.

    The log has a line at the first, second, fourth, … failure and one at the end, none with the address.
    """
    hook.answer = answer_with(503)
    sender = Alerts(Settings(alert_url=hook.url.replace("://", "://me:s3cret@")))
    pauses = []
    with capture_logs() as logged:
        while clock.now() < SEVEN + 5 * HOUR:
            await insert_open_findings(store, "r")
            assert await sender.announce(store) == 0
            failed = len(hook.requests)
            pauses.append((await state(store))["nextAt"] - clock.now())
            clock.advance(1_000)
            assert await sender.announce(store) == 0
            assert len(hook.requests) == failed
            clock.set((await state(store))["nextAt"])
        hook.answer = answer_with(200)
        assert await sender.announce(store) == len(pauses)

    assert all(timedelta(seconds=4) <= pause <= timedelta(hours=1) for pause in pauses)
    assert [pause >= timedelta(minutes=48) for pause in pauses] == [False] * 10 + [True] * (len(pauses) - 10)
    assert len(pauses) < 25
    last = hook.requests[-1]
    assert alerts_by_finding(hook, since=len(hook.requests) - 1).total() == len(pauses), last.text
    assert await unalerted_count(store) == 0
    lines = [each for each in logged if "the alert URL" in each["event"]]  # the store may speak of its server besides
    assert [each["failures"] for each in lines] == [1, 2, 4, 8, len(pauses)]
    assert {each["log_level"] for each in lines[:-1]} == {"warning"}
    assert "again" in lines[-1]["event"]
    assert "s3cret" not in str(logged)
    assert "hook" not in str(logged)
    assert (await state(store)).keys() == {"failures", "succeededAt"}


async def test_a_repeated_message_keeps_its_id(store: Store, clock: ManualClock, hook: theirs.Receiver) -> None:
    """A retry of the same text has the same id; a message with a later finding too has another id."""
    (a,) = await insert_open_findings(store, "a")
    hook.answer = answer_with(500)
    for _ in range(2):
        await Alerts(Settings(alert_url=hook.url)).announce(store)
        clock.advance(MINUTE)
    (b,) = await insert_open_findings(store, "b")
    hook.answer = answer_with(200)
    await Alerts(Settings(alert_url=hook.url)).announce(store)
    first, second, third = (got.headers["webhook-id"] for got in hook.requests)

    assert first == second != third
    assert alerts_by_finding(hook, since=2) == {str(a): 1, str(b): 1}


async def test_retry_after_is_respected(store: Store, clock: ManualClock, hook: theirs.Receiver) -> None:
    """No request is sent before the time that `Retry-After` names."""
    await insert_open_findings(store, "a")
    sender = Alerts(Settings(alert_url=hook.url))
    hook.answer = answer_with(429, "Retry-After: 1800")
    await sender.announce(store)
    hook.answer = answer_with(200)
    for seconds in (1, 600, 1_799):
        clock.set(SEVEN + timedelta(seconds=seconds))
        assert await sender.announce(store) == 0
    assert len(hook.requests) == 1

    clock.set(SEVEN + timedelta(seconds=1_800))
    assert await sender.announce(store) == 1


async def test_the_clock_is_set_back(store: Store, clock: ManualClock, hook: theirs.Receiver) -> None:
    """A pause that ends later than any can is over, and so is the lease of a sender that beat in the future."""
    await insert_open_findings(store, "a")
    hook.answer = answer_with(500)
    await Alerts(Settings(alert_url=hook.url)).announce(store)
    await LeaseStore(store).acquire("a sender that was killed", ALERTS)
    clock.set(SEVEN - timedelta(days=1))
    hook.answer = answer_with(204)

    assert await Alerts(Settings(alert_url=hook.url)).announce(store) == 1


async def test_giving_the_lease_back_has_a_limit(
    store: Store, hook: theirs.Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that hangs does not keep a sender that ends."""
    release, limits = LeaseStore.release, list[float | None]()

    async def watched(leases: LeaseStore, grant: Grant) -> None:
        limits.append(_csot.get_timeout())
        await release(leases, grant)

    monkeypatch.setattr(LeaseStore, "release", watched)
    await insert_open_findings(store, "a")
    await Alerts(Settings(alert_url=hook.url)).announce(store)

    assert limits == [alerts.RELEASE_SECONDS]


async def test_another_address_is_tried_at_once(store: Store, clock: ManualClock, hook: theirs.Receiver) -> None:
    """A new address does not wait for the pause that the old address asked for."""
    await insert_open_findings(store, "a")
    hook.answer = answer_with(404, "Retry-After: 3600")
    await Alerts(Settings(alert_url=hook.url)).announce(store)
    hook.answer = answer_with(200)
    assert await Alerts(Settings(alert_url=hook.url)).announce(store) == 0

    assert await Alerts(Settings(alert_url=hook.url + "/right")).announce(store) == 1


async def test_a_finding_resolved_before_delivery_is_not_sent(
    store: Store, clock: ManualClock, hook: theirs.Receiver
) -> None:
    """A finding that was resolved before the receiver came back is in no message."""
    await insert_open_findings(store, "a")
    (b,) = await insert_open_findings(store, "b")
    sender = Alerts(Settings(alert_url=hook.url))
    hook.answer = answer_with(503)
    await sender.announce(store)
    await store.database["findings"].update_one({"resource": "a"}, {"$set": {"state": "resolved"}})
    clock.advance(MINUTE)
    hook.answer = answer_with(200)
    await sender.announce(store)

    assert alerts_by_finding(hook, since=1) == {str(b): 1}


async def test_a_reopened_finding_is_sent_again(store: Store, hook: theirs.Receiver) -> None:
    """The same text is sent with another id, also when the finding is reopened while a message with it is in flight."""
    findings = store.database["findings"]
    (a,) = await insert_open_findings(store, "a")
    again = {"$unset": {"toldAt": "", "alert": ""}, "$inc": {"version": 1}}
    sender = Alerts(Settings(alert_url=hook.url))
    await sender.announce(store)
    await findings.update_one({"_id": a}, again)
    taken = hook.answer

    async def meanwhile(writer: asyncio.StreamWriter) -> None:
        hook.answer = taken
        await findings.update_one({"_id": a}, again)
        await taken(writer)

    hook.answer = meanwhile
    assert await sender.announce(store) == 2
    assert alerts_by_finding(hook) == {str(a): 3}
    assert len({got.headers["webhook-id"] for got in hook.requests}) == 3
    assert len({got.text for got in hook.requests}) == 1


async def test_a_finding_reopened_by_a_person_is_sent_again(store: Store, hook: theirs.Receiver) -> None:
    """A finding that a person acknowledged and reopened is sent again, with the name of its resource."""
    (a,) = await insert_open_findings(store, "a")
    await store.database["resources"].insert_one({"_id": "a", "name": "Blue room"})
    sender = Alerts(Settings(alert_url=hook.url))
    await sender.announce(store)
    await transitions.transition(store, str(a), FindingTransition("acknowledged", "me"))
    await sender.announce(store)
    await transitions.transition(store, str(a), FindingTransition("open", "me"))
    await sender.announce(store)

    assert alerts_by_finding(hook) == {str(a): 2}
    assert hook.requests[1].text.startswith("Blue room (a), 2030-")


async def test_a_finding_reopened_by_a_run_is_sent_again(store: Store, hook: theirs.Receiver) -> None:
    """An overlap that ended and returned is sent again; one that merely lasts is not."""
    sender, rows = Alerts(Settings(alert_url=hook.url)), store.database["reservations"]
    times = {"resource": "r", "startTime": NINE, "endTime": NINE + HOUR}
    (first, _) = (await rows.insert_many([{"status": "confirmed", **times} for _ in "12"])).inserted_ids
    messages = []
    for status in ("confirmed", "confirmed", "cancelled", "confirmed", "confirmed"):
        await rows.update_one({"_id": first}, {"$set": {"status": status}})
        await engine.reconcile_reservations(store, "full", on_findings=sender)
        await sender.announce(store)
        messages.append(len(hook.requests))

    assert messages == [1, 1, 1, 2, 2]
    assert list(alerts_by_finding(hook).values()) == [2]


@pytest.mark.promise("alerts")
async def test_two_senders_never_send_at_once(store: Store, hook: theirs.Receiver) -> None:
    """A second sender leaves the work to the first, which goes on until no finding is unsent."""
    ids = await insert_open_findings(store, "a", "b")
    taken, sender = hook.answer, Alerts(Settings(alert_url=hook.url))
    others: list[int] = []

    async def meanwhile(writer: asyncio.StreamWriter) -> None:
        hook.answer = taken
        ids.extend(await insert_open_findings(store, "c"))
        others.append(await sender.announce(store))
        await taken(writer)

    hook.answer = meanwhile
    assert await sender.announce(store) == 3
    assert others == [0]
    assert alerts_by_finding(hook) == {str(each): 1 for each in ids}


async def test_a_sender_taken_for_dead_loses_its_turn(store: Store, clock: ManualClock, hook: theirs.Receiver) -> None:
    """A sender that pauses in mid-message until another has replaced it logs that and sends nothing more."""
    ids = await insert_open_findings(store, "a")
    taken, sender = hook.answer, Alerts(Settings(alert_url=hook.url))
    others: list[int] = []

    async def meanwhile(writer: asyncio.StreamWriter) -> None:
        hook.answer = taken
        clock.set(SEVEN + timedelta(seconds=DEAD_SECONDS + 1))
        others.append(await sender.announce(store))
        ids.extend(await insert_open_findings(store, "b"))
        await taken(writer)

    hook.answer = meanwhile
    with capture_logs() as logged:
        await sender.announce(store)
        await sender.announce(store)

    assert others == [1]
    assert alerts_by_finding(hook) == {str(ids[0]): 2, str(ids[1]): 1}
    assert [each["event"] for each in logged] == ["another process sends the alerts by now"]
    assert await unalerted_count(store) == 0


async def test_a_cancelled_sender_marks_what_was_accepted(
    store: Store, hook: theirs.Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender cancelled after the receiver has answered marks every finding of the message before it ends."""
    monkeypatch.setattr(alerts, "MARK_BATCH", 1)
    mark, calls = alerts._mark, 0

    async def marking(sender: Any, ids: Any, write: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            sending.cancel()
        await mark(sender, ids, write)

    monkeypatch.setattr(alerts, "_mark", marking)
    await insert_open_findings(store, *"r" * 20)
    sender = Alerts(Settings(alert_url=hook.url))
    sending = asyncio.create_task(sender.announce(store))
    with pytest.raises(asyncio.CancelledError):
        await sending

    assert await unalerted_count(store) == 0
    assert await sender.announce(store) == 0
    assert alerts_by_finding(hook).total() == 20


class TestReminder:
    """The daily reminder of open findings."""

    async def test_once_a_day(self, store: Store, clock: ManualClock, hook: theirs.Receiver) -> None:
        """One message a day names the findings that were sent and are still open, also with several workers."""
        (a,) = await insert_open_findings(store, "a")
        for other in ("acknowledged", "accepted", "resolved"):
            await insert_open_findings(store, "b", state=other, toldAt=SEVEN)
        senders = [Alerts(Settings(alert_url=hook.url)) for _ in "123"]
        for hour in (7, 9, 9, 32, 33):
            clock.set(SEVEN.replace(hour=0) + hour * HOUR)
            for sender in senders:
                await sender.announce(store)
            await asyncio.gather(*(sender.remind(store) for sender in senders))

        assert alerts_by_finding(hook) == {str(a): 3}
        assert [got.text.split(".\n")[0] for got in hook.requests[1:]] == ["Still open: 1 finding"] * 2

    async def test_a_finding_sent_after_the_hour_waits_for_the_next_day(
        self, store: Store, clock: ManualClock, hook: theirs.Receiver
    ) -> None:
        """A finding just sent is not in a reminder of the same day."""
        sender = Alerts(Settings(alert_url=hook.url))
        assert await sender.remind(store) == 0
        clock.set(SEVEN + 2 * HOUR)
        await insert_open_findings(store, "a")
        assert [await sender.announce(store), await sender.remind(store)] == [1, 0]
        clock.set(SEVEN + 26 * HOUR)

        assert await sender.remind(store) == 1

    async def test_missed_reminders_are_caught_up_once(
        self, store: Store, clock: ManualClock, hook: theirs.Receiver
    ) -> None:
        """A worker that was down for three days sends one reminder of all open findings."""
        await insert_open_findings(store, *"abc" * 10)
        sender = Alerts(Settings(alert_url=hook.url))
        await sender.announce(store)
        await sender.remind(store)
        clock.set(SEVEN + 77 * HOUR)

        assert [await sender.remind(store) for _ in "12"] == [30, 0]
        assert len(hook.requests) == 2
        assert hook.requests[1].text.startswith("Still open: 30 findings.\n")
        assert hook.requests[1].text.endswith("… and 10 more")

    async def test_a_failed_reminder_is_retried(self, store: Store, clock: ManualClock, hook: theirs.Receiver) -> None:
        """A failed reminder is sent again after the usual pause, with the same id."""
        await insert_open_findings(store, "a")
        sender = Alerts(Settings(alert_url=hook.url))
        await sender.announce(store)
        await sender.remind(store)
        hook.answer = answer_with(503)
        clock.set(SEVEN + 2 * HOUR)
        assert [await sender.remind(store) for _ in "12"] == [0, 0]
        assert len(hook.requests) == 2
        hook.answer = answer_with(200)
        clock.advance(MINUTE)

        assert await sender.remind(store) == 1
        assert hook.requests[1].headers["webhook-id"] == hook.requests[2].headers["webhook-id"]

    async def test_a_sender_without_the_lease_records_no_reminder(
        self, store: Store, clock: ManualClock, hook: theirs.Receiver
    ) -> None:
        """A process that lost the lease while it sent records no reminder and does not fail."""
        await insert_open_findings(store, "a")
        sender = Alerts(Settings(alert_url=hook.url))
        await sender.announce(store)
        await sender.remind(store)
        clock.set(SEVEN + 2 * HOUR)

        async def late(writer: asyncio.StreamWriter) -> None:
            clock.advance(MINUTE)
            assert await LeaseStore(store).acquire("another", ALERTS) is not None
            await answer_with(204)(writer)

        hook.answer = late

        assert await sender.remind(store) == 1
        reminded = (await LeaseStore(store).delivery()).reminded_at
        assert reminded is not None
        assert reminded < SEVEN + HOUR

    async def test_no_reminder_without_a_time_or_findings(
        self, store: Store, clock: ManualClock, hook: theirs.Receiver
    ) -> None:
        """No reminder is sent without a configured time, nor while no finding is open."""
        await insert_open_findings(store, "a")
        never = Alerts(Settings(alert_url=hook.url, alert_reminder=""))
        daily = Alerts(Settings(alert_url=hook.url))
        await daily.announce(store)
        await daily.remind(store)
        clock.set(SEVEN + 2 * HOUR)
        assert await never.remind(store) == 0
        await store.database["findings"].update_many({}, {"$set": {"state": "resolved"}})

        assert await daily.remind(store) == 0
        assert len(hook.requests) == 1


@pytest.mark.servers("fast")
@pytest.mark.promise("alerts")
class TestProcesses:
    """Sending processes that are killed, or run side by side."""

    @pytest.mark.parametrize("stage", KILLED)
    async def test_a_killed_sender_loses_nothing(
        self, store: Store, database_url: str, hook: theirs.Receiver, stage: str
    ) -> None:
        """After SIGKILL at any stage the next sender sends what was not sent, and repeats only what was not marked."""
        times = {"status": "confirmed", "startTime": NINE, "endTime": NINE + HOUR, "updatedAt": store.clock.now()}
        await store.database["reservations"].insert_many([{"resource": name, **times} for name in "aabb"])
        with running_command(
            [sys.executable, "-m", "tests.support.alert_process", database_url, hook.url, stage], env={}
        ) as it:
            await asyncio.to_thread(it.wait_for_line, f"at {stage}")
            it.process.kill()
            it.process.wait()
        silent = {"beatAt": store.clock.now() - timedelta(seconds=DEAD_SECONDS + 1)}
        await store.database["leases"].update_one({"_id": ALERTS}, {"$set": silent})
        await Alerts(Settings(alert_url=hook.url)).announce(store)
        ids = [str(row["_id"]) async for row in store.database["findings"].find().sort("_id")]

        assert tuple(alerts_by_finding(hook)[each] for each in ids) == KILLED[stage]
        assert await unalerted_count(store) == 0
        if stage == "sent":
            assert len({got.headers["webhook-id"] for got in hook.requests}) == 1

    async def test_two_processes_send_each_finding_once(
        self, store: Store, database_url: str, hook: theirs.Receiver
    ) -> None:
        """Two processes that send without a pause while findings are opened send each finding exactly once."""
        command = [sys.executable, "-m", "tests.support.alert_process", database_url, hook.url, "always"]
        with running_command(command, env={}) as one, running_command(command, env={}) as two:
            for each in (one, two):
                await asyncio.to_thread(each.wait_for_line, "at always")
            ids = [each for _ in range(60) for each in await insert_open_findings(store, *"abcdef")]
            findings = store.client.delegate[store.database.name]["findings"]
            assert await asyncio.to_thread(eventually, lambda: findings.count_documents(UNALERTED) == 0)

        assert alerted_count(hook) == len(ids)
        assert set(alerts_by_finding(hook).values()) == {1}

    async def test_the_worker_sends_at_once(
        self, store: Store, database_url: str, redis_url: str, hook: theirs.Receiver
    ) -> None:
        """The worker sends signed messages: at its start what a dead worker left, and whenever a run opens findings."""
        times = {"status": "confirmed", "startTime": NINE, "endTime": NINE + HOUR}
        await store.database["reservations"].insert_many([{"resource": "left by the dead", **times} for _ in "12"])
        await engine.reconcile_reservations(store, "full")
        secret = "whsec_" + "A" * 32
        env = {"MONGODB_URL": database_url, "REDIS_URL": redis_url, "RESERVA_ALERT_URL": hook.url}
        env |= {"RESERVA_ALERT_SECRET": secret, "RESERVA_PUBLIC_URL": "https://reserva.example"}
        with running_reserva("worker", cwd=None, **env):
            assert await asyncio.to_thread(eventually, lambda: len(hook.requests) == 1)
            await store.database["reservations"].insert_many([{"resource": "r", **times} for _ in "12"])
            asked = await RunStore(store).enqueue("full")
            jobs = job_queue.Queue(redis_url)
            await jobs.put(job_queue.RUN, str(asked.id), identity=str(asked.id))
            await jobs.close()
            assert await asyncio.to_thread(eventually, lambda: len(hook.requests) == 2)

        assert "left by the dead" in hook.requests[0].text
        assert "https://reserva.example/v1/findings/" in hook.requests[1].text
        assert hook.requests[1].headers["webhook-signature"].startswith("v1,")

    async def test_a_run_queues_the_alert_job(self, store: Store, redis_url: str) -> None:
        """A run that opened findings puts the alert job into the queue; a missing Redis is no error."""
        row = await store.database["findings"].find_one({"_id": (await insert_open_findings(store, "r"))[0]})
        settings = Settings(alert_url="http://127.0.0.1:1/")
        for url in (redis_url, "redis://127.0.0.1:1"):
            sender = Alerts(settings, job_queue.Queue(url))
            sender([Finding.model_validate(row)])
            await sender.aclose()
        with Redis.from_url(redis_url) as redis:
            assert redis.zrange(job_queue.QUEUE, 0, -1) == [job_queue.ALERT.encode()]

    async def test_the_command_sends_alerts(self, store: Store, database_url: str, hook: theirs.Receiver) -> None:
        """`reserva reconcile` sends alerts at its end, and leaves them to the worker when the receiver is down."""
        times = {"status": "confirmed", "startTime": NINE, "endTime": NINE + HOUR}
        await store.database["reservations"].insert_many([{"resource": "r", **times} for _ in "12"])

        def reconciled(receiver: str) -> "subprocess.CompletedProcess[str]":
            return run_reserva("reconcile", MONGODB_URL=database_url, RESERVA_ALERT_URL=receiver)

        unreached = await asyncio.to_thread(reconciled, "http://127.0.0.1:1/")
        assert await unalerted_count(store) == 1
        reached = await asyncio.to_thread(reconciled, hook.url)

        assert (unreached.returncode, reached.returncode) == (1, 1)
        assert "did not take" in unreached.stderr
        assert "127.0.0.1:1" in unreached.stderr
        assert alerts_by_finding(hook).total() == 1
        assert await unalerted_count(store) == 0

"""The queue of the write path: which intents share a transaction, which wait, and their outcomes."""

import asyncio
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from bson import ObjectId
from bson.errors import InvalidDocument
from pymongo.errors import AutoReconnect, BulkWriteError, DuplicateKeyError, ExecutionTimeout, NetworkTimeout
from structlog.testing import capture_logs

from app.booking import backoff, batch_runner, slots
from app.booking import committer as module
from app.booking.batch import Batch, KeyUsed, Outcome, WriteConflict
from app.booking.committer import Committer
from app.booking.confirm_extend import Confirm
from app.booking.group import BookGroup
from app.booking.idempotency import Token
from app.booking.intents import AnyIntent, Intent, Lane, guard_lanes
from app.booking.meter import Meter
from app.booking.outcomes import Accepted
from app.booking.queue import BYTES_LIMIT, INTENTS_LIMIT, WRITES_LIMIT, BatchBuilder, Ticket, lanes_of
from app.booking.time_budget import BUDGET_MIN_SECONDS
from app.deadline import Deadline, bound, current
from app.domain.instants import EARLIEST
from app.errors import OutcomeUnknown, Problem
from app.storage.steps import Steps
from app.telemetry import request_record
from app.telemetry.metrics import Metrics
from app.telemetry.request_record import RequestRecord
from tests.support.ids import ROOM_ID
from tests.support.step_driver import booking_of

Script = Callable[[Batch], list[Outcome]]


LANE = Lane("a")


def accept(batch: Batch) -> list[Outcome]:
    """Accept every intent."""
    return [Accepted(intent, proof=("", {})) for intent in batch.intents]


class Scripted:
    """A driver that holds each batch until the test lets it go, and then does what the test says."""

    atomic = True

    def __init__(self) -> None:
        self.running: list[tuple[list[Any], asyncio.Future[Script]]] = []
        self.seen: list[list[Any]] = []
        self.budgets: list[float] = []
        self.deadlines: list[Deadline | None] = []
        self.arrived = asyncio.Event()
        self.sends = True

    async def run(self, slot: int, body: Any, budget_seconds: float) -> Any:
        """Wait for the word of the test."""
        del slot
        self.budgets.append(budget_seconds)
        future: asyncio.Future[Script] = asyncio.get_running_loop().create_future()
        batch: Batch = body
        if self.sends:
            batch.begin_sending()
        self.running.append(([*batch.intents], future))
        self.seen.append([*batch.intents])
        self.deadlines.append(current())
        self.arrived.set()
        return (await future)(batch)

    async def next_batch(self) -> tuple[list[Any], "asyncio.Future[Script]"]:
        """The next batch that is running and was not yet let go."""
        while not self.running:
            self.arrived.clear()
            await self.arrived.wait()
        return self.running.pop(0)

    async def close(self) -> None:
        """There is nothing to close."""


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """A driver that gets the batch itself instead of its steps."""

    def as_it_is(batch: Batch) -> Steps[list[Outcome]]:
        return batch  # type: ignore[return-value]  # the scripted driver wants to see the intents

    monkeypatch.setattr(batch_runner, "attempt", as_it_is)
    return Scripted()


def committer_over(driver: Scripted) -> Committer:
    """A committer without a database."""
    return Committer(driver, 16, clock=lambda: EARLIEST)


def submit(committer: Committer, *resources: str, **fields: Any) -> "list[asyncio.Task[Any]]":
    """Wishes for these resources, in this order."""
    return [asyncio.create_task(committer.submit(booking_of(resource=name, **fields))) for name in resources]


async def settle(driver: Scripted, tasks: "list[asyncio.Task[Any]]", script: Script) -> list[Any]:
    """Answer every batch by the script until all tasks have ended; their outcomes."""

    async def serve() -> None:
        while True:
            _, go = await driver.next_batch()
            go.set_result(script)

    serving = asyncio.create_task(serve())
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    serving.cancel()
    return outcomes


def names(intents: list[Any]) -> list[str]:
    """The resources of a batch."""
    return [intent.resource for intent in intents]


async def test_who_arrives_together_shares_a_transaction(driver: Scripted) -> None:
    """All that waits goes in one batch, in order of arrival."""
    committer = committer_over(driver)
    tasks = submit(committer, "a", "b", "a", "c")

    intents, go = await driver.next_batch()
    go.set_result(accept)
    await asyncio.gather(*tasks)

    assert names(intents) == ["a", "b", "a", "c"]


async def test_who_arrives_during_a_transaction_shares_the_next_one(
    driver: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Intents of free resources wait for the end of the running batch, rather than each being a batch beside it."""
    monkeypatch.setattr(slots, "LATE_SECONDS", 60.0)
    committer = committer_over(driver)
    first = submit(committer, "a")
    _, go_first = await driver.next_batch()
    rest = submit(committer, "b", "c")
    await asyncio.gather(*(asyncio.sleep(0) for _ in range(3)))
    assert driver.running == []

    go_first.set_result(accept)
    second, go_second = await driver.next_batch()
    go_second.set_result(accept)
    await asyncio.gather(*first, *rest)

    assert names(second) == ["b", "c"]


async def test_batches_start_in_turns_and_report_whether_they_were_lost(driver: Scripted) -> None:
    """No batch starts before its process's turn, which ends with the batch."""
    committer, told = committer_over(driver), list[str]()
    committer.turns = SimpleNamespace(  # type: ignore[assignment]  # turns that the test decides about
        begin=lambda: bool(told), end=lambda: told.append("end"), note=lambda *, lost: told.append(f"lost={lost}")
    )

    def lose(batch: Batch) -> list[Outcome]:
        raise WriteConflict

    (task,) = submit(committer, "a")
    for _ in range(3):
        await asyncio.sleep(0)
    assert driver.running == []

    told.append("begun")
    committer._schedule_pump()
    for script in (lose, accept):
        _, go = await driver.next_batch()
        go.set_result(script)
    await task

    assert [word for word in told if word != "end"] == ["begun", "lost=True", "lost=False"]
    assert told.count("end") >= 2


async def test_running_batches_never_share_a_lane_and_no_intent_overtakes(driver: Scripted) -> None:
    """While one batch holds a resource, who wants it waits, and so does a younger wish; others go ahead."""
    committer = committer_over(driver)
    first = submit(committer, "a")
    _, go_first = await driver.next_batch()
    rest = submit(committer, "a", "b", "a")
    second, go_second = await driver.next_batch()
    go_second.set_result(accept)
    await rest[1]

    assert names(second) == ["b"]
    assert driver.running == []
    go_first.set_result(accept)
    third, go_third = await driver.next_batch()
    go_third.set_result(accept)
    await asyncio.gather(*first, *rest)
    assert names(third) == ["a", "a"]


async def test_a_group_does_not_starve_behind_singles(driver: Scripted) -> None:
    """While it waits for one of its resources no younger intent gets ahead of it on any; then it goes before them."""
    committer = committer_over(driver)
    first = submit(committer, "a")
    _, go_first = await driver.next_batch()
    group = BookGroup(by="test", members=[booking_of(resource=name) for name in "ab"])
    booked = asyncio.create_task(committer.submit(group))
    stream = submit(committer, "b", "c", "b")
    second, go_second = await driver.next_batch()
    go_second.set_result(accept)
    await stream[1]
    stream += submit(committer, "b", "a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert names(second) == ["c"]
    assert driver.running == []
    go_first.set_result(accept)
    third, go_third = await driver.next_batch()
    go_third.set_result(accept)
    await asyncio.gather(*first, booked, *stream)
    assert third[0] is group
    assert names(third[1:]) == ["b", "b", "b", "a"]


async def test_who_is_not_taken_in_time_is_never_run(driver: Scripted) -> None:
    """A deadline that passes in the queue is `overloaded`, and no batch ever sees that intent."""
    committer = committer_over(driver)
    (first,) = submit(committer, "a")
    _, go = await driver.next_batch()
    (late,) = submit(committer, "a", deadline_seconds=0.01)

    with pytest.raises(Problem) as refused:
        await late

    assert refused.value.name == "overloaded"
    go.set_result(accept)
    await first
    assert [len(batch) for batch in driver.seen] == [1]


async def test_who_has_less_time_left_than_a_batch_takes_is_in_none(driver: Scripted) -> None:
    """Where batches are slow no intent is taken that would run out of time in one; a slow one is forgotten."""
    committer = committer_over(driver)
    (first,) = submit(committer, "a")
    _, go = await driver.next_batch()
    calls, waiting = list[float](), list[asyncio.Task[Any]]()
    for pace in (0.0, 1.0, 10.0):
        committer.batch_seconds = pace
        waiting += submit(committer, "a", deadline_seconds=4.0)
        await asyncio.sleep(0)
        last = committer.waiting[-1]
        calls.append(round(last.deadline - last.start_by, 3))
    go.set_result(accept)
    await first

    assert calls == [0.6, 1.5, 2.0]
    assert committer.batch_seconds == 8.0
    await settle(driver, waiting, accept)


@pytest.mark.promise("deadlines")
async def test_the_outcome_of_a_running_intent_is_unknown_at_its_deadline(driver: Scripted) -> None:
    """While the batch goes on the caller gets the ids to look for; the later outcome is dropped."""
    committer = committer_over(driver)
    wish = booking_of(resource="a", deadline_seconds=0.05)
    task = asyncio.create_task(committer.submit(wish))
    _, go = await driver.next_batch()

    with pytest.raises(OutcomeUnknown) as unknown:
        await task

    assert unknown.value.extra["reservations"] == [str(wish.reservation)]
    assert not go.done()
    go.set_result(accept)
    await committer.drain()


@pytest.mark.promise("deadlines")
async def test_an_intent_that_was_not_sent_by_its_deadline_never_is(driver: Scripted) -> None:
    """The answer says that nothing was done, and that stays true; the rest of the batch goes again."""
    driver.sends = False
    committer = committer_over(driver)
    tasks = [*submit(committer, "a", deadline_seconds=0.05), *submit(committer, "a", deadline_seconds=60.0)]
    _, go = await driver.next_batch()

    def send(batch: Batch) -> list[Outcome]:
        batch.begin_sending()
        return accept(batch)

    with pytest.raises(Problem) as undone:
        await tasks[0]
    with capture_logs() as logs:
        go.set_result(send)
        await settle(driver, [tasks[1]], send)

    assert not [each for each in logs if "unknown" in each["event"]]
    assert undone.value.name == "overloaded"
    assert [len(batch) for batch in driver.seen] == [2, 1]


async def test_an_answered_intent_is_in_no_half_of_a_batch_that_failed(driver: Scripted) -> None:
    """A failure that names no intent halves the batch; an intent whose time ended meanwhile is not sent again."""
    driver.sends = False
    committer = committer_over(driver)
    tasks = [*submit(committer, "a", deadline_seconds=60.0), *submit(committer, "a", deadline_seconds=0.05)]
    _, go = await driver.next_batch()
    sent = list[list[Any]]()

    def fail(batch: Batch) -> list[Outcome]:
        raise InvalidDocument("no intent's name")

    def send(batch: Batch) -> list[Outcome]:
        batch.begin_sending()
        sent.append([*batch.intents])
        return accept(batch)

    with pytest.raises(Problem) as undone:
        await tasks[1]
    go.set_result(fail)
    await settle(driver, [tasks[0]], send)
    await committer.drain()

    assert undone.value.name == "overloaded"
    assert [len(each) for each in sent] == [1]


async def test_an_unknown_outcome_is_not_tried_again(driver: Scripted) -> None:
    """If its batch then fails after all, an intent that was answered is not run again."""
    committer = committer_over(driver)
    (task,) = submit(committer, "a", deadline_seconds=0.05)
    _, go = await driver.next_batch()
    with pytest.raises(OutcomeUnknown):
        await task

    def lose(batch: Batch) -> list[Outcome]:
        raise WriteConflict

    go.set_result(lose)
    await settle(driver, submit(committer, "a"), accept)
    await committer.drain()

    assert [len(batch) for batch in driver.seen] == [1, 1]


async def test_a_batch_is_not_bound_to_the_time_of_who_brought_it_about(driver: Scripted) -> None:
    """The time of a request ends its waiting, and no operation of a batch that it shares with others."""
    committer = committer_over(driver)
    with bound(Deadline(0.05)):
        (hurried,) = submit(committer, "a", deadline_seconds=60.0)
    _, go = await driver.next_batch()

    with pytest.raises(OutcomeUnknown):
        await hurried

    assert driver.deadlines == [None]
    go.set_result(accept)
    await committer.drain()


async def test_a_full_queue_refuses_at_once(driver: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the queue's limit nothing is taken in."""
    monkeypatch.setattr(module, "QUEUE_LIMIT", 2)
    committer = committer_over(driver)
    first = submit(committer, "a")
    _, go = await driver.next_batch()
    waiting = submit(committer, "a", "a")
    await asyncio.sleep(0)

    with pytest.raises(Problem) as refused:
        await committer.submit(booking_of(resource="b"))

    assert refused.value.name == "overloaded"
    go.set_result(accept)
    _, go = await driver.next_batch()
    go.set_result(accept)
    await asyncio.gather(*first, *waiting)


async def test_a_caller_that_leaves_loses_only_its_answer(driver: Scripted) -> None:
    """Cancelling the one who waits does not cancel the intent."""
    committer = committer_over(driver)
    (gone,) = submit(committer, "a")
    intents, go = await driver.next_batch()

    gone.cancel()
    go.set_result(accept)
    await committer.drain()

    assert gone.cancelled()
    assert names(intents) == ["a"]


async def test_who_lost_a_race_goes_again_first_and_with_fewer_resources(driver: Scripted) -> None:
    """After a conflict the intents keep their order, and a batch spans fewer resources, not fewer intents of one."""
    committer = committer_over(driver)
    tasks = submit(committer, "a", "a", "b", "c", "d", "a")
    _, go = await driver.next_batch()

    def lose(batch: Batch) -> list[Outcome]:
        raise WriteConflict

    go.set_result(lose)
    again, go = await driver.next_batch()
    go.set_result(accept)
    await settle(driver, tasks, accept)

    assert names(again) == ["a", "a", "b", "a"]


async def test_a_request_is_told_what_took_its_time(driver: Scripted) -> None:
    """The record of a request has the batches of its intents, those that were lost, and the time of both kinds."""
    committer, record = committer_over(driver), RequestRecord("a", 0)
    begun = request_record.begin(record)
    (task,) = submit(committer, "a")
    request_record.end(begun)
    (other,) = submit(committer, "b")

    def lose(batch: Batch) -> list[Outcome]:
        raise WriteConflict

    _, go = await driver.next_batch()
    go.set_result(lose)
    await settle(driver, [task, other], accept)

    assert (record.attempts, record.lost) == (2, 1)
    assert record.queue_seconds > 0
    assert record.transaction_seconds > 0


async def test_a_request_whose_time_is_over_is_told_too(driver: Scripted) -> None:
    """The time in a batch counts for a request that is answered before its batch ends."""
    committer, record = committer_over(driver), RequestRecord("a", 0)
    begun = request_record.begin(record)
    with bound(Deadline(0.05)):
        (task,) = submit(committer, "a")
        await driver.next_batch()
    request_record.end(begun)

    with pytest.raises(OutcomeUnknown):
        await task
    assert record.transaction_seconds > 0


class Counts:
    """A committer whose work is counted."""

    def __init__(self, driver: Scripted) -> None:
        metrics = Metrics()
        self._registry = metrics.registry
        self.committer = Committer(driver, 16, clock=lambda: EARLIEST, meter=Meter(metrics.booking))

    def by(self, name: str) -> dict[str, float]:
        """What a counter has by its label, without zeros; of a metric without labels by its name."""
        return {
            next(iter(sample.labels.values()), sample.name): sample.value
            for metric in self._registry.collect()
            for sample in metric.samples
            if sample.name == name and sample.value
        }


def fail(error: Exception) -> Script:
    """A transaction that fails."""

    def script(batch: Batch) -> list[Outcome]:
        raise error

    return script


async def test_transactions_are_counted_by_outcome(driver: Scripted) -> None:
    """Each transaction has one outcome, also where a batch has several of them; lost intents are counted as retries."""
    counts = Counts(driver)
    tasks = submit(counts.committer, "a", "b")
    for script in (fail(KeyUsed()), fail(InvalidDocument("no BSON")), accept, accept):  # the last two are its halves
        _, go = await driver.next_batch()
        go.set_result(script)
    await asyncio.gather(*tasks)
    (lost,) = submit(counts.committer, "a")
    for script in (fail(WriteConflict()), accept):
        _, go = await driver.next_batch()
        go.set_result(script)
    await lost

    expected = {"key-used": 1, "failed": 1, "conflict": 1, "nothing": 3}  # what these accepted intents write is nothing
    assert counts.by("reserva_booking_transactions_total") == expected
    assert counts.by("reserva_booking_retries_total") == {"reserva_booking_retries_total": 1}
    assert counts.by("reserva_booking_intents_total") == {"accepted": 3}
    assert counts.by("reserva_booking_batch_intents_count") == {"reserva_booking_batch_intents_count": 3}


async def test_unknown_outcomes_are_counted(driver: Scripted) -> None:
    """A commit that was not answered is an unknown transaction; its intent, and one whose time is over, are counted."""
    counts = Counts(driver)
    (unanswered,) = submit(counts.committer, "a")
    _, go = await driver.next_batch()
    go.set_result(lambda batch: [OutcomeUnknown() for _ in batch.intents])
    with bound(Deadline(0.05)):
        (late,) = submit(counts.committer, "b")
        _, go = await driver.next_batch()
    await asyncio.gather(unanswered, late, return_exceptions=True)
    go.set_result(accept)
    await counts.committer.drain()

    assert counts.by("reserva_booking_transactions_total") == {"unknown": 1, "nothing": 1}
    assert counts.by("reserva_booking_intents_total") == {"outcome-unknown": 2}


async def test_who_was_answered_is_not_counted_as_queued_again(driver: Scripted) -> None:
    """The end of its lost batch adds nothing to the record of a request whose time was over before."""
    counts, record = Counts(driver), RequestRecord("a", 0)
    begun = request_record.begin(record)
    with bound(Deadline(0.05)):
        (late,) = submit(counts.committer, "a")
        _, go = await driver.next_batch()
    request_record.end(begun)
    with pytest.raises(OutcomeUnknown):
        await late
    noted = record.transaction_seconds, record.lost
    go.set_result(fail(WriteConflict()))
    await counts.committer.drain()

    assert (record.transaction_seconds, record.lost) == noted
    assert counts.by("reserva_booking_retries_total") == {}


async def test_a_request_whose_batch_was_split_and_lost_adds_up(driver: Scripted) -> None:
    """A split batch is one attempt; its half that lost a write conflict alone is another; no time counts twice."""
    counts = Counts(driver)
    records, tasks = [RequestRecord(name, 0) for name in "ab"], []
    began = asyncio.get_running_loop().time()
    for record in records:
        begun = request_record.begin(record)
        tasks += submit(counts.committer, record.id)
        request_record.end(begun)
    for script in (fail(InvalidDocument("no BSON")), accept, fail(WriteConflict()), accept):
        _, go = await driver.next_batch()
        go.set_result(script)
    await asyncio.gather(*tasks)
    passed = asyncio.get_running_loop().time() - began

    assert [(record.attempts, record.lost) for record in records] == [(1, 0), (2, 1)]
    for record in records:
        assert 0 < record.queue_seconds + record.transaction_seconds <= passed


async def test_one_bad_intent_among_many_fails_alone(driver: Scripted) -> None:
    """A failure that names no intent halves the batch until its cause is alone; the others answer as without it."""
    committer = committer_over(driver)
    tasks = submit(committer, *"abcdefgh")

    def choke(batch: Batch) -> list[Outcome]:
        if "e" in names([*batch.intents]):
            raise InvalidDocument("no BSON for this")
        return accept(batch)

    outcomes = await settle(driver, tasks, choke)

    problems = [outcome for outcome in outcomes if isinstance(outcome, Problem)]
    assert [problem.name for problem in problems] == ["invalid"]
    assert sum(isinstance(outcome, Intent) for outcome in outcomes) == 7


async def test_a_database_that_is_gone_is_reported(driver: Scripted) -> None:
    """Without a connection the intents try until their time is over; the answer says that nothing was done."""
    committer = committer_over(driver)
    tasks = submit(committer, "a", deadline_seconds=0.05)

    def gone(batch: Batch) -> list[Outcome]:
        raise AutoReconnect("connection refused")

    (problem,) = await settle(driver, tasks, gone)

    assert isinstance(problem, Problem)
    assert problem.name == "unavailable"


async def test_stopping_finishes_what_was_taken_in(driver: Scripted) -> None:
    """A drain takes nothing new and waits for all intents that were taken."""
    committer = committer_over(driver)
    tasks = submit(committer, "a", "a", "b")
    _, go = await driver.next_batch()
    late = submit(committer, "a")
    await asyncio.sleep(0)
    drained = asyncio.create_task(committer.drain())
    await asyncio.sleep(0)

    with pytest.raises(Problem):
        await committer.submit(booking_of(resource="c"))
    go.set_result(accept)
    _, go = await driver.next_batch()
    go.set_result(accept)
    await drained

    assert all(task.done() for task in tasks + late)


async def test_a_lane_that_rested_goes_on_though_the_loop_calls_early(
    driver: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop may call a moment before the time; with no other intent arriving, that call is the only one there is."""
    committer = committer_over(driver)
    loop = asyncio.get_running_loop()
    committer.backoff.start({LANE: 60.0})
    until = committer.backoff.until[LANE]
    (task,) = submit(committer, "a")
    await asyncio.sleep(0)
    assert driver.seen == []

    with monkeypatch.context() as patch:
        patch.setattr(loop, "time", lambda: until - 1e-9)
        committer.backoff.end((LANE,), until)
    await settle(driver, [task], accept)

    assert [names(batch) for batch in driver.seen] == [["a"]]


def duplicate() -> DuplicateKeyError:
    """What a unique index says."""
    return DuplicateKeyError("E11000 duplicate key", 11000)


def duplicates() -> BulkWriteError:
    """What it says of one row of many."""
    return BulkWriteError({"writeErrors": [{"index": 1, "code": 11000, "errmsg": "E11000 duplicate key"}]})


@pytest.mark.parametrize("error", [duplicate, duplicates])
async def test_a_duplicate_key_goes_again_from_the_first_step(driver: Scripted, error: Callable[[], Exception]) -> None:
    """Whole: the second time its replays and its own rows are found, or the index names an intent."""
    committer = committer_over(driver)
    tasks = submit(committer, "a", "b")

    def first_only(batch: Batch) -> list[Outcome]:
        if len(driver.seen) == 1:
            raise error()
        return accept(batch)

    outcomes = await settle(driver, tasks, first_only)

    assert all(isinstance(outcome, Intent) for outcome in outcomes)
    assert [names(batch) for batch in driver.seen] == [["a", "b"], ["a", "b"]]


async def test_a_key_that_was_pruned_and_used_meanwhile_is_looked_up_again(driver: Scripted) -> None:
    """The first look finds nothing, as the key was pruned, and the insert meets what another request made of it."""
    committer = committer_over(driver)
    tasks = submit(committer, "a")

    def third_time(batch: Batch) -> list[Outcome]:
        if len(driver.seen) < 3:
            raise duplicate()
        return accept(batch)

    (outcome,) = await settle(driver, tasks, third_time)

    assert isinstance(outcome, Intent)


async def test_a_duplicate_that_stays_one_ends(driver: Scripted) -> None:
    """A row that the index refuses each time is no replay: its intent fails alone, the others do not."""
    committer = committer_over(driver)
    tasks = submit(committer, "a", "b")

    def refuse(batch: Batch) -> list[Outcome]:
        if "a" in names([*batch.intents]):
            raise duplicate()
        return accept(batch)

    with capture_logs():
        first, second = await settle(driver, tasks, refuse)

    assert isinstance(first, Problem)
    assert first.name == "internal"
    assert isinstance(second, Intent)


async def test_a_lane_that_rests_is_left_alone(driver: Scripted) -> None:
    """Nothing is begun there before its time, and intents on other lanes go ahead."""
    committer = committer_over(driver)
    committer.backoff.start({LANE: 60.0})
    resting, other = submit(committer, "a", "b")
    _, go = await driver.next_batch()
    go.set_result(accept)
    await other

    assert [names(batch) for batch in driver.seen] == [["b"]]
    committer.backoff.end((LANE,), committer.backoff.until[LANE])
    await settle(driver, [resting], accept)
    assert [names(batch) for batch in driver.seen] == [["b"], ["a"]]


async def test_the_end_of_a_shorter_rest_does_not_end_a_longer_one(driver: Scripted) -> None:
    """Of two reasons to rest the later end counts."""
    committer = committer_over(driver)
    committer.backoff.start({LANE: 10.0})
    first = committer.backoff.until[LANE]
    committer.backoff.start({LANE: 60.0})
    second = committer.backoff.until[LANE]
    committer.backoff.end((LANE,), first)

    assert committer.backoff.until == {LANE: second}
    committer.backoff.end((LANE,), second)
    assert committer.backoff.until == {}


async def test_a_mark_that_stands_ends_the_rest(driver: Scripted) -> None:
    """An intent with a priority mark goes as soon as other processes can read the mark."""
    committer = committer_over(driver)
    asked: list[frozenset[Lane]] = []

    async def way(lanes: frozenset[Lane], owner: Any) -> None:
        asked.append(lanes)

    committer.backoff.start({LANE: 60.0})
    (task,) = submit(committer, "a")
    await asyncio.sleep(0)
    committer._send_priority_request(way, frozenset((LANE,)))
    await settle(driver, [task], accept)

    assert asked == [{LANE}]
    assert [names(batch) for batch in driver.seen] == [["a"]]


async def test_the_last_call_is_none_for_who_is_in_a_batch(driver: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is taken only the batch answers, until the time of the caller is over."""
    loop, minded, calls = asyncio.get_running_loop(), list[dict[str, Any]](), list[tuple[Any, ...]]()
    loop.set_exception_handler(lambda _, context: minded.append(context))
    monkeypatch.setattr(module, "call_at", lambda *call: calls.append(call))
    committer = committer_over(driver)
    (task,) = submit(committer, "a", deadline_seconds=60.0)
    _, go = await driver.next_batch()
    (_, time_is_up, ticket) = calls[0]
    time_is_up(ticket)
    assert not task.done()
    go.set_result(accept)
    outcome = await task
    loop.set_exception_handler(None)

    assert isinstance(outcome, Intent)
    assert [when for when, *_ in calls] == [ticket.start_by, ticket.deadline]
    assert minded == []


async def test_success_widens_again_what_a_conflict_narrowed(driver: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a conflict a batch spans half of the resources, after each success twice as many."""
    monkeypatch.setattr(backoff, "BACKOFF_SECONDS", 60.0)
    monkeypatch.setattr(backoff, "BACKOFF_LIMIT_SECONDS", 60.0)
    committer = committer_over(driver)
    tasks = submit(committer, *"abcdefgh")
    _, go = await driver.next_batch()

    def lose(batch: Batch) -> list[Outcome]:
        raise WriteConflict

    go.set_result(lose)
    for _ in range(5):
        await asyncio.sleep(0)
    assert committer.backoff.until.keys() == {*"abcdefgh"}
    committer.backoff.end(guard_lanes(*"abcdefgh"), math.inf)
    await settle(driver, tasks, accept)
    await settle(driver, submit(committer, *"abcdefgh"), accept)

    assert [len(batch) for batch in driver.seen] == [8, 4, 4, 8]


async def test_a_batch_gets_the_longest_time_of_its_intents(driver: Scripted) -> None:
    """One that is nearly out of time does not shorten the others' transaction."""
    committer = committer_over(driver)
    tasks = submit(committer, "a", deadline_seconds=0.6) + submit(committer, "b", deadline_seconds=3.0)
    await settle(driver, tasks, accept)

    (budget,) = driver.budgets
    assert 0.6 < budget <= 3.0


async def test_who_is_nearly_out_of_time_is_run_for_real(driver: Scripted) -> None:
    """What a batch has taken gets time enough to succeed."""
    committer = committer_over(driver)
    await settle(driver, submit(committer, "a", deadline_seconds=0.0), accept)

    assert driver.budgets == [BUDGET_MIN_SECONDS]


def out_of_time() -> NetworkTimeout:
    """A socket that waited in vain."""
    return NetworkTimeout("timed out")


def gave_up() -> ExecutionTimeout:
    """A server that stopped an operation."""
    return ExecutionTimeout("operation exceeded time limit", 50)


@pytest.mark.parametrize("error", [out_of_time, gave_up])
async def test_a_database_that_is_slow_is_overloaded(driver: Scripted, error: Callable[[], Exception]) -> None:
    """An operation that took too long is no fault of its intent, and the database is not gone: it goes again."""
    committer = committer_over(driver)
    tasks = submit(committer, "a", deadline_seconds=0.05)

    def slow(batch: Batch) -> list[Outcome]:
        raise error()

    (problem,) = await settle(driver, tasks, slow)

    assert isinstance(problem, Problem)
    assert problem.name == "overloaded"


async def test_without_transactions_each_goes_alone(driver: Scripted) -> None:
    """Writes that happen one after the other must not be those of several intents."""
    driver.atomic = False
    committer = committer_over(driver)
    await settle(driver, submit(committer, "a", "a", "b"), accept)

    assert sorted(names(batch) for batch in driver.seen) == [["a"], ["a"], ["b"]]


async def test_a_process_that_must_not_book_says_so_to_all(driver: Scripted) -> None:
    """A problem of the process itself answers every intent, and the batch is not halved."""
    committer = committer_over(driver)

    def refuse(batch: Batch) -> list[Outcome]:
        raise Problem("unavailable", "This process must be restarted.")

    outcomes = await settle(driver, submit(committer, "a", "b"), refuse)

    assert [getattr(outcome, "name", None) for outcome in outcomes] == ["unavailable"] * 2
    assert len(driver.seen) == 1


class TestLimits:
    """What fits into one batch."""

    def batch(self, *intents: AnyIntent, width: int = 64) -> list[AnyIntent]:
        """The intents that are taken together, in order."""
        chosen = BatchBuilder(width, INTENTS_LIMIT)
        loop = asyncio.get_running_loop()
        for intent in intents:
            ticket = Ticket(intent, lanes_of(intent), 0.0, 0.0, loop.create_future(), targets=intent.targets())
            if not chosen.is_full and chosen.fits(ticket):
                chosen.add(ticket)
        return [ticket.intent for ticket in chosen.tickets]

    async def test_no_more_than_so_many_intents(self) -> None:
        """One more waits for the next batch."""
        assert len(self.batch(*[booking_of() for _ in range(INTENTS_LIMIT + 1)])) == INTENTS_LIMIT

    async def test_no_more_than_so_many_writes(self) -> None:
        """A group counts with all that it writes; one above the limit goes alone."""
        groups = [BookGroup(by="test", members=[booking_of() for _ in range(20)]) for _ in range(8)]
        large = BookGroup(by="test", members=[booking_of() for _ in range(WRITES_LIMIT + 1)])

        assert len(self.batch(*groups)) == WRITES_LIMIT // 20
        assert self.batch(large, booking_of()) == [large]
        assert self.batch(booking_of(), large) != [large]

    async def test_no_more_than_so_many_bytes(self) -> None:
        """Metadata of the largest size fills a transaction before the number of its intents does."""
        heavy = [booking_of(metadata={"key": "x" * 500 * 100}) for _ in range(INTENTS_LIMIT)]
        taken = self.batch(*heavy)

        assert sum(intent.size for intent in taken) <= BYTES_LIMIT < (len(taken) + 1) * heavy[0].size
        assert len(taken) < INTENTS_LIMIT

    async def test_one_at_a_time_changes_a_document(self) -> None:
        """Two changes of one reservation, or two edits of one resource, are never in one batch."""
        reservation = ObjectId()
        changes = [Confirm(by="test", reservation=reservation, resource=ROOM_ID) for _ in range(2)]
        other = Confirm(by="test", reservation=ObjectId(), resource=ROOM_ID)

        assert self.batch(*changes, other) == [changes[0], other]

    async def test_no_more_than_so_many_resources(self) -> None:
        """The width bounds the resources, and never the intents of one that is in."""
        wishes = [booking_of(resource=name) for name in "abacb"]

        assert self.batch(*wishes, width=2) == [wishes[0], wishes[1], wishes[2], wishes[4]]

    async def test_a_key_is_a_lane(self) -> None:
        """Equal keys on two resources never run at the same time in one process."""
        token = Token("key", "same", render=lambda made: made)
        one, two = (booking_of(resource=name, token=token) for name in "ab")

        assert lanes_of(one) & lanes_of(two) == {"key:key"}
        assert lanes_of(booking_of()) == {"room"}

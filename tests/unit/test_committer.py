"""The queue of the write path: who shares a transaction with whom, who waits, who is told what."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from bson.errors import InvalidDocument
from pymongo.errors import AutoReconnect, BulkWriteError, DuplicateKeyError
from structlog.testing import capture_logs

from app.booking import committer as module
from app.booking.committer import Committer
from app.booking.group import BookGroup
from app.booking.intents import Accepted, Intent
from app.booking.steps import Steps
from app.booking.transaction import Batch, Lost, Outcome
from app.errors import Problem
from tests.actors import booking_of

Script = Callable[[Batch], list[Outcome]]


def accept(batch: Batch) -> list[Outcome]:
    """Everybody gets what they asked for."""
    return [Accepted(intent, proof=("", {})) for intent in batch.intents]


class Scripted:
    """A driver that holds each batch until the test lets it go, and then does what the test says."""

    atomic = True

    def __init__(self) -> None:
        self.running: list[tuple[list[Any], asyncio.Future[Script]]] = []
        self.seen: list[list[Any]] = []
        self.arrived = asyncio.Event()

    async def run(self, slot: int, body: Any, budget_seconds: float) -> Any:
        """Wait for the word of the test."""
        del slot, budget_seconds
        future: asyncio.Future[Script] = asyncio.get_running_loop().create_future()
        batch: Batch = body
        self.running.append(([*batch.intents], future))
        self.seen.append([*batch.intents])
        self.arrived.set()
        return (await future)(batch)

    async def next_batch(self) -> tuple[list[Any], "asyncio.Future[Script]"]:
        """The next batch that is running and was not yet let go."""
        while not self.running:
            self.arrived.clear()
            await self.arrived.wait()
        return self.running.pop(0)

    async def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """A driver that gets the batch itself instead of its steps."""

    def as_it_is(batch: Batch) -> Steps[list[Outcome]]:
        return batch  # type: ignore[return-value]  # the scripted driver wants to see the intents

    monkeypatch.setattr(module, "attempt", as_it_is)
    return Scripted()


def submit(committer: Committer, *resources: str, **fields: Any) -> "list[asyncio.Task[Any]]":
    """Wishes for these resources, in this order."""
    return [asyncio.create_task(committer.submit(booking_of(resource=name, **fields))) for name in resources]


async def settle(driver: Scripted, tasks: "list[asyncio.Task[Any]]", script: Script) -> list[Any]:
    """Answer every batch by the script until all of these are told; what they were told."""

    async def serve() -> None:
        while True:
            _, go = await driver.next_batch()
            go.set_result(script)

    serving = asyncio.create_task(serve())
    told = await asyncio.gather(*tasks, return_exceptions=True)
    serving.cancel()
    return told


def names(intents: list[Any]) -> list[str]:
    """The resources of a batch."""
    return [intent.resource for intent in intents]


async def test_who_arrives_together_shares_a_transaction(driver: Scripted) -> None:
    """All that waits goes in one batch, in order of arrival."""
    committer = Committer(driver, 16)
    tasks = submit(committer, "a", "b", "a", "c")

    intents, go = await driver.next_batch()
    go.set_result(accept)
    await asyncio.gather(*tasks)

    assert names(intents) == ["a", "b", "a", "c"]


async def test_running_batches_never_share_a_lane_and_nobody_overtakes(driver: Scripted) -> None:
    """While one batch holds a resource, who wants it waits, and so does a younger wish; others go ahead."""
    committer = Committer(driver, 16)
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
    """While it waits for one of its resources nobody younger gets ahead of it on any; then it goes before them."""
    committer = Committer(driver, 16)
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
    committer = Committer(driver, 16)
    (first,) = submit(committer, "a")
    _, go = await driver.next_batch()
    (late,) = submit(committer, "a", deadline_seconds=0.01)

    with pytest.raises(Problem) as refused:
        await late

    assert refused.value.name == "overloaded"
    go.set_result(accept)
    await first
    assert [len(batch) for batch in driver.seen] == [1]


async def test_a_full_queue_refuses_at_once(driver: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the queue's limit nothing is taken in."""
    monkeypatch.setattr(module, "QUEUE_LIMIT", 2)
    committer = Committer(driver, 16)
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
    committer = Committer(driver, 16)
    (gone,) = submit(committer, "a")
    intents, go = await driver.next_batch()

    gone.cancel()
    go.set_result(accept)
    await committer.drain()

    assert gone.cancelled()
    assert names(intents) == ["a"]


async def test_who_lost_a_race_goes_again_first_and_with_fewer_resources(driver: Scripted) -> None:
    """After a conflict the intents keep their order, and a batch spans fewer resources, not fewer intents of one."""
    committer = Committer(driver, 16)
    tasks = submit(committer, "a", "a", "b", "c", "d", "a")
    _, go = await driver.next_batch()

    def lose(batch: Batch) -> list[Outcome]:
        raise Lost

    go.set_result(lose)
    again, go = await driver.next_batch()
    go.set_result(accept)
    await settle(driver, tasks, accept)

    assert names(again) == ["a", "a", "b", "a"]


async def test_one_bad_intent_among_many_harms_nobody_else(driver: Scripted) -> None:
    """A failure that names nobody halves the batch until its cause is alone; the others answer as without it."""
    committer = Committer(driver, 16)
    tasks = submit(committer, *"abcdefgh")

    def choke(batch: Batch) -> list[Outcome]:
        if "e" in names([*batch.intents]):
            raise InvalidDocument("no BSON for this")
        return accept(batch)

    outcomes = await settle(driver, tasks, choke)

    problems = [outcome for outcome in outcomes if isinstance(outcome, Problem)]
    assert [problem.name for problem in problems] == ["invalid"]
    assert sum(isinstance(outcome, Intent) for outcome in outcomes) == 7


async def test_a_database_that_is_gone_is_said_so(driver: Scripted) -> None:
    """Without a connection the intents try until their time is over, and are then told that nothing was done."""
    committer = Committer(driver, 16)
    tasks = submit(committer, "a", deadline_seconds=0.05)

    def gone(batch: Batch) -> list[Outcome]:
        raise AutoReconnect("connection refused")

    (problem,) = await settle(driver, tasks, gone)

    assert isinstance(problem, Problem)
    assert problem.name == "unavailable"


async def test_stopping_finishes_what_was_taken_in(driver: Scripted) -> None:
    """A drain takes nothing new and waits for everybody who is in."""
    committer = Committer(driver, 16)
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
    """The loop may call a moment before the time; with nobody else arriving, that call is the only one there is."""
    committer = Committer(driver, 16)
    loop = asyncio.get_running_loop()
    committer._rest({"a": 60.0})
    until = committer.not_before["a"]
    (task,) = submit(committer, "a")
    await asyncio.sleep(0)
    assert driver.seen == []

    with monkeypatch.context() as patch:
        patch.setattr(loop, "time", lambda: until - 1e-9)
        committer._rested(("a",), until)
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
    """Whole and once: the second time its replays and its own rows are found, or the index names somebody."""
    committer = Committer(driver, 16)
    tasks = submit(committer, "a", "b")

    def first_only(batch: Batch) -> list[Outcome]:
        if len(driver.seen) == 1:
            raise error()
        return accept(batch)

    outcomes = await settle(driver, tasks, first_only)

    assert all(isinstance(outcome, Intent) for outcome in outcomes)
    assert [names(batch) for batch in driver.seen] == [["a", "b"], ["a", "b"]]


async def test_a_duplicate_that_stays_one_ends(driver: Scripted) -> None:
    """A row that the index refuses each time is nobody's replay: its intent fails alone, the others do not."""
    committer = Committer(driver, 16)
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

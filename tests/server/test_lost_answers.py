"""Writes that are lost in transit, or whose answers are: the caller gets the true outcome."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from bson import ObjectId
from mongomock_motor import AsyncMongoMockCollection
from pymongo.errors import AutoReconnect

from app.booking import BookingService, Refused, Replay
from app.booking.edit import EditService
from app.booking.intents import AnyIntent
from app.booking.outcomes import Accepted
from app.booking.plain_driver import PlainDriver
from app.errors import OutcomeUnknown, Problem
from app.storage.catalogue_updates import Changes
from app.storage.client import Store
from app.storage.documents import Service
from app.storage.guards import make_service_row
from app.storage.steps import Step
from tests.support.api_client import ApiClient, problem
from tests.support.ids import CUT_ID
from tests.support.mongodb_proxy import faulty
from tests.support.step_driver import (
    FailingStepDriver,
    StepDriver,
    add_resource,
    book_accepted,
    booking_of,
    keyed_booking_of,
    lost_commit_answer,
    planned_edit,
)
from tests.support.times import HOUR, NINE


@pytest.mark.servers("transactions")
@pytest.mark.promise("deadlines")
class TestCancel:
    """A cancellation, which is a transaction of the reservation and its event."""

    async def test_it_is_known_by_what_it_wrote(self, store: Store, database_url: str) -> None:
        """Where only the answers get lost, the history shows that it was written; it and its event are so once."""
        await add_resource(store)
        made = await book_accepted(store)
        async with faulty(database_url) as (proxy, booking):
            lost = proxy.lose_answer(lambda command: "commitTransaction" in command, times=2)
            cancelled = await booking.close(made.id, "cancelled", by="test")

        assert lost.met.is_set()
        assert [entry.to for entry in cancelled.history] == ["confirmed", "cancelled"]
        types = await store.database["outbox"].distinct("type")  # in whichever order
        assert sorted(types) == ["reservation.cancelled", "reservation.created"]
        assert await store.database["outbox"].count_documents({}) == 2


@pytest.mark.servers("transactions")
async def test_the_twin_of_an_unknown_outcome_does_not_know_either(store: Store) -> None:
    """Of two equal requests in one batch the second was to get the first one's answer: it may be booked."""
    await add_resource(store)
    driver = FailingStepDriver(store, [keyed_booking_of(), keyed_booking_of(), booking_of()])
    driver.fail("commit", lost_commit_answer(), done=True)
    driver.fail("commit.fence", AutoReconnect("still closed"), done=False)

    first, twin, refused = await driver.finish()
    await driver.close()

    assert isinstance(first, OutcomeUnknown)
    assert isinstance(twin, OutcomeUnknown)
    assert twin.extra["reservations"] == first.extra["reservations"]
    assert isinstance(refused, Problem)
    assert refused.name == "overloaded"


@pytest.mark.servers("transactions")
async def test_a_replay_does_not_depend_on_its_batch(store: Store) -> None:
    """A replay of an earlier booking is answered, whatever the outcome of its batch."""
    await add_resource(store)
    await book_accepted(store, token=keyed_booking_of().token)
    again = [keyed_booking_of(), booking_of(NINE + 2 * HOUR)]
    driver = FailingStepDriver(store, again, keys_first=True)  # it runs for the second time
    driver.fail("commit", lost_commit_answer(), done=True)
    driver.fail("commit.fence", AutoReconnect("still closed"), done=False)

    replayed, unknown = await driver.finish()
    await driver.close()

    assert isinstance(replayed, Replay)
    assert isinstance(unknown, OutcomeUnknown)


class Overtaken(FailingStepDriver):
    """A driver whose commit is applied but not answered; another driver runs before it asks for the outcome."""

    def overtaken_by(self, other: StepDriver) -> None:
        """Let the other do all it does."""
        self.fail("commit", lost_commit_answer(), done=True)
        perform, loop = self.driver.perform, asyncio.get_running_loop()

        def late(step: Step, slot: int, until: float) -> Any:
            if step.name == "commit.fence":
                asyncio.run_coroutine_threadsafe(other.finish(), loop).result()
            return perform(step, slot, until)

        self.driver.perform = late  # type: ignore[method-assign]  # that is the race


def name_of_service(value: str, version: int | None = None) -> EditService:
    """An edit of the service."""
    return EditService(
        by="test", identity=CUT_ID, version=version, apply=lambda found: found.model_copy(update={"name": value})
    )


@pytest.mark.servers("transactions")
@pytest.mark.promise("deadlines")
class TestEdit:
    """An edit that was committed, and overwritten by another edit before its outcome was known."""

    async def _edited_twice(self, store: Store, mine: AnyIntent, other: AnyIntent) -> Any:
        first, second = Overtaken(store, [mine]), StepDriver(store, [other])
        try:
            first.overtaken_by(second)
            (outcome,) = await first.finish()
        finally:
            await second.close()
            await first.close()
        return outcome

    async def test_of_a_resource_is_not_stale(self, store: Store) -> None:
        """The answer reports the caller's own edit, and not that another one was first."""
        await add_resource(store)
        mine = await planned_edit(store, Changes({"capacity": 2}))
        mine.version = 1
        other = await planned_edit(store, Changes({"capacity": 3}))
        other.plan = replace(other.plan, version=2)  # as if it had been planned right after mine
        outcome = await self._edited_twice(store, mine, other)
        row = await store.database["resources"].find_one({"_id": "room"})

        assert isinstance(outcome, Accepted)
        assert outcome.value == 2
        assert row is not None
        assert (row["capacity"], row["version"]) == (3, 3)

    async def test_of_a_service_is_not_stale(self, store: Store) -> None:
        """The answer to an edit of a service reports the caller's own edit as well."""
        now = store.clock.now()
        service = Service(
            id="cut", name="a", duration_type="fixed", duration_minutes=60, created_at=now, updated_at=now
        )
        await make_service_row(store, CUT_ID)
        await store.database["services"].insert_one(service.to_mongo())
        outcome = await self._edited_twice(store, name_of_service("b", version=1), name_of_service("c"))

        assert isinstance(outcome, Accepted)
        assert (outcome.value.name, outcome.value.version) == ("b", 2)


class TestOptimisticEdit:
    """Without transactions an edit is two writes; the second, which makes others forget, may be lost."""

    @pytest.mark.parametrize("done", [True, False], ids=["answer", "write"])
    async def test_no_booking_uses_the_old_capacity(self, mock_store: Store, done: bool) -> None:  # noqa: FBT001  # a parameter of the test
        """Whether the edit was acknowledged or not, what it wrote counts at once in the process that wrote it."""
        await add_resource(mock_store, capacity=2)
        booking = BookingService(mock_store)
        await booking.start()
        driver = booking.committer.driver
        assert isinstance(driver, PlainDriver)
        await booking.book(booking_of())
        perform = driver._perform

        async def unlucky(step: Step, until: float) -> Any:
            if step.name == "guards.update":
                if done:
                    await perform(step, until)
                raise AutoReconnect("connection closed")
            return await perform(step, until)

        edit = await planned_edit(mock_store, Changes({"capacity": 1}))
        driver._perform = unlucky  # type: ignore[method-assign]  # that is the fault
        await booking.committer.submit(edit)
        driver._perform = perform  # type: ignore[method-assign]  # the fault is over
        with pytest.raises(Refused):
            await booking.book(booking_of(reservation=ObjectId()))
        await booking.stop()


async def test_a_row_of_ones_own_is_no_duplicate(
    mock_app_client: httpx.AsyncClient, mock_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's second try that meets what its first one wrote has made the customer; a second request has not.

    That holds for an equal request in the same millisecond as well.
    """
    now = mock_store.clock.millis()
    monkeypatch.setattr(mock_store.clock, "millis", lambda: now)
    api, insert = ApiClient(mock_app_client, mock_store), AsyncMongoMockCollection.insert_one

    async def twice(self: Any, row: dict[str, Any], *arguments: Any, **options: Any) -> Any:
        await insert(self, dict(row), *arguments, **options)
        return await insert(self, row, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(AsyncMongoMockCollection, "insert_one", twice)
        ada = await api.add("customers", id="ada", name="Ada")
    again = await api.request("POST", "/v1/customers", json={"id": "ada", "name": "Ada"})

    assert ada["version"] == 1
    problem(again, "exists")

"""Closing a reservation without a transaction, on mongomock: which status, by which version, repeated how."""

from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

from app.booking import closing
from app.booking.closing import ATTEMPTS_MAX, Closure, close
from app.domain.lifecycle import Status
from app.errors import OutcomeUnknown, Problem
from app.storage.client import Store
from app.storage.documents import Reservation
from app.storage.reservation_transitions import ReservationTransitions
from tests.support.booking_view import stored_row
from tests.support.times import HOUR, NINE


async def reap_nothing() -> None:
    """No process has died."""


async def insert(store: Store, **fields: Any) -> ObjectId:
    """Store a reservation, of a service that wants a day's notice; its id."""
    now = store.clock.now()
    service = {"_id": "cut", "name": "cut", "durationType": "fixed", "durationMinutes": 60, "version": 1}
    times = {"createdAt": now, "updatedAt": now, "cancellationNoticeMinutes": 24 * 60}
    await store.database["services"].replace_one({"_id": "cut"}, service | times, upsert=True)
    row = stored_row(**({"service": "cut"} | fields))
    await store.database["reservations"].insert_one(row)
    identity: ObjectId = row["_id"]
    return identity


async def closed(store: Store, identity: ObjectId, to: Status, **fields: Any) -> Reservation:
    """The reservation after it was closed."""
    return await close(store, identity, Closure(to, by="caller", **fields), reap_nothing)


async def refused(store: Store, identity: ObjectId, to: Status, **fields: Any) -> str:
    """The name of the problem by which a closure is refused."""
    with pytest.raises(Problem) as problem:
        await closed(store, identity, to, **fields)
    return problem.value.name


async def test_it_changes_the_status_alone(mock_store: Store) -> None:
    """With a line of history and the next version; times and resource stay."""
    identity = await insert(mock_store)
    after = await closed(mock_store, identity, "cancelled", reason="ill")

    assert (after.status, after.version, after.start_time, after.block_end) == ("cancelled", 4, NINE, NINE + HOUR)
    line = after.history[-1]
    assert (line.by, line.from_, line.to, line.reason) == ("caller", "confirmed", "cancelled", "ill")


@pytest.mark.promise("final-status")
async def test_a_repetition_changes_nothing(mock_store: Store) -> None:
    """The second one is answered with what the first one made."""
    identity = await insert(mock_store)
    first = await closed(mock_store, identity, "cancelled")

    assert await closed(mock_store, identity, "cancelled") == first


@pytest.mark.parametrize(
    ("status", "to"), [("cancelled", "completed"), ("completed", "cancelled"), ("pending", "no-show")]
)
async def test_the_lifecycle_decides(mock_store: Store, status: str, to: Status) -> None:
    """What is final stays so, and a request was never attended."""
    past = mock_store.clock.now() - HOUR
    identity = await insert(mock_store, status=status, startTime=past)

    assert await refused(mock_store, identity, to) == "forbidden-transition"


async def test_an_expired_hold_is_not_cancelled(mock_store: Store) -> None:
    """From its instant on; a live one is."""
    now = mock_store.clock.now()
    over = await insert(mock_store, status="pending", expiresAt=now - HOUR)
    live = await insert(mock_store, status="pending", expiresAt=now + HOUR)

    assert await refused(mock_store, over, "cancelled") == "forbidden-transition"
    assert (await closed(mock_store, live, "cancelled")).status == "cancelled"


@pytest.mark.promise("attendance")
async def test_attendance_needs_a_begun_reservation(mock_store: Store) -> None:
    """One that lies ahead can only be cancelled."""
    ahead, begun = await insert(mock_store), await insert(mock_store, startTime=mock_store.clock.now() - HOUR)

    assert await refused(mock_store, ahead, "completed") == "forbidden-transition"
    assert (await closed(mock_store, begun, "completed")).status == "completed"


@pytest.mark.promise("cancellation-notice")
async def test_the_cancellation_notice_binds_all_but_an_admin(mock_store: Store) -> None:
    """What is confirmed and begins in an hour; a hold is bound by none."""
    soon = mock_store.clock.now() + HOUR
    confirmed = await insert(mock_store, startTime=soon)
    hold = await insert(mock_store, startTime=soon, status="pending", expiresAt=soon)

    assert await refused(mock_store, confirmed, "cancelled") == "too-late"
    assert (await closed(mock_store, hold, "cancelled")).status == "cancelled"
    assert (await closed(mock_store, confirmed, "cancelled", admin=True)).status == "cancelled"


async def test_an_unknown_one_is_not_found(mock_store: Store) -> None:
    """Whatever it is to become."""
    assert await refused(mock_store, ObjectId(), "cancelled") == "not-found"


class TestOthers:
    """What happens between the read and the write."""

    async def test_a_changed_version_is_read_and_judged_again(
        self, mock_store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another caller was faster: the closure comes after that change, not over it."""
        identity = await insert(mock_store)
        close_row, calls = ReservationTransitions.close_row, 0

        async def outrun(self: ReservationTransitions, *arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 1:
                change = {"$set": {"notes": "faster"}, "$inc": {"version": 1}}
                await mock_store.database["reservations"].update_one({"_id": identity}, change)
            return await close_row(self, *arguments)

        monkeypatch.setattr(ReservationTransitions, "close_row", outrun)
        after = await closed(mock_store, identity, "cancelled")

        assert (after.status, after.notes, after.version, calls) == ("cancelled", "faster", 5, 2)

    async def test_endless_changes_end_as_overloaded(self, mock_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """After so many attempts nothing was done, and that is the answer."""
        identity, calls = await insert(mock_store), 0

        async def outrun(*_: Any) -> bool:
            nonlocal calls
            calls += 1
            return False

        monkeypatch.setattr(ReservationTransitions, "close_row", outrun)

        assert await refused(mock_store, identity, "cancelled") == "overloaded"
        assert calls == ATTEMPTS_MAX

    async def test_a_write_whose_answer_was_lost_is_found_by_its_operation(
        self, mock_store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is not written a second time."""
        identity = await insert(mock_store)
        close_row = ReservationTransitions.close_row

        async def unheard(self: ReservationTransitions, *arguments: Any) -> Any:
            await close_row(self, *arguments)
            raise AutoReconnect("connection closed")

        monkeypatch.setattr(ReservationTransitions, "close_row", unheard)
        after = await closed(mock_store, identity, "cancelled")

        assert (after.status, after.version, len(after.history)) == ("cancelled", 4, 2)

    async def test_writes_that_are_never_answered_may_have_been_done(
        self, mock_store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """None was applied so far, but one may be yet: the problem says so, with the id."""
        identity = await insert(mock_store)
        monkeypatch.setattr(closing, "ATTEMPTS_MAX", 2)

        async def unheard(*_: Any) -> bool:
            raise AutoReconnect("connection closed")

        monkeypatch.setattr(ReservationTransitions, "close_row", unheard)

        with pytest.raises(OutcomeUnknown) as unknown:
            await closed(mock_store, identity, "cancelled")
        assert unknown.value.extra["reservations"] == [str(identity)]

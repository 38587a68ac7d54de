"""Closing a reservation: which status may follow, by which version, repeated how."""

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from app.booking import batch_runner
from app.booking.batch import Batch, Outcome
from app.booking.release import Close
from app.booking.transaction import attempt
from app.domain.ids import ServiceId
from app.domain.instants import HOUR as HOUR_MILLIS
from app.domain.lifecycle import Status
from app.domain.rules import ResourceRules, ServiceRules
from app.errors import Problem
from app.storage.client import Store
from app.storage.documents import Reservation
from app.storage.guards import make_service_row
from app.storage.steps import Steps, update
from tests.support.booking_view import NOW, FixedView, problem_of, stored_row
from tests.support.ids import ROOM_ID
from tests.support.step_driver import running_booking_service
from tests.support.times import HOUR, MINUTE, NINE

ROOM = ResourceRules(ROOM_ID, services=frozenset({ServiceId("strict")}))
STRICT = ServiceRules(ServiceId("strict"), "fixed", duration=HOUR_MILLIS, cancellation_notice=25 * HOUR_MILLIS)
FINAL = ("cancelled", "completed", "expired", "no-show")


async def insert(store: Store, **fields: Any) -> ObjectId:
    """Store a reservation, of a service that wants a day's notice; its id."""
    now = store.clock.now()
    service = {"_id": "cut", "name": "cut", "durationType": "fixed", "durationMinutes": 60, "version": 1}
    times = {"createdAt": now, "updatedAt": now, "cancellationNoticeMinutes": 24 * 60}
    await store.database["services"].replace_one({"_id": "cut"}, service | times, upsert=True)
    await make_service_row(store, ServiceId("cut"))
    row = stored_row(**({"service": "cut"} | fields))
    await store.database["reservations"].insert_one(row)
    identity: ObjectId = row["_id"]
    return identity


async def closed(store: Store, identity: ObjectId, to: Status, **fields: Any) -> Reservation:
    """The reservation after it was closed."""
    async with running_booking_service(store) as booking:
        return await booking.close(identity, to, by="caller", **fields)


async def refused(store: Store, identity: ObjectId, to: Status, **fields: Any) -> str:
    """The name of the problem by which a release is refused."""
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


async def test_a_service_without_a_guard_keeps_nobody_from_cancelling(mock_store: Store) -> None:
    """Another program has made it, and nothing was migrated since; its notice binds nevertheless."""
    ahead, soon = await insert(mock_store), await insert(mock_store, startTime=mock_store.clock.now() + HOUR)
    await mock_store.database["guards"].delete_many({})

    assert (await closed(mock_store, ahead, "cancelled")).status == "cancelled"
    assert await refused(mock_store, soon, "cancelled") == "too-late"


async def test_an_unknown_one_is_not_found(mock_store: Store) -> None:
    """Whatever it is to become."""
    assert await refused(mock_store, ObjectId(), "cancelled") == "not-found"


async def test_a_service_that_it_got_meanwhile_binds_it(mock_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the read and the transaction it got a service with a notice: the release is judged by that one."""
    identity = await insert(mock_store, service=None, startTime=mock_store.clock.now() + HOUR)

    def overtaken(batch: Batch) -> Steps[list[Outcome]]:
        """The batch, after another writer has given the reservation a service."""
        if not batch.intents[0].services():
            yield update("test.overtake", "reservations", {"_id": identity}, {"$set": {"service": "cut"}})
        return (yield from attempt(batch))

    monkeypatch.setattr(batch_runner, "attempt", overtaken)

    assert await refused(mock_store, identity, "cancelled") == "too-late"


def view(*rows: dict[str, Any], **fields: Any) -> FixedView:
    """The room, a service with a notice, and these reservations."""
    return FixedView([ROOM], [STRICT], rows, **fields)


def stored_hold(**fields: Any) -> dict[str, Any]:
    """A hold that ends in ten minutes."""
    return stored_row(status="pending", **({"expiresAt": NOW + 10 * MINUTE} | fields))


def member(row: dict[str, Any], **fields: Any) -> Close:
    """The release of a reservation as that of a group's member."""
    return Close(by="caller", reservation=row["_id"], service=row.get("service"), spares_final=True, **fields)


class TestMembers:
    """Members of a group, judged against a view built by hand: what has ended stays as it is."""

    def test_its_time_is_free_for_later_intents(self) -> None:
        """The update touches none of its times, and the database stamps it."""
        row = stored_row()
        seen = view(row)
        accepted = member(row, to="cancelled", reason="ill").judge(seen)

        assert seen.live_starts("room") == []
        assert (accepted.value.status, accepted.taken, accepted.blocks) == ("cancelled", [], [])
        assert accepted.updates[0].change["$set"].keys() == {"status"}

    @pytest.mark.parametrize("status", FINAL)
    def test_what_has_ended_stays_as_it_is(self, status: str) -> None:
        """Whatever it ended as."""
        row = stored_row(status=status)

        assert not member(row, to="cancelled").judge(view(row)).writes

    @pytest.mark.promise("attendance")
    def test_attendance_is_recorded_from_the_start_on(self) -> None:
        """Not a millisecond before, and never of a request."""
        row, request = stored_row(), stored_row(status="pending")

        early = view(row, now=NINE - timedelta(milliseconds=1))
        assert problem_of(member(row, to="no-show"), early) == ("forbidden-transition", [])
        assert member(row, to="no-show").judge(view(row, now=NINE)).value.status == "no-show"
        late = view(request, now=NINE)
        assert problem_of(member(request, to="completed"), late) == ("forbidden-transition", [])

    @pytest.mark.promise("cancellation-notice")
    def test_the_cancellation_notice_binds_all_but_an_admin(self) -> None:
        """Its first instant is still in time; a hold is bound by none."""
        row, hold = stored_row(service="strict"), stored_hold(service="strict")
        last = NINE - 25 * HOUR

        assert member(row, to="cancelled").judge(view(row, now=last)).writes
        late = last + timedelta(milliseconds=1)
        assert problem_of(member(row, to="cancelled"), view(row, now=late)) == ("too-late", [])
        assert member(row, to="cancelled", admin=True).judge(view(row, now=late)).writes
        assert member(hold, to="cancelled").judge(view(hold)).writes

    def test_a_reservation_whose_resource_is_gone_can_be_closed(self) -> None:
        """It needs no guard."""
        row = stored_row(resource="gone")

        assert member(row, to="cancelled").judge(view(row)).writes

    def test_an_unknown_reservation_is_not_found(self) -> None:
        """And the intent names it as its target."""
        row = stored_hold()

        assert problem_of(member(row, to="cancelled"), view()) == ("not-found", [])
        assert member(row, to="cancelled").targets() == {("reservations", row["_id"])}

    def test_it_leaves_an_event(self) -> None:
        """With the version that it has made, and what has become of the reservation."""
        row = stored_row()
        (update,) = member(row, to="cancelled").judge(view(row)).updates

        assert update.event is not None
        assert {name: update.event[name] for name in ("type", "version", "resource", "by")} == {
            "type": "reservation.cancelled",
            "version": 4,
            "resource": "room",
            "by": "caller",
        }

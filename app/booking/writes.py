"""The writes of a transaction: the reach of the guards, marks of expired holds, inserts, guarded updates."""

from collections.abc import Hashable, Sequence
from datetime import datetime

from app.booking.batch import WriteConflict
from app.booking.intents import AnyIntent
from app.booking.outcomes import Accepted, Update
from app.booking.snapshot import Snapshot
from app.domain.ids import ResourceId
from app.domain.instants import from_millis, to_millis
from app.storage.documents import Reservation
from app.storage.guard_steps import raise_guards
from app.storage.outbox import event_of_change, event_of_new, insert_events
from app.storage.reach import Reach
from app.storage.reservation_steps import insert_reservations, lapsed_hold, read_histories, read_stamps
from app.storage.reservation_updates import HistoryLine, reservation_update
from app.storage.reservations import RESERVATIONS
from app.storage.span import Span
from app.storage.steps import Step, Steps, insert


def write(
    accepted: Sequence[Accepted[object]], snapshot: Snapshot, first: AnyIntent, written: list[object]
) -> Steps[None]:
    """Write the reach first, so that no reader misses what follows; then the inserts and the guarded updates.

    Each change of a reservation leaves an event; all of them are one insert. The ids of the reservations are added to
    `written`.
    """
    inserts = [reservation for each in accepted for reservation in each.inserts]
    blocks = [reservation for each in accepted for reservation in each.blocks]
    for reach, resources in _resources_by_reach(_raised_reaches(blocks, snapshot)).items():
        yield raise_guards(resources, reach)
    spans = [span for each in accepted for span in each.taken]
    lapsed = yield from _expiry_updates(spans, snapshot, first)
    for mark in lapsed:
        written.append(mark.query["_id"])
        yield from _apply(mark)
    written += [identity for each in accepted for identity in each.reservation_ids]
    if inserts:
        yield insert_reservations(inserts)
    for each in accepted:
        for collection, document in each.documents:
            yield insert(f"{collection}.insert", collection, [document])
        for change in each.updates:
            yield from _apply(change)
    changes = [*lapsed, *(change for each in accepted for change in each.updates)]
    events = [change.event for change in changes if change.event is not None]
    if events or inserts:
        yield insert_events([*(event_of_new(reservation) for reservation in inserts), *events])
    yield from _read_stamps([value for each in accepted for value in each.stamped_late])


def _apply(change: Update) -> Steps[None]:
    result = yield Step(f"{change.collection}.update", change.collection, "update_one", (change.query, change.change))
    if result.matched_count != 1:
        raise WriteConflict


def _read_stamps(changed: Sequence[tuple[object, Reservation]]) -> Steps[None]:
    """Give reservations, by their ids as they are stored, the stamps that the database has given them."""
    if not changed:
        return
    rows = yield read_stamps([identity for identity, _ in changed])
    stamps = {row["_id"]: row["updatedAt"] for row in rows}
    for identity, each in changed:
        each.updated_at = stamps[identity]


def _raised_reaches(blocks: Sequence[Reservation], snapshot: Snapshot) -> dict[ResourceId, Reach]:
    """The raised reach of each resource whose reach does not cover all of the new blocks."""
    raised: dict[ResourceId, Reach] = {}
    for reservation in blocks:
        block = (to_millis(at) for at in (reservation.start_time, reservation.block_start, reservation.block_end))
        known = raised.get(reservation.resource, snapshot.reaches[reservation.resource])
        wanted = known.covering(*block)
        if wanted != known:
            raised[reservation.resource] = wanted
    return raised


def _resources_by_reach(raised: dict[ResourceId, Reach]) -> dict[Reach, list[ResourceId]]:
    """The resources that need the same reach, for one write: an import meets thousands of new resources at once."""
    alike: dict[Reach, list[ResourceId]] = {}
    for resource, reach in raised.items():
        alike.setdefault(reach, []).append(resource)
    return alike


def _expiry_updates(spans: Sequence[Span], snapshot: Snapshot, intent: AnyIntent) -> Steps[list[Update]]:
    """Updates that mark the expired holds in the spans as expired.

    A booking that takes an expired hold's time marks the hold in the same transaction. So a difference between clocks
    can let a booking in early, and can never let two overlap. A hold that another program wrote without a version or a
    history gets no mark: it cannot be confirmed here either.
    """
    marks: dict[Hashable, Update] = {}
    for taken in spans:
        calendar = snapshot.calendar(taken.resource)
        for hold in [hold for hold in calendar.expired.values() if hold.meets(taken.start, taken.end)]:
            calendar.remove(hold.id)
            if hold.version is not None:
                marks[hold.id] = _expiry_update(
                    hold.id, hold.version, taken.resource, from_millis(calendar.now), intent
                )
    if not marks:
        return []
    histories = yield read_histories(marks)
    return [marks[row["_id"]] for row in histories if isinstance(row.get("history"), list)]


def _expiry_update(identity: object, version: int, resource: ResourceId, now: datetime, intent: AnyIntent) -> Update:
    """The update that marks a hold as expired."""
    line: HistoryLine = {
        "at": now,
        "by": intent.by,
        "operation": intent.operation,
        "from": "pending",
        "to": "expired",
    }
    event = event_of_change({"_id": identity, "version": version, "resource": resource}, line)
    return Update(RESERVATIONS, lapsed_hold(identity, version), reservation_update(line, stamp=now), event)

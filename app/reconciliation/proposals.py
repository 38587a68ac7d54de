"""What could be done about a finding: for each of its reservations another resource, or the next free time.

Nothing is done here. Every proposal has passed the rules by which `/v1/moves` would judge it at this moment.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId

from app.availability.queries import BookableResource, read_occupancies, read_resources
from app.availability.service import Availability
from app.domain.instants import from_millis, to_millis
from app.domain.lifecycle import BLOCKING, status_at
from app.domain.load import Calendar
from app.domain.rules import LEAD_TIME_RULES, BookingRequest, ServiceRules, end_of_same_length, judge
from app.errors import Problem
from app.storage.client import Store
from app.storage.documents import Finding, Reservation
from app.storage.row_reader import EVERYBODY
from app.storage.stored_reservations import reservation_of

MOST = 10
"""Reservations of one finding for which repairs are looked for: those that were booked last."""

LOOKED_AT = 200
"""Reservations of one finding that are read for that."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A reservation could be moved to that resource and time; whatever else is wrong stays as it is."""

    reservation: str
    resource: str
    start_time: datetime
    end_time: datetime


async def proposals(store: Store, availability: Availability, finding: Finding) -> list[Proposal]:
    """Repairs of a finding, those of the reservation that was booked last first.

    None once it is resolved, for what has ended, for what fits where it is by now, and for what cannot be moved: where
    others wrote it so that it cannot be read, or with items that say where it is.
    """
    if finding.state == "resolved":
        return []
    found: list[Proposal] = []
    for reservation in (await _movable(store, finding))[:MOST]:
        with suppress(Problem):  # its service or resource cannot be read, or too much is going on
            found += await _of_one(store, availability, reservation)
    return found


async def _of_one(store: Store, availability: Availability, reservation: Reservation) -> list[Proposal]:
    """Where one reservation could go: elsewhere at its time, or later where it is."""
    offer, places = await read_resources(
        store, availability.rules, resources=[reservation.resource], service=reservation.service
    )
    if not places or (reservation.service and offer is None) or await _fits(store, reservation, places[0]):
        return []
    _, pool = await _pool(store, availability, reservation)
    elsewhere = await _elsewhere(store, reservation, offer, pool)
    later = await _later(store, availability, reservation, offer, places[0])
    return [each for each in (elsewhere, later) if each is not None]


async def _fits(store: Store, reservation: Reservation, home: BookableResource) -> bool:
    """Whether there is room for it where it is: somebody else has gone since the run."""
    block = to_millis(reservation.block_start), to_millis(reservation.block_end)
    taken = await read_occupancies(store, [home], *block)
    calendar = Calendar(store.clock.millis(), taken[home.rules.id])
    return calendar.peak(*block, ignore=reservation.id) + reservation.units <= home.rules.capacity


async def _movable(store: Store, finding: Finding) -> Sequence[Reservation]:
    """Those that still block there and have not ended, the last booked first.

    Of many only those with the newest ids are read: these were booked last.
    """
    newest = sorted((each for each in finding.reservations if isinstance(each, ObjectId)), reverse=True)[:LOOKED_AT]
    rows = await store.database["reservations"].find({"_id": {"$in": newest}}).to_list(None)
    now = store.clock.millis()
    movable: list[Reservation] = []
    for row in rows:
        with suppress(Problem):  # others wrote it so that nobody can move it
            reservation = reservation_of(row)
            expires = None if reservation.expires_at is None else to_millis(reservation.expires_at)
            blocks = status_at(reservation.status, expires, now) in BLOCKING and EVERYBODY.standing(row) == "active"
            to_come = to_millis(reservation.end_time) > now
            if reservation.resource == finding.resource and blocks and to_come and not row.get("items"):
                movable.append(reservation)
    return sorted(movable, key=lambda each: (each.created_at, each.id), reverse=True)


async def _pool(
    store: Store, availability: Availability, reservation: Reservation
) -> tuple[ServiceRules | None, list[BookableResource]]:
    """Its service, and who else offers that; none without a service."""
    if reservation.service is None:
        return None, []
    offer, places = await read_resources(store, availability.rules, resources=None, service=reservation.service)
    return offer, [place for place in places if place.rules.id != reservation.resource]


async def _elsewhere(
    store: Store, reservation: Reservation, offer: ServiceRules | None, places: Sequence[BookableResource]
) -> Proposal | None:
    """The first of the service's pool that takes it at the same time, with the buffers that it has."""
    if offer is None:
        return None
    block = to_millis(reservation.block_start), to_millis(reservation.block_end)
    start, end = to_millis(reservation.start_time), to_millis(reservation.end_time)
    taken = await read_occupancies(store, places, *block)
    for place in places:
        calendar = Calendar(store.clock.millis(), taken[place.rules.id])
        wish = BookingRequest(start, end, reservation.guests, LEAD_TIME_RULES, ignore=reservation.id)
        if judge(wish, place.rules, offer, calendar, block=block, list_conflicts=False).bookable:
            return Proposal(str(reservation.id), place.rules.id, reservation.start_time, reservation.end_time)
    return None


async def _later(
    store: Store,
    availability: Availability,
    reservation: Reservation,
    offer: ServiceRules | None,
    home: BookableResource,
) -> Proposal | None:
    """The next free time on its own resource, on the grid, within a week; of what has not begun, and not when it is."""
    start, end = to_millis(reservation.start_time), to_millis(reservation.end_time)
    if start <= store.clock.millis():
        return None
    wish = BookingRequest(start, end, reservation.guests, ignore=reservation.id)
    free = await availability.next_free(wish, reservation.service, [reservation.resource])
    later = next((each for each in free if each != start), None)
    if later is None:
        return None
    zone = home.rules.timezone
    finish = end_of_same_length(later, (start, end), offer, zone, zone)
    return Proposal(str(reservation.id), reservation.resource, from_millis(later), from_millis(finish))

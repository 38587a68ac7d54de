"""What could be done about a finding: for each of its reservations another resource, or the next free time.

Nothing is done here. Every proposal has passed the rules by which `/v1/moves` would judge it at this moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from app.availability.queries import Place, read_occupancies, read_places
from app.availability.service import Availability
from app.storage.client import Store
from app.storage.documents import Finding, Reservation
from app.timeline.instants import from_millis, to_millis
from app.timeline.lifecycle import BLOCKING, status_at
from app.timeline.load import Calendar
from app.timeline.rules import AHEAD, Offer, Wish, end_of_same_length, judge

MOST = 10
"""Reservations of one finding for which repairs are looked for: those that were booked last."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A reservation could be moved to that resource and time; whatever else is wrong stays as it is."""

    reservation: str
    resource: str
    start_time: datetime
    end_time: datetime


async def proposals(store: Store, availability: Availability, finding: Finding) -> list[Proposal]:
    """Repairs of a finding, those of the reservation that was booked last first; none once it is resolved."""
    if finding.state == "resolved":
        return []
    found: list[Proposal] = []
    for reservation in (await _movable(store, finding))[:MOST]:
        offer, pool = await _pool(store, availability, reservation)
        if reservation.service and offer is None:
            continue
        elsewhere = await _elsewhere(store, reservation, offer, pool)
        later = await _later(store, availability, reservation, offer)
        found += [each for each in (elsewhere, later) if each is not None]
    return found


async def _movable(store: Store, finding: Finding) -> Sequence[Reservation]:
    """Those that still block there, the last booked first."""
    rows = await store.lenient("reservations").find({"_id": {"$in": finding.reservations}}).to_list(None)
    now = store.clock.millis()
    movable: list[Reservation] = []
    for row in rows:
        try:
            reservation: Reservation = Reservation.model_validate(row)
        except ValidationError:
            continue  # put there past all checks, and not fit to be moved
        expires = None if reservation.expires_at is None else to_millis(reservation.expires_at)
        if reservation.resource == finding.resource and status_at(reservation.status, expires, now) in BLOCKING:
            movable.append(reservation)
    return sorted(movable, key=lambda each: (each.created_at, each.id), reverse=True)


async def _pool(store: Store, availability: Availability, reservation: Reservation) -> tuple[Offer | None, list[Place]]:
    """Its service, and who else offers that; none without a service."""
    if reservation.service is None:
        return None, []
    offer, places = await read_places(store, availability.rules, resources=None, service=reservation.service)
    return offer, [place for place in places if place.room.id != reservation.resource]


async def _elsewhere(
    store: Store, reservation: Reservation, offer: Offer | None, places: Sequence[Place]
) -> Proposal | None:
    """The first of the service's pool that takes it at the same time, with the buffers that it has."""
    if offer is None:
        return None
    block = to_millis(reservation.block_start), to_millis(reservation.block_end)
    start, end = to_millis(reservation.start_time), to_millis(reservation.end_time)
    taken = await read_occupancies(store, places, *block)
    for place in places:
        calendar = Calendar(store.clock.millis(), taken[place.room.id])
        wish = Wish(start, end, reservation.guests, AHEAD, ignore=reservation.id)
        if judge(wish, place.room, offer, calendar, block=block, blame=False).bookable:
            return Proposal(str(reservation.id), place.room.id, reservation.start_time, reservation.end_time)
    return None


async def _later(
    store: Store, availability: Availability, reservation: Reservation, offer: Offer | None
) -> Proposal | None:
    """The next free time on its own resource, on the grid, within a week; not in the past."""
    start, end = to_millis(reservation.start_time), to_millis(reservation.end_time)
    begin = max(start, store.clock.millis())
    wish = Wish(begin, begin + end - start, reservation.guests, ignore=reservation.id)
    free = await availability.next_free(wish, reservation.service, [reservation.resource])
    if not free:
        return None
    home = await store.database["resources"].find_one({"_id": reservation.resource}, {"timezone": 1})
    zone = home["timezone"] if home else reservation.timezone
    finish = end_of_same_length(free[0], (start, end), offer, zone, zone)
    return Proposal(str(reservation.id), reservation.resource, from_millis(free[0]), from_millis(finish))

"""Proposals for a finding: moves of its reservations to another resource, or to the next free time.

Nothing is written. Every proposal has passed the rules by which `/v1/moves` would judge it at this moment.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId

from app.availability.queries import BookableResource, read_occupancies, read_resources
from app.availability.service import Availability
from app.domain.ids import ResourceId
from app.domain.instants import from_millis, to_millis
from app.domain.lengths import end_of_same_length
from app.domain.lifecycle import BLOCKING, status_at
from app.domain.load import Calendar
from app.domain.rules import LEAD_TIME_RULES, BookingRequest, ServiceRules, judge
from app.errors import Problem
from app.storage.client import Store
from app.storage.documents import Finding, Reservation
from app.storage.row_reader import EXPIRY_IGNORING
from app.storage.rows_by_id import rows_by_id
from app.storage.stored_reservations import strict_reservation

PROPOSED_RESERVATIONS_MAX = 10
"""Reservations of one finding for which proposals are searched: those that were booked last."""

READ_RESERVATIONS_MAX = 200
"""Reservations of one finding that are read to find those."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A move of one reservation to a resource and a time; other conflicts of the finding may remain."""

    reservation: str
    resource: ResourceId
    start_time: datetime
    end_time: datetime


async def proposals(store: Store, availability: Availability, finding: Finding) -> list[Proposal]:
    """Proposals for a finding, those for the reservation that was booked last first.

    There are none for a resolved finding, for a reservation that has ended or fits at its place by now, and for one
    that cannot be moved: a row of another program that cannot be read, or has items.
    """
    if finding.state == "resolved":
        return []
    found: list[Proposal] = []
    for reservation in (await _movable(store, finding))[:PROPOSED_RESERVATIONS_MAX]:
        with suppress(Problem):  # its service or resource cannot be read, or the process is overloaded
            found += await _proposals_for(store, availability, reservation)
    return found


async def _proposals_for(store: Store, availability: Availability, reservation: Reservation) -> list[Proposal]:
    """Moves of one reservation: to another resource at its time, or to a later time on its own."""
    offer, places = await read_resources(
        store, availability.rules, resources=[reservation.resource], service=reservation.service
    )
    if not places or (reservation.service and offer is None) or await _fits(store, reservation, places[0]):
        return []
    _, pool = await _other_places(store, availability, reservation)
    elsewhere = await _on_another_resource(store, reservation, offer, pool)
    later = await _at_a_later_time(store, availability, reservation, offer, places[0])
    return [each for each in (elsewhere, later) if each is not None]


async def _fits(store: Store, reservation: Reservation, home: BookableResource) -> bool:
    """Whether it fits at its place by now, because another reservation was moved or ended since the run."""
    block = to_millis(reservation.block_start), to_millis(reservation.block_end)
    taken = await read_occupancies(store, [home], *block)
    calendar = Calendar(store.clock.millis(), taken[home.rules.id])
    return calendar.peak(*block, ignore=reservation.id) + reservation.units <= home.rules.capacity


async def _movable(store: Store, finding: Finding) -> Sequence[Reservation]:
    """The reservations that still block there and have not ended, the last booked first.

    Of many only those with the newest ids are read, which were booked last.
    """
    newest = sorted((each for each in finding.reservations if isinstance(each, ObjectId)), reverse=True)[
        :READ_RESERVATIONS_MAX
    ]
    rows = await rows_by_id(store, Reservation, newest)
    now = store.clock.millis()
    movable: list[Reservation] = []
    for row in rows:
        with suppress(Problem):  # another program stored it so that it cannot be moved
            reservation = strict_reservation(row)
            expires = None if reservation.expires_at is None else to_millis(reservation.expires_at)
            blocks = (
                status_at(reservation.status, expires, now) in BLOCKING and EXPIRY_IGNORING.standing(row) == "active"
            )
            to_come = to_millis(reservation.end_time) > now
            if reservation.resource == finding.resource and blocks and to_come and not row.get("items"):
                movable.append(reservation)
    return sorted(movable, key=lambda each: (each.created_at, each.id), reverse=True)


async def _other_places(
    store: Store, availability: Availability, reservation: Reservation
) -> tuple[ServiceRules | None, list[BookableResource]]:
    """The rules of its service, and the other resources that offer it; none without a service."""
    if reservation.service is None:
        return None, []
    offer, places = await read_resources(store, availability.rules, resources=None, service=reservation.service)
    return offer, [place for place in places if place.rules.id != reservation.resource]


async def _on_another_resource(
    store: Store, reservation: Reservation, offer: ServiceRules | None, places: Sequence[BookableResource]
) -> Proposal | None:
    """The first other resource of its service that is free at the same time, with the buffers that it has."""
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


async def _at_a_later_time(
    store: Store,
    availability: Availability,
    reservation: Reservation,
    offer: ServiceRules | None,
    home: BookableResource,
) -> Proposal | None:
    """The next other free time on its own resource, on the grid, within a week; None for one that has begun."""
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

"""The bookings that an edit of a resource may strand, read before its transaction and not inside it.

A resource can have tens of thousands of upcoming bookings, and reading them under its guard would delay all bookings of
it. So they are read beforehand, together with the guard's `seq`. A transaction that finds the same `seq` reads
nothing again. Another one reads what was changed since: a transaction that commits after the guard was read here has
changed the guard later, and bears a later stamp. A booking that was cancelled since is still counted, so that no
refusal is based on a mixture of two states.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pymongo
from pymongo.errors import PyMongoError

from app.booking.intents import DEADLINE_SECONDS
from app.booking.outcomes import overloaded
from app.domain.ids import ResourceId
from app.domain.instants import EARLIEST, MINUTE, Duration, Millis, to_millis
from app.domain.load import Occupancy
from app.domain.rules import ResourceRules
from app.storage.bson_types import Row
from app.storage.client import Store
from app.storage.conflict_lookup import BRANCHES_MAX, read_outside
from app.storage.documents import GuardRow
from app.storage.occupancy import occupancies_of
from app.storage.reach import Reach
from app.storage.span import Span

Stretch = tuple[Millis, Millis]

READ_SECONDS = DEADLINE_SECONDS
STRETCHES_READ_SINGLY_MAX = 2
"""Up to so many stretches are read by one query each."""

CLOCK_STEP: Duration = MINUTE
"""By how much the database's clock may be set back between two transactions with no change overlooked."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The upcoming bookings of one resource in some stretches, at one state of its guard.

    Args:
        seq: The guard's count of transactions in that state.
        since: The milliseconds from which on changes may be missing here.
        bookings: The upcoming bookings.
    """

    seq: int
    since: Millis
    bookings: Sequence[Occupancy]


async def read_blocking_rows(
    store: Store, resource: ResourceId, guard: GuardRow, stretches: Sequence[Stretch]
) -> list[Row]:
    """The stored reservations that may block the resource in the stretches; the same row can come twice.

    Raises:
        Problem: `overloaded` where that takes longer than the caller waits.
    """
    reaches = {resource: Reach.of_guard(guard)}
    spans = [Span(resource, start, end) for start, end in stretches]
    # A server intersects two branches, which for many rows takes as long as reading them.
    at_once = BRANCHES_MAX if store.shape == "or" and len(stretches) > STRETCHES_READ_SINGLY_MAX else 1
    try:
        with pymongo.timeout(READ_SECONDS):
            return await read_outside(store, spans, reaches, at_once)
    except PyMongoError as error:
        if not error.timeout:
            raise
        raise overloaded("Reading the bookings that this may strand took too long; nothing was done.") from error


def survey_of(guard: GuardRow, rows: Sequence[Row], resource_rules: ResourceRules, now: Millis) -> Survey:
    """The survey of these rows: without expired holds, and without bookings whose block is over."""
    by_guest = (resource_rules.id,) if resource_rules.by_guests else ()
    known = {
        each.key: each for row in rows for name, each in occupancies_of(row, by_guest) if name == resource_rules.id
    }
    at = guard.get("at")
    since = EARLIEST if at is None else Millis(to_millis(at) - CLOCK_STEP)
    return Survey(guard["seq"], since, [each for each in known.values() if is_upcoming(each, now)])


def is_upcoming(booking: Occupancy, now: Millis) -> bool:
    """Whether a booking blocks now or later: its block is not over, and it is no expired hold."""
    return booking.end > now and (booking.expires is None or booking.expires > now)

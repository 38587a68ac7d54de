"""Slots: the starts on the grid that every rule lets pass, with what remains of the capacity."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from app.timeline.grid import Grid, full_days
from app.timeline.instants import DAY, EARLIEST, LATEST, Millis
from app.timeline.load import Calendar
from app.timeline.rules import LONGEST, Offer, Room, Wish, block_of, judge
from app.timeline.schedule import windows
from app.timeline.zones import zone


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: so many guests, for so long (`length` in milliseconds, or `days` of a full-day service)."""

    length: Millis
    guests: int = 1
    days: int = 1
    ignore: Hashable | None = None
    lifted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Slot:
    """A time that can be booked; `remaining`: capacity less the peak in its block, without ours."""

    resource: str
    start: Millis
    end: Millis
    remaining: int


def candidates(
    room: Room, offer: Offer | None, asked: Asked, after: Millis, before: Millis
) -> Iterator[tuple[Millis, Millis]]:
    """The times on the grid that start in `[after, before)`, judged by nothing yet."""
    if offer and offer.kind == "full-day":
        yield from full_days(zone(room.timezone), after, before, asked.days)
        return
    for start in _grid(room, offer, asked).starts(after, before):
        yield start, start + asked.length


def count(room: Room, offer: Offer | None, asked: Asked, after: Millis, before: Millis) -> int:
    """How many candidates there are, told without making them."""
    if offer and offer.kind == "full-day":
        return (before - after) // DAY + 2
    return _grid(room, offer, asked).count(after, before)


def _grid(room: Room, offer: Offer | None, asked: Asked) -> Grid:
    interval = offer.interval if offer and offer.interval else asked.length
    return Grid(room.schedule, zone(room.timezone), asked.length, interval)


def slots(
    room: Room, offer: Offer | None, asked: Asked, calendar: Calendar, after: Millis, before: Millis
) -> Iterator[Slot]:
    """The candidates that can be booked, by start. Bookability is `rules.judge`'s alone to say."""
    tz = zone(room.timezone)
    open_windows = windows(room.schedule, tz, after, before + max(asked.length, asked.days * DAY))
    for start, end in candidates(room, offer, asked, max(after, EARLIEST), before):
        if end - start > LONGEST or end >= LATEST:
            continue  # no booking can be written down like that
        wish = Wish(start, end, asked.guests, asked.lifted, asked.ignore)
        verdict = judge(wish, room, offer, calendar, open_windows=open_windows, blame=False)
        if verdict.bookable:
            load = calendar.peak(*block_of(start, end, offer), asked.ignore)
            yield Slot(room.id, start, end, room.capacity - load)

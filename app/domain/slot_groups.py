"""Slots of several resources, in order: one by one, by their starts, or by the local days of a zone."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from heapq import merge
from itertools import chain, groupby
from typing import NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from app.domain.ids import ResourceId
from app.domain.instants import EARLIEST, Millis
from app.domain.slots import Slot
from app.domain.zones import ONE_DAY, day_of, start_of_day


class SlotStart(NamedTuple):
    """A start at which some resources are free until one end; `remaining` is the sum of theirs."""

    start: Millis
    end: Millis
    resources: Sequence[ResourceId]
    remaining: int


class SlotDay(NamedTuple):
    """A local day with its first start, and how many starts it has: several resources at one start are one."""

    day: date
    first: Millis
    starts: int


SlotGroup: TypeAlias = Slot | SlotStart | SlotDay


def in_order(streams: Sequence[Iterable[Slot]], most: int | None = None) -> Iterable[Slot]:
    """The slots of several resources by start, then resource; `most` is how many groups of them are wanted, if few.

    All of them are sorted faster than merged, but only a merge makes no more than are taken.
    """
    return sorted(chain.from_iterable(streams)) if most is None else merge(*streams)


def by_start(ordered: Iterable[Slot]) -> Iterator[SlotStart]:
    """The starts. Days of other zones may have one start and several ends, which are groups of their own."""
    for start, together in groupby(ordered, key=_start_of):
        ends: dict[Millis, list[Slot]] = {}
        for slot in together:
            ends.setdefault(slot.end, []).append(slot)
        for end, slots in sorted(ends.items()):
            yield SlotStart(start, end, [slot.resource for slot in slots], sum(slot.remaining for slot in slots))


def by_day(ordered: Iterable[Slot], tz: ZoneInfo) -> Iterator[SlotDay]:
    """The local days of a zone that have any."""
    day, following = day_of(EARLIEST, tz), EARLIEST

    def day_at(start: Millis) -> date:
        nonlocal day, following
        if start >= following:
            day = day_of(start, tz)
            following = start_of_day(day + ONE_DAY, tz)
        return day

    distinct = (start for start, _ in groupby(ordered, key=_start_of))
    for each, starts in groupby(distinct, key=day_at):
        instants = [*starts]
        yield SlotDay(each, instants[0], len(instants))


def _start_of(slot: Slot) -> Millis:
    return slot.start

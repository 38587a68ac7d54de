"""From stored documents to what the rules need to know, remembered as long as nobody edited them."""

from collections import OrderedDict
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

from app.storage.documents import Resource, Service
from app.storage.documents import TimeOff as StoredTimeOff
from app.timeline.instants import DAY, MINUTE
from app.timeline.rules import Offer, Room
from app.timeline.schedule import ALWAYS, TimeOff
from app.timeline.schedule_json import read_schedule, read_span
from app.timeline.zones import zone

F = TypeVar("F")

REMEMBERED = 20_000
"""How many resources, and how many services, a process remembers."""


def room_of(resource: Resource) -> Room:
    """What the rules need to know of a resource."""
    tz = zone(resource.timezone)
    schedule = ALWAYS
    if resource.schedule is not None:
        schedule, _ = read_schedule(resource.schedule.model_dump(by_alias=True, exclude_none=True))
    return Room(
        id=resource.id,
        capacity=resource.capacity,
        by_guests=resource.capacity_mode == "guests",
        services=frozenset(resource.services),
        active=resource.active,
        timezone=resource.timezone,
        schedule=schedule,
        time_off=tuple(_time_off(off, tz) for off in resource.time_off or ()),
    )


def _time_off(stored: StoredTimeOff, tz: ZoneInfo) -> TimeOff:
    """Stored as it was said, so that a day stays that day when the zone of the resource changes."""
    (start, end), _ = read_span(stored.from_, stored.to, tz)
    return TimeOff(stored.id, start, end)


def offer_of(service: Service) -> Offer:
    """What the rules need to know of a service."""
    length = service.duration_minutes or service.min_minutes or 0
    return Offer(
        id=service.id,
        kind=service.duration_type,
        duration=(service.duration_minutes or 0) * MINUTE,
        minimum=(service.min_minutes or 0) * MINUTE,
        step=(service.step_minutes or 1) * MINUTE,
        maximum=(service.max_minutes or 0) * MINUTE,
        max_days=service.max_days or 1,
        before=service.buffer_before_minutes * MINUTE,
        after=service.buffer_after_minutes * MINUTE,
        interval=(service.slot_interval_minutes or length) * MINUTE,
        notice=service.minimum_notice_minutes * MINUTE,
        horizon=None if service.horizon_days is None else service.horizon_days * DAY,
        cancellation_notice=service.cancellation_notice_minutes * MINUTE,
        approval=service.approval,
        active=service.active,
    )


class Remembered(Generic[F]):
    """Facts under the `rules` id that their guard carried when they were read.

    A transaction compares that id with the one in its own snapshot, so a remembered fact is never older than what a
    read there would have given. Absence is never remembered.
    """

    def __init__(self) -> None:
        self._facts: OrderedDict[str, tuple[str, F]] = OrderedDict()

    def get(self, identity: str, rules: str) -> F | None:
        """The facts, if nobody edited them since."""
        found = self._facts.get(identity)
        return found[1] if found is not None and found[0] == rules else None

    def put(self, identity: str, rules: str, facts: F) -> None:
        """Remember; the oldest entry makes room."""
        self._facts[identity] = (rules, facts)
        if len(self._facts) > REMEMBERED:
            self._facts.popitem(last=False)


class Memory:
    """What a process remembers of the catalogue."""

    def __init__(self) -> None:
        self.rooms: Remembered[Room] = Remembered()
        self.offers: Remembered[Offer] = Remembered()

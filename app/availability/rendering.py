"""Up to 50,000 slots, starts or days encoded as JSON, without a model for each; `AvailabilityAnswer` describes it."""

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple, Self
from zoneinfo import ZoneInfo

from app.domain.instants import DAY, HOUR, MINUTE, SECOND, Duration, Millis, from_millis
from app.domain.slot_groups import SlotDay, SlotStart
from app.domain.slots import Slot
from app.domain.zones import local, render_wall


class EncodedAnswer(NamedTuple):
    """The bytes of an answer with the `ETag` of its content: both are made in a thread, since megabytes take long."""

    body: bytes
    tag: str

    @classmethod
    def of(cls, body: bytes) -> Self:
        """The answer with its tag."""
        return cls(body, f'"{blake2b(body, digest_size=12).hexdigest()}"')


def encoded_slots(tz: ZoneInfo, slots: Iterable[Slot]) -> bytes:
    """Slots, sorted by start, as the JSON of the answer; local starts are those of the zone."""
    names: dict[str, str] = {}
    items: list[str] = []
    known: tuple[Millis, Millis] | None = None
    times = ""
    for start, resource, end, remaining in slots:
        name = names.get(resource)
        if name is None:
            name = names[resource] = _text(resource)
        if (start, end) != known:  # the resources of a pool are free at the same times
            known, wall = (start, end), render_wall(local(start, tz))
            times = f'"startTime":"{_instant(start)}","endTime":"{_instant(end)}","localStart":"{wall}"'
        items.append(f'{{"resource":{name},{times},"remaining":{remaining}}}')
    return _answer(tz, items)


def encoded_starts(tz: ZoneInfo, starts: Iterable[SlotStart]) -> bytes:
    """Starts, with the resources that are free then, as the JSON of the answer."""
    names: dict[Sequence[str], str] = {}
    items: list[str] = []
    for start, end, resources, remaining in starts:
        free = tuple(resources)
        if (listed := names.get(free)) is None:  # most starts have the same resources
            listed = names[free] = ",".join(map(_text, free))
        times = f'"startTime":"{_instant(start)}","endTime":"{_instant(end)}"'
        wall = render_wall(local(start, tz))
        items.append(f'{{{times},"localStart":"{wall}","resources":[{listed}],"remaining":{remaining}}}')
    return _answer(tz, items)


def encoded_days(tz: ZoneInfo, days: Iterable[SlotDay]) -> bytes:
    """Local days with any slots, as the JSON of the answer."""
    return _answer(
        tz, [f'{{"date":"{day}","first":"{_instant(first)}","starts":{count}}}' for day, first, count in days]
    )


def _answer(tz: ZoneInfo, items: Iterable[str]) -> bytes:
    return f'{{"timezone":{_text(tz.key)},"items":[{",".join(items)}]}}'.encode()


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _instant(instant: Millis) -> str:
    """What `instants.render` gives; dates and times of day repeat, so each is formatted once."""
    day, rest = divmod(instant, DAY)
    return _date(day) + _time(rest)


@lru_cache(maxsize=1 << 12)
def _date(day: int) -> str:
    return f"{from_millis(Millis(day * DAY)):%Y-%m-%d}"


@lru_cache(maxsize=1 << 13)
def _time(rest: Duration) -> str:
    hours, minutes, seconds = rest // HOUR, rest % HOUR // MINUTE, rest % MINUTE // SECOND
    return f"T{hours:02}:{minutes:02}:{seconds:02}.{rest % SECOND:03}Z"

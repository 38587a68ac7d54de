"""Random catalogues for the law of slots, and what there is to book in them, worked out again from plain time zones.

Nothing here asks the code under test: the grid is written out window by window, the load is summed up at each instant.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from app.domain.instants import render
from tests.support.times import DAY, MINUTE

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "America/Havana",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "America/St_Johns",
)
Windows = list[tuple[str, str]]
Slot = tuple[datetime, datetime]


def change_after(now: datetime, tz: ZoneInfo) -> date | None:
    """The next local date on which the clocks of a zone change, within 400 days."""
    for days in range(3, 400):
        day = (now + days * DAY).astimezone(tz).date()
        midnight = datetime.combine(day, time(), tz)
        if midnight.utcoffset() != (datetime.combine(day + DAY, time(), tz)).utcoffset():
            return day
    return None


def instant(day: date, minutes: int, tz: ZoneInfo) -> datetime:
    """Wall time as an instant: in a gap later by the gap, in a fold the first."""
    wall = datetime.combine(day, time()) + minutes * MINUTE
    return wall.replace(tzinfo=tz, fold=0).astimezone(UTC)


def minutes_of(text: str) -> int:
    """`24:00` is 1440."""
    return int(text[:2]) * 60 + int(text[3:])


def at_random(random: Random) -> Windows:
    """Up to three windows of a day, between six and three at night, that may touch or overlap; or the whole day."""
    if random.random() < 0.15:
        return [("00:00", "24:00")]
    windows = []
    for _ in range(random.choice((1, 1, 2, 3))):
        opens = random.randrange(6 * 60, 23 * 60, 15)
        closes = min(opens + random.randrange(60, 12 * 60, 15), 27 * 60)
        shown = closes if closes <= 24 * 60 else closes - 24 * 60
        windows.append((f"{opens // 60:02}:{opens % 60:02}", f"{shown // 60:02}:{shown % 60:02}"))
    return windows


@dataclass
class Place:
    """A resource with its hours, by the day of the week and by date."""

    id: str
    zone: str
    capacity: int
    mode: str
    weekly: list[Windows] | None
    overrides: dict[date, Windows]
    time_off: list[tuple[str, str]]
    active: bool = True
    max_guests: int | None = None
    service_only: bool = False

    @property
    def tz(self) -> ZoneInfo:
        """Its clocks."""
        return ZoneInfo(self.zone)

    def schedule(self) -> dict[str, Any]:
        """The body that sets its hours."""
        body: dict[str, Any] = {}
        if self.weekly is not None:
            rules = [(day, window) for day, windows in zip(WEEK, self.weekly, strict=True) for window in windows]
            body["weekly"] = [{"days": [day], "from": opens, "to": closes} for day, (opens, closes) in rules]
        if self.overrides:
            body["overrides"] = [
                {"date": day.isoformat(), "windows": [{"from": a, "to": b} for a, b in windows]}
                for day, windows in self.overrides.items()
            ]
        return body

    def windows(self, day: date) -> Windows:
        """What starts on a date."""
        if day in self.overrides:
            return self.overrides[day]
        return [("00:00", "24:00")] if self.weekly is None else self.weekly[day.weekday()]

    def units(self, guests: int) -> int:
        """What so many people take."""
        return guests if self.mode == "guests" else 1

    def limits(self) -> dict[str, Any]:
        """The fields by which it refuses who would have room."""
        most = {} if self.max_guests is None else {"maxGuests": self.max_guests}
        return most | {"active": self.active, "serviceOnly": self.service_only}

    def admits(self, guests: int) -> bool:
        """Whether so many people may come at once."""
        return (self.max_guests is None or guests <= self.max_guests) and self.units(guests) <= self.capacity

    def _spans(self, first: date, last: date) -> Iterator[Slot]:
        for day in (first + n * DAY for n in range((last - first).days + 1)):
            for opens, closes in self.windows(day):
                begin, end = minutes_of(opens), minutes_of(closes)
                span = instant(day, begin, self.tz), instant(day, end if end > begin else end + 24 * 60, self.tz)
                if span[0] < span[1]:
                    yield span

    def grid(
        self, after: datetime, before: datetime, length: timedelta, interval: timedelta, *, leaving: bool = False
    ) -> list[Slot]:
        """Each opening and every interval after it, while the slot ends in the stretch that is open without a break.

        `leaving`: while it starts there.
        """
        first = (after - 3 * DAY).astimezone(self.tz).date()
        last = (before + length + 3 * DAY).astimezone(self.tz).date()
        stretches: list[tuple[list[datetime], datetime]] = []
        for opens, closes in sorted(self._spans(first, last)):
            if not stretches or opens > stretches[-1][1]:
                stretches.append(([opens], closes))
            else:
                openings, until = stretches[-1]
                stretches[-1] = ([*openings, opens] if opens == until else openings), max(until, closes)
        starts = set()
        for openings, until in stretches:
            for opening, following in zip(openings, [*openings[1:], until], strict=True):
                start = opening
                while start < following and (leaving or start + length <= until):
                    starts.add(start)
                    start += interval
        return [(start, start + length) for start in sorted(starts) if after <= start < before]

    def days(self, after: datetime, before: datetime, count: int) -> list[Slot]:
        """Whole local days, from first instant to first instant."""
        first = after.astimezone(self.tz).date() - DAY
        days = (first + n * DAY for n in range((before - after).days + 4))
        slots = [(instant(day, 0, self.tz), instant(day + count * DAY, 0, self.tz)) for day in days]
        return [slot for slot in slots if after <= slot[0] < before]


@dataclass
class Catalogue:
    """What is there, and what is asked for."""

    service: dict[str, Any] | None
    places: list[Place]
    named: bool
    span: tuple[datetime, datetime]
    dates: tuple[date, date] | None
    zone: str
    guests: int
    length: timedelta
    days: int | None
    edges: list[datetime] = field(default_factory=list)

    def question(self) -> dict[str, Any]:
        """The query that asks for its slots."""
        asked: dict[str, Any] = {"guests": self.guests, "timezone": self.zone}
        asked |= dict(zip(("from", "to"), self.dates or map(render, self.span), strict=True))
        if self.service:
            asked["service"] = self.service["id"]
        if self.named:
            asked["resource"] = self.places[0].id
        if self.days is not None:
            asked["days"] = self.days
        elif self.service is None or self.service["durationType"] == "flexible":
            asked["minutes"] = self.length // MINUTE
        return asked

    def grid(self, place: Place) -> list[Slot]:
        """Every time on the grid, except the times that the clock decides while the test runs."""
        if self.days is not None:
            slots = place.days(*self.span, self.days)
        else:
            minutes = self.service["slotIntervalMinutes"] if self.service else self.length // MINUTE
            leaving = self.service is not None and self.service["hours"] == "ends"
            slots = place.grid(*self.span, self.length, minutes * MINUTE, leaving=leaving)
        return [slot for slot in slots if all(abs(slot[0] - edge) > 5 * MINUTE for edge in self.edges)]

    def broken_by(self, place: Place) -> set[str]:
        """The rules that refuse every time on a place."""
        broken = {
            "resource-active": not place.active,
            "service-offered": self.service is None and place.service_only,
            "guests": not place.admits(self.guests),
        }
        return {rule for rule, is_broken in broken.items() if is_broken}

    def closures(self, random: Random) -> Iterator[dict[str, Any]]:
        """The bodies of closures of some places, or of those that offer the service, around a random time."""
        if random.random() < 0.4:
            begin = self.span[0] + random.random() * (self.span[1] - self.span[0])
            day = begin.date()
            dates = {"from": day.isoformat(), "to": (day + DAY).isoformat()}
            instants = {"from": render(begin), "to": render(begin + random.randrange(20, 900, 5) * MINUTE)}
            whose: dict[str, Any] = {"resources": [place.id for place in self.places[:1]]}
            if self.service and random.random() < 0.5:
                whose = {"services": [self.service["id"]]}
            yield {"name": "a closure", **random.choice((dates, instants)), **whose}

    def block(self, slot: Slot) -> Slot:
        """The slot with its buffers."""
        service = self.service or {}
        before, after = (service.get(name, 0) * MINUTE for name in ("bufferBeforeMinutes", "bufferAfterMinutes"))
        return slot[0] - before, slot[1] + after

    def body(self, place: Place, slot: Slot) -> dict[str, Any]:
        """What books it."""
        service = {"service": self.service["id"]} if self.service else {}
        times = {"startTime": render(slot[0]), "endTime": render(slot[1])}
        return {"resource": place.id, "guests": self.guests, **times, **service}


def random_catalogue(random: Random, name: str, now: datetime) -> Catalogue:
    """A catalogue around the next change of clocks, if its zone has one."""
    zone = random.choice(ZONES)
    tz = ZoneInfo(zone)
    day = change_after(now, tz) or (now + random.randrange(3, 60) * DAY).date()
    kind = random.choice((None, "fixed", "fixed", "flexible", "full-day"))
    dates = (day - 3 * DAY, day + 4 * DAY) if kind == "full-day" else (day - DAY, day + 2 * DAY)
    span = instant(dates[0], 0, tz), instant(dates[1], 0, tz)
    as_dates = random.random() < 0.7
    if not as_dates:
        span = span[0] + random.randrange(600) * MINUTE, span[1] - random.randrange(600) * MINUTE
    hours = random.choice(("throughout", "throughout", "ends"))
    length = random.choice((30, 45, 60, 90, 150) if hours == "throughout" else (90, 600, 1_440, 2_000)) * MINUTE
    days = random.choice((1, 1, 2)) if kind == "full-day" else None
    service, edges = _service(random, f"{name}-do", kind, length, now, span) if kind else (None, [])
    if service:
        service["hours"] = hours
    named = service is None or random.random() < 0.5
    count = 1 if named else random.choice((2, 3))
    places = [_place(random, f"{name}-{n}", zone, dates, service) for n in range(count)]
    if named and random.random() < 0.08:
        places[0].active = False
    for place in places:
        place.max_guests = random.choice((None, None, 1, 2, 9))
        place.service_only = random.random() < (0.1 if service is None else 0.5)
    guests = random.choice((1, 1, 2, max(place.capacity for place in places) + 1))
    return Catalogue(service, places, named, span, dates if as_dates else None, zone, guests, length, days, edges)


def _service(
    random: Random, name: str, kind: str, length: timedelta, now: datetime, span: Slot
) -> tuple[dict[str, Any], list[datetime]]:
    service: dict[str, Any] = {"id": name, "durationType": kind}
    minutes = length // MINUTE
    if kind == "fixed":
        service["durationMinutes"] = minutes
    elif kind == "flexible":
        service |= {"minMinutes": minutes - 15, "stepMinutes": 15, "maxMinutes": minutes + 30}
    else:
        service["maxDays"] = 2
    if kind != "full-day":
        service["slotIntervalMinutes"] = random.choice((45, 60, 80, 120))
    for buffer in ("bufferBeforeMinutes", "bufferAfterMinutes"):
        service[buffer] = random.choice((0, 0, 10, 25, 90))
    edges = []
    inside = span[0] + random.random() * (span[1] - span[0])
    if random.random() < 0.25:
        service["minimumNoticeMinutes"] = (inside - now) // MINUTE
        edges.append(now + service["minimumNoticeMinutes"] * MINUTE)
    if random.random() < 0.25:
        service["horizonDays"] = (inside - now) // DAY + 1
        edges.append(now + service["horizonDays"] * DAY)
    return service, edges


def _place(random: Random, name: str, zone: str, dates: tuple[date, date], service: dict[str, Any] | None) -> Place:
    inside = [dates[0] + n * DAY for n in range((dates[1] - dates[0]).days)]
    weekly = [at_random(random) if random.random() < 0.9 else [] for _ in WEEK] if random.random() < 0.8 else None
    overrides = {day: random.choice(([], at_random(random))) for day in inside if random.random() < 0.12}
    place = Place(
        id=name,
        zone=zone if random.random() < 0.8 else random.choice(ZONES),
        capacity=random.choice((1, 2, 3, 5)),
        mode=random.choice(("reservations", "guests")),
        weekly=weekly,
        overrides=overrides,
        time_off=[],
    )
    day = random.choice(inside)
    if random.random() < 0.2:
        place.time_off.append((day.isoformat(), (day + DAY).isoformat()))
    if random.random() < 0.3:
        begin = instant(day, random.randrange(0, 1200, 5), place.tz)
        place.time_off.append((render(begin), render(begin + random.randrange(20, 400, 5) * MINUTE)))
    return place


@dataclass(frozen=True)
class Taken:
    """What occupies a place."""

    start: datetime
    end: datetime
    units: int


def peak(taken: Iterable[Taken], start: datetime, end: datetime) -> int:
    """The highest load in `[start, end)`: at its start, or where another occupancy starts."""
    overlapping = [each for each in taken if each.start < end and start < each.end]
    instants = [start, *(each.start for each in overlapping if each.start > start)]
    return max(sum(each.units for each in overlapping if each.start <= at < each.end) for at in instants)

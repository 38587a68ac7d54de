"""Random databases of foreign shapes, with what they mean: no code of ours reads them here.

What a reservation occupies is chosen first, minute by minute, and then written down in one of the forms in which
others store it. So the expected windows follow from the choice, by counting each minute, and from nothing that reads.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import Decimal128, Int64, ObjectId

BEGINNINGS = [datetime(year, 1, 7, 9, tzinfo=UTC) for year in (2021, 2030)]
"""A start in the past and one in the future."""
MINUTES = 240
GRID = 5
"""Most times lie on it, so that starts and ends coincide often."""

BLOCKING = ["confirmed", "pending", "Confirmed", " PENDING ", "con_firmed", "Pend-ing"]
IDLE = ["cancelled", "completed", "no-show", "expired", "Canceled", "no_show", "No Show", "declined", "Rejected"]
NO_END = -1


@dataclass(frozen=True, slots=True)
class Load:
    """Units of a resource from one minute to another, by the reservation of that id."""

    resource: str
    start: int
    end: int
    units: int
    whose: Any


@dataclass(slots=True)
class Room:
    """A resource: its id as text, what it holds, whether it counts guests."""

    name: str
    capacity: int
    by_guest: bool


@dataclass(frozen=True, slots=True, order=True)
class Expected:
    """A window as it should be found."""

    resource: str
    start: datetime
    end: datetime
    peak: int
    capacity: int
    reservations: tuple[str, ...]


@dataclass(slots=True)
class World:
    """A database, and what it means."""

    seed: int
    begin: datetime
    rooms: list[Room] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    reservations: list[dict[str, Any]] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)

    def windows(self, name: Callable[[Any], str]) -> tuple[list[Expected], int]:
        """All windows above capacity, and the conflicts in them; ids are sorted and shown by the given names."""
        windows: list[Expected] = []
        conflicts = 0
        for room in self.rooms:
            own = sorted(
                (load for load in self.loads if load.resource == room.name),
                key=lambda load: (load.start, name(load.whose), load.end, load.units),
            )
            heights = [sum(load.units for load in own if load.start <= at < load.end) for at in range(MINUTES * 2)]
            at = 0
            while at < len(heights):
                if heights[at] <= room.capacity:
                    at += 1
                    continue
                start = at
                while heights[at] > room.capacity:
                    at += 1
                inside = [name(load.whose) for load in own if load.start < at and start < load.end]
                windows.append(
                    Expected(
                        room.name,
                        self.begin + timedelta(minutes=start),
                        self.begin + timedelta(minutes=at),
                        max(heights[start:at]),
                        room.capacity,
                        tuple(dict.fromkeys(inside)),
                    )
                )
            for place, load in enumerate(own):
                others = [other for other in own[:place] if other.end > load.start]
                if sum(other.units for other in others) + load.units > room.capacity:
                    conflicts += len(others)
        return sorted(windows), conflicts


def world(seed: int) -> World:
    """A random database."""
    return _Maker(random.Random(seed), World(seed, BEGINNINGS[seed % 2])).made()


@dataclass(slots=True)
class _Maker:
    chance: random.Random
    world: World

    def made(self) -> World:
        hexadecimal = str(ObjectId())
        for name in ("room-a", hexadecimal, "7", "Salle é"):
            self._room(name)
        for number in range(self.chance.randrange(4, 28)):
            self._reservation(number)
        return self.world

    def _one(self, *choices: Any) -> Any:
        return self.chance.choice(choices)

    def _room(self, name: str) -> None:
        room = Room(name, self._one(1, 1, 2, 3, 5), self._one(False, False, True))
        document: dict[str, Any] = {"_id": self._plain_form(name)}
        if self.chance.random() < 0.25:  # it is not in the collection, or says nothing that can be read
            room = Room(name, 1, by_guest=False)
            document |= self._one({}, {"capacity": "many"}, {"quantity": -1}, {"capacity": 1.5}, {"quantity": None})
            stored = self._one(True, False)
        else:
            document[self._one("quantity", "capacity")] = self._number(room.capacity)
            document["capacityMode"] = self._one("per-guest", "guests") if room.by_guest else self._one(None, "per-res")
            stored = True
        self.world.rooms.append(room)
        if stored:
            self.world.resources.append(document)

    def _plain_form(self, name: str) -> Any:
        """An id as a document of its own has it."""
        if len(name) == 24 and self.chance.random() < 0.5:
            return ObjectId(name)
        return int(name) if name.isdigit() and self.chance.random() < 0.5 else name

    def _form(self, name: str) -> Any:
        """An id as a relation has it."""
        form = self._plain_form(name)
        if isinstance(form, int):
            form = self._one(form, float(form), Int64(form))
        wrapped = [{"relationTo": "resources", "value": form}, {"id": form, "name": "populated"}, {"_id": form}]
        return self._one(form, form, form, form, *wrapped)

    def _number(self, value: int) -> Any:
        return self._one(value, float(value), Int64(value), Decimal128(str(value)))

    def _moment(self, minute: int) -> Any:
        at = self.world.begin + timedelta(minutes=minute)
        seconds = int(at.timestamp())
        shifted = at.astimezone(datetime.fromisoformat("2030-01-01T00:00:00+05:30").tzinfo).isoformat()
        text = self._one(at.isoformat().replace("+00:00", "Z"), shifted, at.replace(tzinfo=None).isoformat())
        number = self._one(seconds, float(seconds), Int64(seconds * 1000), seconds * 1000.0, Decimal128(str(seconds)))
        return self._one(at, at, at, at, text, number)

    def _span(self) -> tuple[int, int]:
        start = self.chance.randrange(0, MINUTES, GRID if self.chance.random() < 0.9 else 1)
        return start, start + self.chance.randrange(GRID, 60, GRID)

    def _reservation(self, number: int) -> None:
        chance, begin = self.chance, self.world.begin
        identity = self._one(ObjectId(), ObjectId(), f"b{number}", number + 100, {"n": number})
        row: dict[str, Any] = {"_id": identity, "status": self._one(*BLOCKING)}
        counts = self._standing(row)
        room = self._one(*self.world.rooms)
        start, end = self._span()
        guests, units = self._one(None, None, 1, 2, 3), self._one(None, None, None, 1, 2)
        self._amount(row, units, guests)
        row |= {"resource": self._form(room.name), "startTime": self._moment(start), "endTime": self._moment(end)}
        own: tuple[int, int] | None = (start, end)
        if chance.random() < 0.15 and "items" not in row:
            row |= {"blockStart": begin + timedelta(minutes=start), "blockEnd": begin + timedelta(minutes=end + GRID)}
            own = (start, end + GRID)
        elif chance.random() < 0.2:
            own = None
            row |= self._nonsense()
        loads = []
        if chance.random() < 0.3 and "blockStart" not in row:
            loads = self._items(row, room, own, units, guests)
        elif own is not None:
            loads = [Load(room.name, *own, self._taken(room, [units], [guests]), identity)]
        elif chance.random() < 0.3:
            row["items"] = self._one([], None)
        self.world.reservations.append({key: value for key, value in row.items() if value is not ...})
        if counts:
            self.world.loads += loads

    def _standing(self, row: dict[str, Any]) -> bool:
        """Whether it counts at all; it is written into the row how it does."""
        chance = self.chance.random()
        if chance < 0.1:
            row["status"] = self._one(*IDLE)
        elif chance < 0.14:
            row["status"] = self._one("maybe", "", None, 3, ["confirmed"], ...)
        elif chance < 0.2:
            row |= self._one({"deletedAt": self.world.begin}, {"isDeleted": True}, {"_status": "draft"})
        elif chance < 0.26:
            past = datetime(2020, 1, 1, tzinfo=UTC)
            row |= {"status": self._one("pending", "Pending"), "expiresAt": self._one(past, "2020-01-01", 1577836800)}
        elif chance < 0.4:
            row |= self._one({"deletedAt": None}, {"isDeleted": False}, {"_status": "published"}, {"expiresAt": None})
            return True
        elif chance < 0.45:
            row |= {"expiresAt": self._one(datetime(2199, 1, 1, tzinfo=UTC), "2199-01-01T00:00:00Z", "never")}
            return True
        else:
            return True
        return False

    def _nonsense(self) -> dict[str, Any]:
        """What keeps the reservation's own time from being placed; its start still is what it was."""
        return self._one({"endTime": None}, {"endTime": ...}, {"endTime": "later"}, {"endTime": True}, {"endTime": 12})  # type: ignore[no-any-return]  # one of several dictionaries

    def _amount(self, part: dict[str, Any], units: int | None, guests: int | None) -> None:
        if units is not None or self.chance.random() < 0.2:
            part["units"] = None if units is None else self._number(units)
        if guests is not None:
            part[self._one("guestCount", "guests")] = self._number(guests)

    def _taken(self, room: Room, units: Sequence[int | None], guests: Sequence[int | None]) -> int:
        """Units of the part that has them, from the inside out; else guests, where they count; else one."""
        known = [each for each in units if each is not None]
        if not known and room.by_guest:
            known = [each for each in guests if each is not None]
        return known[0] if known else 1

    def _items(
        self,
        row: dict[str, Any],
        room: Room,
        own: tuple[int, int] | None,
        units: int | None,
        guests: int | None,
    ) -> list[Load]:
        """Items, on this resource and others; and whether the reservation itself is one of them."""
        items: list[Any] = []
        loads: list[Load] = []
        start = int(0 if own is None else own[0])
        same = False
        for _ in range(self.chance.randrange(1, 4)):
            item: dict[str, Any] = {}
            where, span = room, own
            if self.chance.random() < 0.8:
                where = self._one(*self.world.rooms)
                item["resource"] = self._form(where.name)
            if self.chance.random() < 0.6 or own is None:
                span = self._span()
                item |= {"startTime": self._moment(span[0]), "endTime": self._moment(span[1])}
            more = self._one(None, None, 1, 2)
            if more is not None:
                item["units"] = self._number(more)
            items.append(item)
            if span is None:
                continue
            taken = self._taken(where, [more, units], [guests])
            loads.append(Load(where.name, *span, taken, row["_id"]))
            if where is room and own is not None:
                minutes = set(range(*span)) & set(range(*own))
                same = same or bool(minutes) or span[0] == start
        row["items"] = items
        if self.chance.random() < 0.1:
            items.append(self._one("no item", None, 7))
        if own is not None and not same:
            loads.append(Load(room.name, *own, self._taken(room, [units], [guests]), row["_id"]))
        return loads

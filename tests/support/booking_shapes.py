"""Bookings in the shapes that people's Mongoose schemas give them: small databases, with what is double-booked in them.

Each is made of visits that are known by resource, span and units first and then written as its schema would. What is
above capacity is found by counting the load at every instant at which it changes.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bson import ObjectId

from tests.support.times import DAY, QUARTER

ROWS = 40

Document = dict[str, Any]


def oid(number: int) -> ObjectId:
    """An id that is the same in every run."""
    return ObjectId(f"{0x69A000000000000000000000 + number:024x}")


@dataclass(frozen=True)
class Visit:
    """Something that occupies `units` of a resource during `[start, end)`."""

    booking: str
    resource: str
    start: datetime
    end: datetime
    units: int = 1


@dataclass
class Database:
    """A database of others: its collections, and what occupies what in it."""

    bookings: str
    collections: dict[str, list[Document]] = field(default_factory=dict)
    visits: list[Visit] = field(default_factory=list)
    capacities: dict[str, int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def add(self, document: Document, *visits: Visit) -> None:
        """One more booking, and what it occupies."""
        self.collections.setdefault(self.bookings, []).append(document)
        self.visits += visits

    @property
    def first(self) -> Document:
        """The booking that the page shows."""
        return self.collections[self.bookings][0]

    def findings(self) -> list[Document]:
        """The windows above capacity, as `--json` prints them."""
        return [found for resource in sorted({each.resource for each in self.visits}) for found in self._of(resource)]

    def _of(self, resource: str) -> Iterator[Document]:
        visits = sorted(
            (each for each in self.visits if each.resource == resource), key=lambda each: (each.start, each.booking)
        )
        capacity = self.capacities.get(resource, 1)
        changes = sorted({moment for each in visits for moment in (each.start, each.end)})
        begin, peak = None, 0
        for moment in changes:
            load = sum(each.units for each in visits if each.start <= moment < each.end)
            if load > capacity:
                begin, peak = begin or moment, max(peak, load)
            elif begin is not None:
                who = dict.fromkeys(each.booking for each in visits if each.start < moment and begin < each.end)
                name = self.names.get(resource)
                yield {
                    "resource": resource,
                    **({"name": name} if name else {}),
                    "from": written(begin),
                    "to": written(moment),
                    "peak": peak,
                    "capacity": capacity,
                    "reservations": list(who),
                }
                begin, peak = None, 0

    def conflicts(self) -> int:
        """For each that starts while the load with it is above capacity, the others that are active then."""
        found = 0
        ordered = sorted(self.visits, key=lambda each: (each.start, each.booking))
        for place, each in enumerate(ordered):
            others = [other for other in ordered[:place] if other.resource == each.resource and other.end > each.start]
            if each.units + sum(other.units for other in others) > self.capacities.get(each.resource, 1):
                found += len(others)
        return found


def written(moment: datetime) -> str:
    """An instant as the report has it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def local(day: date, clock: time, zone: str) -> datetime:
    """When the clocks of a zone show a time; in a gap later by the gap, in a fold the first."""
    return datetime.combine(day, clock, ZoneInfo(zone)).astimezone(UTC)


def _clock(quarter: int) -> time:
    return time(quarter // 4, quarter % 4 * 15)


def hotel(chance: random.Random) -> Database:
    """Stays in rooms, by instants."""
    made = Database("bookings")
    for number in range(ROWS):
        room, start = oid(chance.randrange(5)), datetime(2026, 3, 1, 14, tzinfo=UTC) + chance.randrange(40) * DAY
        end = start + chance.randrange(1, 4) * DAY - timedelta(hours=3)
        status = "Booked" if not number else chance.choice(["Booked", "Checked-In", "Checked-Out", "Cancelled"])
        found = {"_id": oid(100 + number), "user": oid(50 + number % 9), "room": room, "checkIn": start}
        found |= {"checkOut": end, "totalPrice": 240, "status": status, "createdAt": start - 20 * DAY}
        visit = Visit(str(found["_id"]), str(room), start, end)
        made.add(found, *([visit] if status in {"Booked", "Checked-In"} else []))
    return made


def room_types(chance: random.Random) -> Database:
    """Rooms of a type for some nights, by days as texts; how many rooms there are stands with the type."""
    made, zone = Database("bookings"), "Europe/Berlin"
    for number in range(3):
        total = chance.randrange(2, 5)
        made.collections.setdefault("roomtypes", []).append(
            {"_id": oid(number), "name": f"Type {number}", "beds": 2, "totalRooms": total}
        )
        made.capacities[str(oid(number))], made.names[str(oid(number))] = total, f"Type {number}"
    for number in range(ROWS):
        kind, day = oid(chance.randrange(3)), date(2026, 3, 20) + chance.randrange(20) * DAY
        until, rooms = day + chance.randrange(1, 4) * DAY, chance.choice([1, 1, 2])
        status = "confirmed" if not number else chance.choice(["confirmed", "confirmed", "cancelled"])
        found = {"_id": oid(100 + number), "roomType": kind, "roomsBooked": rooms, "guestName": "A. Guest"}
        found |= {"checkInDate": str(day), "checkOutDate": str(until), "bookingStatus": status, "paymentStatus": "paid"}
        visit = Visit(str(found["_id"]), str(kind), local(day, time.min, zone), local(until, time.min, zone), rooms)
        made.add(found, *([visit] if status == "confirmed" else []))
    return made


def doctors(chance: random.Random) -> Database:
    """Half hours of doctors, by a day in a format of its own and a time of twelve hours."""
    made, zone = Database("appointments"), "Asia/Kolkata"
    for number in range(ROWS):
        doctor, day = str(oid(chance.randrange(3))), date(2026, 3, 28) + chance.randrange(6) * DAY
        clock, cancelled = _clock(chance.randrange(40, 50)), number > 0 and chance.random() < 0.3
        found = {"_id": oid(100 + number), "userId": str(oid(50 + number % 9)), "docId": doctor, "amount": 500}
        found |= {"slotDate": f"{day.day}_{day.month}_{day.year}", "slotTime": f"{clock:%I:%M %p}"}
        found |= {"date": 1_772_000_000_000 + number, "cancelled": cancelled, "isCompleted": False}
        start = local(day, clock, zone)
        visit = Visit(str(found["_id"]), doctor, start, start + 2 * QUARTER)
        made.add(found, *([] if cancelled else [visit]))
    return made


def meetings(chance: random.Random) -> Database:
    """Meetings in rooms, by a day as a date and two times of day; some end after midnight, some lie in a gap."""
    made, zone = Database("meetings"), "America/New_York"
    for number in range(ROWS):
        room, day = chance.choice(["Blue", "Green"]), date(2026, 3, 6) + chance.randrange(4) * DAY
        first = chance.choice([*range(8, 14), *range(88, 95)])
        last = first + chance.randrange(1, 8)
        start, end = _clock(first), _clock(last % 96)
        found = {"_id": oid(100 + number), "room": room, "title": "Planning", "organizer": oid(50 + number % 9)}
        found |= {
            "date": datetime.combine(day, time.min, UTC),
            "startTime": f"{start:%H:%M}",
            "endTime": f"{end:%H:%M}",
        }
        ends = local(day + DAY * (last >= 96), end, zone)
        begins = local(day, start, zone)
        made.add(found, *([Visit(str(found["_id"]), room, begins, ends)] if begins < ends else []))
    return made


def salon(chance: random.Random) -> Database:
    """Appointments of a salon, by day, time and duration, over a night on which clocks fall back."""
    made, zone = Database("appointments"), "Europe/Berlin"
    for number in range(ROWS):
        stylist, day = oid(chance.randrange(2)), date(2026, 10, 24) + chance.randrange(3) * DAY
        clock, length = _clock(chance.choice([*range(4, 12), *range(40, 52)])), chance.choice([30, 45, 90])
        status = "scheduled" if not number else chance.choice(["scheduled", "scheduled", "no-show", "cancelled"])
        found = {"_id": oid(100 + number), "stylist": stylist, "client": {"name": "B. Client", "phone": "555 0100"}}
        found |= {"date": str(day), "time": f"{clock.hour}:{clock:%M}", "duration": length, "status": status}
        start = local(day, clock, zone)
        visit = Visit(str(found["_id"]), str(stylist), start, start + timedelta(minutes=length))
        made.add(found, *([visit] if status == "scheduled" else []))
    return made


def restaurant(chance: random.Random) -> Database:
    """Two hours at one or more tables."""
    made = Database("reservations")
    for number in range(ROWS):
        tables = [oid(each) for each in sorted(chance.sample(range(6), 2 if not number else chance.choice([1, 1, 2])))]
        start = datetime(2026, 3, 6, 17, tzinfo=UTC) + chance.randrange(3) * DAY + chance.randrange(12) * QUARTER
        state = "CONFIRMED" if not number else chance.choice(["CONFIRMED", "SEATED", "NO_SHOW", "CANCELLED"])
        found = {"_id": oid(100 + number), "guestName": "C. Diner", "partySize": 4, "tableIds": tables}
        found |= {"reservationTime": start, "state": state}
        visits = [Visit(str(found["_id"]), str(each), start, start + timedelta(hours=2)) for each in tables]
        made.add(found, *(visits if state in {"CONFIRMED", "SEATED"} else []))
    return made


def cars(chance: random.Random) -> Database:
    """Rentals of cars of which there are several alike."""
    made = Database("rentals")
    for number in range(3):
        quantity = chance.randrange(1, 4)
        made.collections.setdefault("cars", []).append(
            {"_id": oid(number), "name": f"Model {number}", "seats": 5, "quantity": quantity}
        )
        made.capacities[str(oid(number))], made.names[str(oid(number))] = quantity, f"Model {number}"
    for number in range(ROWS):
        car, start = oid(chance.randrange(3)), datetime(2026, 3, 1, 8, tzinfo=UTC) + chance.randrange(200) * 4 * QUARTER
        end = start + chance.randrange(4, 72) * 4 * QUARTER
        status = "Active" if not number else chance.choice(["Active", "Reserved", "Completed", "Cancelled"])
        found = {"_id": oid(100 + number), "car": car, "renter": oid(50 + number % 9), "pickupDate": start}
        found |= {"returnDate": end, "pickupLocation": "Airport", "status": status}
        visit = Visit(str(found["_id"]), str(car), start, end)
        made.add(found, *([visit] if status in {"Active", "Reserved"} else []))
    return made


def courts(chance: random.Random) -> Database:
    """Numbered courts, by seconds since 1970."""
    made = Database("bookings")
    for number in range(ROWS):
        court = chance.randrange(1, 4)
        start = datetime(2026, 3, 7, 8, tzinfo=UTC) + chance.randrange(80) * QUARTER
        end, cancelled = start + chance.choice([4, 6]) * QUARTER, number > 0 and chance.random() < 0.3
        found = {"_id": oid(100 + number), "member": "M-17", "court": court, "isCancelled": cancelled}
        found |= {"from": int(start.timestamp()), "to": int(end.timestamp())}
        visit = Visit(str(found["_id"]), str(court), start, end)
        made.add(found, *([] if cancelled else [visit]))
    return made


def desks(chance: random.Random) -> Database:
    """Desks, with the span and the desk inside of objects, free again after a cancellation."""
    made = Database("deskbookings")
    for number in range(ROWS):
        desk, start = oid(chance.randrange(4)), datetime(2026, 3, 2, 8, tzinfo=UTC) + chance.randrange(120) * QUARTER
        end, cancelled = start + chance.randrange(2, 16) * QUARTER, number > 0 and chance.random() < 0.3
        found = {"_id": oid(100 + number), "desk": {"_id": desk, "floor": 2}, "employee": {"id": "e-4"}}
        found |= {"slot": {"start": start, "end": end}, "cancelledAt": start - DAY if cancelled else None}
        visit = Visit(str(found["_id"]), str(desk), start, end)
        made.add(found, *([] if cancelled else [visit]))
    return made


def tours(chance: random.Random) -> Database:
    """Seats of tours that take a whole local day."""
    made, zone = Database("bookings"), "America/Sao_Paulo"
    for number in range(2):
        made.collections.setdefault("tours", []).append({"_id": oid(number), "title": f"Tour {number}", "maxSeats": 12})
        made.capacities[str(oid(number))], made.names[str(oid(number))] = 12, f"Tour {number}"
    for number in range(ROWS):
        tour, day, seats = (
            oid(chance.randrange(2)),
            date(2026, 3, 1) + chance.randrange(8) * DAY,
            chance.randrange(1, 7),
        )
        status = "PAID" if not number else chance.choice(["PAID", "PAID", "REFUNDED"])
        found = {"_id": oid(100 + number), "tour": tour, "date": datetime.combine(day, time.min, UTC)}
        found |= {"bookedSeats": seats, "status": status, "price": 120.5}
        visit = Visit(str(found["_id"]), str(tour), local(day, time.min, zone), local(day + DAY, time.min, zone), seats)
        made.add(found, *([visit] if status == "PAID" else []))
    return made


def orders(chance: random.Random) -> Database:
    """Orders with a line for each room, with its own nights."""
    made = Database("orders")
    for number in range(ROWS):
        lines, visits = [], []
        for room in chance.sample(range(6), 2 if not number else chance.choice([1, 2, 3])):
            start = datetime(2026, 3, 1, 15, tzinfo=UTC) + chance.randrange(30) * DAY
            end = start + chance.randrange(1, 4) * DAY
            lines.append({"room": f"R{room}", "from": start, "until": end, "rate": 90})
            visits.append(Visit(str(oid(100 + number)), f"R{room}", start, end))
        made.add({"_id": oid(100 + number), "lines": lines, "status": "confirmed"}, *visits)
    return made


def calendars(chance: random.Random) -> Database:
    """Rooms that list the days on which they are taken: the same day twice is sold twice."""
    made = Database("rooms")
    for number in range(6):
        numbers = []
        for each in range(2):
            room, days = oid(10 * number + each), [date(2026, 3, 1) + chance.randrange(9) * DAY for _ in range(4)]
            numbers.append({"_id": room, "number": 100 * number + each})
            numbers[-1]["unavailableDates"] = [datetime.combine(day, time.min, UTC) for day in days]
            for day in days:
                begin = datetime.combine(day, time.min, UTC)
                made.visits.append(Visit(str(oid(100 + number)), str(room), begin, begin + DAY))
        made.add({"_id": oid(100 + number), "title": "Double", "maxPeople": 2, "roomNumbers": numbers})
    return made


def slots(chance: random.Random) -> Database:
    """Bookings that only refer to a slot, which knows the coach and the time."""
    made = Database("bookings")
    for number in range(30):
        start = datetime(2026, 3, 2, 9, tzinfo=UTC) + chance.randrange(60) * QUARTER
        made.collections.setdefault("slots", []).append(
            {"_id": oid(number), "coach": f"coach-{number % 3}", "startsAt": start, "endsAt": start + 4 * QUARTER}
        )
    for number in range(ROWS):
        slot = chance.choice(made.collections["slots"])
        status = "confirmed" if not number else chance.choice(["confirmed", "cancelled"])
        found = {"_id": oid(100 + number), "slot": slot["_id"], "status": status}
        visit = Visit(str(found["_id"]), slot["coach"], slot["startsAt"], slot["endsAt"])
        made.add(found, *([visit] if status == "confirmed" else []))
    return made


SHAPES: dict[str, Callable[[random.Random], Database]] = {
    each.__name__.replace("_", "-"): each
    for each in (
        *(hotel, room_types, doctors, meetings, salon, restaurant, cars, courts, desks, tours),
        *(orders, calendars, slots),
    )
}


def database(name: str, seed: int = 1) -> Database:
    """A database of a shape, the same for the same seed."""
    return SHAPES[name](random.Random(f"{name} {seed}"))

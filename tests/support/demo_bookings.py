"""Bookings for pictures of the console: a day at the desk as it is now, and a working day to come."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tests.support.running_console import RunningConsole

CUSTOMERS = ("Amara Okafor", "Jonas Weber", "Lucía Herrera", "Kenji Mori", "Sofia Rossi", "Noah Lindqvist")
BERLIN = ZoneInfo("Europe/Berlin")

Body = dict[str, object]


def book_demo(console: RunningConsole, day: date) -> None:
    """Book for now and for a day to come, and make keys and webhooks; some of it is asked for twice and refused."""
    for name in CUSTOMERS:
        console.http.post("/v1/customers", json={"id": _identity(name), "name": name}).raise_for_status()
    bookings = [*_at_the_desk(datetime.now(UTC).replace(second=0, microsecond=0)), *_of_a_day(day)]
    for body in (*bookings, *(each for each in bookings if each["resource"] != "studio")):
        console.http.post("/v1/reservations", params={"force": "true"}, json=body)
    too_short = {**bookings[0], "startTime": "2030-01-01T00:00:00Z", "endTime": "2030-01-01T00:10:00Z"}
    for _ in range(3):
        console.http.post("/v1/reservations", json=too_short)
    for name, scopes in (
        ("Front desk", ["reservations:read", "reservations:write", "events:read"]),
        ("Website", ["reservations:write"]),
        ("Prometheus", ["metrics:read"]),
    ):
        console.http.post("/v1/keys", json={"name": name, "scopes": scopes}).raise_for_status()
    console.http.post("/v1/webhooks", json={"url": "https://calendar.example.com/reserva"})
    types = ["reservation.confirmed", "reservation.cancelled"]
    console.http.post("/v1/webhooks", json={"url": "https://crm.example.com/hooks/bookings", "types": types})


def _identity(name: str) -> str:
    return name.partition(" ")[0].lower().replace("í", "i")


def _booking(resource: str, start: datetime, minutes: int, customer: str, **more: object) -> Body:
    times = {"startTime": start.isoformat(), "endTime": (start + timedelta(minutes=minutes)).isoformat()}
    return {"resource": resource, "customer": customer, **times, **more}


def _at_the_desk(now: datetime) -> Iterator[Body]:
    """What is over, runs, comes, and waits to be confirmed."""
    for resource, minutes, length, customer, more in (
        ("room-1", -150, 90, "noah", {"service": "room-hire"}),
        ("studio", -20, 60, "sofia", {"service": "yoga", "guests": 4}),
        ("studio", -20, 60, "lucia", {"service": "yoga", "guests": 2, "notes": "Brings her own mats."}),
        ("room-2", -45, 120, "kenji", {"service": "room-hire", "notes": "Projector, water for eight."}),
        ("ada", 25, 30, "amara", {"service": "consultation"}),
        ("grace", 70, 30, "jonas", {"service": "consultation", "notes": "First visit; asks for a quiet room."}),
        ("room-1", 90, 60, "mia", {"service": "room-hire"}),
        ("studio", 200, 60, "noah", {"service": "yoga", "guests": 3}),
        ("ada", 130, 30, "kenji", {"service": "consultation", "expiresInSeconds": 540}),
        ("room-2", 180, 120, "amara", {"service": "room-hire", "expiresInSeconds": 1_500}),
    ):
        yield _booking(resource, now + timedelta(minutes=minutes), length, customer, **more)


def _of_a_day(day: date) -> Iterator[Body]:
    """What a working day in Berlin looks like, with quieter days around it."""
    for resource, begin, length, customer, more in (
        ("room-1", time(9), 120, "amara", {"service": "room-hire", "notes": "Board meeting."}),
        ("room-1", time(13), 90, "noah", {"service": "room-hire"}),
        ("room-1", time(16), 60, "mia", {"service": "room-hire", "expiresInSeconds": 1_200}),
        ("room-2", time(10, 30), 60, "jonas", {"service": "room-hire"}),
        ("room-2", time(14), 180, "kenji", {"service": "room-hire", "notes": "Workshop, U-shape."}),
        ("studio", time(9, 30), 60, "sofia", {"service": "yoga", "guests": 4}),
        ("studio", time(9, 30), 60, "lucia", {"service": "yoga", "guests": 6}),
        ("studio", time(17), 60, "noah", {"service": "yoga", "guests": 3}),
        ("studio", time(17), 60, "mia", {"service": "yoga", "guests": 2}),
        ("ada", time(10), 30, "jonas", {"service": "consultation"}),
        ("ada", time(11), 30, "lucia", {"service": "consultation", "notes": "First visit."}),
        ("ada", time(15), 30, "amara", {"service": "consultation"}),
        ("grace", time(15, 30), 30, "sofia", {"service": "consultation"}),
    ):
        yield _booking(resource, datetime.combine(day, begin, BERLIN), length, customer, **more)
    for days, begin, length, customer in (
        (-1, time(10), 90, "jonas"),
        (-1, time(14), 60, "sofia"),
        (1, time(9), 240, "lucia"),
        (2, time(11), 60, "kenji"),
        (2, time(13, 30), 120, "mia"),
    ):
        start = datetime.combine(day + timedelta(days=days), begin, BERLIN)
        yield _booking("room-1", start, length, customer, service="room-hire")

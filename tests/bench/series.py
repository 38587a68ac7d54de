"""Series and single bookings that want the same hours of the same resources, at two processes of the app."""

from collections import Counter
from datetime import datetime, timedelta
from random import Random

from tests.bench.report import Bench, Report, status_counts
from tests.support.database_check import lost_ids, peak_loads
from tests.support.load_client import Call, Client
from tests.support.slot_bookings import BOOKINGS, FIRST, make_rooms

CAPACITIES = (1, 1, 2, 3)
PROCESSES = 2
REQUESTS = 400
"""Of each round."""
WIDTH = 24
DAYS = 14
"""The days on which series and bookings begin."""
RULES = ("FREQ=DAILY;COUNT=30", "FREQ=WEEKLY;COUNT=52", "FREQ=WEEKLY;BYDAY=MO,TH;COUNT=20", "FREQ=MONTHLY;COUNT=12")


def run(bench: Bench) -> Report:
    """Rounds of requests in random order, so many at a time: what was accepted is stored, and fits."""
    report = Report(
        f"{REQUESTS} requests, a third of them series, on {len(CAPACITIES)} resources, {PROCESSES} app processes",
        ("round", "answers", "reservations", "lost", "peaks"),
    )
    for number in range(bench.rounds):
        chance = Random(number)
        with bench.stage() as stage, stage.app(PROCESSES) as app:
            rooms = _rooms(app.client)
            answers = app.client.in_flow([_call(chance, rooms) for _ in range(REQUESTS)], WIDTH)
            made = [answer.json() for answer in answers if answer.status == 201]
            booked = [each for body in made for each in body.get("reservations", [body])]
            lost = lost_ids(stage.database, booked)
            stored = stage.database["reservations"].count_documents({})
            loads = peak_loads(stage.database)
        counts = Counter(answer.status for answer in answers)
        peaks = " ".join(f"{loads[room]}/{capacity}" for room, capacity in rooms.items())
        report.rows.append((str(number), status_counts(counts), str(stored), str(len(lost)), peaks))
        fits = all(loads[room] <= capacity for room, capacity in rooms.items())
        report.promise("no resource above its capacity", holds=fits)
        report.promise("every acknowledged occurrence is stored", holds=not lost)
        report.promise("nothing else is stored", holds=counts[503] > 0 or stored == len(booked))
        report.promise("no answer is an error of the app", holds=counts.keys() <= {201, 409, 422, 503})
    return report


def _rooms(client: Client) -> dict[str, int]:
    """Resources, with their capacities."""
    return {
        room: capacity
        for number, capacity in enumerate(CAPACITIES)
        for room in make_rooms(client, f"room-{number}", 1, capacity)
    }


def _call(chance: Random, rooms: dict[str, int]) -> Call:
    """A booking, or a series that refuses or skips."""
    room = chance.choice([*rooms])
    begins = FIRST.replace(tzinfo=None) + timedelta(days=chance.randrange(DAYS), minutes=30 * chance.randrange(16, 24))
    ends = begins + timedelta(minutes=chance.choice([30, 60, 90]))
    if chance.random() < 2 / 3:
        return Call(BOOKINGS, {"resource": room, "startTime": _instant(begins), "endTime": _instant(ends)})
    reservation = {"resource": room, "localStart": _local(begins), "localEnd": _local(ends)}
    more = {"rule": chance.choice(RULES), "onConflict": chance.choice(["refuse", "skip"])}
    return Call("/v1/series", {"reservation": reservation, **more})


def _local(wall: datetime) -> str:
    return wall.isoformat(timespec="minutes")


def _instant(wall: datetime) -> str:
    return f"{wall.isoformat()}Z"

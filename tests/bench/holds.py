"""A hold expires while many book over it and one confirms it: exactly one of them wins."""

import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pymongo.database import Database

from tests.bench.clients import Answer, Call, Client
from tests.bench.report import Bench, Report, told
from tests.bench.slots import BOOKINGS, booking, make_rooms, require
from tests.support.database_check import peak_loads

BOOKERS = 100
PROCESSES = 2
HOLD_SECONDS = 10
PACE_SECONDS = 0.4
"""Between two holds; a storm over one is over by then, on two cores."""
EARLY, LATE = 0.03, 0.09
"""Bookers come from so many seconds before the end of the hold until so many after it: the last ones find it over."""
CONFIRM_WITHIN = 0.03


class Hold(NamedTuple):
    """A hold on a room: its id, and its end as `time.time()` would tell it here."""

    room: str
    identity: str
    ends: float


def ahead(database: Database[dict[str, Any]]) -> float:
    """By how many seconds the server's clock is ahead of ours."""
    before = time.time()
    server: datetime = database.client.admin.command("hello")["localTime"]
    return server.timestamp() - (before + time.time()) / 2


def hold(client: Client, room: str, clock_ahead: float) -> Hold:
    """Hold the first slot of a room."""
    answer = client.post(booking(room, expiresInSeconds=HOLD_SECONDS))
    require(201, [answer])
    made = answer.json()
    return Hold(room, made["id"], datetime.fromisoformat(made["expiresAt"]).timestamp() - clock_ahead)


def storm(client: Client, held: Hold, bookers: int) -> tuple[Answer, list[Answer]]:
    """Book all around its end, and confirm it somewhere there; the confirmation's answer, then the bookers'."""
    confirm = random.uniform(-CONFIRM_WITHIN, CONFIRM_WITHIN)
    moments = [-EARLY + (EARLY + LATE) * number / (bookers - 1) for number in range(bookers)]
    moments[-1] = LATE
    sent = sorted([(moment, booking(held.room)) for moment in moments] + [(confirm, _confirm(held))], key=_moment)
    answers = client.at_once([call for _, call in sent], [held.ends + moment for moment, _ in sent])
    place = next(index for index, (_, call) in enumerate(sent) if call.path != BOOKINGS)
    return answers[place], answers[:place] + answers[place + 1 :]


def _moment(sent: tuple[float, Call]) -> float:
    return sent[0]


def _confirm(held: Hold) -> Call:
    return Call(f"{BOOKINGS}/{held.identity}/confirm")


def winners(confirmed: Answer, bookers: Sequence[Answer]) -> tuple[int, int]:
    """How many won by confirming, and how many by booking."""
    return int(confirmed.status == 200), sum(answer.status == 201 for answer in bookers)


def run(bench: Bench) -> Report:
    """Holds are made at a steady pace, and each gets its storm when it ends."""
    title = f"A hold expires under {BOOKERS} bookers and one confirmation, {PROCESSES} app processes"
    report = Report(title, ("repetitions", "confirmed", "booked over", "none or several", "answers"))
    won: Counter[tuple[int, int]] = Counter()
    counts: Counter[int] = Counter()
    with bench.stage() as stage, stage.app(PROCESSES) as app:
        rooms = make_rooms(app.client, "held", bench.repetitions)
        clock_ahead = ahead(stage.database)
        made: queue.SimpleQueue[Hold] = queue.SimpleQueue()

        def make() -> None:
            for room in rooms:
                made.put(hold(app.client, room, clock_ahead))
                time.sleep(PACE_SECONDS)

        maker = threading.Thread(target=make, daemon=True)
        maker.start()
        for _ in rooms:
            confirmed, bookers = storm(app.client, made.get(timeout=60), BOOKERS)
            won[winners(confirmed, bookers)] += 1
            counts += Counter(answer.status for answer in (confirmed, *bookers))
        maker.join()
        highest = max(peak_loads(stage.database).values())
    odd = bench.repetitions - won[1, 0] - won[0, 1]
    report.rows.append((str(bench.repetitions), str(won[1, 0]), str(won[0, 1]), str(odd), told(counts)))
    report.promise("exactly one wins each time", holds=odd == 0)
    report.promise("no resource above its capacity", holds=highest == 1)
    report.promise("everybody else is refused (409)", holds=set(counts) <= {200, 201, 409})
    return report

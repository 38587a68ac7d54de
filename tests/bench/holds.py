"""A hold expires while many book over it and one confirms it: exactly one of them wins."""

import queue
import threading
import time
from collections import Counter

from tests.bench.report import Bench, Report, status_counts
from tests.support.database_check import peak_loads
from tests.support.hold_storms import Hold, ahead, hold, storm, winners
from tests.support.slot_bookings import make_rooms

BOOKERS = 100
PROCESSES = 2
PACE_SECONDS = 0.4
"""Between two holds; a storm over one is over by then, on two cores."""


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
    report.rows.append((str(bench.repetitions), str(won[1, 0]), str(won[0, 1]), str(odd), status_counts(counts)))
    report.promise("exactly one wins each time", holds=odd == 0)
    report.promise("no resource above its capacity", holds=highest == 1)
    report.promise("everybody else is refused (409)", holds=set(counts) <= {200, 201, 409})
    return report

"""Groups and moves of many resources while others book single hours there: whether they get their turn."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from statistics import median

from tests.bench.load import CONNECTIONS, Calendar
from tests.bench.report import Bench, Report, status_counts
from tests.support.database_check import peak_loads
from tests.support.load_client import Call, Client
from tests.support.slot_bookings import booking, make_rooms

ROOMS, MEMBERS = 10, 8
PROCESSES = 2
FAR = 100_000
"""Groups take slots that no single booking comes to."""


def run(bench: Bench) -> Report:
    """One client books groups, one after the other, under a load of singles on the same resources."""
    report = Report(
        f"Groups of {MEMBERS} of {ROOMS} resources under {CONNECTIONS} connections that book singly, "
        f"{PROCESSES} app processes",
        ("groups", "answers", "p50 ms", "longest ms", "singles/s"),
    )
    stop = threading.Event()
    with bench.stage() as stage, stage.app(PROCESSES) as app, ThreadPoolExecutor(1) as thread:
        rooms = make_rooms(app.client, "room", ROOMS)
        groups = thread.submit(_groups, app.client, rooms[:MEMBERS], stop)
        load = Calendar("room", ROOMS).create(app.client, bench.rounds * bench.seconds)
        stop.set()
        answers, took = groups.result()
        highest = max(peak_loads(stage.database).values())
    times = (f"{1000 * median(took):,.0f}", f"{1000 * max(took):,.0f}", f"{load.rate:,.0f}")
    report.rows.append((str(len(took)), status_counts(answers), *times))
    report.promise("every group is booked", holds=set(answers) == {201})
    report.promise("every single ended", holds=load.broken + load.unanswered == 0)
    report.promise("no resource above its capacity", holds=highest == 1)
    return report


def _groups(client: Client, rooms: list[str], stop: threading.Event) -> tuple[Counter[int], list[float]]:
    """Book groups until the load is over: how many answers of each status, and the seconds of each."""
    answers, took = Counter[int](), list[float]()
    with closing(client.connection()) as connection:
        while not stop.is_set():
            members = [booking(room, FAR + len(took)).body for room in rooms]
            began = time.perf_counter()
            answer = client.ask(connection, Call("/v1/groups", {"reservations": members}))
            took.append(time.perf_counter() - began)
            answers[answer.status] += 1
    return answers, took

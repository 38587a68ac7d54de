"""Reconciliations that pass while bookings are made, moved and cancelled as fast as the app takes them."""

import json
import random
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

from tests.bench.prefill import fill
from tests.bench.report import Bench, Report
from tests.support.commands import environment_with, reserva
from tests.support.database_check import peak_loads
from tests.support.load_client import Answer, Call, Client
from tests.support.slot_bookings import BOOKINGS, FIRST, LENGTH

ROOMS, BOOKED = 20, 500
PROCESSES, CLIENTS = 2, 8
STEP = timedelta(minutes=15)
"""Wishes begin on a grid that is finer than their length: most of them meet another booking."""
PLACES = 2_000


def run(bench: Bench) -> Report:
    """Full runs, one after the other, for as long as the load lasts."""
    report = Report(
        f"Reconciliations of {ROOMS} resources under {CLIENTS} clients, {PROCESSES} app processes",
        ("runs", "made", "moved", "cancelled", "refused", "rows scanned", "findings"),
    )
    stop = threading.Event()
    with bench.stage() as stage, stage.app(PROCESSES) as app:
        fill(app.client, stage.database, "room", ROOMS, BOOKED)
        with ThreadPoolExecutor(CLIENTS) as threads:
            busy = [threads.submit(_keep_busy, app.client, stop, seed) for seed in range(CLIENTS)]
            until, scanned, findings, runs = time.monotonic() + bench.rounds * bench.seconds, 0, 0, 0
            while time.monotonic() < until:
                done = _reconcile(stage.url)
                runs, scanned, findings = runs + 1, scanned + done["scanned"], findings + done["findings"]
            stop.set()
            counts = sum((each.result() for each in busy), Counter[str]())
        highest = max(peak_loads(stage.database).values())
    figures = [f"{counts[name]:,}" for name in ("made", "moved", "cancelled", "refused")]
    report.rows.append((str(runs), *figures, f"{scanned:,}", str(findings)))
    report.promise("nothing is found", holds=findings == 0)
    report.promise("no resource above its capacity", holds=highest == 1)
    report.promise("no answer but 200, 201 and 409", holds=not counts["other"])
    return report


def _reconcile(url: str) -> dict[str, int]:
    command, env = [*reserva("reconcile"), "--full", "--json"], environment_with({"MONGODB_URL": url})
    output = subprocess.run(command, env=env, capture_output=True, text=True, check=False).stdout
    done: dict[str, int] = json.loads(output)
    return done


def _keep_busy(client: Client, stop: threading.Event, seed: int) -> Counter[str]:
    """Make, move and cancel, one request after the other; what came of them."""
    dice, counts = random.Random(seed), Counter[str]()
    with closing(client.connection()) as connection:
        while not stop.is_set():
            resource = f"room-{dice.randrange(ROOMS)}"
            answer = client.ask(connection, Call(BOOKINGS, {"resource": resource} | _somewhere(dice)))
            if not _count(counts, "made", 201, answer):
                continue
            made = answer.json()
            move = {"reservation": made["id"], "version": made["version"]} | _somewhere(dice)
            _count(counts, "moved", 200, client.ask(connection, Call("/v1/moves", {"moves": [move]})))
            if dice.random() < 0.5:
                _count(counts, "cancelled", 200, client.ask(connection, Call(f"{BOOKINGS}/{made['id']}/cancel")))
    return counts


def _somewhere(dice: random.Random) -> dict[str, str]:
    start = FIRST + dice.randrange(PLACES) * STEP
    return {"startTime": start.isoformat(), "endTime": (start + LENGTH).isoformat()}


def _count(counts: Counter[str], name: str, status: int, answer: Answer) -> bool:
    counts[name if answer.status == status else "refused" if answer.status == 409 else "other"] += 1
    return answer.status == status

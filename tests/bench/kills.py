"""SIGKILL in the middle of a storm: how soon the resources book again, and whether anything acknowledged was lost."""

import itertools
import os
import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from statistics import median
from typing import Any

from tests.bench.report import Bench, Report
from tests.support.database_check import lost_ids, peak_loads
from tests.support.load_client import Client
from tests.support.servers import free_port
from tests.support.slot_bookings import booking, make_rooms
from tests.support.staged_app import App, Stage

ROOMS = 4
BOOKERS = 16
PROCESSES = 2
LONGEST_SECONDS = 120.0
"""Longer than any server keeps the transaction of a dead process."""


@dataclass(slots=True)
class Storm:
    """Bookers that go on whatever happens, each request for a slot of its own."""

    client: Client
    rooms: Sequence[str]
    slots: dict[str, "itertools.count[int]"]
    acknowledged: list[dict[str, Any]] = field(default_factory=list)
    first_since: dict[str, float] = field(default_factory=dict)
    """When each room first booked what was asked for after `killed`."""
    killed: float = float("inf")
    over: bool = False
    starting: float = 0.0
    """Seconds that the app took to start anew after the kill; its parent does that by itself where it is left alive."""

    def book(self, number: int) -> None:
        """One booker: asks again and again, reconnects where the other side is gone."""
        room = self.rooms[number % len(self.rooms)]
        while not self.over:
            with closing(self.client.connection()) as connection, suppress(OSError, HTTPException):
                while not self.over:
                    asked = time.monotonic()
                    answer = self.client.ask(connection, booking(room, next(self.slots[room])))
                    if answer.status == 201:
                        self.acknowledged.append(answer.json())
                        if asked > self.killed:
                            self.first_since.setdefault(room, time.monotonic())
            time.sleep(0.01)

    @contextmanager
    def blowing(self) -> Iterator[None]:
        """All bookers at work."""
        threads = [threading.Thread(target=self.book, args=(number,), daemon=True) for number in range(BOOKERS)]
        for thread in threads:
            thread.start()
        yield
        self.over = True
        for thread in threads:
            thread.join()

    def seconds_to_book(self) -> float:
        """Seconds from the kill until the last of the rooms booked again; infinite if one did not."""
        until = self.killed + LONGEST_SECONDS
        while len(self.first_since) < len(self.rooms) and time.monotonic() < until:
            time.sleep(0.005)
        if len(self.first_since) < len(self.rooms):
            return float("inf")
        return max(self.first_since.values()) - self.killed


def run(bench: Bench) -> Report:
    """Kill one process of two, whose parent starts another; and all of them, and start anew at once."""
    report = Report(
        f"SIGKILL in a storm on {ROOMS} resources, {PROCESSES} app processes",
        ("killed", "kills", "books again after s, median", "longest", "of it starting the app", "acknowledged", "lost"),
    )
    with bench.stage() as stage:
        slots: dict[str, itertools.count[int]] = {}
        for title, everything in (("one process", False), ("all, started anew", True)):
            storms = [_kill(stage, slots, everything=everything) for _ in range(bench.rounds)]
            seconds = [each for _, each in storms]
            booked = [made for storm, _ in storms for made in storm.acknowledged]
            gone = lost_ids(stage.database, booked)
            starting = f"{median(storm.starting for storm, _ in storms):.2f}" if everything else "-"
            figures = (
                f"{median(seconds):.2f}",
                f"{max(seconds):.2f}",
                starting,
                f"{len(booked):,}",
                str(len(gone)),
            )
            report.rows.append((title, str(len(storms)), *figures))
            report.notes.append(f"{title}: " + " ".join(f"{each:.2f}" for each in seconds))
            report.promise(f"{title}: nothing acknowledged is lost ({', '.join(gone[:3])})", holds=not gone)
            report.promise(f"{title}: every resource books again", holds=max(seconds) < LONGEST_SECONDS)
        report.promise("no resource above its capacity", holds=max(peak_loads(stage.database).values()) == 1)
    return report


def _kill(stage: Stage, slots: dict[str, "itertools.count[int]"], *, everything: bool) -> tuple[Storm, float]:
    """One round: a storm, a kill at a random moment of it, and the seconds until all rooms book again."""
    port = free_port()
    with ExitStack() as stack:
        app = stack.enter_context(stage.app(PROCESSES, port=port))
        if not slots:
            slots |= {room: itertools.count() for room in make_rooms(app.client, "killed", ROOMS)}
        storm = Storm(app.client, list(slots), slots)
        stack.enter_context(storm.blowing())
        time.sleep(random.uniform(0.5, 1.5))
        storm.killed = time.monotonic()
        if everything:
            os.killpg(app.running.process.pid, signal.SIGKILL)
            app.running.process.wait()
            stack.enter_context(stage.app(PROCESSES, port=port))
            storm.starting = time.monotonic() - storm.killed
        else:
            _kill_one(app)
        return storm, storm.seconds_to_book()


def _kill_one(app: App) -> None:
    os.kill(random.choice(app.workers), signal.SIGKILL)

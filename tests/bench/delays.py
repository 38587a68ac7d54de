"""How long after its commit a change reaches those who wait for it, with signals by Redis and without."""

import random
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any

from typing_extensions import override

from tests.bench.committed import COMMITTED, noted_commits
from tests.bench.placing import placing
from tests.bench.report import Bench, Report
from tests.support.commands import SECONDS
from tests.support.followers import Follower, LongPollFollower, StreamFollower
from tests.support.load_client import Client
from tests.support.servers import free_port
from tests.support.slot_bookings import booking, make_rooms, require
from tests.support.staged_app import Stage

PAUSE_SECONDS_MAX = 0.25
"""Between an event and the next change: longer than the looks are apart, so that each phase of theirs is met."""


class Clocked(Follower):
    """A follower that notes when each reservation came."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._arrivals: dict[str, float] = {}
        self._news = threading.Condition()

    @override
    def take(self, event: Mapping[str, Any]) -> None:
        with self._news:
            self._arrivals[event["reservation"]["id"]] = time.monotonic()
            self._news.notify_all()

    def arrival(self, reservation: str) -> float:
        """When a reservation came; it is waited for.

        Raises:
            RuntimeError: if it does not come.
        """
        with self._news:
            if not self._news.wait_for(lambda: reservation in self._arrivals, SECONDS):
                raise RuntimeError(f"{self.name}: an event does not come")
            return self._arrivals[reservation]


class ClockedLongPoll(Clocked, LongPollFollower):
    """It waits for the next page."""


class ClockedStream(Clocked, StreamFollower):
    """It reads the stream."""


def run(bench: Bench) -> Report:
    """One change after the other on a quiet app, both readers waiting; first with Redis."""
    report = Report(
        f"From the commit of a change to a waiting reader, {bench.repetitions} changes",
        ("signals", "reader", "ms, median", "p99", "longest"),
    )
    with bench.stage() as stage, placing(stage) as placer:
        for signals, env in (("Redis", placer.env), ("none", {})):
            for name, delays in _delays(stage, signals.lower(), env, bench.repetitions).items():
                ordered = sorted(delays)
                shown = (median(ordered), ordered[-len(ordered) // 100], ordered[-1])
                report.rows.append((signals, name, *(f"{each * 1_000:.1f}" for each in shown)))
    return report


def _delays(stage: Stage, room: str, env: Mapping[str, str], repetitions: int) -> Mapping[str, Sequence[float]]:
    """The delays of each reader, in seconds."""
    with ExitStack() as stack:
        commits = stack.enter_context(noted_commits())
        client = Client(free_port(), stage.token)
        readers: list[Clocked] = [ClockedLongPoll(client), ClockedStream(client)]
        for each in readers:
            stack.enter_context(each.following())
        stack.enter_context(stage.app(1, COMMITTED, port=client.port, env={**env, **commits.env}))
        make_rooms(client, room, 1)
        delays: dict[str, list[float]] = {each.name: [] for each in readers}
        for slot in range(-1, repetitions):  # the first connects everybody
            time.sleep(random.uniform(0, PAUSE_SECONDS_MAX))
            answer = client.post(booking(f"{room}-0", slot + 1))
            require(201, [answer])
            committed = commits.last()
            for each in readers:
                delay = each.arrival(answer.json()["id"]) - committed
                if slot >= 0:
                    delays[each.name].append(delay)
    return delays

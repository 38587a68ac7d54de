"""Writers and followers on processes that are killed, and what the followers have got in the end.

Two processes of the app and some workers run on a database and a Redis of their own. Faults are played one after the
other; after each, what was changed since then has to reach a follower before the next one comes. Beside them the relay
can be killed every few seconds, whatever else goes on.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pymongo.errors import PyMongoError

from tests.support.change_writers import Writers
from tests.support.commands import RunningCommand, eventually, reserva
from tests.support.followers import FOLLOWERS, Follower, WebhookFollower
from tests.support.following_check import Missed, disagreements, faults, missed, stored_reservations
from tests.support.load_client import Client
from tests.support.own_mongodb import OwnMongodb
from tests.support.redis_server import OwnRedis
from tests.support.servers import free_port, new_database
from tests.support.slot_bookings import make_rooms
from tests.support.staged_app import App, Stage, staged

PROCESSES = 2
WRITERS = 12
ROOMS, CAPACITY = 6, 2
NEWS = 20
"""After a fault so many changes are acknowledged, and the last of them is followed, before the next fault."""
SILENCE_SECONDS = 60.0
"""A follower that gets nothing for so long after the last change gets nothing more."""
WATCH_SECONDS = 0.1

Fault = Literal["relay killed", "relay suspended", "app killed", "database killed"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is played.

    Args:
        faults: In their order.
        fault_seconds: The least time from one to the next.
        pause_seconds: Between two requests of a writer. A webhook gets one event after the other, so it is the slowest
            of the followers.
        workers: Of which one is the relay.
        relay_seconds: The time from one kill of the relay to the next; None: it is not killed beside the faults.
    """

    faults: Sequence[Fault]
    fault_seconds: float
    pause_seconds: float
    workers: int = 2
    relay_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Followed:
    """What came of one follower."""

    received: int
    missed: Sequence[Missed]
    faults: Sequence[str]
    interruptions: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a storm.

    Args:
        stuck: After what nothing more was followed, which ended it.
        changes: The stored versions of all reservations.
        followed: What came of each follower.
        done: How often each operation of the writers succeeded.
        interruptions: How often the writers lost a connection.
        disagreements: Ids under which two followers have got different events.
        lost: Acknowledged changes that are not stored.
        forged: Webhooks whose signature was none.
        drain_seconds: From the last change until all followers had it.
        relay_kills: The times between the kills of the relay beside the faults, in seconds.
    """

    stuck: str | None
    changes: int
    followed: Mapping[str, Followed]
    done: Mapping[str, int]
    interruptions: int
    disagreements: Sequence[str]
    lost: int
    forged: int
    drain_seconds: float
    relay_kills: Sequence[float]


class Processes:
    """The workers and the app of a storm, and what may happen to them.

    Args:
        env: The environment of a worker.
        app: The app.
        mongodb: The database server.
        stage: The database.
        workers: How many workers there are.
    """

    def __init__(self, env: Mapping[str, str], app: App, mongodb: OwnMongodb, stage: Stage, workers: int) -> None:
        self._lock = threading.RLock()
        self._env = env
        self._app = app
        self._mongodb = mongodb
        self._stage = stage
        self._workers = [self._worker() for _ in range(workers)]

    def _worker(self) -> RunningCommand:
        return RunningCommand(reserva("worker"), self._env, None)

    def stop(self) -> None:
        """End the workers at once."""
        for worker in self._workers:
            worker.process.kill()
            worker.end()

    def revive(self) -> None:
        """Start a worker anew that has ended, as one does that finds no database when it starts."""
        with self._lock:
            for number, worker in enumerate(self._workers):
                if worker.process.poll() is not None:
                    worker.end()
                    self._workers[number] = self._worker()

    def kill_relay(self) -> None:
        """Kill the worker that places the events, and start another one."""
        relay = self._relay()
        relay.process.kill()
        self.revive()

    @contextmanager
    def killing_relays(self, seconds: float | None) -> Iterator[list[float]]:
        """Kill the relay whenever so many seconds have passed; the times between the kills, the first from now on."""
        between: list[float] = []
        over = threading.Event()

        def kill(every: float) -> None:
            began = last = time.monotonic()
            while not over.wait(max(began + (len(between) + 1) * every - time.monotonic(), 0)):
                self.kill_relay()
                now = time.monotonic()
                between.append(now - last)
                last = now

        if seconds is None:
            yield between
            return
        thread = threading.Thread(target=kill, args=(seconds,), name="relay killer", daemon=True)
        thread.start()
        try:
            yield between
        finally:
            over.set()
            thread.join()

    @contextmanager
    def fault(self, kind: Fault) -> Iterator[None]:
        """Let it happen; what it leaves is made good at the end."""
        if kind == "app killed":
            os.kill(random.choice(self._app.workers), signal.SIGKILL)  # its parent starts another one
        elif kind == "database killed":
            self._mongodb.kill()
            self._mongodb.start()
        elif kind == "relay killed":
            self.kill_relay()
        elif kind == "relay suspended":
            process = self._relay().process
            process.send_signal(signal.SIGSTOP)
            yield  # the other one takes over
            process.send_signal(signal.SIGCONT)
            return
        yield

    def _relay(self) -> RunningCommand:
        """The worker that places the events."""
        found: list[RunningCommand] = []

        def looks() -> bool:
            try:
                lease = self._stage.database["leases"].find_one({"_id": "events"}) or {}
            except PyMongoError:  # it is being restarted
                return False
            owner = lease.get("owner", "").split(":")
            with self._lock:
                alive = [each for each in self._workers if each.process.poll() is None]
            found[:] = [each for each in alive if str(each.process.pid) in owner]
            return bool(found)

        if not eventually(looks):
            raise RuntimeError("no worker places events")
        return found[0]


def follow(folder: Path, plan: Plan) -> Outcome:
    """Play a storm; the folder keeps what the servers store.

    Raises:
        NotAtHand: if one of the servers cannot be started here.
    """
    mongodb, redis = OwnMongodb(folder), OwnRedis(folder)
    with ExitStack() as stack:
        stack.callback(mongodb.kill)
        mongodb.start()
        stack.callback(redis.kill)
        redis.start()
        stage = stack.enter_context(staged(new_database(mongodb.url, "reserva_followed")))
        client = Client(free_port(), stage.token)
        followers = [kind(client) for kind in FOLLOWERS]
        webhook = next(each for each in followers if isinstance(each, WebhookFollower))
        for each in followers:  # those that ask outlive the app, whose end ends their last questions
            if each is not webhook:
                stack.enter_context(each.following())
        env = {"REDIS_URL": redis.url, "RESERVA_WEBHOOK_PRIVATE": "true"}
        app = stack.enter_context(stage.app(PROCESSES, port=client.port, env=env))
        rooms = make_rooms(client, "followed", ROOMS, CAPACITY)
        stack.enter_context(webhook.following())
        processes = Processes({"MONGODB_URL": stage.url, **env}, app, mongodb, stage, plan.workers)
        stack.callback(processes.stop)
        writers = Writers(client, rooms, WRITERS, plan.pause_seconds)
        with writers.writing():
            stuck, relay_kills = _play(processes, plan, writers, followers[0])
        return replace(_outcome(stage, writers, followers, stuck), relay_kills=relay_kills)


def _play(processes: Processes, plan: Plan, writers: Writers, follower: Follower) -> tuple[str | None, Sequence[float]]:
    """One fault after the other, until after one of them no change is followed any more; that one, and the kills."""
    if not _is_followed(processes, writers, follower):
        return "the start", []
    with processes.killing_relays(plan.relay_seconds) as kills:
        for fault in plan.faults:
            began = time.monotonic()
            with processes.fault(fault):
                if not _is_followed(processes, writers, follower):
                    return fault, kills
            time.sleep(max(began + plan.fault_seconds - time.monotonic(), 0))
    return None, kills


def _is_followed(processes: Processes, writers: Writers, follower: Follower) -> bool:
    """Whether what is changed from now on is acknowledged, and followed."""
    wanted = len(writers.acknowledged) + NEWS

    def arrived() -> bool:
        processes.revive()
        if len(writers.acknowledged) < wanted:
            return False
        change = writers.acknowledged[wanted - 1]
        return any((each.reservation, each.version) == change for each in follower.received)

    return eventually(arrived)


def _outcome(stage: Stage, writers: Writers, followers: Sequence[Follower], stuck: str | None) -> Outcome:
    """Wait for what all followers have to get, and judge what they have got."""
    began = time.monotonic()
    due = stored_reservations(stage.database)
    changes = sum(each.version for each in due.values())
    _watch(lambda: [len(each.received) for each in followers], changes)
    drain_seconds = time.monotonic() - began
    received = {each.name: [*each.received] for each in followers}
    stored = stored_reservations(stage.database)  # by now holds may have expired
    followed = {
        each.name: Followed(
            len(received[each.name]),
            missed(received[each.name], due),
            faults(received[each.name], stored),
            each.interruptions,
        )
        for each in followers
    }
    lost = [
        identity
        for identity, version in writers.acknowledged
        if identity not in stored or stored[identity].version < version
    ]
    return Outcome(
        stuck=stuck,
        changes=changes,
        followed=followed,
        done=writers.done,
        interruptions=writers.interruptions,
        disagreements=disagreements(received.values()),
        lost=len(lost),
        forged=sum(each.forged for each in followers),
        drain_seconds=drain_seconds,
        relay_kills=(),
    )


def _watch(counts: Callable[[], Sequence[int]], wanted: int) -> None:
    """Wait until all counts are reached, or none of them grows any more."""
    seen, since = counts(), time.monotonic()
    while min(seen) < wanted and time.monotonic() - since < SILENCE_SECONDS:
        time.sleep(WATCH_SECONDS)
        now = counts()
        if now != seen:
            seen, since = now, time.monotonic()

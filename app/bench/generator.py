"""The load generator, a process of its own: `python -m app.bench.generator < PLAN` prints the load as a line of JSON.

It does little for a request, so that the servers under test get the processor: the bytes are ready, and of an answer
only the status and the length are read.
"""

import asyncio
import gc
import json
import math
import sys
import time
from array import array
from collections import Counter
from dataclasses import asdict
from typing import cast

import uvloop
from typing_extensions import override

from app.bench.loads import CONFLICT, CREATED, Load, LoadPlan
from app.bench.requests import Requests
from app.os_process import LOOPBACK

LAST_ANSWER_SECONDS = 10.0
"""The time for answers after the last request was sent."""


class Tally:
    """The answers so far."""

    def __init__(self) -> None:
        self.seconds: array[float] = array("d")
        self.statuses: Counter[int] = Counter()
        self.booked: set[int] = set()
        self.booked_in_time = 0
        self.broken = 0

    def add(self, slot: int, status: int, seconds: float, *, in_time: bool) -> None:
        """Count an answer, and how long it took."""
        self.seconds.append(seconds)
        self.statuses[status] += 1
        if status == CREATED and slot not in self.booked:
            self.booked.add(slot)
            self.booked_in_time += in_time

    def quantile_ms(self, part: float) -> float:
        """The time in which this part of all requests was answered, in milliseconds; 0 without answers."""
        ordered = sorted(self.seconds)
        return 1_000 * ordered[max(math.ceil(part * len(ordered)) - 1, 0)] if ordered else 0.0


class Generator:
    """One load: so many connections, each of which sends its next request when the one before is answered."""

    def __init__(self, plan: LoadPlan) -> None:
        self.plan = plan
        self.requests = Requests(plan)
        self.tally = Tally()
        self.until = math.inf
        self._busy = 0
        self._all_answered = asyncio.Event()
        self._transports: set[asyncio.BaseTransport] = set()
        self._recoveries: set[asyncio.Task[None]] = set()

    async def run(self) -> Load:
        """Open the connections, send for as long as the plan says, and wait for the last answers."""
        connections = [await self._connect() for _ in range(self.plan.connections)]
        began, began_cpu = time.perf_counter(), time.process_time()
        self.until = began + self.plan.seconds
        self._busy = len(connections)
        for connection in connections:
            connection.send()
        try:
            async with asyncio.timeout(self.plan.seconds + LAST_ANSWER_SECONDS):
                await self._all_answered.wait()
        except TimeoutError:
            pass
        load = self._load(time.perf_counter() - began, time.process_time() - began_cpu)
        for transport in self._transports:
            transport.close()
        return load

    async def _connect(self) -> "Connection":
        transport, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self), LOOPBACK, self.plan.port
        )
        self._transports.add(transport)
        return connection

    def recover(self) -> None:
        """Go on with another connection in place of a lost one."""
        task = asyncio.get_running_loop().create_task(self._reconnect())
        self._recoveries.add(task)
        task.add_done_callback(self._recoveries.discard)

    async def _reconnect(self) -> None:
        """Connect again; a server that refuses it is asked again for as long as requests are sent."""
        while time.perf_counter() < self.until:
            try:
                connection = await self._connect()
            except OSError:
                await asyncio.sleep(0.01)
            else:
                connection.send()
                return
        self.finish()

    def finish(self) -> None:
        """Count a connection that sends nothing more."""
        self._busy -= 1
        if not self._busy:
            self._all_answered.set()

    def _load(self, seconds: float, cpu_seconds: float) -> Load:
        tally, statuses = self.tally, self.tally.statuses
        answers = len(tally.seconds)
        return Load(
            seconds=self.plan.seconds,
            booked=tally.booked_in_time,
            accepted=statuses[CREATED],
            refused=statuses[CONFLICT],
            failed=answers - statuses[CREATED] - statuses[CONFLICT],
            broken=tally.broken,
            unanswered=self._busy,
            statuses={str(status): count for status, count in sorted(statuses.items())},
            p50_ms=tally.quantile_ms(0.5),
            p99_ms=tally.quantile_ms(0.99),
            longest_ms=tally.quantile_ms(1),
            generator_share=cpu_seconds / seconds,
            generator_us=1e6 * cpu_seconds / max(answers, 1),
            next_slot=self.requests.next_slot,
        )


class Connection(asyncio.Protocol):
    """A connection that is kept open, with at most one request under way."""

    __slots__ = ("_buffer", "_generator", "_sent_at", "_slot", "_write")

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._buffer = b""
        self._slot: int | None = None
        self._sent_at = 0.0

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember how to write."""
        self._write = cast("asyncio.WriteTransport", transport).write

    def send(self) -> None:
        """Send the next request."""
        self._slot, content = self._generator.requests.next()
        self._sent_at = time.perf_counter()
        self._write(content)

    @override
    def data_received(self, data: bytes) -> None:
        """Count an answer that is complete, and send the next request while there is time."""
        if self._buffer:
            data = self._buffer + data
        status = status_of(data)
        if status is None:
            self._buffer = data
            return
        self._buffer = b""
        now, generator = time.perf_counter(), self._generator
        in_time = now < generator.until
        if self._slot is not None:
            generator.tally.add(self._slot, status, now - self._sent_at, in_time=in_time)
            generator.requests.learn(self._slot, status)
        self._slot = None
        if in_time:
            self.send()
        else:
            generator.finish()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Count a request that is not answered any more, and go on with another connection."""
        generator = self._generator
        if self._slot is not None:
            generator.tally.broken += 1
            self._slot = None
            generator.recover()


def status_of(answer: bytes) -> int | None:
    """The status of an answer of HTTP/1.1 with a Content-Length; None while it is not complete."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = answer[:end].lower() + b"\r\n"
    at = head.find(b"\r\ncontent-length:")
    length = int(head[at + 17 : head.find(b"\r\n", at + 17)]) if at >= 0 else 0
    return int(answer[9:12]) if len(answer) >= end + 4 + length else None


async def _main() -> None:
    load = await Generator(LoadPlan(**json.loads(sys.stdin.readline()))).run()
    sys.stdout.write(json.dumps(asdict(load)) + "\n")


if __name__ == "__main__":
    gc.disable()  # nothing here is part of a cycle, and a collection would count as latency
    uvloop.run(_main())

"""Runs the benchmark: in each round every case, and in each case one competitor after the other."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from app.bench.bare import DATABASE
from app.bench.competitors import OURS, Competitor, Field, prepared
from app.bench.double_bookings import Count
from app.bench.loads import Case, Load, LoadPlan, Workload
from app.bench.processes import BenchError, Processes, clean_environment, python, running, until
from app.os_process import LOOPBACK, bound_to_this_process, free_port
from app.trial.servers import accepts_connections, mongodb

RESOURCES: Mapping[Workload, Sequence[str]] = {
    "spread": [f"room-{number}" for number in range(200)],
    "hot": ["hot-room"],
}
"""The resources of each workload."""
HOT_CONNECTIONS = 32
WARM = Case("spread", 8)
WARM_SECONDS = 1.0
_RESOURCES_AT_A_TIME = 8


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for.

    Args:
        mongodb: The server; None: SecantusDB, started for the benchmark.
        rounds: How often each case is repeated.
        seconds: The time of each load.
        connections: The numbers of connections of the workload `spread`.
        processes: The processes of each app.
    """

    mongodb: str | None
    rounds: int
    seconds: float
    connections: Sequence[int]
    processes: int

    @property
    def cases(self) -> list[Case]:
        """All cases, in their order."""
        return [*(Case("spread", each) for each in self.connections), Case("hot", HOT_CONNECTIONS)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was measured.

    Args:
        field: The competitors.
        loads: The loads of each case and competitor, in the order of the rounds.
        accepted: The bookings that each competitor acknowledged, those of the warm-up included.
        counts: What the database of each competitor holds afterwards.
    """

    field: Field
    loads: Mapping[Case, Mapping[str, Sequence[Load]]]
    accepted: Mapping[str, int]
    counts: Mapping[str, Count]

    @property
    def broken(self) -> list[str]:
        """The promises that Reserva did not keep."""
        count, accepted = self.counts[OURS], self.accepted[OURS]
        double = f"Reserva booked {count.double:,} times what was taken." if count.double else ""
        lost = f"Reserva lost {accepted - count.stored:,} bookings." if count.stored < accepted else ""
        return [each for each in (double, lost) if each]


OnLoad = Callable[[str, float], None]
"""Called before each step with what it is, and the part of all that is done, from 0 to 1."""


async def measure(options: Options, on_load: OnLoad) -> Outcome:
    """Start everything, run all rounds, count what is stored, and leave nothing behind.

    Raises:
        BenchError, TrialError: if something cannot be started, or ends by itself.
        StorageError: if the server cannot be used.
    """
    with TemporaryDirectory(prefix="reserva-bench-") as folder:
        async with running(Path(folder)) as servers:
            url = options.mongodb or await _embedded(servers)
            async with prepared(servers, url, options.processes) as field:
                async with running(Path(folder)) as apps:
                    contest = Contest(field, await _ports(apps, field, options.processes))
                    loads = await contest.run(options, on_load)
                on_load("counting double bookings", 1)
                counts = {each.name: await each.count() for each in field.competitors}
    return Outcome(field, loads, contest.accepted, counts)


async def _embedded(servers: Processes) -> str:
    """The server of `reserva dev` over a new folder."""
    server = mongodb(servers.folder / "mongodb")
    await servers.start(server.name, server.command)
    await until(server.answers, server.name)
    return server.url


async def _ports(apps: Processes, field: Field, processes: int) -> dict[str, int]:
    """Start the processes of all competitors, and make the resources of the product; the port of each."""
    listening = await asyncio.gather(*(_serve(apps, each, field, processes) for each in field.competitors))
    ports = {each.name: port for each, port in zip(field.competitors, listening, strict=True)}
    url, headers = f"http://{LOOPBACK}:{ports[OURS]}", {"Authorization": f"Bearer {field.token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as http:
        wanted = [resource for those in RESOURCES.values() for resource in those]
        for first in range(0, len(wanted), _RESOURCES_AT_A_TIME):
            await asyncio.gather(*(_make(http, each) for each in wanted[first : first + _RESOURCES_AT_A_TIME]))
    return ports


async def _make(http: httpx.AsyncClient, resource: str) -> None:
    answer = await http.post("/v1/resources", json={"id": resource, "name": resource})
    if not answer.is_success:
        raise BenchError(f"A resource could not be made: {answer.text}")


async def _serve(apps: Processes, competitor: Competitor, field: Field, processes: int) -> int:
    """Start the app of a competitor as `reserva serve` starts the product's; its port."""
    port, ours = free_port(), field.competitors[0].database
    command = python("app.cli.main", "serve", "--port", str(port), "--workers", str(processes))
    if competitor.application:
        command += ["--application", competitor.application]
    env = {
        "MONGODB_URL": ours,
        DATABASE: competitor.database,
        "RESERVA_MODE": "auto",
        "RESERVA_LOG_FORMAT": "json",
        "RESERVA_LAME_DUCK_SECONDS": "0",
        "RESERVA_RATE_LIMIT": "1000000/second",  # so high that none is refused, but each is counted
    }
    child = await apps.start(competitor.name, command, env)

    async def is_ready() -> bool:
        started = sum("Started worker-" in line for line in child.tail)
        return started >= processes and await accepts_connections(port)

    await until(is_ready, competitor.title)
    return port


class Contest:
    """Loads on all competitors, each of which remembers which slots were asked for."""

    def __init__(self, field: Field, ports: dict[str, int]) -> None:
        self._field = field
        self._ports = ports
        self._next_slots: dict[tuple[str, Workload], int] = {}
        self.accepted = Counter[str]()

    async def run(self, options: Options, on_load: OnLoad) -> dict[Case, dict[str, list[Load]]]:
        """All rounds; another competitor begins in each."""
        competitors = [*self._field.competitors]
        for each in competitors:
            on_load(f"warming up: {each.title}", 0)
            await self._load(each, WARM, WARM_SECONDS, seed=0)
        loads: dict[Case, dict[str, list[Load]]] = {
            case: {each.name: [] for each in competitors} for case in options.cases
        }
        steps = [(case, place) for case in options.cases for place in range(len(competitors))]
        for number in range(options.rounds):
            for done, (case, place) in enumerate(steps):
                each = competitors[place]
                what = f"round {number + 1}: {case.workload}, {case.connections} connections: {each.title}"
                on_load(what, (number + done / len(steps)) / options.rounds)
                loads[case][each.name].append(await self._load(each, case, options.seconds, seed=number + 1))
            competitors.append(competitors.pop(0))
        return loads

    async def _load(self, competitor: Competitor, case: Case, seconds: float, *, seed: int) -> Load:
        slots = competitor.name, case.workload
        plan = LoadPlan(
            port=self._ports[competitor.name],
            token=self._field.token,
            workload=case.workload,
            resources=RESOURCES[case.workload],
            connections=case.connections,
            seconds=seconds,
            first_slot=self._next_slots.get(slots, 0),
            seed=seed * 1_000_003 + case.connections,
        )
        load = await generate(plan)
        self._next_slots[slots] = load.next_slot
        self.accepted[competitor.name] += load.accepted
        return load


async def generate(plan: LoadPlan) -> Load:
    """Run a load in a process of its own.

    Raises:
        BenchError: if that process fails.
    """
    process = await asyncio.create_subprocess_exec(
        *bound_to_this_process(python("app.bench.generator")),
        env=clean_environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        answer, said = await process.communicate(json.dumps(asdict(plan)).encode() + b"\n")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        last = (said.decode(errors="replace").strip().splitlines() or ["it says nothing"])[-1]
        raise BenchError(f"The load generator failed: {last}")
    return Load(**json.loads(answer))

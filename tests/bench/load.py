"""Load by the generator of `reserva bench`: as many creates as the app takes, each of a free slot of its own."""

import asyncio

from app.bench.loads import Load, LoadPlan
from app.bench.run import generate
from tests.support.load_client import Client

CONNECTIONS = 32


class Calendar:
    """The slots of some resources, of which all from `slot` on are still free."""

    def __init__(self, prefix: str, resources: int, slot: int = 0) -> None:
        self.resources = [f"{prefix}-{number}" for number in range(resources)]
        self.slot = slot

    def create(self, client: Client, seconds: float, connections: int = CONNECTIONS) -> Load:
        """Book as fast as it goes."""
        plan = LoadPlan(
            port=client.port,
            token=client.token,
            workload="spread",
            resources=self.resources,
            connections=connections,
            seconds=seconds,
            first_slot=self.slot,
            seed=self.slot,
        )
        load = asyncio.run(generate(plan))
        self.slot = load.next_slot
        return load

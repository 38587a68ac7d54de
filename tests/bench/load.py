"""Load by `wrk`: as many creates as the app takes, each of a free slot of its own."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.load_client import Client
from tests.support.slot_bookings import FIRST, LENGTH

CONNECTIONS = 32
SCRIPT = Path(__file__).with_name("creates.lua")


def lacking() -> str | None:
    """What keeps load from being made, as a sentence; None if nothing does."""
    if shutil.which("wrk") is None:
        return "wrk, which makes the load, is not on the PATH. Debian, Ubuntu: apt install wrk; macOS: brew install wrk"
    return None


@dataclass(frozen=True, slots=True)
class Load:
    """One round: counts of requests, and how long answers took, in milliseconds.

    `refused` were answered with anything but a 2xx, `broken` lost their connection, `late` had no answer after ten
    seconds. Requests in flight when the round ends are cut off: at most one a connection. No request has
    asked for a slot from `furthest` on.
    """

    asked: int
    answered: int
    refused: int
    broken: int
    late: int
    furthest: int
    seconds: float
    p50: float
    p99: float
    max: float

    @property
    def rate(self) -> float:
        """Creates a second."""
        return (self.answered - self.refused) / self.seconds

    @property
    def unanswered(self) -> int:
        """Requests without an answer, except those in flight at the end."""
        return self.late + self.broken + max(self.asked - self.answered - CONNECTIONS, 0)


class Calendar:
    """The slots of some resources, of which all from `slot` on are still free."""

    def __init__(self, prefix: str, resources: int, slot: int = 0) -> None:
        self.prefix = prefix
        self.resources = resources
        self.slot = slot

    def create(self, client: Client, seconds: float) -> Load:
        """Book as fast as it goes, on 32 connections."""
        fixed = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--timeout", "10s", "-s", str(SCRIPT)]
        url = f"http://127.0.0.1:{client.port}"
        numbers = (self.resources, self.slot, int(FIRST.timestamp()), int(LENGTH.total_seconds()))
        command = [*fixed, url, "--", client.token, self.prefix, *map(str, numbers)]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        load = Load(**json.loads(output.splitlines()[-1]))
        self.slot = load.furthest
        return load

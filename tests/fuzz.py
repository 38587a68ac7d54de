"""Schemathesis against a real app: requests made from the description of the API, valid and not, and chains of them.

    python -m tests.fuzz [--minutes 30] [--seed 7 --seed 11] [--mongodb URL]

Every answer is held against the description by all the checks that there are: no 5xx, no status, header or body that
is not described, nothing refused that is valid, nothing accepted that is not. Exit code 1 if one of them fails.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from bson import ObjectId

from app.cli.configuration import CommandFailed
from app.domain.instants import render
from app.reconciliation.engine import reconcile_reservations
from app.storage.client import connect
from tests.support.load_client import Call, Client
from tests.support.relaying import place_all
from tests.support.servers import BIN, ROOT, NotAtHand, Servers, new_database, unmeasured
from tests.support.staged_app import Stage, staged

SEEDS = (7, 11)
MINUTE_SECONDS = 60
REQUEST_SECONDS = 40
"""A request may wait for events for 30."""

DAWN = datetime(2030, 1, 7, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
CATALOGUE: list[tuple[str, dict[str, Any]]] = [
    ("/v1/services", {"id": "cut", "name": "Cut", "durationType": "fixed", "durationMinutes": 30}),
    ("/v1/services", {"id": "stay", "name": "Stay", "durationType": "full-day", "maxDays": 3, "approval": True}),
    ("/v1/resources", {"id": "room", "name": "Room", "services": ["cut", "stay"], "capacity": 3}),
    ("/v1/resources", {"id": "hall", "name": "Hall", "capacity": 50, "capacityMode": "guests", "services": ["cut"]}),
    ("/v1/customers", {"id": "ann", "name": "Ann", "externalId": "ann"}),
]
BOOKINGS = 24
"""Half of them holds."""


@dataclass(frozen=True, slots=True)
class Scene:
    """An app with something in it; `known` are names, ids and times for requests that mean something, by kind."""

    client: Client
    known: Mapping[str, Sequence[str]]


@contextmanager
def serving(server_url: str) -> Iterator[Scene]:
    """The app on a database of its own, with a small catalogue, bookings, a group and a finding."""
    with staged(new_database(server_url, "reserva_bench")) as stage, stage.app(1) as app:
        for path, body in CATALOGUE:
            _made(app.client, path, body)
        bookings = [_made(app.client, "/v1/reservations", each) for each in _bookings()]
        group = _made(app.client, "/v1/groups", {"reservations": [*_bookings()][:3]})
        run, findings = _reconciled(stage, bookings[0])
        named = {"name": "Named", "scopes": ["reservations:read"]}
        known = {
            "keys": [_made(app.client, "/v1/keys", named, known_by="prefix") for _ in range(8)],
            "bookings": [*bookings, group],
            "findings": findings,
            "runs": [run],
            "resources": ["room", "hall"],
            "services": ["cut", "stay"],
            "customers": ["ann"],
            "instants": [render(DAWN + number * HALF_HOUR) for number in range(96)],
            "days": [(DAWN + timedelta(days=number)).date().isoformat() for number in range(7)],
            "wall": [f"2030-01-08T{hour:02}:30" for hour in range(24)],
            "zones": ["UTC", "Europe/London", "America/New_York"],
            "versions": ["*", *(f'"{number}"' for number in range(1, 6))],
        }
        yield Scene(app.client, known)


def _bookings() -> Iterator[dict[str, Any]]:
    for number in range(BOOKINGS):
        start = DAWN + number * HALF_HOUR
        times = {"startTime": render(start), "endTime": render(start + HALF_HOUR)}
        hold = {"expiresInSeconds": 86_400} if number % 2 else {}
        yield {"resource": "room", "service": "cut", "customer": "ann", **times, **hold}


def _made(client: Client, path: str, body: Mapping[str, Any], *, known_by: str = "id") -> str:
    answer = client.post(Call(path, body))
    if answer.status != 201:
        raise RuntimeError(f"{path} was answered {answer.status}: {answer.content.decode()}")
    return str(answer.json()[known_by])


def _reconciled(stage: Stage, booking: str) -> tuple[str, list[str]]:
    """A run that finds three copies of a booking above capacity; its id, and those of the findings.

    The events of all bookings get their places as well.
    """
    row = stage.database["reservations"].find_one({"_id": ObjectId(booking)})
    stage.database["reservations"].insert_many([{**(row or {}), "_id": ObjectId()} for _ in range(3)])

    async def reconcile() -> str:
        store = await connect(stage.url)
        try:
            await place_all(store)
            return str((await reconcile_reservations(store, "full")).id)
        finally:
            await store.close()

    run = asyncio.run(reconcile())
    return run, [str(each["_id"]) for each in stage.database["findings"].find({}, {"_id": 1})]


def fuzz(scene: Scene, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run Schemathesis with all its checks; what it prints names each failure and how to repeat it."""
    config = (ROOT / "tests" / "fuzz.toml").read_text(encoding="utf-8")
    dictionaries = "".join(f"\n[dictionaries.{name}]\nvalues = {json.dumps(each)}\n" for name, each in _lists(scene))
    with tempfile.TemporaryDirectory(prefix="reserva-fuzz-") as folder:
        file = Path(folder) / "fuzz.toml"
        file.write_text(config + dictionaries, encoding="utf-8")
        command = [str(BIN / "schemathesis"), "--config-file", str(file), "run"]
        command += [f"http://127.0.0.1:{scene.client.port}/openapi.json", "--checks", "all", "--continue-on-failure"]
        command += ["--header", f"Authorization: Bearer {scene.client.token}", "--no-color"]
        command += ["--exclude-operation-id", "streamEvents"]  # its answer does not end
        command += ["--request-timeout", str(REQUEST_SECONDS), "--generation-database", "none"]
        return subprocess.run(
            [*command, *options], cwd=folder, env=unmeasured(), capture_output=True, text=True, check=False
        )


def _lists(scene: Scene) -> list[tuple[str, list[str]]]:
    return [(name, [*values]) for name, values in scene.known.items()]


@click.command(epilog="Example:  python -m tests.fuzz --minutes 5 --seed 42")
@click.option("--minutes", default=30, show_default=True, type=click.IntRange(1), help="For all seeds together.")
@click.option("--seed", "seeds", default=SEEDS, show_default=True, multiple=True, type=int)
@click.option("--mongodb", metavar="URL", help="A server with transactions; without it, one is started.")
def main(minutes: int, seeds: tuple[int, ...], mongodb: str | None) -> None:
    """Fuzz for so long, one seed after the other, each on a database of its own."""
    servers = Servers(mongodb)
    failed = False
    try:
        for seed in seeds:
            with serving(_address(servers, mongodb)) as scene:
                seconds = minutes * MINUTE_SECONDS // len(seeds)
                done = fuzz(scene, "--seed", str(seed), "--max-time", str(seconds))
            click.echo(done.stdout)
            click.echo(done.stderr, err=True)
            failed = failed or done.returncode != 0
    finally:
        servers.stop()
    sys.exit(1 if failed else 0)


def _address(servers: Servers, url: str | None) -> str:
    """The reader's server; else SecantusDB in Rust, or where that is not at hand the trial's."""
    for name in ("url",) if url else ("rust", "trial"):
        try:
            return servers.address(name)
        except NotAtHand as no:
            reason = no
    raise CommandFailed(f"No server with transactions: {reason}. --mongodb URL names another.") from reason


if __name__ == "__main__":
    main()

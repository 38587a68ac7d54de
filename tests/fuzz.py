"""Schemathesis against a real app: requests made from the description of the API, valid and not, and chains of them.

    python -m tests.fuzz [--minutes 30] [--seed 7 --seed 11] [--mongodb URL]

Every answer is held against the description by all the checks that there are: no 5xx, no status, header or body that
is not described, nothing refused that is valid, nothing accepted that is not. Exit code 1 if one of them fails.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from app.cli.common import CouldNot
from tests.bench.clients import Call, Client
from tests.bench.stage import scratch, staged
from tests.servers import BIN, ROOT, NotAtHand, Servers

SEEDS = (7, 11)
MINUTE_SECONDS = 60
REQUEST_SECONDS = 20

CATALOGUE: list[tuple[str, dict[str, Any]]] = [
    ("/v1/services", {"id": "cut", "name": "Cut", "durationType": "fixed", "durationMinutes": 30}),
    ("/v1/services", {"id": "stay", "name": "Stay", "durationType": "full-day", "maxDays": 3, "approval": True}),
    ("/v1/resources", {"id": "room", "name": "Room", "services": ["cut", "stay"], "capacity": 3}),
    ("/v1/resources", {"id": "hall", "name": "Hall", "capacity": 50, "capacityMode": "guests", "services": ["cut"]}),
    ("/v1/customers", {"id": "ann", "name": "Ann", "externalId": "ann"}),
]
"""What is there before the first request; `fuzz.toml` knows the names."""


@contextmanager
def serving(server_url: str) -> Iterator[Client]:
    """The app on a database of its own, with a small catalogue."""
    with staged(scratch(server_url)) as stage, stage.app(1) as app:
        for path, body in CATALOGUE:
            answer = app.client.post(Call(path, body))
            assert answer.status == 201, answer.content
        yield app.client


def fuzz(client: Client, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run Schemathesis with all its checks; what it prints names each failure and how to repeat it."""
    command = [str(BIN / "schemathesis"), "--config-file", str(ROOT / "tests" / "fuzz.toml"), "run"]
    command += [f"http://127.0.0.1:{client.port}/openapi.json", "--header", f"Authorization: Bearer {client.token}"]
    command += ["--checks", "all", "--request-timeout", str(REQUEST_SECONDS), "--no-color", "--continue-on-failure"]
    command += ["--generation-database", "none"]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False)


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
            with serving(_address(servers, mongodb)) as client:
                seconds = minutes * MINUTE_SECONDS // len(seeds)
                done = fuzz(client, "--seed", str(seed), "--max-time", str(seconds))
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
    raise CouldNot(f"No server with transactions: {reason}. --mongodb URL names another.") from reason


if __name__ == "__main__":
    main()

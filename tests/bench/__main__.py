"""`python -m tests.bench [NAMES]`: run benchmarks and print their tables; exit code 1 if a promise did not hold."""

import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console

from app.cli.configuration import CommandFailed
from tests.bench import (
    availability,
    closures,
    crowd,
    delays,
    events,
    findings,
    followers,
    groups,
    growth,
    holds,
    indexes,
    kills,
    memory,
    pages,
    pairs,
    passing,
    replays,
    rolling,
    series,
    spread,
    start,
    storms,
    sweep,
    trial,
    week,
)
from tests.bench.report import Bench, Report
from tests.support.servers import NotAtHand, Servers

BENCHMARKS: dict[str, Callable[[Bench], Report]] = {
    "storms": storms.run,
    "crowd": crowd.run,
    "spread": spread.run,
    "start": start.run,
    "replays": replays.run,
    "holds": holds.run,
    "kills": kills.run,
    "rolling": rolling.run,
    "availability": availability.run,
    "trial": trial.run,
    "sweep": sweep.run,
    "pairs": pairs.run,
    "passing": passing.run,
    "groups": groups.run,
    "series": series.run,
    "closures": closures.run,
    "findings": findings.run,
    "growth": growth.run,
    "memory": memory.run,
    "followers": followers.run,
    "events": events.run,
    "delays": delays.run,
    "pages": pages.run,
    "indexes": indexes.run,
    "week": week.run,
}


@click.command(epilog="Example:  python -m tests.bench spread --rounds 9")
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option("--mongodb", metavar="URL", help="A server with transactions; without it, one is started.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Of each measurement.")
@click.option("--seconds", default=5.0, show_default=True, type=click.FloatRange(1), help="Of load in each round.")
@click.option(
    "--repetitions",
    default=200,
    show_default=True,
    type=click.IntRange(1),
    help="Of the hold that expires, and of the event that is waited for.",
)
@click.option("--requests", default=100_000, show_default=True, type=click.IntRange(100), help="Of `memory`.")
@click.option(
    "--stored",
    default=1_000_000,
    show_default=True,
    type=click.IntRange(100_000),
    help="The reservations that `growth` stores at most, and the events of `pages`.",
)
def main(names: tuple[str, ...], mongodb: str | None, **scale: Any) -> None:
    """Run all benchmarks, or the named ones: what is exact is checked, what is measured is reported as a ratio."""
    chosen = names or tuple(BENCHMARKS)
    _allow_many_connections()
    console = Console(width=140 if not sys.stdout.isatty() else None)
    broken = 0
    with _server(mongodb) as url:
        for name in chosen:
            report = BENCHMARKS[name](Bench(url, **scale))
            report.show(console)
            broken += len(report.broken)
    sys.exit(1 if broken else 0)


@contextmanager
def _server(url: str | None) -> Iterator[str]:
    """The reader's server, or SecantusDB in Rust, as a child of this process."""
    servers = Servers(url)
    try:
        yield servers.address("url" if url else "rust")
    except NotAtHand as reason:
        raise CommandFailed(f"No server with transactions: {reason}. --mongodb URL names another.") from reason
    finally:
        servers.stop()


def _allow_many_connections() -> None:
    """A storm holds a thousand at once; the app's processes inherit the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()

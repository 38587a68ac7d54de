"""A worker that gives events their places, with a Redis of its own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.support.commands import reserva, running_command
from tests.support.redis_server import OwnRedis
from tests.support.staged_app import Stage


class Placer(NamedTuple):
    """The process of the worker, and the environment of an app that tells it of what is new."""

    pid: int
    env: Mapping[str, str]


@contextmanager
def placing(stage: Stage) -> Iterator[Placer]:
    """The worker runs."""
    with TemporaryDirectory(prefix="reserva-bench-") as folder:
        redis = OwnRedis(Path(folder))
        redis.start()
        try:
            env = {"REDIS_URL": redis.url}
            with running_command(reserva("worker"), env={"MONGODB_URL": stage.url, **env}) as worker:
                yield Placer(worker.process.pid, env)
        finally:
            redis.kill()

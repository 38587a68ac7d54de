"""A container engine: the one that answers, or one of its own where the tests run as root and Docker is installed."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SECONDS = 900
_START_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Engine:
    """Docker, at the given address."""

    host: str | None

    def run(self, *arguments: str, cwd: Path | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of docker to its end; its output is text.

        Raises:
            AssertionError: it failed, and `check` is not False.
        """
        env = {name: value for name, value in os.environ.items() if name not in {"MONGODB_URL", "REDIS_URL"}}
        # The builder that comes with the engine; the newer one is a separate package.
        env |= {"DOCKER_BUILDKIT": "0"} | ({"DOCKER_HOST": self.host} if self.host else {})
        done = subprocess.run(
            ["docker", *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        if check:
            assert done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done

    def answers(self) -> bool:
        """Whether it can be used."""
        return self.run("info", check=False).returncode == 0


@contextmanager
def running_engine(folder: Path) -> Iterator[Engine | None]:
    """The engine that answers, or one with its data in a folder; None if there is none."""
    if shutil.which("docker") is None:
        yield None
        return
    engine = Engine(None)
    if engine.answers():
        yield engine
        return
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        yield None
        return
    engine = Engine(f"unix://{folder}/socket")
    folders = [f"--{name}={folder}/{name}" for name in ("data-root", "exec-root", "pidfile")]
    with (folder / "log").open("w") as log:
        daemon = subprocess.Popen(["dockerd", *folders, "--host", engine.host or ""], stdout=log, stderr=log)
    try:
        until = time.monotonic() + _START_SECONDS
        while not engine.answers():
            assert daemon.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < until, "dockerd does not answer"
            time.sleep(0.2)
        yield engine
    finally:
        daemon.terminate()
        daemon.wait()

"""Runs our commands to their end in forks of a process that has imported the libraries.

Each command is a process with an environment, a folder, output and an exit code of its own, and imports our own code
itself. It is spared the libraries, which take longer to import than most commands to run. What this leaves out, from
the interpreter's start to its end, is seen by the tests of commands that stay, and of output that cannot be written.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import coverage

_MEASURED = "COVERAGE_PROCESS_CONFIG"
"""Set by coverage.py where the tests are measured, for the processes that they start."""

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        *("arq.connections", "beanie", "coverage", "granian", "httpx", "litestar", "litestar.plugins.pydantic"),
        *("motor.motor_asyncio", "psutil", "pydantic_settings", "redis.asyncio", "rich.progress", "rich.table"),
        *("standardwebhooks", "structlog", "tenacity", "tests.support.forked_commands", "uvloop"),
    ]
)


def run_forked(
    arguments: Sequence[str], *, cwd: Path | None, env: Mapping[str, str], seconds: float
) -> "subprocess.CompletedProcess[str]":
    """Run `reserva` with the given arguments and environment.

    Raises:
        subprocess.TimeoutExpired: if it does not end in time; it is killed.
    """
    with tempfile.TemporaryDirectory(prefix="reserva-command-") as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = _FORKS.Process(target=_run, args=(arguments, cwd, dict(env), out, err))
        _start(process)
        process.join(seconds)
        code = process.exitcode
        if code is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired([*arguments], seconds)
        process.close()
        return subprocess.CompletedProcess([*arguments], code, out.read_text("utf-8"), err.read_text("utf-8"))


def _start(process: ForkServerProcess) -> None:
    """Start it, and before the first one the process that is forked, which is not measured itself."""
    config = os.environ.pop(_MEASURED, None)
    try:
        process.start()
    finally:
        if config is not None:
            os.environ[_MEASURED] = config


def _run(arguments: Sequence[str], cwd: Path | None, env: Mapping[str, str], out: Path, err: Path) -> None:
    """What the fork does."""
    for number, path in enumerate((Path(os.devnull), out, err)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(env)
    if cwd is not None:
        os.chdir(cwd)
    sys.argv = ["reserva", *arguments]
    measured = coverage.process_startup(force=True)
    try:
        from app.cli.main import main  # noqa: PLC0415  # not by the process that is forked, which keeps it

        main()
    finally:
        if measured is not None:
            measured.stop()
            measured.save()

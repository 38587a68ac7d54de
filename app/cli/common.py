"""What all commands share: exit codes, settings, the store, and output.

Standard output carries the result alone. A failure is one sentence on standard error and exit code 2, never a
traceback, wherever a person can do something about it.
"""

import asyncio
import functools
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from io import StringIO
from typing import Any, ParamSpec

import click
from pymongo.errors import PyMongoError
from redis.exceptions import RedisError
from rich.console import Console, RenderableType
from rich.text import Text
from typing_extensions import override

from app import logs
from app.cli.output import silence, unwritten
from app.cluster import agreement
from app.environment import FILE, SettingsError
from app.errors import Problem
from app.http.pointers import pointer_of
from app.migration.migrate import verify
from app.settings import Settings, read_settings
from app.storage.client import Store, connect
from app.storage.errors import StorageError, failed
from app.trial_state import running_trial

P = ParamSpec("P")

DONE, FOUND, COULD_NOT = 0, 1, 2
"""Exit codes: done or clean; something was found; the command could not do its work."""


class _Aside(Console):
    """Standard error for people; a failure to write it does not end the command."""

    @override
    def print(self, *objects: Any, **options: Any) -> None:
        """Print, if that is possible."""
        with suppress(OSError):
            super().print(*objects, **options)

    @override
    def on_broken_pipe(self) -> None:
        """Print nothing more."""
        self.quiet = True


console = _Aside(stderr=True, highlight=False)
"""For people: progress, tables, explanations. Not for results that a script reads."""


_WIDTH = 100_000


class CouldNot(click.ClickException):
    """The command could not do its work; the message says what to check."""

    exit_code = COULD_NOT


def configured() -> Settings:
    """The settings of this process, with its log set up by them.

    Where MONGODB_URL is unset, the addresses are those of the trial that runs in `./.reserva`.

    Raises:
        CouldNot: if a setting is not valid, or there is no database to use.
    """
    settings = environment()
    if settings.mongodb_url:
        return settings
    trial = running_trial()
    if trial is None or trial.mongodb_url is None:
        raise CouldNot(
            "MONGODB_URL is not set, and no trial runs in ./.reserva. Set it, or start a trial with `reserva dev`."
        )
    return settings.model_copy(
        update={"mongodb_url": trial.mongodb_url, "redis_url": settings.redis_url or trial.redis_url}
    )


def environment() -> Settings:
    """The settings of the environment, with the log set up by them.

    Raises:
        CouldNot: naming the variables that are not valid, or that there are not.
    """
    try:
        settings = read_settings()
    except SettingsError as error:
        raise CouldNot(str(error)) from error
    logs.configure(settings)
    return settings


def export(settings: Settings) -> None:
    """Put addresses that are not there yet into the environment, for what reads it itself.

    What stands in a file is not copied: whoever reads it later gets what stands there then.
    """
    for name, url in (("MONGODB_URL", settings.mongodb_url), ("REDIS_URL", settings.redis_url)):
        if url and not os.environ.get(name + FILE):
            os.environ[name] = url


@asynccontextmanager
async def opened(
    settings: Settings | None = None, *, verified: bool = True, insists: bool = False
) -> AsyncIterator[Store]:
    """Open the database of the settings (by default `configured()`), and close it at the end.

    Args:
        settings: Where it is.
        verified: Refuse a database that `reserva migrate` has not prepared.
        insists: Where RESERVA_MODE is unset, refuse a server without transactions. Else it is used in the mode that
            the processes of this database have agreed on; if nothing is agreed yet, as the server allows.
    """
    settings = settings or configured()
    store = await connect(settings, mode=settings.mode if insists else settings.chosen_mode or "auto")
    try:
        if not insists and settings.chosen_mode is None:
            await agreement.join(store, lasting=verified)
        if verified:
            await verify(store)
        yield store
    finally:
        await store.close()


def asynchronous(body: Callable[P, Coroutine[object, object, int]]) -> Callable[P, None]:
    """Make a command of a coroutine function that returns the exit code.

    What an operator can mend ends with one sentence and exit code 2: a database or queue that cannot be reached or
    used, a refusal.
    """

    @functools.wraps(body)
    def command(*args: P.args, **kwargs: P.kwargs) -> None:
        with explained():
            code = asyncio.run(body(*args, **kwargs))
        click.get_current_context().exit(code)

    return command


@contextmanager
def explained() -> Iterator[None]:
    """Turn what an operator can mend into `CouldNot`.

    Raises:
        CouldNot: for any of these.
    """
    try:
        yield
    except StorageError as error:
        raise CouldNot(str(error)) from error
    except Problem as problem:
        faults = [f"{pointer_of(fault)} {fault.detail}" for fault in problem.faults if fault.detail != problem.detail]
        raise CouldNot(" ".join([problem.detail, *faults])) from problem
    except PyMongoError as error:
        raise CouldNot(failed(error)) from error
    except RedisError as error:
        raise CouldNot(f"Redis failed: {str(error).rstrip('.')}. Check REDIS_URL and that the server runs.") from error


def result(value: object) -> None:
    """Print a result as one line of JSON on standard output.

    Raises:
        CouldNot: it cannot be written.
    """
    write_line(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def shown(*parts: RenderableType) -> str:
    """Tables and texts for people: as wide as their terminal, or as they need to be where there is none."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    console = Console(file=StringIO(), highlight=False, force_terminal=terminal, width=None if terminal else _WIDTH)
    with console.capture() as captured:
        for part in parts:
            console.print(part, soft_wrap=isinstance(part, Text))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def write_line(text: str) -> None:
    """Print a part of the result, and its line end, on standard output.

    Raises:
        CouldNot: it cannot be written; who reads the exit code must not take nothing for a result.
    """
    if sys.stdout is None:
        raise CouldNot("There is no standard output to write the result to.")
    try:
        click.echo(text)
    except OSError as error:
        silence(sys.stdout)
        raise CouldNot(unwritten("The result", error)) from error

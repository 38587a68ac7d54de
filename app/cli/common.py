"""What all commands share: the store, failures in sentences, and output.

Standard output carries the result alone. A failure that a person can remedy is one sentence on standard error and exit
code 2, never a traceback.
"""

import asyncio
import functools
import json
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from io import StringIO
from typing import Any, ParamSpec

import click
from pymongo.errors import PyMongoError
from redis.exceptions import RedisError
from rich.console import Console, RenderableType
from rich.text import Text
from typing_extensions import override

from app.cli.configuration import CommandFailed, read_configuration
from app.cli.output import silence, write_failure
from app.cluster import agreement
from app.errors import Problem
from app.http.pointers import pointer_of
from app.migration.migrate import verify
from app.settings import Settings
from app.storage.client import Store, connect
from app.storage.errors import StorageError, failed

P = ParamSpec("P")


class _StandardError(Console):
    """A console on standard error; a failure to write to it does not end the command."""

    @override
    def print(self, *objects: Any, **options: Any) -> None:
        """Print; a failure is ignored."""
        with suppress(OSError):
            super().print(*objects, **options)

    @override
    def on_broken_pipe(self) -> None:
        """Print nothing more."""
        self.quiet = True


console = _StandardError(stderr=True, highlight=False)
"""The console for progress and explanations; results go to standard output."""


_UNBOUNDED = 100_000


@asynccontextmanager
async def open_store(
    settings: Settings | None = None, *, require_migrated: bool = True, require_transactions: bool = False
) -> AsyncGenerator[Store]:
    """Open the database of the settings (by default `read_configuration()`), and close it at the end.

    Args:
        settings: The settings with its address.
        require_migrated: Whether to refuse a database that `reserva migrate` has not prepared.
        require_transactions: Whether to refuse a server without transactions where RESERVA_MODE is unset. Otherwise the
            mode is the one that the processes of this database agreed on, or what the server allows.
    """
    settings = settings or read_configuration()
    store = await connect(settings, mode=settings.mode if require_transactions else settings.chosen_mode or "auto")
    try:
        if not require_transactions and settings.chosen_mode is None:
            await agreement.join(store, lasting=require_migrated)
        if require_migrated:
            await verify(store)
        yield store
    finally:
        await store.close()


def asynchronous(body: Callable[P, Coroutine[object, object, int]]) -> Callable[P, None]:
    """Turn a coroutine function that returns the exit code into a command.

    Failures that an operator can remedy (an unusable database or queue, a refusal) end it with one sentence and exit
    code 2.
    """

    @functools.wraps(body)
    def command(*args: P.args, **kwargs: P.kwargs) -> None:
        with explain_failures():
            code = asyncio.run(body(*args, **kwargs))
        click.get_current_context().exit(code)

    return command


@contextmanager
def explain_failures() -> Generator[None]:
    """Turn failures that an operator can remedy into `CommandFailed`.

    Raises:
        CommandFailed: for an unusable database or queue, and for a refusal.
    """
    try:
        yield
    except StorageError as error:
        raise CommandFailed(str(error)) from error
    except Problem as problem:
        faults = [f"{pointer_of(fault)} {fault.detail}" for fault in problem.faults if fault.detail != problem.detail]
        raise CommandFailed(" ".join([problem.detail, *faults])) from problem
    except PyMongoError as error:
        raise CommandFailed(failed(error)) from error
    except RedisError as error:
        raise CommandFailed(
            f"Redis failed: {str(error).rstrip('.')}. Check REDIS_URL and that the server runs."
        ) from error


def result(value: object) -> None:
    """Print a result as one line of JSON on standard output.

    Raises:
        CommandFailed: it cannot be written.
    """
    write_line(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def render_text(*parts: RenderableType) -> str:
    """Render tables and texts: as wide as the terminal, or unbounded without one."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    console = Console(file=StringIO(), highlight=False, force_terminal=terminal, width=None if terminal else _UNBOUNDED)
    with console.capture() as output:
        for part in parts:
            console.print(part, soft_wrap=isinstance(part, Text))
    return "\n".join(line.rstrip() for line in output.get().splitlines())


def write_line(text: str) -> None:
    """Print a part of the result, and its line end, on standard output.

    Raises:
        CommandFailed: it cannot be written, so that the exit code does not report an empty output as a result.
    """
    if sys.stdout is None:
        raise CommandFailed("There is no standard output to write the result to.")
    try:
        click.echo(text)
    except OSError as error:
        silence(sys.stdout)
        raise CommandFailed(write_failure("The result", error)) from error

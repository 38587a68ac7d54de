"""The entry point: finds the command, and sets the exit code.

Commands are imported when they are called, so that `reserva --help` answers at once.
"""

import sys
from contextlib import suppress
from importlib import import_module

import click
from typing_extensions import override

from app.cli.output import UNWRITABLE, silence
from app.collector import paused_collector

_COMMANDS = {
    "dev": ("app.cli.dev:dev", "Run everything on this machine, to try Reserva out."),
    "serve": ("app.cli.serve:serve", "Run the app."),
    "worker": ("app.cli.worker:worker", "Run the worker."),
    "migrate": ("app.cli.migrate:migrate", "Build the indexes and guards that are missing."),
    "keys": ("app.cli.keys:keys", "Make, list, revoke and rotate API keys."),
    "import": ("app.cli.import_:import_", "Book the rows of a file."),
    "reconcile": ("app.cli.reconcile:reconcile", "Find resources that are booked above their capacity."),
    "findings": ("app.cli.findings:findings", "Review what is booked above capacity."),
    "erase": ("app.cli.erase:erase", "Erase a customer: its name, and the texts of its reservations."),
    "prune": ("app.cli.prune:prune", "Remove runs and stored answers that are too old."),
    "doctor": ("app.cli.doctor:doctor", "Look for what is wrong, with the remedy."),
    "health": ("app.cli.health:health", "Ask whether the app or the worker is well."),
    "audit": ("app.cli.audit:audit_", "Find conflicts in a database of another program, without writing."),
    "bench": ("app.cli.bench:bench", "Set Reserva beside other ways to book, on this machine."),
}
"""The module and name of each command, and its line in the help."""

_INTERRUPTED = 130


class _Commands(click.Group):
    """A group that lists its commands by name and imports a command only when it is used."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        with paused_collector():
            command = getattr(import_module(module), name)
        return command if isinstance(command, click.Command) else None

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog="Example:  reserva dev")
@click.version_option(package_name="reserva")
def commands() -> None:
    """Reserva: a reservation engine that cannot double-book.

    Settings are environment variables: MONGODB_URL, REDIS_URL and RESERVA_*. Without MONGODB_URL a command uses the
    trial that runs in ./.reserva.

    Exit codes: 0 done, or nothing found, 1 something was found, 2 the command could not do its work.
    """


def main() -> None:
    """Run the command line of this process."""
    try:
        code = _run()
    except OSError as error:
        if error.filename is not None or error.errno not in UNWRITABLE:
            raise
        code = click.UsageError.exit_code  # writing a help text or an error message failed
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError:
            silence(stream)
    sys.exit(code)


def _run() -> int:
    """Run the command; a failure is one sentence on standard error. Returns the exit code."""
    try:
        code: int = commands.main(prog_name="reserva", standalone_mode=False)
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        return error.exit_code
    except click.Abort:
        with suppress(OSError):
            click.echo("Interrupted.", err=True)
        return _INTERRUPTED
    except SystemExit:  # raised by click when a help text goes into a closed pipe
        return click.UsageError.exit_code
    return code


if __name__ == "__main__":
    main()

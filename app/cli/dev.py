"""`reserva dev`: the trial, everything on this machine in one terminal."""

from pathlib import Path

import click

from app.cli.common import asynchronous, write_line
from app.cli.configuration import DONE, CommandFailed, environment
from app.os_process import die_with_parent
from app.trial.errors import TrialError
from app.trial.folder import Folder
from app.trial.run import Trial
from app.trial_state import DEFAULT_FOLDER


@click.command(epilog="Example:  reserva dev --port 9000 --data /tmp/trial")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 picks a free one.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_FOLDER,
    show_default=True,
    help="The folder of its data; one trial a folder.",
)
@click.option("--demo/--no-demo", default=True, show_default=True, help="Make a small demo catalogue.")
@click.option("--tied", type=int, hidden=True, help="End with this process, the parent, even if that is killed.")
@asynchronous
async def dev(port: int, data: Path, *, demo: bool, tied: int | None) -> int:
    """Run a trial of Reserva: MongoDB, Redis, the app and the worker.

    Prints one line on standard output when it answers, `ready url=… key=…`, and the log on standard error, with a link
    that opens the console signed in, once. The next start finds the same data and the same key. It is made for trying
    things out, not for production.
    """
    if tied:
        die_with_parent(tied)
    settings = environment()
    try:
        await Trial(Folder(data), port, demo=demo, settings=settings, on_ready=write_line).run()
    except TrialError as error:
        raise CommandFailed(str(error)) from error
    return DONE
